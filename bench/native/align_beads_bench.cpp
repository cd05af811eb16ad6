#include <benchmark/benchmark.h>

#include <random>

#include "align/beads.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

// A text of n sentences of 20 words, and itself with a quarter of the words replaced.
void best_beads(benchmark::State& state) {
  const auto n = static_cast<std::int32_t>(state.range(0));
  constexpr std::int32_t kSentence = 20, kWords = 5000;
  std::mt19937_64 random(1);
  std::vector<std::int32_t> ids[2], offsets = {0};
  for (std::int32_t i = 0; i < n; ++i) {
    for (std::int32_t k = 0; k < kSentence; ++k) {
      // squares of uniform numbers: few words are frequent
      const double uniform = static_cast<double>(random() % 10000) / 10000;
      ids[0].push_back(static_cast<std::int32_t>(uniform * uniform * kWords));
      ids[1].push_back(random() % 4 == 0 ? static_cast<std::int32_t>(random() % kWords)
                                         : ids[0].back());
    }
    offsets.push_back(kSentence * (i + 1));
  }
  const align::Sentences texts[] = {{ids[0].data(), offsets.data(), n},
                                    {ids[1].data(), offsets.data(), n}};
  const std::vector<double> lengths(n, 100.0), weights(21, 0.5);
  const std::vector<std::uint8_t> marks(n, 0);
  for (auto _ : state) {
    align::SparseTable tables[2];
    const std::int32_t features = align::word_vectors(texts, 2, kWords, tables);
    const align::BeadView view = {tables[0].view(), tables[1].view(), features, 0};
    std::vector<align::Span> spans;
    std::vector<double> scores;
    align::best_beads({{lengths.data(), marks.data(), n},
                       {lengths.data(), marks.data(), n},
                       &view,
                       1,
                       1,
                       weights.data(),
                       6,
                       8,
                       0.2,
                       true,
                       4.0},
                      spans, scores);
    benchmark::DoNotOptimize(spans.data());
  }
  state.SetItemsProcessed(state.iterations() * n);
}

}  // namespace

void register_beads() {
  benchmark::RegisterBenchmark("best_beads", best_beads)->Arg(150)->Arg(5000);
}

}  // namespace polyad::bench
