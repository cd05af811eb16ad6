#include <gtest/gtest.h>

#include <random>

#include "align/gale_church.hpp"

namespace polyad::testing {
namespace {

using align::GaleChurchOptions;
using align::Span;

std::vector<Span> beads(const std::vector<double>& source, const std::vector<double>& target,
                        const GaleChurchOptions& options) {
  std::vector<Span> out;
  align::gale_church(source.data(), static_cast<std::int64_t>(source.size()), target.data(),
                     static_cast<std::int64_t>(target.size()), options, out);
  return out;
}

TEST(GaleChurch, EverySizeIsCoveredInOrder) {
  std::mt19937_64 random(1);
  for (bool log_space : {true, false}) {
    for (std::int64_t band : {-1, 0, 1, 3, 100}) {
      for (int n = 0; n < 14; ++n) {
        for (int m = 0; m < 14; ++m) {
          std::vector<double> source(n), target(m);
          for (double& x : source) x = static_cast<double>(random() % 90);
          for (double& x : target) x = static_cast<double>(random() % 90);
          std::int32_t i = 0, j = 0;
          for (const Span& bead : beads(source, target, {log_space, 1.0, 6.8, band})) {
            ASSERT_EQ(bead.source_begin, i);
            ASSERT_EQ(bead.target_begin, j);
            i = bead.source_end;
            j = bead.target_end;
          }
          ASSERT_EQ(i, n);
          ASSERT_EQ(j, m);
        }
      }
    }
  }
}

TEST(GaleChurch, AppendsToWhatIsThere) {
  std::vector<Span> out = {{7, 8, 7, 8}};
  const double length = 5;
  align::gale_church(&length, 1, &length, 1, {}, out);
  EXPECT_EQ(out, (std::vector<Span>{{7, 8, 7, 8}, {0, 1, 0, 1}}));
}

TEST(GaleChurch, NoLengthAtAllIsNoProblem) {
  const std::vector<double> none(20, 0.0), other(25, 0.0);
  EXPECT_FALSE(beads(none, other, {}).empty());
  EXPECT_FALSE(beads(none, other, {false}).empty());
  EXPECT_FALSE(beads(none, std::vector<double>(25, 1e308), {}).empty());
}

TEST(GaleChurch, SettingsOutOfRangeThrow) {
  EXPECT_THROW(beads({1}, {1}, {true, 0.0}), std::invalid_argument);
  EXPECT_THROW(beads({1}, {1}, {true, 1.0, -1.0}), std::invalid_argument);
}

}  // namespace
}  // namespace polyad::testing
