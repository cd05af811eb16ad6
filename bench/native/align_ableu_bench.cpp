#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "align/soft_scores.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

constexpr std::int32_t kWords = 3000;

// Sentences of about 12 words, targets that share three quarters of them with their source; every
// word is like 8 others.
struct Texts {
  std::vector<std::int32_t> offsets{0}, ids, other, like_offsets{0}, like;
  std::vector<float> values;

  explicit Texts(std::int64_t count) {
    std::mt19937_64 random(5);
    const auto word = [&] {  // frequent ones often
      const double u = static_cast<double>(random() % 1000000 + 1) / 1e6;
      return static_cast<std::int32_t>((kWords - 1) * u * u * u);
    };
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::uint64_t left = 6 + random() % 13; left > 0; --left) {
        ids.push_back(word());
        other.push_back(random() % 4 ? ids.back() : word());
      }
      offsets.push_back(static_cast<std::int32_t>(ids.size()));
    }
    for (std::int32_t a = 0; a < kWords; ++a) {
      for (std::int32_t k = 0; k < 8; ++k) {
        like.push_back((a % 350) * 8 + k);
        values.push_back(0.4f + 0.05f * static_cast<float>(k));
      }
      like_offsets.push_back(static_cast<std::int32_t>(like.size()));
    }
  }
  align::Similarities similarities() const {
    const align::Similarity one{like_offsets.data(), like.data(), values.data(), kWords};
    return {one, one};
  }
  align::Sentences sources() const {
    return {ids.data(), offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1};
  }
  align::Sentences targets() const {
    return {other.data(), offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1};
  }
};

void pairs(benchmark::State& state, align::Matching matching) {
  const Texts texts(1000);
  std::vector<std::int32_t> places(1000);
  for (std::int32_t i = 0; i < 1000; ++i) places[static_cast<std::size_t>(i)] = i;
  std::vector<double> scores(1000);
  for (auto _ : state) {
    align::ableu_pairs({texts.sources(), texts.targets(), places.data(), places.data(), 1000,
                        texts.similarities(), matching, 1, 2, true, scores.data()});
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}

void links(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  const Texts texts(count);
  std::vector<std::int32_t> target(static_cast<std::size_t>(3 * count)),
      found(static_cast<std::size_t>(count));
  std::vector<double> score(static_cast<std::size_t>(3 * count));
  align::SoftOptions options;
  options.similarities = texts.similarities();
  for (auto _ : state) {
    align::soft_scores(
        {texts.sources(), texts.targets(), options, 3, target.data(), score.data(), found.data()});
  }
  state.SetItemsProcessed(state.iterations() * count);
}

}  // namespace

void register_ableu() {
  benchmark::RegisterBenchmark("ableu_pairs/source", pairs, align::Matching::source);
  benchmark::RegisterBenchmark("ableu_pairs/one_to_one", pairs, align::Matching::one_to_one);
  benchmark::RegisterBenchmark("soft_scores", links)->Arg(150)->Arg(2000);
}

}  // namespace polyad::bench
