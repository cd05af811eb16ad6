#include "hypernet/match_rows_cpu.hpp"

#include "hypernet/match_math.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

// The planes of a tile, W words a row, of which the first L are read.
template <int W, int L>
struct Tile {
  const std::uint64_t* words;

  POLYAD_INLINE Row<L> operator()(std::int32_t variable) const {
    return Row<L>::load(words + static_cast<std::int64_t>(variable) * W);
  }
};

// Edges that share the loop over their literals. Of 32 registers four rows hide its overhead; with
// 16, where a row takes two, more than two would spill.
constexpr int kExactTogether = kVectorWords == 8 ? 4 : 2;

// The number of edges from e on, at most `limit`, that have the shape of edge e.
inline int run_of_shape(const Edges& edges, std::int64_t e, int limit) {
  const std::int64_t* offsets = edges.offsets + e;
  const std::int32_t* positives = edges.positives + e;
  const std::int64_t count = offsets[1] - offsets[0];
  if (positives[limit - 1] == positives[0] && offsets[limit] == offsets[0] + limit * count) {
    // Then most often it is all of them, which two passes without branches confirm.
    std::int32_t other_positives = 0;
    std::int64_t other_offsets = 0;
    for (int i = 0; i < limit; ++i) other_positives |= positives[i] ^ positives[0];
    for (int i = 0; i < limit; ++i) other_offsets |= offsets[i] ^ (offsets[0] + i * count);
    if (other_positives == 0 && other_offsets == 0) return limit;
  }
  int i = 1;
  while (i < limit && positives[i] == positives[0] && offsets[i + 1] - offsets[i] == count) ++i;
  return i;
}

// The loops below stay out of line, so that each has the registers to itself.

// Edges of one shape.
template <int W>
__attribute__((noinline)) void match_run_exact(const std::uint64_t* words, Literals edge, int edges,
                                               std::uint64_t (*rows)[W]) {
  const Tile<W, W> tile{words};
  const Row<W> zeros = Row<W>::zeros();
  for (; edges >= kExactTogether; edges -= kExactTogether, rows += kExactTogether) {
    Row<W> matched[kExactTogether];
    match_exact_together(tile, edge, zeros, matched);
    for (int i = 0; i < kExactTogether; ++i) matched[i].store(rows[i]);
    edge.variable += kExactTogether * edge.count;
  }
  for (; edges > 0; --edges, ++rows) {
    match_exact(tile, edge, zeros).store(*rows);
    edge.variable += edge.count;
  }
}

// The same with tolerance t. The counters fill the registers, so a row is served a register at a
// time.
template <int W, int Levels>
__attribute__((noinline)) void match_run_tolerant(const std::uint64_t* words, const Literals& edge,
                                                  int edges, int t, std::uint64_t (*rows)[W]) {
  constexpr int L = W < kVectorWords ? W : kVectorWords;
  const Row<L> zeros = Row<L>::zeros();
  for (int part = 0; part < W; part += L) {
    const Tile<W, L> tile{words + part};
    Literals next = edge;
    for (int i = 0; i < edges; ++i, next.variable += next.count) {
      match_tolerant<Levels>(tile, next, t, zeros).store(rows[i] + part);
    }
  }
}

template <int W>
void match_run(const std::uint64_t* words, const Literals& edge, int edges, int t,
               std::uint64_t (*rows)[W]) {
  if (t >= edge.count) {
    for (int i = 0; i < edges; ++i) Row<W>::ones().store(rows[i]);
    return;
  }
  if (t == 0) return match_run_exact<W>(words, edge, edges, rows);
  switch (counter_levels(t)) {
    case 1: return match_run_tolerant<W, 1>(words, edge, edges, t, rows);
    case 2: return match_run_tolerant<W, 2>(words, edge, edges, t, rows);
    case 3: return match_run_tolerant<W, 3>(words, edge, edges, t, rows);
    case 4: return match_run_tolerant<W, 4>(words, edge, edges, t, rows);
    case 5: return match_run_tolerant<W, 5>(words, edge, edges, t, rows);
    case 6: return match_run_tolerant<W, 6>(words, edge, edges, t, rows);
    default: return match_run_tolerant<W, 0>(words, edge, edges, t, rows);
  }
}

template <int W>
void match_block(const std::uint64_t* words, const Edges& edges, const Tolerance& tolerance,
                 std::int64_t first, int count, std::uint64_t (*rows)[W]) {
  for (int i = 0; i < count;) {
    const std::int64_t e = first + i;
    int run = run_of_shape(edges, e, count - i);
    int t = tolerance.all;
    if (tolerance.each != nullptr) {
      t = tolerance.each[edges.order[e]];
      int same = 1;
      while (same < run && tolerance.each[edges.order[e + same]] == t) ++same;
      run = same;
    }
    match_run<W>(words, literals(edges, e), run, t, rows + i);
    i += run;
  }
}

}  // namespace

void match_rows(const std::uint64_t* tile, int width, const Edges& edges,
                const Tolerance& tolerance, std::int64_t first, int count,
                std::uint64_t* rows) noexcept {
  for_width(width, [&]<int W>() {
    match_block<W>(tile, edges, tolerance, first, count,
                   reinterpret_cast<std::uint64_t (*)[W]>(rows));
  });
}

}  // namespace polyad::hypernet::POLYAD_ISA
