// The features of a bead, wherever its similarities come from.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "align/beads.hpp"

namespace polyad::align {

// What the features of a bead are made of, beside its similarities.
class BeadFeatures {
 public:
  explicit BeadFeatures(const BeadArgs& args) : args_(args) {
    double source = 0, target = 0;
    for (std::int64_t i = 0; i < args.source.count; ++i) source += args.source.lengths[i];
    for (std::int64_t j = 0; j < args.target.count; ++j) target += args.target.lengths[j];
    const double ratio = source > 0 && target > 0 ? target / source : 1;
    source_ = sums(args.source, ratio);
    target_ = sums(args.target, 1);
  }

  int count() const { return kBeadGeneral + kBeadPerGroup * args_.groups; }

  // The bead of a and b sentences that ends at (i, j); f is all 0.
  //
  // Similar: changed(c, d, e, g) is s of group 0 of the bead whose source begins c and ends d
  // sentences later and whose target begins e and ends g later; of(group) is s of the bead.
  template <class Similar>
  void operator()(const Similar& similar, std::int64_t i, std::int64_t j, int a, int b,
                  double* f) const {
    const double l = source_[i] - source_[i - a], t = target_[j] - target_[j - b];
    if (a == 0 || b == 0) {
      f[7] = 1;
      f[8] = std::log(l + t + 10) - 4.5;
      return;
    }
    f[shape(a, b)] = 1;
    const double r = std::log((l + 8) / (t + 8));
    f[9] = std::fabs(r);
    f[10] = std::min(r * r, 4.0);
    const double apart = std::fabs(l - t) / std::sqrt(l + t + 1);
    f[11] = apart;
    f[12] = std::min(apart * apart, 60.0) / 10;
    const BeadSide &source = args_.source, &target = args_.target;
    f[13] = (source.marks[i - 1] & 7) == (target.marks[j - 1] & 7);
    const bool low_source = source.marks[i - a] & 8, low_target = target.marks[j - b] & 8;
    f[14] = low_source == low_target;
    f[15] = static_cast<int>(low_source) + static_cast<int>(low_target);
    neighbours(similar, i, j, a, b, f);
    const double more = (a + b) / 2.0 - 1;
    for (int g = 0; g < args_.groups; ++g) {
      double* mine = f + kBeadGeneral + kBeadPerGroup * g;
      const double s = similar.of(g);
      mine[0] = s;
      mine[1] = s * more;
    }
  }

 private:
  static int shape(int a, int b) {
    const int most = std::max(a, b), least = std::min(a, b);
    if (least == 1) return most == 1 ? 0 : most == 2 ? 1 : most == 3 ? 3 : most == 4 ? 5 : 6;
    if (least == 2) return most == 2 ? 2 : most == 3 ? 4 : 6;
    return 6;
  }

  static std::vector<double> sums(const BeadSide& side, double factor) {
    std::vector<double> out(side.count + 1, 0.0);
    for (std::int64_t i = 0; i < side.count; ++i) out[i + 1] = out[i] + factor * side.lengths[i];
    return out;
  }

  // One sentence less, one sentence more.
  template <class Similar>
  void neighbours(const Similar& similar, std::int64_t i, std::int64_t j, int a, int b,
                  double* f) const {
    const double s = similar.changed(0, 0, 0, 0);
    double drop = std::numeric_limits<double>::infinity();
    if (a > 1) drop = s - std::max(similar.changed(1, 0, 0, 0), similar.changed(0, -1, 0, 0));
    if (b > 1) {
      const double rest = std::max(similar.changed(0, 0, 1, 0), similar.changed(0, 0, 0, -1));
      drop = std::min(drop, s - rest);
    }
    f[16] = a > 1 || b > 1 ? drop : 0;
    const auto gain = [&](double other) {
      f[17] += std::max(other - s, 0.0);
      f[18] += std::min(other - s, 0.0);
    };
    if (i - a > 0) gain(similar.changed(-1, 0, 0, 0));
    if (i < args_.source.count) gain(similar.changed(0, 1, 0, 0));
    if (j - b > 0) gain(similar.changed(0, 0, -1, 0));
    if (j < args_.target.count) gain(similar.changed(0, 0, 0, 1));
  }

  const BeadArgs& args_;
  std::vector<double> source_, target_;
};

}  // namespace polyad::align
