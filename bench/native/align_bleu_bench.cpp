#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "align/bleu.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

// 1,000 candidates of about 12 words, each with references that share most of them.
void bleu_counts(benchmark::State& state) {
  constexpr std::int64_t kCandidates = 1000;
  constexpr int kOrders = 4;
  const std::int64_t references = state.range(0);
  std::mt19937_64 random(1);
  std::vector<std::int32_t> ids, offsets{0}, reference_ids, reference_offsets{0};
  std::vector<std::int64_t> places{0};
  for (std::int64_t i = 0; i < kCandidates; ++i) {
    const auto begin = ids.size();
    for (std::uint64_t word = 6 + random() % 13; word > 0; --word) {
      ids.push_back(static_cast<std::int32_t>(random() % 5000));
    }
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
    for (std::int64_t r = 0; r < references; ++r) {
      for (auto place = begin; place < ids.size(); ++place) {
        reference_ids.push_back(random() % 4 ? ids[place] : 0);
      }
      reference_offsets.push_back(static_cast<std::int32_t>(reference_ids.size()));
    }
    places.push_back(places.back() + references);
  }
  std::vector<std::int32_t> matches(kCandidates * kOrders), lengths(kCandidates);
  for (auto _ : state) {
    align::bleu_counts({{ids.data(), offsets.data(), kCandidates},
                        {reference_ids.data(), reference_offsets.data(), places.back()},
                        places.data(),
                        kOrders,
                        matches.data(),
                        lengths.data()});
  }
  state.SetItemsProcessed(state.iterations() * kCandidates);
}

}  // namespace

void register_bleu() { benchmark::RegisterBenchmark("bleu_counts", bleu_counts)->Arg(1)->Arg(4); }

}  // namespace polyad::bench
