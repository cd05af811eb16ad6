// Gibbs sampling of P(x) proportional to exp(-E(x) / T) over binary variables.
//
// Variables are visited in order 0 .. I - 1, `sweeps` times; with the field
//
//   h_j = sum over edges e that hold j of  w_e s_ej prod_{l in e, l != j} f_l
//
// domain {0, 1}:   P(x_j = 1 | rest)  = sigma(h_j / T)        f_l = x or 1 - x, s = +-1
// domain {-1, +1}: P(x_j = +1 | rest) = sigma(2 h_j / T)      f_l = x, all literals positive
//
// x_j becomes 1 (+1) where u < P with u = Philox(seed; n, j, sweep) (common/random.hpp). Clamped
// variables keep their value. Fields add in the weights' type in plan order, so results are equal
// bit for bit for any number of threads; levels and devices agree except where u lies within
// rounding (1e-6 for float, 1e-14 for double weights, relative to sum |w| / T) of P.
#pragma once

#include <cstdint>

#include "hypernet/edges.hpp"

namespace polyad::hypernet {

template <class T>
struct GibbsArgs {
  std::uint64_t* words;        // [tiles, I, W] in place; bit 1 is the value 1 (+1)
  const std::uint64_t* clamp;  // [tiles, I, W] bit 1 = fixed, or null
  std::int64_t samples, variables;
  int width;
  Edges edges;
  const std::int64_t* incidence_offsets;  // [I + 1]
  const std::int32_t* incidence;          // [L] kernel-order edges that hold j, ascending
  const T* weights;                       // [E], caller's order
  std::int64_t sweeps;                    // 0 .. 2^32 - 1
  bool spins;                             // true: domain {-1, +1}
  double temperature;                     // > 0
  std::uint64_t seed;
};

void gibbs(const GibbsArgs<float>& args);
void gibbs(const GibbsArgs<double>& args);

}  // namespace polyad::hypernet
