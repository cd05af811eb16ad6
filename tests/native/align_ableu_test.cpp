// Soft matches beside plain loops over all n-grams, scratch used again and again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "align_ableu_cases.hpp"

namespace polyad::testing {
namespace {

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

TEST(Ableu, OrdersOutOfRange) {
  align::AbleuPairsArgs args{};
  args.first_order = 1;
  args.last_order = align::kMostOrders + 1;
  EXPECT_THROW(align::ableu_pairs(args), std::invalid_argument);
}

}  // namespace
}  // namespace polyad::testing
