// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011): a counter-based generator. A number is a function of (seed; sample, variable, sweep), so
// it does not depend on how a batch was split, on threads or on block sizes.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad {
namespace {

// First 32-bit word of Philox4x32-10 with key = seed and counter = (sample, variable, sweep).
POLYAD_INLINE std::uint32_t philox(std::uint64_t seed, std::uint64_t sample, std::uint32_t variable,
                                   std::uint32_t sweep) {
  std::uint32_t c0 = static_cast<std::uint32_t>(sample);
  std::uint32_t c1 = static_cast<std::uint32_t>(sample >> 32);
  std::uint32_t c2 = variable;
  std::uint32_t c3 = sweep;
  std::uint32_t k0 = static_cast<std::uint32_t>(seed);
  std::uint32_t k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = static_cast<std::uint64_t>(0xD2511F53u) * c0;
    const std::uint64_t p1 = static_cast<std::uint64_t>(0xCD9E8D57u) * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c0;
}

// Uniform in (0, 1), the centre of one of 2^32 equal intervals; exact in double.
POLYAD_INLINE double uniform(std::uint32_t word) { return (word + 0.5) * 0x1p-32; }

}  // namespace
}  // namespace polyad
