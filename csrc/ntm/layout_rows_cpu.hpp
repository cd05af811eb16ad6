// Between the callers' arrays and the layout of *_rows_cpu.hpp (memory [M][Np], weightings [Np],
// zeros past the N-th row), and the split of a batch into parts. For *_cpu.cpp only.
#pragma once

#include <cstring>

#include "common/pieces.hpp"
#include "common/vector.hpp"
#include "ntm/addressing.hpp"

namespace polyad::ntm {
namespace {

// to [M][Np] <- from [N][M]
template <class T>
void transposed_rows(const T* from, std::int64_t rows, std::int64_t width, std::int64_t stride,
                     T* to) {
  constexpr int L = kLanes<T>;
  for (std::int64_t i = 0; i < stride; i += L) {
    for (std::int64_t m = 0; m < width; m += L) {
      Vector<T> block[L];
      for (int r = 0; r < L; ++r) {
        block[r] = i + r < rows ? load_up_to(from + (i + r) * width + m, width - m) : Vector<T>{};
      }
      transpose<1, T>(block);
      for (int r = 0; r < L && m + r < width; ++r) store(to + (m + r) * stride + i, block[r]);
    }
  }
}

// to [N][M] <- from [M][Np]
template <class T>
void rows_transposed(const T* from, std::int64_t rows, std::int64_t width, std::int64_t stride,
                     T* to) {
  constexpr int L = kLanes<T>;
  for (std::int64_t i = 0; i < rows; i += L) {
    for (std::int64_t m = 0; m < width; m += L) {
      Vector<T> block[L];
      for (int r = 0; r < L; ++r) {
        block[r] = m + r < width ? load(from + (m + r) * stride + i) : Vector<T>{};
      }
      transpose<1, T>(block);
      for (int r = 0; r < L && i + r < rows; ++r) {
        store_first(to + (i + r) * width + m, block[r], width - m);
      }
    }
  }
}

// to [Np] <- from [N]
template <class T>
void padded_row(const T* from, std::int64_t rows, std::int64_t stride, T* to) {
  std::memcpy(to, from, static_cast<std::size_t>(rows) * sizeof(T));
  for (std::int64_t i = rows; i < stride; ++i) to[i] = T{0};
}

// to [N] <- from [Np]
template <class T>
void copied_row(const T* from, std::int64_t rows, T* to) {
  std::memcpy(to, from, static_cast<std::size_t>(rows) * sizeof(T));
}

// Calls body(item, pieces) for every item, in the parts of `scratch`.
template <class T, class Body>
void for_items(std::int64_t items, const PartedScratch<T>& scratch, std::int64_t elements,
               const Body& body) {
  polyad::for_items(items, scratch.parts, scratch.scratch, elements, body);
}

}  // namespace
}  // namespace polyad::ntm
