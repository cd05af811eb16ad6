// The index of soft scores beside all pairs, empty texts, threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "align/soft_scores.hpp"
#include "align_ableu_cases.hpp"
#include "common/parallel.hpp"

namespace polyad::testing {
namespace {

TEST(SoftScores, TheIndexFindsTheBestOfAllPairs) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 30; ++round) {
    const Table table(random);
    std::vector<Text> texts;
    std::vector<Words> targets;
    for (int j = 0; j < 20; ++j) texts.push_back(draw(random, 10));
    for (const Text& text : texts) targets.push_back(view(text));
    align::SoftOptions options;
    options.similarities = {table.similarity(), table.similarity()};
    options.candidates = 20;
    align::SoftIndex index;
    index.build(targets.data(), 20, options);
    align::SoftIndex::Desk desk;
    align::SoftScratch scratch;
    std::vector<align::SoftLink> found;
    for (int i = 0; i < 20; ++i) {
      const Text source = draw(random, 10);
      index.look_up(view(source), 3, desk, found);
      std::vector<double> all;
      for (const Words& target : targets) {
        all.push_back(align::soft_pair_score(view(source), target, 2, options.similarities,
                                             options.matching, scratch));
      }
      std::sort(all.rbegin(), all.rend());
      for (std::size_t k = 0; k < 3; ++k) {
        ASSERT_EQ(k < found.size() ? found[k].score : 0.0, all[k]);
      }
    }
  }
}

// Pairs of neighbours in the order in which they first occur, each linked to the pair before it
// with the same first word: as counted one by one.
TEST(SoftScores, PairsOfNeighboursAreCountedInOrder) {
  std::mt19937_64 random(5);
  std::vector<std::int32_t> places;
  for (int round = 0; round < 200; ++round) {
    const Text text = draw(random, 40);
    align::SoftText soft;
    soft.build(view(text), true, places);
    std::vector<std::vector<std::int32_t>> pairs;  // first, second, count
    for (std::size_t at = 1; at < text.size(); ++at) {
      const auto same = std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) {
        return pair[0] == text[at - 1] && pair[1] == text[at];
      });
      if (same == pairs.end()) {
        pairs.push_back({text[at - 1], text[at], 1});
      } else {
        ++(*same)[2];
      }
    }
    ASSERT_EQ(soft.pairs.size(), pairs.size());
    for (std::size_t k = 0; k < pairs.size(); ++k) {
      const align::SoftText::Pair& pair = soft.pairs[k];
      const std::vector<std::int32_t> got{soft.words[pair.first], soft.words[pair.second],
                                          pair.count};
      ASSERT_EQ(got, pairs[k]);
      std::int32_t before = static_cast<std::int32_t>(k) - 1;
      while (before >= 0 && pairs[before][0] != pairs[k][0]) --before;
      ASSERT_EQ(pair.next, before);
    }
    for (std::int32_t place : places) ASSERT_EQ(place, -1);
  }
}

TEST(SoftScores, ThreadsGiveTheSameBits) {
  std::mt19937_64 random(4);
  const Table table(random);
  Text ids;
  Text offsets{0};
  for (int i = 0; i < 300; ++i) {
    const Text text = draw(random, 15);
    ids.insert(ids.end(), text.begin(), text.end());
    offsets.push_back(static_cast<std::int32_t>(ids.size()));
  }
  const align::Sentences sentences{ids.data(), offsets.data(), 300};
  std::vector<double> results[2];
  for (int threads : {1, 3}) {
    set_num_threads(threads);
    std::vector<std::int32_t> target(900, -1), found(300);
    std::vector<double> score(900, -1);
    align::SoftOptions options;
    options.similarities = {table.similarity(), table.similarity()};
    align::soft_scores(
        {sentences, sentences, options, 3, target.data(), score.data(), found.data()});
    auto& result = results[threads == 1 ? 0 : 1];
    result = score;
    result.insert(result.end(), target.begin(), target.end());
    result.insert(result.end(), found.begin(), found.end());
  }
  set_num_threads(1);
  EXPECT_EQ(results[0], results[1]);
}

TEST(SoftScores, Empty) {
  align::SoftIndex index;
  align::SoftIndex::Desk desk;
  std::vector<align::SoftLink> found;
  const Text text{1, 2, 1000};
  index.build(nullptr, 0, {});
  index.look_up(view(text), 3, desk, found);
  EXPECT_TRUE(found.empty());
  const Words none[2] = {{nullptr, 0}, {nullptr, 0}};
  index.build(none, 2, {});
  index.look_up(view(text), 3, desk, found);
  EXPECT_TRUE(found.empty());
  index.look_up(none[0], 3, desk, found);
  EXPECT_TRUE(found.empty());
  align::soft_scores(
      {{nullptr, nullptr, 0}, {nullptr, nullptr, 0}, {}, 1, nullptr, nullptr, nullptr});
}

}  // namespace
}  // namespace polyad::testing
