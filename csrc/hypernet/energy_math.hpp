// The formula of one edge's product and its leave-one-out products, on a value type `V` (a scalar
// on CUDA, a vector of samples on the CPU).
#pragma once

#include "common/device.hpp"

namespace polyad::hypernet {
namespace {

// A literal's factor: x for a positive literal, 1 - x for a negative one.
template <class V>
POLYAD_INLINE V literal_factor(const V& x, const V& one, bool positive) {
  return positive ? x : one - x;
}

// For an edge of K literals with factors f: returns prod f and replaces f[i] by prod_{l != i} f[l].
template <int K, class V>
POLYAD_INLINE V leave_one_out(V (&f)[K], const V& one) {
  V prefix[K];
  V product = one;
  for (int i = 0; i < K; ++i) {
    prefix[i] = product;
    product = product * f[i];
  }
  V suffix = one;
  for (int i = K - 1; i >= 0; --i) {
    const V factor = f[i];
    f[i] = prefix[i] * suffix;
    suffix = suffix * factor;
  }
  return product;
}

}  // namespace
}  // namespace polyad::hypernet
