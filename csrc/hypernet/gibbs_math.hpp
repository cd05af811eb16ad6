// The conditional distribution of one variable, shared by the CPU loop and the CUDA kernel.
#pragma once

#include <cmath>

#include "common/random.hpp"

namespace polyad::hypernet {
namespace {

// The new value of (sample, variable): true with probability sigma(field * scale), where scale is
// 1 / T for {0, 1} and 2 / T for {-1, +1}.
POLYAD_INLINE bool gibbs_draw(double field, double scale, std::uint64_t seed, std::uint64_t sample,
                              std::uint32_t variable, std::uint32_t sweep) {
  const double u = uniform(philox(seed, sample, variable, sweep));
  return u * (1.0 + std::exp(-field * scale)) < 1.0;
}

}  // namespace
}  // namespace polyad::hypernet
