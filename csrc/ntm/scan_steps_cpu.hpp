// What both passes of scan share: how a batch is cut into groups and scratch into pieces, where the
// parameters of heads stand, layouts. For *_cpu.cpp only.
#pragma once

#include "common/gemm.hpp"
#include "ntm/addressing_rows_cpu.hpp"
#include "ntm/layout_rows_cpu.hpp"
#include "ntm/memory_rows_cpu.hpp"
#include "ntm/scan.hpp"
#include "ntm/scan_math.hpp"

namespace polyad::ntm {
namespace {

// Sequences that go through time together: weights are read once for all of them.
constexpr std::int64_t kGroup = 8;
// Steps whose inputs are projected, and whose outputs are computed, in one product.
constexpr std::int64_t kChunk = 16;

POLYAD_INLINE std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

template <class T>
POLYAD_INLINE void copy(T* to, const T* from, std::int64_t count) {
  if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}
template <class T>
POLYAD_INLINE void clear(T* p, std::int64_t count) {
  if (count > 0) std::memset(p, 0, static_cast<std::size_t>(count) * sizeof(T));
}
template <class T>
POLYAD_INLINE void copy_or_clear(T* to, const T* from, std::int64_t count) {
  from == nullptr ? clear(to, count) : copy(to, from, count);
}

// Calls body(j, count) for registers j, j + kLanes .. of `size` elements; the last may hold fewer.
template <class T, class Body>
POLYAD_INLINE void for_registers(std::int64_t size, const Body& body) {
  for (std::int64_t j = 0; j < size; j += kLanes<T>) body(j, size - j);
}

// Cuts scratch into pieces that begin at cache lines; without memory it only adds up their sizes.
template <class T>
struct Carver {
  T* memory;
  std::int64_t used = 0;

  T* take(std::int64_t count) {
    constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
    T* piece = memory == nullptr ? nullptr : memory + used;
    used += (count + line - 1) / line * line;
    return piece;
  }
};

// How the batch is cut: sequences in order of falling length, groups of `size`, and `parts` that
// take every parts-th group with scratch of their own.
struct Cut {
  std::int64_t size, groups, parts;
};

POLYAD_INLINE Cut cut(std::int64_t batch, std::int64_t threads) {
  const std::int64_t each = (batch + threads - 1) / threads;
  const std::int64_t size = each < 1 ? 1 : least(kGroup, each);
  const std::int64_t groups = (batch + size - 1) / size;
  return {size, groups, least(groups, threads)};
}

struct Sequence {
  std::int64_t index, steps;
};

// Words of T that hold n integers.
template <class T>
POLYAD_INLINE std::int64_t words(std::int64_t n) {
  return n * static_cast<std::int64_t>(sizeof(std::int64_t) / sizeof(T));
}

// sorted [B] by falling length, equal lengths in their order; counts [T + 1] is scratch.
void sort_by_length(const ScanShape& shape, const std::int64_t* lengths, std::int64_t* counts,
                    Sequence* sorted) {
  const auto steps = [&](std::int64_t b) { return lengths == nullptr ? shape.steps : lengths[b]; };
  clear(counts, shape.steps + 1);
  for (std::int64_t b = 0; b < shape.batch; ++b) ++counts[steps(b)];
  std::int64_t first = 0;
  for (std::int64_t n = shape.steps; n >= 0; --n) {
    const std::int64_t count = counts[n];
    counts[n] = first;
    first += count;
  }
  for (std::int64_t b = 0; b < shape.batch; ++b) sorted[counts[steps(b)]++] = {b, steps(b)};
}

template <class T>
Sequence* take_order(Carver<T>& carver, const ScanShape& shape, const std::int64_t* lengths) {
  auto* counts = reinterpret_cast<std::int64_t*>(carver.take(words<T>(shape.steps + 1)));
  auto* sorted = reinterpret_cast<Sequence*>(carver.take(words<T>(2 * shape.batch)));
  if (sorted != nullptr) sort_by_length(shape, lengths, counts, sorted);
  return sorted;
}

template <class T>
POLYAD_INLINE AddressingShape<T> addressing_shape(const ScanShape& shape) {
  return {shape.rows,   whole_lines<T>(shape.rows), shape.width,
          shape.shifts, shape.similarity,           static_cast<T>(shape.epsilon)};
}

// Head k (read heads first) of a row of parameters [P].
template <class T>
POLYAD_INLINE T* head_row(const ScanShape& shape, T* row, std::int64_t k) {
  return k < shape.reads
             ? row + k * shape.basic()
             : row + shape.reads * shape.basic() + (k - shape.reads) * shape.write_basic();
}

template <class T>
void point_heads(const ScanShape& shape, T* row, Head<T>* heads) {
  const HeadLayout at = head_layout(shape.width, shape.shifts);
  for (std::int64_t k = 0; k < shape.heads(); ++k) {
    T* p = head_row(shape, row, k);
    heads[k] = {p + at.key, p + at.kernel, p + at.beta, p + at.gate, p + at.gamma};
  }
}

template <class T>
POLYAD_INLINE WriteHeads<T> write_heads(const ScanShape& shape, T* row) {
  const HeadLayout at = head_layout(shape.width, shape.shifts);
  T* p = head_row(shape, row, shape.reads);
  return {shape.writes, shape.write_basic(), p + at.erase, p + at.add};
}

template <class T>
POLYAD_INLINE void load_memory(const AddressingShape<T>& shape, const T* from, T* to) {
  transposed_rows(from, shape.rows, shape.width, shape.stride, to);
}

template <class T>
POLYAD_INLINE void store_memory(const AddressingShape<T>& shape, const T* from, T* to) {
  rows_transposed(from, shape.rows, shape.width, shape.stride, to);
}

// to [K, stride] <- from [K, N], zeros past the N-th row; and back.
template <class T>
void load_weights(const AddressingShape<T>& shape, std::int64_t heads, const T* from, T* to) {
  for (std::int64_t k = 0; k < heads; ++k) {
    padded_row(from + k * shape.rows, shape.rows, shape.stride, to + k * shape.stride);
  }
}

template <class T>
void store_weights(const AddressingShape<T>& shape, std::int64_t heads, const T* from, T* to) {
  for (std::int64_t k = 0; k < heads; ++k) {
    copied_row(from + k * shape.stride, shape.rows, to + k * shape.rows);
  }
}

// --- activations ---------------------------------------------------------------------------------

template <class T, class Function>
POLYAD_INLINE void apply(T* p, std::int64_t size, const Function& function) {
  for_registers<T>(size, [&](std::int64_t j, std::int64_t count) {
    store_first(p + j, function(load_up_to(p + j, count)), count);
  });
}

template <class T>
void point_trails(const AddressingShape<T>& shape, std::int64_t heads, T* from,
                  AddressingTrail<T>* trails) {
  for (std::int64_t k = 0; k < heads; ++k) {
    trails[k] = trail_at(from + k * trail_size<T>(shape.stride, shape.shifts), shape);
  }
}

}  // namespace
}  // namespace polyad::ntm
