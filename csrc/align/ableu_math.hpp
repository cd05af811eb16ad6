// Formulas of ableu.hpp that the CPU loop and the CUDA kernel share.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/device.hpp"

namespace polyad::align {

// A similarity as it counts: cosines below 0 say nothing, and none is above that of a word with
// itself.
POLYAD_INLINE double clipped_cosine(double cosine) {
  return cosine > 0.0 ? (cosine < 1.0 ? cosine : 1.0) : 0.0;
}

// The geometric mean of `order` cosines whose product is given; exactly 1 for identical n-grams.
POLYAD_INLINE double geometric_mean(double product, int order) {
  return order == 1   ? product
         : order == 2 ? sqrt(product)
         : order == 4 ? sqrt(sqrt(product))
                      : pow(product, 1.0 / order);
}

// BLEU of a candidate of c words against a reference of r words, of the orders first .. last:
//
//   exp( mean_k (log matches_k - log(c - k + 1)) + min(0, 1 - r / c) ),   0 if a matches_k is 0
//
// matches[k - first] belongs to order k. The operations stand in the order in which Bleualign does
// them: ties between scores are decided by their last bits.
POLYAD_INLINE double bleu_of_matches(const double* matches, int first, int last, double c,
                                     double r) {
  double mean = 0.0;
  for (int k = first; k <= last; ++k) {
    const double count = matches[k - first];
    if (!(count > 0.0) || c < k) return 0.0;
    mean += log(count) - log(c - k + 1);
  }
  const double penalty = 1.0 - r / c;
  return exp(mean / (last - first + 1) + (penalty < 0.0 ? penalty : 0.0));
}

POLYAD_INLINE double harmonic_mean(double a, double b) {
  return a > 0.0 && b > 0.0 ? 2.0 * a * b / (a + b) : 0.0;
}

}  // namespace polyad::align
