// The matches of a block of edges over one tile of samples, which all CPU kernels of matching
// share.
#pragma once

#include "common/bits.hpp"
#include "hypernet/match.hpp"

namespace polyad::hypernet::POLYAD_ISA {

constexpr int kBlock = 64;  // edges whose matches are held at once

// rows [count, W] <- bit s: sample s of the tile matches edge first + i, for i < count <= kBlock.
// Samples past the last of the batch may match. `tile` is [I, W].
void match_rows(const std::uint64_t* tile, int width, const Edges& edges,
                const Tolerance& tolerance, std::int64_t first, int count,
                std::uint64_t* rows) noexcept;

namespace {  // internal linkage: each ISA level compiles its own copy

template <int W>
struct alignas(64) BlockRows {
  std::uint64_t row[kBlock + 1][W];  // the last is for a caller that pads with a row of its own

  POLYAD_INLINE std::uint64_t* operator[](int i) { return row[i]; }
  POLYAD_INLINE const std::uint64_t* operator[](int i) const { return row[i]; }
};

template <int W>
POLYAD_INLINE void match_tile(const Planes& x, std::int64_t t, const Edges& edges,
                              const Tolerance& tolerance, std::int64_t first, int count,
                              BlockRows<W>& rows) {
  match_rows(x.words + t * x.variables * W, W, edges, tolerance, first, count, rows[0]);
}

// Calls body.operator()<W>() for the width of the planes.
template <class Body>
void for_width(int width, const Body& body) {
  switch (width) {
    case 1: return body.template operator()<1>();
    case 2: return body.template operator()<2>();
    case 4: return body.template operator()<4>();
    default: return body.template operator()<8>();
  }
}

}  // namespace
}  // namespace polyad::hypernet::POLYAD_ISA
