// Samples across the lanes of registers: what the CPU kernels of capsules are made of.
//
// A block of W = kBlock samples is kept as [n][W]: one number of all its samples stands in one
// register. Everything that is done per sample
// is then done lane by lane, the weights of a capsule are read in the order in which they lie, each
// as a broadcast, and no sum over lanes is needed but for the gradient of the weights. For
// *_cpu.cpp files only.
#pragma once

#include "capsule/routing_space.hpp"
#include "common/math.hpp"
#include "common/vector.hpp"

namespace polyad::capsule {
namespace {

static_assert(kBlock<float> == kLanes<float> && kBlock<double> == kLanes<double>);

// A size that is known when compiling, where a size is expected.
template <int n>
struct Fixed {
  POLYAD_INLINE constexpr operator std::int64_t() const { return n; }
};

// Inputs that are worked on together: what is loaded for one serves the other. Of doubles one at a
// time, to keep the number of kernels low.
template <class T>
constexpr int kTogether = kVectorBytes == 64 && sizeof(T) == 4 ? 2 : 1;

// Whether there are kernels for sizes K that are known when compiling.
template <class T>
constexpr bool kKnownSizes = sizeof(T) == 4;

// Calls body(k) for k = 0 .. K - 1; unrolled where K is known, since addresses are then constants.
template <class Body>
POLYAD_INLINE void for_each_number(std::int64_t K, const Body& body) {
  for (std::int64_t k = 0; k < K; ++k) body(k);
}
template <int n, class Body>
POLYAD_INLINE void for_each_number(Fixed<n>, const Body& body) {
#pragma GCC unroll 16
  for (std::int64_t k = 0; k < n; ++k) body(k);
}

// to [n][W] <- n numbers of each of `samples` samples, which lie `stride` apart; zeros in the lanes
// beyond them.
template <class T>
POLYAD_INLINE void gather(const T* from, std::int64_t stride, std::int64_t samples, std::int64_t n,
                          T* to) {
  constexpr int L = kLanes<T>;
  for (std::int64_t k = 0; k < n; k += L) {
    Vector<T> block[L];
    for (int i = 0; i < L; ++i) {
      block[i] = i < samples ? load_up_to(from + i * stride + k, n - k) : Vector<T>{};
    }
    transpose<1, T>(block);
    if (n - k >= L) {
      for (int i = 0; i < L; ++i) store(to + (k + i) * L, block[i]);
    } else {
      for (int i = 0; i < L; ++i) {
        if (k + i < n) store(to + (k + i) * L, block[i]);
      }
    }
  }
}

// The other way; lanes beyond the samples go nowhere.
template <class T>
POLYAD_INLINE void scatter(const T* from, std::int64_t n, std::int64_t samples, std::int64_t stride,
                           T* to) {
  constexpr int L = kLanes<T>;
  for (std::int64_t k = 0; k < n; k += L) {
    Vector<T> block[L];
    for (int i = 0; i < L; ++i) {
      block[i] = k + i < n ? load(from + (k + i) * L) : Vector<T>{};
    }
    transpose<1, T>(block);
    for (int i = 0; i < L; ++i) {
      if (i < samples) store_first(to + i * stride + k, block[i], n - k);
    }
  }
}

// R rows of a product, out [R][W] <- (add: +=) w [R, K] u [K][W].
template <int R, bool add, class T, class Size>
POLYAD_INLINE void product_tile(const T* w, const Size& K, const T* u, T* out) {
  Vector<T> sum[R];
  for (int r = 0; r < R; ++r) {
    sum[r] = add ? load(out + r * kBlock<T>) : Vector<T>{};
  }
  for_each_number(K, [&](std::int64_t k) {
    const Vector<T> x = load(u + k * kBlock<T>);
    for (int r = 0; r < R; ++r) {
      const Vector<T> weight = splat(w[r * K + k]);
      sum[r] += weight * x;
    }
  });
  for (int r = 0; r < R; ++r) {
    store(out + r * kBlock<T>, sum[r]);
  }
}

// Rows of a product in registers at once.
template <class T>
constexpr int kRows = kVectorBytes == 64 ? 16 : 8;

template <int R, bool add, class T, class Size>
POLYAD_INLINE void product_rows(const T* w, std::int64_t rows, const Size& K, const T* u, T* out) {
  std::int64_t row = 0;
  for (; row + R <= rows; row += R)
    product_tile<R, add, T>(w + row * K, K, u, out + row * kBlock<T>);
  if constexpr (R > 1) {
    if (row < rows) {
      product_rows<R / 2, add, T>(w + row * K, rows - row, K, u, out + row * kBlock<T>);
    }
  }
}

// out [rows][W] <- (add: +=) w [rows, K] u [K][W], k ascending.
template <bool add, class T>
void product(const T* w, std::int64_t rows, std::int64_t K, const T* u, T* out) {
  constexpr int R = kRows<T>;
  if constexpr (kKnownSizes<T>) {
    if (K == 8) return product_rows<R, add, T>(w, rows, Fixed<8>{}, u, out);
    if (K == 16) return product_rows<R, add, T>(w, rows, Fixed<16>{}, u, out);
  }
  product_rows<R, add, T>(w, rows, K, u, out);
}

// C columns of out [K][W] += w^T x, with w [rows, K] and x [rows][W].
template <int C, class T, class Size>
POLYAD_INLINE void transposed_tile(const T* w, std::int64_t rows, const Size& K, const T* x,
                                   T* out) {
  Vector<T> sum[C];
  for (int c = 0; c < C; ++c) {
    sum[c] = load(out + c * kBlock<T>);
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    const Vector<T> each = load(x + row * kBlock<T>);
    for (int c = 0; c < C; ++c) {
      const Vector<T> weight = splat(w[row * K + c]);
      sum[c] += weight * each;
    }
  }
  for (int c = 0; c < C; ++c) {
    store(out + c * kBlock<T>, sum[c]);
  }
}

template <int C, class T, class Size>
POLYAD_INLINE void transposed_columns(const T* w, std::int64_t rows, std::int64_t columns,
                                      const Size& K, const T* x, T* out) {
  std::int64_t k = 0;
  for (; k + C <= columns; k += C) transposed_tile<C, T>(w + k, rows, K, x, out + k * kBlock<T>);
  if constexpr (C > 1) {
    if (k < columns) {
      transposed_columns<C / 2, T>(w + k, rows, columns - k, K, x, out + k * kBlock<T>);
    }
  }
}

// out [K][W] += w^T x, with w [rows, K] and x [rows][W], rows ascending.
template <class T>
void transposed_product(const T* w, std::int64_t rows, std::int64_t K, const T* x, T* out) {
  constexpr int C = 8;
  if constexpr (kKnownSizes<T>) {
    if (K == 8) return transposed_columns<C, T>(w, rows, 8, Fixed<8>{}, x, out);
    if (K == 16) return transposed_columns<C, T>(w, rows, 16, Fixed<16>{}, x, out);
  }
  transposed_columns<C, T>(w, rows, K, K, x, out);
}

// R rows of the votes of N inputs, and what they add to their dot products with M vectors.
template <int N, int R, int M, class T, class Size>
POLYAD_INLINE void votes_tile(const T* const (&w)[N], const Size& K, const T* const (&u)[N],
                              const T* const (&x)[M], std::int64_t row, T* const (&votes)[N],
                              Vector<T> (&dot)[N][M]) {
  Vector<T> sum[N][R] = {};
  const T* first[N];
  for (int n = 0; n < N; ++n) first[n] = w[n] + row * K;
  for_each_number(K, [&](std::int64_t k) {
    for (int n = 0; n < N; ++n) {
      const Vector<T> each = load(u[n] + k * kBlock<T>);
      for (int r = 0; r < R; ++r) {
        const Vector<T> weight = splat(first[n][r * K + k]);
        sum[n][r] += weight * each;
      }
    }
  });
  for (int n = 0; n < N; ++n) {
    for (int r = 0; r < R; ++r) {
      store(votes[n] + (row + r) * kBlock<T>, sum[n][r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int m = 0; m < M; ++m) {
      const Vector<T> y = load(x[m] + (row + r) * kBlock<T>);
      for (int n = 0; n < N; ++n) dot[n][m] += sum[n][r] * y;
    }
  }
}

template <int N, int R, int M, class T, class Size>
POLYAD_INLINE void votes_tiles(const T* const (&w)[N], const Size& K, const T* const (&u)[N],
                               const T* const (&x)[M], std::int64_t row, std::int64_t end,
                               T* const (&votes)[N], Vector<T> (&dot)[N][M]) {
  for (; row + R <= end; row += R) {
    votes_tile<N, R, M, T>(w, K, u, x, row, votes, dot);
  }
  if constexpr (R > 1) {
    if (row < end) votes_tiles<N, R / 2, M, T>(w, K, u, x, row, end, votes, dot);
  }
}

// votes [rows][W] of N inputs with weights w [rows, K] and numbers u [K][W], and, while they are in
// registers, their dot products with M vectors x [rows][W]: out + (n M + m) J W, [J][W].
template <int N, int M, class T, class Size>
POLYAD_INLINE void votes_and_dots_of(const T* const (&w)[N], const Size& K, const T* const (&u)[N],
                                     std::int64_t J, std::int64_t D, const T* const (&x)[M],
                                     T* const (&votes)[N], T* out) {
  constexpr int R = kRows<T> / N;
  for (std::int64_t j = 0; j < J; ++j) {
    Vector<T> dot[N][M] = {};
    votes_tiles<N, R, M, T>(w, K, u, x, j * D, (j + 1) * D, votes, dot);
    for (int n = 0; n < N; ++n) {
      for (int m = 0; m < M; ++m) {
        store(out + ((n * M + m) * J + j) * kBlock<T>, dot[n][m]);
      }
    }
  }
}

template <int N, int M, class T>
void votes_and_dots(const T* const (&w)[N], std::int64_t K, const T* const (&u)[N], std::int64_t J,
                    std::int64_t D, const T* const (&x)[M], T* const (&votes)[N], T* out) {
  if constexpr (kKnownSizes<T> && N == kTogether<T>) {
    if (K == 8) return votes_and_dots_of<N, M, T>(w, Fixed<8>{}, u, J, D, x, votes, out);
    if (K == 16) return votes_and_dots_of<N, M, T>(w, Fixed<16>{}, u, J, D, x, votes, out);
  }
  votes_and_dots_of<N, M, T>(w, K, u, J, D, x, votes, out);
}

// The same dot products of votes that are there: out + (n M + m) J W, [J][W].
template <int N, int M, class T>
void dots(T* const (&votes)[N], std::int64_t J, std::int64_t D, const T* const (&x)[M], T* out) {
  for (std::int64_t j = 0; j < J; ++j) {
    Vector<T> dot[N][M] = {};
    for (std::int64_t at = j * D * kBlock<T>; at < (j + 1) * D * kBlock<T>; at += kBlock<T>) {
      for (int m = 0; m < M; ++m) {
        const Vector<T> y = load(x[m] + at);
        for (int n = 0; n < N; ++n) dot[n][m] += load(votes[n] + at) * y;
      }
    }
    for (int n = 0; n < N; ++n) {
      for (int m = 0; m < M; ++m) {
        store(out + ((n * M + m) * J + j) * kBlock<T>, dot[n][m]);
      }
    }
  }
}

// sums [J D][W] += sum over N inputs of c [J][W] x [J D][W]; c of input n at n * c_span.
template <int N, class T>
POLYAD_INLINE void add_scaled(const T* c, std::int64_t c_span, T* const (&x)[N], std::int64_t J,
                              std::int64_t D, T* sums) {
  for (std::int64_t j = 0; j < J; ++j) {
    Vector<T> scale[N];
    for (int n = 0; n < N; ++n) scale[n] = load(c + n * c_span + j * kBlock<T>);
    for (std::int64_t at = j * D * kBlock<T>; at < (j + 1) * D * kBlock<T>; at += kBlock<T>) {
      Vector<T> sum = load(sums + at);
      for (int n = 0; n < N; ++n) sum += scale[n] * load(x[n] + at);
      store(sums + at, sum);
    }
  }
}

// sums [n][W] += x [n][W], and x <- 0.
template <class T>
POLYAD_INLINE void move_into(T* x, std::int64_t n, T* sums) {
  for (std::int64_t i = 0; i < n; ++i) {
    sums[i] += x[i];
    x[i] = T{0};
  }
}

}  // namespace
}  // namespace polyad::capsule
