// A view with its features weighted by how rare they are, and with postings of its target side.
#pragma once

#include <cstdint>
#include <vector>

#include "align/beads.hpp"

namespace polyad::align {

class Weighted {
 public:
  explicit Weighted(const BeadView& view);

  SparseTable source, target;  // x_f
  std::vector<double> source_norms, target_norms;
  std::vector<std::int32_t> source_frequency;  // sentences of the source with a feature
  std::vector<std::int64_t> posting_offsets;   // per feature: its target sentences, ascending
  std::vector<std::int32_t> postings;
  std::vector<float> posting_values;

  double cosine(std::int64_t i, std::int64_t j) const;
};

// <row i, row j> of one table or two.
double dot(const SparseTable& x, std::int64_t i, const SparseTable& y, std::int64_t j);

// The band around anchors: a chain of pairs by rare features; all cells between two anchors up to
// 40,000, otherwise 64 to either side of the line between them; and `margin` more. scales [views]:
// median cosine of the anchors.
void bead_band(const BeadArgs& args, const std::vector<Weighted>& views, BeadBand& band,
               std::vector<double>& scales);

}  // namespace polyad::align
