// Soft matches beside plain loops over all n-grams, scratch used again and again, the index beside
// all pairs, threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "align/soft_scores.hpp"
#include "common/parallel.hpp"

namespace polyad::testing {
namespace {

using align::Matching;
using align::Words;
using Text = std::vector<std::int32_t>;

constexpr std::int32_t kWords = 12;

Words view(const Text& text) { return {text.data(), static_cast<std::int32_t>(text.size())}; }

// A similarity of words 0 .. kWords - 1, some of it out of range on purpose.
struct Table {
  std::vector<std::int32_t> offsets{0}, words;
  std::vector<float> values;

  explicit Table(std::mt19937_64& random) {
    for (std::int32_t a = 0; a < kWords; ++a) {
      for (std::int32_t b = 0; b < kWords; ++b) {
        if (random() % 3 != 0) continue;
        words.push_back(b);
        values.push_back(static_cast<float>(random() % 9) / 6.0f - 0.2f);
      }
      offsets.push_back(static_cast<std::int32_t>(words.size()));
    }
  }
  align::Similarity similarity() const {
    return {offsets.data(), words.data(), values.data(), kWords};
  }
};

Text draw(std::mt19937_64& random, std::uint64_t longest) {
  Text text(random() % (longest + 1));
  for (auto& word : text) word = static_cast<std::int32_t>(random() % (kWords + 3));
  return text;
}

std::int32_t count_of(const Text& text, std::size_t at, std::size_t order) {
  std::int32_t count = 0;
  for (std::size_t i = 0; i + order <= text.size(); ++i) {
    count += std::equal(text.begin() + static_cast<std::ptrdiff_t>(i),
                        text.begin() + static_cast<std::ptrdiff_t>(i + order),
                        text.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return count;
}

bool is_first(const Text& text, std::size_t at, std::size_t order) {
  for (std::size_t i = 0; i < at; ++i) {
    if (std::equal(text.begin() + static_cast<std::ptrdiff_t>(i),
                   text.begin() + static_cast<std::ptrdiff_t>(i + order),
                   text.begin() + static_cast<std::ptrdiff_t>(at))) {
      return false;
    }
  }
  return true;
}

double plain_source(const Text& g, const Text& h, std::size_t order, const align::Similarity& s) {
  double sum = 0;
  for (std::size_t i = 0; i + order <= g.size(); ++i) {
    if (!is_first(g, i, order)) continue;
    double best = 0;
    for (std::size_t j = 0; j + order <= h.size(); ++j) {
      double product = 1;
      for (std::size_t k = 0; k < order; ++k) product *= s(g[i + k], h[j + k]);
      const double score = align::geometric_mean(product, static_cast<int>(order));
      best = std::max(best, score * std::min(count_of(g, i, order), count_of(h, j, order)));
    }
    sum += best;
  }
  return sum;
}

TEST(Ableu, SourceIsThePlainLoop) {
  std::mt19937_64 random(1);
  align::SoftScratch scratch;
  for (int round = 0; round < 400; ++round) {
    const Table table(random);
    const Text g = draw(random, round % 7 == 0 ? 60 : 12), h = draw(random, 12);
    for (std::size_t order = 1; order <= 4; ++order) {
      const double got = align::soft_matches(
          static_cast<int>(order), g.data(), static_cast<std::int32_t>(g.size()), h.data(),
          static_cast<std::int32_t>(h.size()), table.similarity(), Matching::source, scratch);
      ASSERT_NEAR(got, plain_source(g, h, order, table.similarity()), 1e-12);
    }
  }
}

TEST(Ableu, OneToOneUsesNothingTwice) {
  std::mt19937_64 random(2);
  align::SoftScratch scratch;
  for (int round = 0; round < 400; ++round) {
    const Table table(random);
    const Text g = draw(random, 12), h = draw(random, 12);
    for (int order = 1; order <= 3; ++order) {
      const Words reference = view(h);
      const double got = align::soft_matches(order, view(g), &reference, 1, table.similarity(),
                                             Matching::one_to_one, scratch);
      const auto grams = [&](const Text& t) {
        return std::max<double>(0, static_cast<double>(t.size()) - order + 1);
      };
      ASSERT_LE(got, std::min(grams(g), grams(h)) + 1e-12);
      const double hard =
          align::soft_matches(order, view(g), &reference, 1, {}, Matching::source, scratch);
      ASSERT_EQ(hard, align::soft_matches(order, view(g), &reference, 1, {}, Matching::one_to_one,
                                          scratch));
      ASSERT_EQ(hard, std::floor(hard));
    }
  }
}

TEST(Ableu, TheIndexFindsTheBestOfAllPairs) {
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

TEST(Ableu, ThreadsGiveTheSameBits) {
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

TEST(Ableu, OrdersOutOfRange) {
  align::AbleuPairsArgs args{};
  args.first_order = 1;
  args.last_order = align::kMostOrders + 1;
  EXPECT_THROW(align::ableu_pairs(args), std::invalid_argument);
}

}  // namespace
}  // namespace polyad::testing
