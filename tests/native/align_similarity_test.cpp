// neighbours at every level beside a plain loop in double: sizes and tails, ties, threads, and that
// a cosine has the same bits from either side.
#include <algorithm>
#include <random>
#include <vector>

#include "align/tables.hpp"
#include "levels.hpp"

namespace polyad::testing {
namespace {

class Similarity : public AtLevel {
 protected:
  const align::SimilarityTable& similarities() const {
#ifdef POLYAD_X86_LEVELS
    return pick(align::v2::similarity_table, align::v3::similarity_table,
                align::v4::similarity_table);
#else
    return align::v2::similarity_table;
#endif
  }
};
POLYAD_AT_EVERY_LEVEL(Similarity);

struct Problem {
  std::int64_t S, T, D;
  std::vector<float> source, target;

  Problem(std::mt19937_64& random, std::int64_t sources, std::int64_t targets, std::int64_t size)
      : S(sources),
        T(targets),
        D(size),
        source(unit_rows(random, S)),
        target(unit_rows(random, T)) {}

  std::vector<float> unit_rows(std::mt19937_64& random, std::int64_t rows) const {
    std::normal_distribution<double> value;
    std::vector<float> x;
    for (std::int64_t i = 0; i < rows; ++i) {
      std::vector<double> row;
      double square = 0;
      for (std::int64_t d = 0; d < D; ++d) {
        row.push_back(value(random));
        square += row.back() * row.back();
      }
      for (double each : row) x.push_back(static_cast<float>(each / std::sqrt(square)));
    }
    return x;
  }
};

struct Found {
  std::vector<std::int32_t> words, counts;
  std::vector<float> values;
  bool operator==(const Found&) const = default;
};

Found run(const align::SimilarityTable& table, const Problem& p, int top_k, float threshold,
          std::int64_t parts = 1) {
  const auto size = static_cast<std::size_t>(p.S * top_k);
  Found found{std::vector<std::int32_t>(size, -1),
              std::vector<std::int32_t>(static_cast<std::size_t>(p.S), -1),
              std::vector<float>(size, -9)};
  std::vector<float> scratch(static_cast<std::size_t>(align::neighbours_scratch(p.T, p.D, parts)),
                             77.0f);
  table.neighbours({p.source.data(), p.target.data(), p.S, p.T, p.D, top_k, threshold,
                    found.words.data(), found.values.data(), found.counts.data(), scratch.data(),
                    parts});
  return found;
}

TEST_P(Similarity, SizesAndTails) {
  std::mt19937_64 random(1);
  for (std::int64_t S : {1, 5, 97, 200}) {
    for (std::int64_t T : {1, 63, 64, 65, 257, 600}) {
      for (std::int64_t D : {1, 7, 16, 100}) {
        const Problem p(random, S, T, D);
        const int K = 1 + static_cast<int>(random() % 20);
        const Found found = run(similarities(), p, K, 0.1f);
        for (std::int64_t i = 0; i < S; ++i) {
          std::vector<double> cosines;
          for (std::int64_t j = 0; j < T; ++j) {
            double sum = 0;
            for (std::int64_t d = 0; d < D; ++d) {
              sum += static_cast<double>(p.source[static_cast<std::size_t>(i * D + d)]) *
                     static_cast<double>(p.target[static_cast<std::size_t>(j * D + d)]);
            }
            cosines.push_back(sum);
          }
          std::vector<double> sorted = cosines;
          std::sort(sorted.rbegin(), sorted.rend());
          const auto count = found.counts[static_cast<std::size_t>(i)];
          ASSERT_LE(count, K);
          for (int k = 0; k < K; ++k) {
            const auto place = static_cast<std::size_t>(i * K + k);
            const bool there = k < T && sorted[static_cast<std::size_t>(k)] >= 0.1;
            if (k >= count) {
              ASSERT_TRUE(!there || sorted[static_cast<std::size_t>(k)] < 0.1 + 1e-5);
              continue;
            }
            ASSERT_NEAR(found.values[place], sorted[static_cast<std::size_t>(k)], 1e-5);
            ASSERT_NEAR(cosines[static_cast<std::size_t>(found.words[place])],
                        static_cast<double>(found.values[place]), 1e-5);
          }
        }
      }
    }
  }
}

TEST_P(Similarity, TiesAndThreads) {
  std::mt19937_64 random(2);
  Problem p(random, 300, 500, 24);
  std::fill(p.target.begin(), p.target.end(), p.target[0]);
  const Found same = run(similarities(), p, 5, -1.5f);
  for (std::size_t place = 0; place < same.words.size(); ++place) {
    ASSERT_EQ(same.words[place], static_cast<std::int32_t>(place % 5));
  }
  const Problem other(random, 300, 500, 24);
  const Found one = run(similarities(), other, 7, 0.0f);
  set_num_threads(3);
  EXPECT_EQ(run(similarities(), other, 7, 0.0f, 12), one);
  set_num_threads(1);
}

TEST_P(Similarity, SameBitsFromEitherSide) {
  std::mt19937_64 random(3);
  const Problem p(random, 40, 40, 33);
  Problem turned = p;
  std::swap(turned.source, turned.target);
  const Found one = run(similarities(), p, 40, -1.5f),
              other = run(similarities(), turned, 40, -1.5f);
  for (std::size_t i = 0; i < 40; ++i) {
    for (std::size_t k = 0; k < 40; ++k) {
      const auto j = static_cast<std::size_t>(one.words[i * 40 + k]);
      const auto begin = other.words.begin() + static_cast<std::ptrdiff_t>(j * 40);
      const auto at = std::find(begin, begin + 40, static_cast<std::int32_t>(i));
      ASSERT_EQ(other.values[static_cast<std::size_t>(at - other.words.begin())],
                one.values[i * 40 + k]);
    }
  }
}

TEST_P(Similarity, Empty) {
  std::mt19937_64 random(4);
  EXPECT_TRUE(run(similarities(), Problem(random, 0, 3, 2), 2, 0.0f).words.empty());
  EXPECT_EQ(run(similarities(), Problem(random, 3, 0, 2), 2, 0.0f).counts,
            std::vector<std::int32_t>(3, 0));
}

}  // namespace
}  // namespace polyad::testing
