// Which words are like which: of every source vector the target vectors with the largest cosine.
//
//   neighbours(i) = the K largest of { cos(i, j) = sum_d source[i, d] target[j, d] : >= threshold
//   },
//                   by decreasing cosine, ties by increasing j
//
// Products are summed in float, d ascending, one fused multiply-add after the other (v2: multiply,
// then add), so that cos(i, j) has the same bits from either side and does not depend on the rows
// beside it nor on threads. Between levels and devices it differs by 2 D eps at most, and two
// neighbours that close may change places.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::align {

struct NeighboursArgs {
  const float* source;     // [S, D], rows of length 1; S, T < 2^31
  const float* target;     // [T, D], rows of length 1
  std::int64_t sources;    // S
  std::int64_t targets;    // T
  std::int64_t dimension;  // D, at least 1
  int top_k;               // K, 1 .. kMostNeighbours
  float threshold;         // above -2
  std::int32_t* words;     // [S, K], the first found[i] of each row
  float* values;           // [S, K] their cosines
  std::int32_t* found;     // [S]
  float* scratch;          // [neighbours_scratch(T, D, parts)]; not read on CUDA
  std::int64_t parts;      // at least 1; pieces of work that are handed to threads
};

inline constexpr int kMostNeighbours = 64;

// Source rows and target rows whose products are computed together: the targets stay in the second
// cache, the sources and the products beside them.
inline constexpr std::int64_t kSimilarityRows = 96, kSimilarityColumns = 256;

POLYAD_INLINE constexpr std::int64_t neighbours_scratch(std::int64_t targets,
                                                        std::int64_t dimension,
                                                        std::int64_t parts) {
  const std::int64_t blocks = (targets + kSimilarityColumns - 1) / kSimilarityColumns;
  return blocks * kSimilarityColumns * dimension + parts * kSimilarityRows * kSimilarityColumns;
}

void neighbours(const NeighboursArgs& args);

}  // namespace polyad::align
