#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "align/ngram.hpp"
#include "common/parallel.hpp"

namespace polyad::testing {
namespace {

using Gram = std::vector<std::int32_t>;
using Grams = std::map<Gram, int>;

struct Texts {
  std::vector<std::int32_t> ids, offsets{0};

  void add(const Gram& words) {
    ids.insert(ids.end(), words.begin(), words.end());
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
  }
  std::int64_t size() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  align::Sentences view() const { return {ids.data(), offsets.data(), size()}; }
};

struct Row {
  std::vector<std::int32_t> targets;
  std::vector<double> scores;
  friend bool operator==(const Row&, const Row&) = default;
};

Grams grams(align::Words words, int order) {
  Grams out;
  for (std::int32_t i = 0; i + order <= words.size; ++i) {
    ++out[{words.ids + i, words.ids + i + order}];
  }
  return out;
}

// The formula of the header, word for word. Negative where it has no score.
double plain_score(align::Words h, align::Words r, int max_n) {
  double forward = 0, backward = 0;
  for (int order = 1; order <= max_n; ++order) {
    const Grams others = grams(r, order);
    int common = 0;
    for (const auto& [gram, n] : grams(h, order)) {
      const auto found = others.find(gram);
      if (found != others.end()) common += std::min(n, found->second);
    }
    if (common == 0) return -1;
    forward += std::log(common) - std::log(h.size - order + 1);
    backward += std::log(common) - std::log(r.size - order + 1);
  }
  forward = std::exp(forward / max_n + std::min(0.0, 1 - double(r.size) / h.size));
  backward = std::exp(backward / max_n + std::min(0.0, 1 - double(h.size) / r.size));
  return forward > 0 ? 2 * forward * backward / (forward + backward) : -1;
}

Row plain_row(align::Words h, const Texts& targets, int max_n, int top_k) {
  std::map<std::set<Gram>, double> known;
  std::vector<std::pair<double, std::int32_t>> all;
  for (std::int64_t j = 0; j < targets.size(); ++j) {
    std::set<Gram> key;
    for (int order = 1; order <= max_n; ++order) {
      for (const auto& [gram, n] : grams(targets.view()[j], order)) key.insert(gram);
    }
    const double score =
        known.try_emplace(key, plain_score(h, targets.view()[j], max_n)).first->second;
    if (score >= 0) all.emplace_back(-score, static_cast<std::int32_t>(j));
  }
  std::sort(all.begin(), all.end());
  if (static_cast<int>(all.size()) > top_k) all.resize(top_k);
  Row row;
  for (const auto& [negative, j] : all) {
    row.targets.push_back(j);
    row.scores.push_back(-negative);
  }
  return row;
}

std::vector<Row> rows(const Texts& sources, const Texts& targets, int max_n, int top_k) {
  std::vector<std::int32_t> target(sources.size() * top_k), found(sources.size());
  std::vector<double> score(sources.size() * top_k);
  align::ngram_scores(
      {sources.view(), targets.view(), max_n, top_k, target.data(), score.data(), found.data()});
  std::vector<Row> out;
  for (std::int64_t i = 0; i < sources.size(); ++i) {
    const auto begin = i * top_k, end = begin + found[i];
    out.push_back({{target.begin() + begin, target.begin() + end},
                   {score.begin() + begin, score.begin() + end}});
  }
  return out;
}

Texts random_texts(std::mt19937_64& random, int count, int longest, int words) {
  Texts out;
  for (int t = 0; t < count; ++t) {
    Gram text(random() % (longest + 1));
    for (auto& word : text) word = static_cast<std::int32_t>(random() % words);
    out.add(text);
  }
  return out;
}

TEST(NgramScores, AreThoseOfAllPairs) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 150; ++round) {
    // few words and short texts, so that key sets and scores repeat
    const int words = 1 + static_cast<int>(random() % 6);
    const int longest = 1 + static_cast<int>(random() % (round % 10 == 0 ? 400 : 12));
    const Texts sources = random_texts(random, 20, longest, words);
    const Texts targets = random_texts(random, 25, longest, words);
    const int max_n = 1 + static_cast<int>(random() % 4),
              top_k = 1 + static_cast<int>(random() % 5);
    const auto found = rows(sources, targets, max_n, top_k);
    for (std::int64_t i = 0; i < sources.size(); ++i) {
      ASSERT_EQ(found[i], plain_row(sources.view()[i], targets, max_n, top_k))
          << "round " << round << " source " << i << " N=" << max_n << " k=" << top_k;
    }
  }
}

TEST(NgramScores, EqualSetsOfNgramsHaveTheScoreOfTheFirst) {
  Texts sources, targets;
  sources.add({1, 1});
  targets.add({1, 1, 1, 1});
  targets.add({1, 1});
  const auto row = rows(sources, targets, 2, 3)[0];
  EXPECT_EQ(row.targets, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(row.scores[0], row.scores[1]);
  EXPECT_LT(row.scores[0], 1);
}

TEST(NgramScores, OfTextsHundredsOfTimesLongerAreNone) {
  Texts sources, targets;
  sources.add({1, 2});
  targets.add(Gram(1600, 1));
  Gram words(1600, 3);
  words[0] = 1, words[1] = 2;
  targets.add(words);
  EXPECT_TRUE(rows(sources, targets, 2, 3)[0].targets.empty());
  // the other way round only the backward score is 0: the pair is kept, with score 0
  const auto row = rows(targets, sources, 2, 3)[1];
  EXPECT_EQ(row.targets, (std::vector<std::int32_t>{0}));
  EXPECT_EQ(row.scores, (std::vector<double>{0}));
}

TEST(NgramScores, DoNotDependOnThreads) {
  std::mt19937_64 random(9);
  const Texts sources = random_texts(random, 700, 20, 12);
  const Texts targets = random_texts(random, 500, 20, 12);
  set_num_threads(1);
  const auto expected = rows(sources, targets, 2, 3);
  set_num_threads(3);
  EXPECT_EQ(rows(sources, targets, 2, 3), expected);
}

TEST(NgramScores, OfNothingAreNothing) {
  Texts none, one;
  one.add({1, 2});
  EXPECT_TRUE(rows(none, one, 2, 3).empty());
  EXPECT_TRUE(rows(one, none, 2, 3)[0].targets.empty());
}

TEST(CommonNgrams, AreClippedCounts) {
  std::mt19937_64 random(10);
  align::CommonNgrams common;
  for (int round = 0; round < 500; ++round) {
    const Texts texts = random_texts(random, 2, round % 7 == 0 ? 150 : 12, 3);
    const align::Words source = texts.view()[0], target = texts.view()[1];
    common.begin(source, target);
    for (int order = 1; order <= std::min(source.size, 5); ++order) {
      const Grams others = grams(target, order);
      int expected = 0;
      for (const auto& [gram, n] : grams(source, order)) {
        const auto found = others.find(gram);
        if (found != others.end()) expected += std::min(n, found->second);
      }
      ASSERT_EQ(common.next(), expected) << "round " << round << " order " << order;
    }
  }
}

}  // namespace
}  // namespace polyad::testing
