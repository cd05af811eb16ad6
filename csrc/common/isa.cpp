#include "common/isa.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace polyad {
namespace {

Isa choose() {
  const std::vector<Isa> levels = available_isas();
  const char* wanted = std::getenv("POLYAD_ISA");
  if (wanted == nullptr || *wanted == '\0') return levels.back();
  for (Isa level : levels) {
    if (std::string(wanted) == isa_name(level)) return level;
  }
  std::string known;
  for (Isa level : levels) known += std::string(known.empty() ? "" : ", ") + isa_name(level);
  throw std::runtime_error("POLYAD_ISA: expected one of " + known +
                           " (what this build and this processor have), got '" + wanted + "'");
}

}  // namespace

std::vector<Isa> available_isas() {
  std::vector<Isa> levels{Isa::v2};
#ifdef POLYAD_X86_LEVELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v3")) levels.push_back(Isa::v3);
  if (__builtin_cpu_supports("x86-64-v4")) levels.push_back(Isa::v4);
#endif
  return levels;
}

const char* isa_name(Isa level) {
#ifdef POLYAD_X86_LEVELS
  return level == Isa::v4 ? "v4" : level == Isa::v3 ? "v3" : "v2";
#else
  (void)level;
  return "baseline";
#endif
}

Isa isa() {
  static const Isa level = choose();
  return level;
}

}  // namespace polyad
