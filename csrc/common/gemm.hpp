// Small matrix products in one fixed order: C[i, j] += sum_k A[i, k] B[k, j], k ascending, one
// fused multiply-add after the other (v2: multiply, then add). An element's value does not depend
// on how many rows or columns are computed with it, nor on threads. For *_cpu.cpp files only.
//
// B is packed into panels of kPanel columns, [panel][K][kPanel], zeros past the last column:
// weights that a loop uses again and again are then read in order.
#pragma once

#include "common/vector.hpp"

namespace polyad {
namespace {

constexpr int kPanelVectors = 4;  // registers of a panel's row
template <class T>
constexpr int kPanel = kPanelVectors * kLanes<T>;

#if defined(__AVX512F__)
constexpr int kMostRows = 6;  // rows of C in registers: 24 of 32 registers hold sums
#else
constexpr int kMostRows = 2;  // 8 of 16
#endif

// Elements of B [K, N] when packed.
template <class T>
POLYAD_INLINE constexpr std::int64_t packed_size(std::int64_t K, std::int64_t N) {
  return K * ((N + kPanel<T> - 1) / kPanel<T> * kPanel<T>);
}

// packed <- B [K, N], whose row k begins at row(k); a null row is zero.
template <class T, class Row>
void pack_rows(const Row& row, std::int64_t K, std::int64_t N, T* packed) {
  for (std::int64_t n = 0; n < N; n += kPanel<T>) {
    for (std::int64_t k = 0; k < K; ++k, packed += kPanel<T>) {
      const T* from = row(k);
      for (std::int64_t j = 0; j < kPanel<T>; j += kLanes<T>) {
        const bool any = from != nullptr && n + j < N;
        store(packed + j, any ? load_up_to(from + n + j, N - n - j) : Vector<T>{});
      }
    }
  }
}

// packed <- B [K, N] with B[k, n] at b[k * row + n].
template <class T>
void pack(const T* b, std::int64_t K, std::int64_t N, std::int64_t row, T* packed) {
  pack_rows([&](std::int64_t k) { return b + k * row; }, K, N, packed);
}

// packed <- B [K, N] with B[k, n] at b[n * column + k]: a weight [N, K] as x W^T needs it.
template <class T>
void pack_transposed(const T* b, std::int64_t K, std::int64_t N, std::int64_t column, T* packed) {
  constexpr int L = kLanes<T>;
  for (std::int64_t n = 0; n < N; n += kPanel<T>, packed += K * kPanel<T>) {
    for (std::int64_t k = 0; k < K; k += L) {
      for (std::int64_t j = 0; j < kPanel<T>; j += L) {
        Vector<T> block[L];
        for (int i = 0; i < L; ++i) {
          const std::int64_t row = n + j + i;
          block[i] = row < N ? load_up_to(b + row * column + k, K - k) : Vector<T>{};
        }
        transpose<1, T>(block);
        for (int i = 0; i < L && k + i < K; ++i) store(packed + (k + i) * kPanel<T> + j, block[i]);
      }
    }
  }
}

// A as the product reads it: A[i, k] at data[i * row + k * column].
template <class T>
struct Rows {
  const T* data;
  std::int64_t row;
  std::int64_t column = 1;
};

// R rows of C and V registers of each, of which `columns` numbers exist; the first panel is full if
// the registers go on into a second one.
template <int R, int V, class T>
POLYAD_INLINE void gemm_tile(const Rows<T>& a, std::int64_t K, const T* packed,
                             std::int64_t columns, T* c, std::int64_t c_row) {
  constexpr int L = kLanes<T>;
  const bool whole = columns >= V * L;
  Vector<T> sum[R][V];
  for (int i = 0; i < R; ++i) {
    for (int v = 0; v < V; ++v) {
      const T* from = c + i * c_row + v * L;
      sum[i][v] = whole ? load(from) : load_up_to(from, columns - v * L);
    }
  }
  for (std::int64_t k = 0; k < K; ++k) {
    Vector<T> b[V];
    for (int v = 0; v < V; ++v) {
      constexpr int of_panel = kPanelVectors;
      b[v] = load(packed + (v / of_panel * K + k) * kPanel<T> + v % of_panel * L);
    }
    for (int i = 0; i < R; ++i) {
      const Vector<T> x = splat(a.data[i * a.row + k * a.column]);
      for (int v = 0; v < V; ++v) sum[i][v] += x * b[v];
    }
  }
  for (int i = 0; i < R; ++i) {
    for (int v = 0; v < V; ++v) {
      T* to = c + i * c_row + v * L;
      whole ? store(to, sum[i][v]) : store_first(to, sum[i][v], columns - v * L);
    }
  }
}

template <int R, class T>
void gemm_rows(const Rows<T>& a, std::int64_t K, const T* packed, std::int64_t N, T* c,
               std::int64_t c_row) {
  constexpr int V = kPanelVectors, L = kLanes<T>;
  std::int64_t n = 0;
  if constexpr (R == 1 && kMostRows > 2) {  // one row alone would wait for its few sums
    for (; N - n >= 2 * kPanel<T>; n += 2 * kPanel<T>) {
      gemm_tile<R, 2 * V>(a, K, packed + n * K, N - n, c + n, c_row);
    }
  }
  for (; N - n >= kPanel<T>; n += kPanel<T>) {
    gemm_tile<R, V>(a, K, packed + n * K, N - n, c + n, c_row);
  }
  switch ((N - n + L - 1) / L) {
    case 4: return gemm_tile<R, 4>(a, K, packed + n * K, N - n, c + n, c_row);
    case 3: return gemm_tile<R, 3>(a, K, packed + n * K, N - n, c + n, c_row);
    case 2: return gemm_tile<R, 2>(a, K, packed + n * K, N - n, c + n, c_row);
    case 1: return gemm_tile<R, 1>(a, K, packed + n * K, N - n, c + n, c_row);
    default: return;
  }
}

// C [M, N] += A [M, K] B [K, N] with B packed and C[i, j] at c[i * c_row + j].
template <class T>
void gemm(const Rows<T>& a, std::int64_t M, std::int64_t K, const T* packed, std::int64_t N, T* c,
          std::int64_t c_row) {
  if (M == 0 || N == 0 || K == 0) return;
  const std::int64_t blocks = (M + kMostRows - 1) / kMostRows;
  for (std::int64_t block = 0; block < blocks; ++block) {  // blocks of nearly equal size
    const std::int64_t first = M * block / blocks, rows = M * (block + 1) / blocks - first;
    const Rows<T> of{a.data + first * a.row, a.row, a.column};
    T* out = c + first * c_row;
    switch (rows) {
      case 1: gemm_rows<1>(of, K, packed, N, out, c_row); break;
      case 2: gemm_rows<2>(of, K, packed, N, out, c_row); break;
#if defined(__AVX512F__)
      case 3: gemm_rows<3>(of, K, packed, N, out, c_row); break;
      case 4: gemm_rows<4>(of, K, packed, N, out, c_row); break;
      case 5: gemm_rows<5>(of, K, packed, N, out, c_row); break;
      case 6: gemm_rows<6>(of, K, packed, N, out, c_row); break;
#endif
      default: break;
    }
  }
}

}  // namespace
}  // namespace polyad
