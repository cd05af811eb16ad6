// Weighted hyperedges in kernel order.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::hypernet {

// Read-only view; every literal lies in [0, variables), and no variable occurs twice in an edge.
struct Edges {
  const std::int32_t* literals;   // [L] the variable of each literal; positive literals first
  const std::int64_t* offsets;    // [E + 1] literals of edge e: offsets[e] .. offsets[e + 1] - 1
  const std::int32_t* positives;  // [E] number of positive literals of an edge
  const std::int32_t* order;      // [E] position of the edge in the caller's arrays, a permutation
  std::int64_t count;             // E
};

namespace {

// One edge: `count` literals, the first `positives` of which ask for 1.
struct Literals {
  const std::int32_t* variable;
  int positives;
  int count;
};

POLYAD_INLINE Literals literals(const Edges& edges, std::int64_t e) {
  const std::int64_t first = edges.offsets[e];
  return {edges.literals + first, edges.positives[e],
          static_cast<int>(edges.offsets[e + 1] - first)};
}

}  // namespace
}  // namespace polyad::hypernet
