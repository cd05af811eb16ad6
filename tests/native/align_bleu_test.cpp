#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <vector>

#include "align/bleu.hpp"
#include "common/parallel.hpp"

namespace polyad::testing {
namespace {

struct Texts {
  std::vector<std::int32_t> ids, offsets{0};

  void add(const std::vector<std::int32_t>& words) {
    ids.insert(ids.end(), words.begin(), words.end());
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
  }
  align::Sentences view() const {
    return {ids.data(), offsets.data(), static_cast<std::int64_t>(offsets.size()) - 1};
  }
};

// Candidates and their references, and what comes of them.
struct Batch {
  Texts candidates, references;
  std::vector<std::int64_t> places{0};
  std::vector<std::int32_t> matches, lengths;

  void add(const std::vector<std::int32_t>& candidate,
           const std::vector<std::vector<std::int32_t>>& against) {
    candidates.add(candidate);
    for (const auto& reference : against) references.add(reference);
    places.push_back(places.back() + static_cast<std::int64_t>(against.size()));
  }
  void count(int max_n) {
    const auto size = places.size() - 1;
    matches.assign(size * max_n, -1);
    lengths.assign(size, -1);
    align::bleu_counts({candidates.view(), references.view(), places.data(), max_n, matches.data(),
                        lengths.data()});
  }
};

using Grams = std::map<std::vector<std::int32_t>, int>;

Grams grams(align::Words words, int order) {
  Grams out;
  for (std::int32_t i = 0; i + order <= words.size; ++i) {
    ++out[{words.ids + i, words.ids + i + order}];
  }
  return out;
}

TEST(BleuCounts, ArePlainCounts) {
  std::mt19937_64 random(5);
  const auto text = [&] {
    std::vector<std::int32_t> words(random() % 14);
    for (auto& word : words) word = static_cast<std::int32_t>(random() % 3) * 2'000'000;
    return words;
  };
  Batch batch;
  for (int i = 0; i < 700; ++i) {
    std::vector<std::vector<std::int32_t>> against;
    for (std::uint64_t r = 1 + random() % 3; r > 0; --r) against.push_back(text());
    batch.add(text(), against);
  }
  constexpr int kOrders = 6;
  batch.count(kOrders);
  for (std::int64_t i = 0; i < 700; ++i) {
    const align::Words candidate = batch.candidates.view()[i];
    for (int order = 1; order <= kOrders; ++order) {
      Grams most;
      for (std::int64_t r = batch.places[i]; r < batch.places[i + 1]; ++r) {
        for (const auto& [gram, n] : grams(batch.references.view()[r], order)) {
          most[gram] = std::max(most[gram], n);
        }
      }
      int expected = 0;
      for (const auto& [gram, n] : grams(candidate, order)) expected += std::min(n, most[gram]);
      ASSERT_EQ(batch.matches[i * kOrders + order - 1], expected) << i << " order " << order;
    }
    std::int32_t closest = batch.references.view().length(batch.places[i]);
    for (std::int64_t r = batch.places[i]; r < batch.places[i + 1]; ++r) {
      const std::int32_t length = batch.references.view().length(r);
      const int away = std::abs(length - candidate.size);
      const int least = std::abs(closest - candidate.size);
      if (away < least || (away == least && length < closest)) closest = length;
    }
    ASSERT_EQ(batch.lengths[i], closest) << i;
  }
}

TEST(BleuCounts, DoNotDependOnThreads) {
  std::mt19937_64 random(6);
  Batch batch;
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::int32_t> words(20);
    for (auto& word : words) word = static_cast<std::int32_t>(random() % 9);
    batch.add(words, {{words.rbegin(), words.rend()}});
  }
  set_num_threads(1);
  batch.count(4);
  const auto expected = batch.matches;
  set_num_threads(3);
  batch.count(4);
  EXPECT_EQ(batch.matches, expected);
}

TEST(BleuCounts, OfNothingAreNothing) {
  Batch batch;
  batch.count(4);
  EXPECT_TRUE(batch.matches.empty());
  batch.add({}, {{}});
  batch.add({}, {{1, 2}});
  batch.add({1, 2}, {{}});
  batch.count(2);
  EXPECT_EQ(batch.matches, std::vector<std::int32_t>(6, 0));
  EXPECT_EQ(batch.lengths, (std::vector<std::int32_t>{0, 2, 0}));
}

}  // namespace
}  // namespace polyad::testing
