#include "roofline.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <vector>

namespace polyad::bench {
namespace {

double measure(AndRows* and_rows) {
  constexpr int kVariables = 784, kRows = 4096, kPasses = 200;
  alignas(64) static std::uint64_t words[kVariables][8];
  alignas(64) std::uint64_t out[8][8];
  std::mt19937_64 random(1);
  std::vector<std::int32_t> variables(kRows);
  for (auto& row : words) {
    for (auto& word : row) word = random();
  }
  for (auto& variable : variables) variable = static_cast<std::int32_t>(random() % kVariables);
  double best = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {  // the best of many short ones: a quiet moment
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 16; ++i) and_rows(words[0], variables.data(), kRows, out[0]);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count() / 16);
  }
  return kRows / best;
}

}  // namespace

double row_loads_per_second(Isa level) {
#ifdef POLYAD_X86_LEVELS
  constexpr std::array<AndRows*, 3> kernels{v2::and_rows, v3::and_rows, v4::and_rows};
#else
  constexpr std::array<AndRows*, 1> kernels{v2::and_rows};
#endif
  static std::array<double, kernels.size()> measured{};
  const auto i = static_cast<std::size_t>(level);
  if (measured[i] == 0) measured[i] = measure(kernels[i]);
  return measured[i];
}

}  // namespace polyad::bench
