#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "align/beads.hpp"

namespace polyad::testing {
namespace {

using align::BeadArgs;
using align::BeadView;
using align::Sentences;
using align::Span;
using align::SparseTable;

// Two texts of random words: sentences of the second repeat most of those of the first.
struct Pair {
  std::vector<std::int32_t> ids[2], offsets[2];
  std::vector<double> lengths[2];
  std::vector<std::uint8_t> marks[2];
  SparseTable tables[2];
  std::vector<BeadView> views;
  std::vector<double> weights = std::vector<double>(21, 0.0);

  Pair(std::uint64_t seed, int n, int m, std::uint32_t words) {
    std::mt19937_64 random(seed);
    for (int side : {0, 1}) {
      offsets[side].push_back(0);
      for (int i = 0; i < (side == 0 ? n : m); ++i) {
        if (side == 1 && i < n && random() % 8 != 0) {
          for (std::int32_t k = offsets[0][i]; k < offsets[0][i + 1]; ++k) {
            if (random() % 6 != 0) ids[1].push_back(ids[0][k]);
          }
        } else {
          for (std::uint64_t k = random() % 12; k > 0; --k) {
            ids[side].push_back(static_cast<std::int32_t>(random() % words));
          }
        }
        offsets[side].push_back(static_cast<std::int32_t>(ids[side].size()));
        lengths[side].push_back(5.0 * (offsets[side][i + 1] - offsets[side][i]));
        marks[side].push_back(random() % 16);
      }
    }
    const Sentences texts[] = {{ids[0].data(), offsets[0].data(), n},
                               {ids[1].data(), offsets[1].data(), m}};
    const std::int32_t features =
        align::word_vectors(texts, 2, static_cast<std::int32_t>(words), tables);
    views.push_back({tables[0].view(), tables[1].view(), features, 0});
    weights[0] = 1;
    weights[7] = -1;
    weights[9] = -1;
    weights[19] = 3;
  }

  BeadArgs args(int max_sentences = 6, int margin = 8) const {
    return {{lengths[0].data(), marks[0].data(), static_cast<std::int64_t>(lengths[0].size())},
            {lengths[1].data(), marks[1].data(), static_cast<std::int64_t>(lengths[1].size())},
            views.data(),
            1,
            1,
            weights.data(),
            max_sentences,
            margin,
            0.2,
            true,
            2.0};
  }
};

TEST(Beads, NoSentenceIsInTwoBeadsWhateverTheSizes) {
  for (int n = 0; n < 12; ++n) {
    for (int m = 0; m < 12; ++m) {
      for (int max_sentences : {2, 5, 8}) {
        for (int margin : {1, 50}) {
          const Pair pair(static_cast<std::uint64_t>(n) * 100 + m, n, m, 30);
          std::vector<Span> spans;
          std::vector<double> scores;
          align::best_beads(pair.args(max_sentences, margin), spans, scores);
          ASSERT_EQ(spans.size(), scores.size());
          std::set<int> sources, targets;
          for (const Span& bead : spans) {
            ASSERT_LT(bead.source_begin, bead.source_end);
            ASSERT_LT(bead.target_begin, bead.target_end);
            ASSERT_LE(bead.source_end, n);
            ASSERT_LE(bead.target_end, m);
            for (int i = bead.source_begin; i < bead.source_end; ++i) {
              ASSERT_TRUE(sources.insert(i).second);
            }
            for (int j = bead.target_begin; j < bead.target_end; ++j) {
              ASSERT_TRUE(targets.insert(j).second);
            }
          }
        }
      }
    }
  }
}

TEST(Beads, LongTextsOfVeryDifferentLengthsStayInTheirBand) {
  for (auto [n, m] : {std::pair{2000, 1900}, {1500, 20}, {20, 1500}, {1, 3000}, {3000, 1}}) {
    const Pair pair(7, n, m, 5000);
    std::vector<Span> spans;
    std::vector<double> scores;
    align::best_beads(pair.args(), spans, scores);
    for (double score : scores) ASSERT_TRUE(score >= 0 && score <= 1);
    align::BeadBand band;
    std::vector<float> features;
    std::vector<std::uint8_t> usable;
    align::bead_features(pair.args(2, 1), band, features, usable);
    ASSERT_EQ(band.cell(0, 0), 0);
    ASSERT_EQ(band.cell(n, m), band.cells() - 1);
    for (float value : features) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST(Beads, FeaturesDoNotDependOnTheWidthOfTheBand) {
  for (const auto& pair : {Pair(0, 300, 200, 40), Pair(1, 300, 280, 150)}) {
    align::BeadBand bands[2];
    std::vector<float> features[2];
    std::vector<std::uint8_t> usable[2];
    for (int k : {0, 1}) {
      align::bead_features(pair.args(6, k == 0 ? 1 : 12), bands[k], features[k], usable[k]);
    }
    const std::int64_t types = static_cast<std::int64_t>(align::bead_types(6).size());
    for (std::int64_t i = 0; i <= 300; ++i) {
      for (std::int64_t j = bands[0].first[i]; j < bands[0].end(i); ++j) {
        for (std::int64_t k = 0; k < types; ++k) {
          const std::int64_t narrow = bands[0].cell(i, j) * types + k;
          const std::int64_t wide = bands[1].cell(i, j) * types + k;
          if (!usable[0][narrow]) continue;
          for (int x = 0; x < 21; ++x) {
            ASSERT_NEAR(features[0][narrow * 21 + x], features[1][wide * 21 + x], 1e-4)
                << i << ' ' << j << ' ' << k << ' ' << x;
          }
        }
      }
    }
  }
}

TEST(Beads, ProbabilitiesOfTheBeadsOfASentenceAddUpToOne) {
  const Pair pair(3, 40, 35, 60);
  align::BeadBand band;
  std::vector<float> features;
  std::vector<std::uint8_t> usable;
  align::bead_features(pair.args(), band, features, usable);
  std::vector<double> scores(usable.size(), -std::numeric_limits<double>::infinity());
  for (std::size_t k = 0; k < usable.size(); ++k) {
    if (usable[k]) scores[k] = 3.0 * features[21 * k + 19];
  }
  const double total = align::bead_probabilities(band, 35, 6, scores.data());
  EXPECT_TRUE(std::isfinite(total));
  const auto types = align::bead_types(6);
  double sentences = 0;
  for (std::size_t k = 0; k < scores.size(); ++k) {
    sentences += scores[k] * types[k % types.size()].first;
  }
  EXPECT_NEAR(sentences, 40, 1e-9);
}

TEST(Beads, SettingsOutOfRangeThrow) {
  const Pair pair(1, 3, 3, 10);
  std::vector<Span> spans;
  std::vector<double> scores;
  EXPECT_THROW(align::best_beads(pair.args(9), spans, scores), std::invalid_argument);
  EXPECT_THROW(align::best_beads(pair.args(6, 0), spans, scores), std::invalid_argument);
}

}  // namespace
}  // namespace polyad::testing
