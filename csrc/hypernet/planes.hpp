// Binary batches as bit planes: one bit per sample and variable, a tile of samples at a time.
//
//   word[t, j, w] bit s  =  x[n, j]   with   n = 64 (t W + w) + s
//
// A tile holds 64 W samples of every variable, so that a kernel that ANDs the planes of an edge
// reads W consecutive words per literal. W is 1, 2, 4 or 8; `plane_width` chooses it from N. Bits
// past the last sample are 0. Any alignment will do, but words that start at a multiple of 64 bytes
// are read half as fast again, as no row crosses a cache line.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::hypernet {

inline constexpr int kMaxWidth = 8;  // 512 samples: one AVX-512 register per variable

// W for a batch of `samples`: the smallest power of two that holds it in one tile, at most 8.
POLYAD_INLINE constexpr int plane_width(std::int64_t samples) {
  int width = 1;
  while (width < kMaxWidth && 64 * width < samples) width *= 2;
  return width;
}

POLYAD_INLINE constexpr std::int64_t plane_tiles(std::int64_t samples, int width) {
  return (samples + 64 * width - 1) / (64 * width);
}

// A packed batch. Read-only view.
struct Planes {
  const std::uint64_t* words;  // [tiles, variables, width]
  std::int64_t samples;        // N
  std::int64_t variables;      // I
  int width;                   // W

  POLYAD_INLINE std::int64_t tiles() const { return plane_tiles(samples, width); }
};

// words [tiles, I, W] <- x uint8 [N, I], contiguous; any value other than 0 counts as 1.
// status int32 [1]: 0, or 1 + the first row n that holds a value above 1 (at most
// INT32_MAX). Exact.
struct PackArgs {
  const std::uint8_t* x;
  std::int64_t samples, variables;
  int width;
  std::uint64_t* words;
  std::int32_t* status;
};

// x uint8 [N, I] <- words, values 0 and 1. Exact.
struct UnpackArgs {
  Planes planes;
  std::uint8_t* x;
};

void pack(const PackArgs& args);
void unpack(const UnpackArgs& args);

}  // namespace polyad::hypernet
