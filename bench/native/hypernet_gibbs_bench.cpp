#include "cases.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

constexpr std::int64_t kSamples = 1024, kEdges = 20000;

void gibbs(benchmark::State& state, Isa level, int k, bool spins) {
  RandomEdges edges(kEdges, k, false, !spins);
  RandomPlanes planes(kSamples);
  const std::vector<float> weights(kEdges, 0.01f);
  std::vector<std::vector<std::int32_t>> holders(kVariables);
  for (std::int32_t e = 0; e < kEdges; ++e) {
    for (std::int64_t l = edges.offsets[e]; l < edges.offsets[e + 1]; ++l) {
      holders[static_cast<std::size_t>(edges.literals[static_cast<std::size_t>(l)])].push_back(e);
    }
  }
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> incidence;
  for (const auto& held : holders) {
    incidence.insert(incidence.end(), held.begin(), held.end());
    offsets.push_back(static_cast<std::int64_t>(incidence.size()));
  }
  const hypernet::GibbsArgs<float> args{planes.words.data(),
                                        nullptr,
                                        kSamples,
                                        kVariables,
                                        planes.width,
                                        edges.view(),
                                        offsets.data(),
                                        incidence.data(),
                                        weights.data(),
                                        1,
                                        spins,
                                        1.0,
                                        42};
  for (auto _ : state) POLYAD_TABLE(level, gibbs_table).gibbs_float(args);
  state.counters["draws/s"] = rate(static_cast<double>(kSamples) * kVariables);
  state.counters["terms/s"] = rate(static_cast<double>(kSamples) * kEdges * k);
}

}  // namespace

void register_gibbs(Isa level) {
  for (int k : {3, 10}) {
    for (bool spins : {false, true}) {
      const std::string name = std::string(spins ? "gibbs_spins/" : "gibbs_bits/") +
                               isa_name(level) + "/k:" + std::to_string(k);
      benchmark::RegisterBenchmark(name.c_str(), gibbs, level, k, spins)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace polyad::bench
