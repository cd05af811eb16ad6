#include <benchmark/benchmark.h>

#include <random>

#include "align/gale_church.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

// Two texts of the same n sentence lengths, with some noise.
void gale_church(benchmark::State& state, bool log_space) {
  const std::int64_t n = state.range(0);
  std::mt19937_64 random(1);
  std::vector<double> source(n), target(n);
  for (std::int64_t i = 0; i < n; ++i) {
    source[i] = 20 + static_cast<double>(random() % 150);
    target[i] = source[i] + static_cast<double>(random() % 20);
  }
  std::vector<align::Span> out;
  for (auto _ : state) {
    out.clear();
    align::gale_church(source.data(), n, target.data(), n, {log_space}, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * n);
}

}  // namespace

void register_gale_church() {
  benchmark::RegisterBenchmark("gale_church/linear", gale_church, false)->Arg(10)->Arg(150);
  benchmark::RegisterBenchmark("gale_church/log", gale_church, true)->Arg(150)->Arg(20000);
}

}  // namespace polyad::bench
