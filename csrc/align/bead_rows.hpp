// Similarities of beads, one row of the band after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "align/beads.hpp"
#include "align/weighted.hpp"

namespace polyad::align {

// s of the beads that end in one row, for all (a, b) with a + b <= most: [(a, b), cells from
// begin].
class SimilarityRow {
 public:
  void reset(int most, std::int32_t begin, std::int32_t end);
  double* of(int a, int b) { return values_.data() + place(a, b) * width(); }
  // a, b at least 1; begin <= j < end
  double at(int a, int b, std::int64_t j) const {
    return values_[place(a, b) * width() + static_cast<std::size_t>(j - begin_)];
  }
  std::int32_t begin() const { return begin_; }
  std::int32_t end() const { return end_; }

 private:
  std::size_t place(int a, int b) const { return static_cast<std::size_t>(a - 1) * most_ + b - 1; }
  std::size_t width() const { return static_cast<std::size_t>(end_ - begin_); }
  int most_ = 1;
  std::int32_t begin_ = 0, end_ = 0;
  std::vector<double> values_;
};

class BeadRows {
 public:
  BeadRows(const BeadArgs& args, const std::vector<Weighted>& views, const BeadBand& band,
           const std::vector<double>& scales);

  // Rows come in order, i = 0 .. N. Group 0 also knows the rows before and after this one, and
  // beads of one more sentence.
  void advance(std::int64_t i);
  const SimilarityRow& before() const { return first_[(row_ + 2) % 3]; }
  const SimilarityRow& here(int group) const {
    return group == 0 ? first_[row_ % 3] : rest_[group];
  }
  const SimilarityRow& after() const { return first_[(row_ + 1) % 3]; }

 private:
  static constexpr std::int64_t kRing = kBeadLargest + 2;
  struct Side {
    std::vector<std::vector<double>> inverse;  // [a - 1][end]: 1 / norm of the sum of a sentences
  };
  Side norms(const SparseTable& rows, std::int64_t count, std::int32_t features,
             double factor) const;
  void products(std::int64_t r);
  void fill(int group, std::int64_t end_row, int most, SimilarityRow& out);

  const BeadArgs& args_;
  const std::vector<Weighted>& views_;
  const BeadBand& band_;
  std::vector<int> sizes_;  // views per group
  std::vector<Side> sources_, targets_;
  std::vector<std::vector<std::int64_t>> cursors_;  // [view][feature]
  std::vector<std::vector<double>> sums_;           // [view, ring]: prefix sums of products
  std::int64_t starts_[kRing] = {};                 // their first j
  std::int64_t done_ = 0;                           // sentences whose products are there
  std::int64_t row_ = -1;
  SimilarityRow first_[3];
  std::vector<SimilarityRow> rest_;
  std::vector<double> block_;
};

}  // namespace polyad::align
