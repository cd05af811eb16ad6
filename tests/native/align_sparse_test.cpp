#include <gtest/gtest.h>

#include <random>
#include <set>

#include "align/sparse.hpp"

namespace polyad::testing {
namespace {

using align::Sentences;
using align::SparseTable;
using align::Spelling;

void expect_rows(const SparseTable& table, std::int64_t sentences, std::int32_t features) {
  ASSERT_EQ(static_cast<std::int64_t>(table.offsets.size()), sentences + 1);
  for (std::int64_t i = 0; i < sentences; ++i) {
    for (std::int64_t at = table.offsets[i]; at < table.offsets[i + 1]; ++at) {
      ASSERT_GE(table.features[at], 0);
      ASSERT_LT(table.features[at], features);
      ASSERT_GE(table.values[at], 1.0f);
      ASSERT_TRUE(at == table.offsets[i] || table.features[at - 1] < table.features[at]);
    }
  }
}

TEST(Sparse, WordsKeepTheirNumbersAndPairsAreNumberedAsTheyCome) {
  const std::int32_t ids[] = {0, 1, 0, 1}, offsets[] = {0, 4, 4};
  const Sentences text = {ids, offsets, 2};
  SparseTable table;
  EXPECT_EQ(align::word_vectors(&text, 1, 2, &table), 4);
  EXPECT_EQ(table.offsets, (std::vector<std::int64_t>{0, 4, 4}));
  EXPECT_EQ(table.features, (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(table.values, (std::vector<float>{2, 2, 2, 1}));
}

TEST(Sparse, AWordOfOneLetterIsOneNgram) {
  const std::int32_t ids[] = {0, 0}, offsets[] = {0, 2}, letters[] = {'a'}, starts[] = {0, 1};
  const Sentences text = {ids, offsets, 1};
  SparseTable table;
  EXPECT_EQ(align::letter_vectors(&text, 1, Spelling{letters, starts, 1}, &table), 1);
  EXPECT_EQ(table.values, std::vector<float>{2});
}

TEST(Sparse, ManyNgramsHaveNumbersOfTheirOwn) {
  std::mt19937_64 random(1);
  std::vector<std::int32_t> letters, starts = {0}, ids, offsets = {0};
  std::set<std::vector<std::int32_t>> grams;
  constexpr std::int32_t kWords = 20000;
  for (std::int32_t w = 0; w < kWords; ++w) {
    std::vector<std::int32_t> word = {-1};
    for (std::uint64_t k = random() % 9; k > 0; --k) {
      word.push_back('a' + static_cast<std::int32_t>(random() % 12));
    }
    letters.insert(letters.end(), word.begin() + 1, word.end());
    starts.push_back(static_cast<std::int32_t>(letters.size()));
    word.push_back(-1);
    for (std::size_t order = 3; order <= 5; ++order) {
      for (std::size_t at = 0; at + order <= word.size(); ++at) {
        grams.emplace(word.begin() + at, word.begin() + at + order);
      }
    }
    ids.push_back(w);
    if (w % 7 == 0) offsets.push_back(w + 1);
  }
  offsets.push_back(kWords);
  const Sentences text = {ids.data(), offsets.data(),
                          static_cast<std::int64_t>(offsets.size()) - 1};
  SparseTable table;
  const std::int32_t features =
      align::letter_vectors(&text, 1, Spelling{letters.data(), starts.data(), kWords}, &table);
  EXPECT_EQ(static_cast<std::size_t>(features), grams.size());
  expect_rows(table, text.count, features);
  SparseTable words[2];
  const Sentences both[] = {text, text};
  expect_rows(words[0], 0, 0);
  const std::int32_t pairs = align::word_vectors(both, 2, kWords, words);
  expect_rows(words[0], text.count, pairs);
  EXPECT_EQ(words[0].features, words[1].features);
}

}  // namespace
}  // namespace polyad::testing
