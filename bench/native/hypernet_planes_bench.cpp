#include "cases.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

constexpr std::int64_t kSamples = 8192;

void pack(benchmark::State& state, Isa level) {
  std::vector<std::uint8_t> x(kSamples * kVariables);
  std::mt19937_64 random(3);
  for (auto& value : x) value = random() & 1;
  RandomPlanes planes(kSamples);
  std::int32_t status = 0;
  for (auto _ : state) {
    POLYAD_TABLE(level, planes_table)
        .pack({x.data(), kSamples, kVariables, planes.width, planes.words.data(), &status});
  }
  state.SetBytesProcessed(state.iterations() * kSamples * kVariables);
}

void unpack(benchmark::State& state, Isa level) {
  std::vector<std::uint8_t> x(kSamples * kVariables);
  RandomPlanes planes(kSamples);
  for (auto _ : state) POLYAD_TABLE(level, planes_table).unpack({planes.view(), x.data()});
  state.SetBytesProcessed(state.iterations() * kSamples * kVariables);
}

}  // namespace

void register_planes(Isa level) {
  const std::string suffix = std::string("/") + isa_name(level);
  benchmark::RegisterBenchmark(("pack" + suffix).c_str(), pack, level);
  benchmark::RegisterBenchmark(("unpack" + suffix).c_str(), unpack, level);
}

}  // namespace polyad::bench
