// What the CPU kernels of matching share: the matches of a block of edges over one tile of samples.
//
// Everything here has internal linkage, because each ISA level compiles its own copy.
#pragma once

#include "common/bits.hpp"
#include "hypernet/match.hpp"
#include "hypernet/match_math.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

constexpr int kBlock = 64;  // edges whose matches are held at once

// rows[i] bit s: sample s of the tile matches edge i of the block
template <int W>
struct alignas(64) BlockRows {
  std::uint64_t row[kBlock + 1][W];  // the last is for a caller that pads with a
                                     // row of its own

  POLYAD_INLINE std::uint64_t* operator[](int i) { return row[i]; }
  POLYAD_INLINE const std::uint64_t* operator[](int i) const { return row[i]; }
};

template <int W>
struct Tile {
  const std::uint64_t* words;  // [I, W]

  POLYAD_INLINE Row<W> operator()(std::int32_t variable) const {
    return Row<W>::load(words + static_cast<std::int64_t>(variable) * W);
  }
};

template <int W>
POLYAD_INLINE Tile<W> tile_at(const Planes& x, std::int64_t t) {
  return {x.words + t * x.variables * W};
}

// Edges that share the loop over their literals: with 32 registers four hide its overhead, with 16
// more than two would spill.
constexpr int kTogether = kVectorWords == 8 ? 4 : 2;

// The number of edges from e on, at most `limit`, that have the shape of edge e.
inline int run_of_shape(const Edges& edges, std::int64_t e, int limit) {
  const std::int64_t* offsets = edges.offsets + e;
  const std::int32_t* positives = edges.positives + e;
  const std::int64_t count = offsets[1] - offsets[0];
  // Most often all of them: two passes without branches.
  std::int32_t other_positives = 0;
  std::int64_t other_offsets = 0;
  for (int i = 0; i < limit; ++i) other_positives |= positives[i] ^ positives[0];
  for (int i = 0; i < limit; ++i) other_offsets |= offsets[i] ^ (offsets[0] + i * count);
  other_offsets |= offsets[limit] ^ (offsets[0] + limit * count);
  if (other_positives == 0 && other_offsets == 0) return limit;
  int i = 1;
  while (positives[i] == positives[0] && offsets[i + 1] - offsets[i] == count) ++i;
  return i;
}

// The loops below stay out of line, so that each has the registers to itself.

template <int W>
__attribute__((noinline)) void match_run_exact(const Tile<W>& tile, Literals edge, int edges,
                                               std::uint64_t (*rows)[W]) {
  const Row<W> zeros = Row<W>::zeros();
  for (; edges >= kTogether; edges -= kTogether, rows += kTogether) {
    Row<W> matched[kTogether];
    match_exact_together(tile, edge, zeros, matched);
    for (int i = 0; i < kTogether; ++i) matched[i].store(rows[i]);
    edge.variable += kTogether * edge.count;
  }
  for (; edges > 0; --edges, ++rows) {
    match_exact(tile, edge, zeros).store(*rows);
    edge.variable += edge.count;
  }
}

template <int W, int Levels>
__attribute__((noinline)) void match_run_tolerant(const Tile<W>& tile, const Edges& edges,
                                                  std::int64_t first, int count, int t,
                                                  std::uint64_t (*rows)[W]) {
  const Row<W> zeros = Row<W>::zeros();
  for (int i = 0; i < count; ++i) {
    match_tolerant<Levels>(tile, literals(edges, first + i), t, zeros).store(rows[i]);
  }
}

// rows[i] <- the samples that match edge first + i, for i < count. Samples past the last of the
// batch may match.
template <int W>
void match_rows(const Tile<W>& tile, const Edges& edges, const Tolerance& tolerance,
                std::int64_t first, int count, BlockRows<W>& rows) {
  for (int i = 0; i < count;) {
    const std::int64_t e = first + i;
    int run = count - i;
    int t = tolerance.all;
    if (tolerance.each != nullptr) {
      t = tolerance.each[edges.order[e]];
      int same = 1;
      while (same < run && tolerance.each[edges.order[e + same]] == t) ++same;
      run = same;
    }
    std::uint64_t(*out)[W] = rows.row + i;
    if (t == 0) {
      run = run_of_shape(edges, e, run);
      match_run_exact<W>(tile, literals(edges, e), run, out);
    } else {
      switch (counter_levels(t)) {
        case 1: match_run_tolerant<W, 1>(tile, edges, e, run, t, out); break;
        case 2: match_run_tolerant<W, 2>(tile, edges, e, run, t, out); break;
        case 3: match_run_tolerant<W, 3>(tile, edges, e, run, t, out); break;
        case 4: match_run_tolerant<W, 4>(tile, edges, e, run, t, out); break;
        default: match_run_tolerant<W, 0>(tile, edges, e, run, t, out); break;
      }
    }
    i += run;
  }
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
