// The formula of squash on a value type V: a number on CUDA, a register of samples on the CPU.
// Vectors are reached through functions of their index, so that any layout will do.
#pragma once

#include <cstdint>

#include "common/device.hpp"
#include "common/math.hpp"

namespace polyad::capsule {
namespace {

// What squash and its adjoint need of |s|. Both factors are 0 at s = 0.
template <class V>
struct Length {
  V phi;      // n / (1 + n^2)
  V inverse;  // 1 / n
  V radial;   // 2 / (1 + n^2) - 1
};

// What a vector is multiplied by so that its largest number, `most`, becomes 1; 0 where it is as
// good as zero.
template <class T, class V>
POLYAD_INLINE V shrink_of(const V& most) {
  constexpr T kSmallest = sizeof(T) == 4 ? T(0x1p-100) : T(0x1p-1000);
  return most < V{} + kSmallest ? V{} : 1 / most;
}

// The length of a vector with q = |s shrink|^2.
template <class T, class V>
POLYAD_INLINE Length<V> length_from(const V& most, const V& shrink, const V& q) {
  constexpr T kLarge = T(0x1p60);  // from here on n + 1 / n is n, and n itself may overflow
  const V zero = V{};
  const V root = sqrt_of(q);
  const V n = most * root;
  const V inverse = shrink == zero ? zero : shrink / root;
  const V bounded = n > zero + kLarge ? zero + kLarge : n;  // NaN stays
  const V phi = n > zero + kLarge ? inverse : 1 / (bounded + 1 / bounded);
  // An infinity in s: q is NaN.
  return {phi, q == q ? inverse : q, 2 / (1 + bounded * bounded) - 1};
}

// The greater of the greatest size so far and |x|.
template <class V>
POLYAD_INLINE V larger_size(const V& most, const V& x) {
  const V magnitude = x < V{} ? V{} - x : x;
  return magnitude <= most ? most : magnitude;
}

// The length of the vector s(0) .. s(size - 1), without overflow. T is the type of its numbers. A
// NaN may get lost in the maximum, but not in the sum of squares.
template <class T, class V, class Vector>
POLYAD_INLINE Length<V> length_of(std::int64_t size, const Vector& s) {
  V most = V{};
  for (std::int64_t d = 0; d < size; ++d) {
    const V x = s(d);
    most = larger_size(most, x);
  }
  const V shrink = shrink_of<T>(most);
  V q = V{};
  for (std::int64_t d = 0; d < size; ++d) {
    const V x = s(d) * shrink;
    q = q + x * x;
  }
  return length_from<T>(most, shrink, q);
}

}  // namespace
}  // namespace polyad::capsule
