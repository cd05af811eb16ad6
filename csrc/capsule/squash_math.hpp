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

// The length of the vector s(0) .. s(size - 1), without overflow. T is the type of its numbers.
template <class T, class V, class Vector>
POLYAD_INLINE Length<V> length_of(std::int64_t size, const Vector& s) {
  constexpr T kSmallest = sizeof(T) == 4 ? T(0x1p-100) : T(0x1p-1000);  // below: as zero
  const V zero = V{};
  V most = zero;
  for (std::int64_t d = 0; d < size; ++d) {
    const V x = s(d);
    const V magnitude = x < zero ? zero - x : x;
    most = magnitude <= most ? most : magnitude;  // NaN is kept
  }
  const V shrink = most < zero + kSmallest ? zero : 1 / most;
  V q = zero;
  for (std::int64_t d = 0; d < size; ++d) {
    const V x = s(d) * shrink;
    q = q + x * x;
  }
  const V root = sqrt_of(q);
  const V n = most * root;
  const V inverse = shrink == zero ? zero : shrink / root;
  return {1 / (n + 1 / n), inverse, 2 / (1 + n * n) - 1};
}

}  // namespace
}  // namespace polyad::capsule
