// Documents a second, on one thread: sentences of 12 words of a Zipf vocabulary, translations with
// a quarter of them replaced.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>

#include "align/bleualign.hpp"
#include "common/parallel.hpp"

namespace polyad {
namespace {

constexpr int kWords = 12, kVocabulary = 20000;

std::int32_t zipf(std::mt19937_64& random) {
  const double u = std::uniform_real_distribution<>(0, 1)(random);
  return static_cast<std::int32_t>(std::pow(kVocabulary, u)) - 1;
}

struct Texts {
  std::vector<std::int32_t> source, target, offsets{0}, characters;

  explicit Texts(std::int64_t sentences) {
    std::mt19937_64 random(1);
    for (std::int64_t i = 0; i < sentences; ++i) {
      for (int w = 0; w < kWords; ++w) {
        source.push_back(zipf(random));
        target.push_back(random() % 4 == 0 ? zipf(random) : source.back());
      }
      offsets.push_back(static_cast<std::int32_t>(source.size()));
      characters.push_back(6 * kWords);
    }
  }
};

void documents(benchmark::State& state) {
  const std::int64_t size = state.range(0), count = state.range(1);
  const Texts texts(size * count);
  std::vector<std::int64_t> ends(count + 1);
  for (std::int64_t d = 0; d <= count; ++d) ends[d] = d * size;
  set_num_threads(1);
  const align::Text source{{texts.source.data(), texts.offsets.data(), size * count},
                           texts.characters.data()};
  const align::Text target{{texts.target.data(), texts.offsets.data(), size * count},
                           texts.characters.data()};
  std::vector<align::Beads> out;
  for (auto _ : state) {
    align::bleualign({ends.data(), ends.data(), count, source, target, {{source, {}}}, {}, {}},
                     out);
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["documents/s"] = benchmark::Counter(
      static_cast<double>(count * state.iterations()), benchmark::Counter::kIsRate);
}

BENCHMARK(documents)
    ->Name("align_bleualign")
    ->Args({150, 40})
    ->Args({10000, 1})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace polyad
