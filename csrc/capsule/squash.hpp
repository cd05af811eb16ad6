// The length of a capsule as a probability (Sabour, Frosst and Hinton, 2017, equation 1):
//
//   squash          v  = phi s                 n = |s|,  phi = n / (1 + n^2)
//   squash_backward s' = phi (v' + (2 / (1 + n^2) - 1) (s . v') s / n^2),  s' = 0 at s = 0
//
// The Jacobian at zero is zero, so no epsilon is needed. Norms are taken of s / max |s|: no finite
// s overflows.
//
// Vectors of D numbers stand at [outer, D, inner]. Accuracy: 8 eps relative to |v|, or |phi v'|,
// for D up to 64, growing as sqrt(D). A NaN or infinity makes its vector NaN. Outputs may not alias
// inputs.
#pragma once

#include <cstdint>

#include "capsule/squash_math.hpp"

namespace polyad::capsule {

struct SquashShape {
  std::int64_t outer;
  std::int64_t size;  // D; at least 1
  std::int64_t inner;
};

template <class X>
struct SquashArgs {
  SquashShape shape;
  const X* s;  // [outer, D, inner]
  X* v;        // [outer, D, inner]
};

template <class X>
struct SquashBackwardArgs {
  SquashShape shape;
  const X* s;     // [outer, D, inner]
  const X* grad;  // [outer, D, inner] dL/dv
  X* grad_s;      // [outer, D, inner]
};

void squash(const SquashArgs<float>& args);
void squash(const SquashArgs<double>& args);
void squash_backward(const SquashBackwardArgs<float>& args);
void squash_backward(const SquashBackwardArgs<double>& args);

}  // namespace polyad::capsule
