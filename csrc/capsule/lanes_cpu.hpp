// Samples across the lanes of registers: what the CPU kernels of capsules are made of.
//
// A block of W samples is kept as [n][W]: one number of all its samples stands in one register, or
// in several where W is more than a register holds. Everything that is done per sample is then done
// lane by lane, the weights of a capsule are read in the order in which they lie, each as a
// broadcast, and no sum over lanes is needed but for the gradient of the weights. For *_cpu.cpp
// files only.
#pragma once

#include "capsule/routing_space.hpp"
#include "common/math.hpp"
#include "common/vector.hpp"

namespace polyad::capsule {
namespace {

// The W samples of a block, in kParts registers of kWidth lanes.
template <class T, int W>
struct Lanes {
  static constexpr int kParts = W > kLanes<T> ? W / kLanes<T> : 1;
  static constexpr int kWidth = W / kParts;
  typedef T Part __attribute__((vector_size(kWidth * sizeof(T))));

  static POLYAD_INLINE Part load(const T* p) {
    Part x;
    std::memcpy(&x, p, sizeof(x));
    return x;
  }
  static POLYAD_INLINE void store(T* p, const Part& x) { std::memcpy(p, &x, sizeof(x)); }
  static POLYAD_INLINE Part splat(T x) { return x - Part{}; }
};

// A size that is known when compiling, where a size is expected.
template <int n>
struct Fixed {
  POLYAD_INLINE constexpr operator std::int64_t() const { return n; }
};

// Inputs that are worked on together: what is loaded for one serves the other. Of doubles and of
// narrow blocks one at a time, to keep the number of kernels low.
template <class T, int W>
constexpr int kTogether = kVectorBytes == 64 && sizeof(T) == 4 && W == kBlock<T> ? 2 : 1;

// Whether there are kernels for sizes K that are known when compiling.
template <class T, int W>
constexpr bool kKnownSizes = sizeof(T) == 4 && W == kBlock<T>;

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
template <class T, int W>
POLYAD_INLINE void gather(const T* from, std::int64_t stride, std::int64_t samples, std::int64_t n,
                          T* to) {
  if constexpr (W % kLanes<T> == 0) {
    constexpr int L = kLanes<T>;
    for (int part = 0; part < W; part += L) {
      for (std::int64_t k = 0; k < n; k += L) {
        Vector<T> block[L];
        for (int i = 0; i < L; ++i) {
          block[i] =
              part + i < samples ? load_up_to(from + (part + i) * stride + k, n - k) : Vector<T>{};
        }
        transpose<1, T>(block);
        T* at = to + k * W + part;
        if (n - k >= L) {
          for (int i = 0; i < L; ++i) polyad::store(at + i * W, block[i]);
        } else {
          for (int i = 0; i < L; ++i) {
            if (k + i < n) polyad::store(at + i * W, block[i]);
          }
        }
      }
    }
  } else {
    for (std::int64_t k = 0; k < n; ++k) {
      for (int i = 0; i < W; ++i) to[k * W + i] = i < samples ? from[i * stride + k] : T{0};
    }
  }
}

// The other way; lanes beyond the samples go nowhere.
template <class T, int W>
POLYAD_INLINE void scatter(const T* from, std::int64_t n, std::int64_t samples, std::int64_t stride,
                           T* to) {
  if constexpr (W % kLanes<T> == 0) {
    constexpr int L = kLanes<T>;
    for (int part = 0; part < W; part += L) {
      for (std::int64_t k = 0; k < n; k += L) {
        Vector<T> block[L];
        for (int i = 0; i < L; ++i) {
          block[i] = k + i < n ? polyad::load(from + (k + i) * W + part) : Vector<T>{};
        }
        transpose<1, T>(block);
        for (int i = 0; i < L; ++i) {
          if (part + i < samples) store_first(to + (part + i) * stride + k, block[i], n - k);
        }
      }
    }
  } else {
    for (std::int64_t k = 0; k < n; ++k) {
      for (int i = 0; i < W; ++i) {
        if (i < samples) to[i * stride + k] = from[k * W + i];
      }
    }
  }
}

// R rows of a product, out [R][W] <- (add: +=) w [R, K] u [K][W].
template <int R, bool add, class T, int W, class Size>
POLYAD_INLINE void product_tile(const T* w, const Size& K, const T* u, T* out) {
  using L = Lanes<T, W>;
  constexpr int P = L::kParts;
  typename L::Part sum[R][P];
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) {
      sum[r][p] = add ? L::load(out + r * W + p * L::kWidth) : typename L::Part{};
    }
  }
  for_each_number(K, [&](std::int64_t k) {
    typename L::Part x[P];
    for (int p = 0; p < P; ++p) x[p] = L::load(u + k * W + p * L::kWidth);
    for (int r = 0; r < R; ++r) {
      const typename L::Part weight = L::splat(w[r * K + k]);
      for (int p = 0; p < P; ++p) sum[r][p] += weight * x[p];
    }
  });
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) L::store(out + r * W + p * L::kWidth, sum[r][p]);
  }
}

// Rows of a product in registers at once.
template <class T, int W>
constexpr int kRows = 16 / Lanes<T, W>::kParts * (kVectorBytes == 64 ? 2 : 1) / 2;

template <int R, bool add, class T, int W, class Size>
POLYAD_INLINE void product_rows(const T* w, std::int64_t rows, const Size& K, const T* u, T* out) {
  std::int64_t row = 0;
  for (; row + R <= rows; row += R) product_tile<R, add, T, W>(w + row * K, K, u, out + row * W);
  if constexpr (R > 1) {
    if (row < rows) {
      product_rows<R / 2, add, T, W>(w + row * K, rows - row, K, u, out + row * W);
    }
  }
}

// out [rows][W] <- (add: +=) w [rows, K] u [K][W], k ascending.
template <bool add, class T, int W>
void product(const T* w, std::int64_t rows, std::int64_t K, const T* u, T* out) {
  constexpr int R = kRows<T, W>;
  if constexpr (kKnownSizes<T, W>) {
    if (K == 8) return product_rows<R, add, T, W>(w, rows, Fixed<8>{}, u, out);
    if (K == 16) return product_rows<R, add, T, W>(w, rows, Fixed<16>{}, u, out);
  }
  product_rows<R, add, T, W>(w, rows, K, u, out);
}

// C columns of out [K][W] += w^T x, with w [rows, K] and x [rows][W].
template <int C, class T, int W, class Size>
POLYAD_INLINE void transposed_tile(const T* w, std::int64_t rows, const Size& K, const T* x,
                                   T* out) {
  using L = Lanes<T, W>;
  constexpr int P = L::kParts;
  typename L::Part sum[C][P];
  for (int c = 0; c < C; ++c) {
    for (int p = 0; p < P; ++p) sum[c][p] = L::load(out + c * W + p * L::kWidth);
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    typename L::Part each[P];
    for (int p = 0; p < P; ++p) each[p] = L::load(x + row * W + p * L::kWidth);
    for (int c = 0; c < C; ++c) {
      const typename L::Part weight = L::splat(w[row * K + c]);
      for (int p = 0; p < P; ++p) sum[c][p] += weight * each[p];
    }
  }
  for (int c = 0; c < C; ++c) {
    for (int p = 0; p < P; ++p) L::store(out + c * W + p * L::kWidth, sum[c][p]);
  }
}

template <int C, class T, int W, class Size>
POLYAD_INLINE void transposed_columns(const T* w, std::int64_t rows, std::int64_t columns,
                                      const Size& K, const T* x, T* out) {
  std::int64_t k = 0;
  for (; k + C <= columns; k += C) transposed_tile<C, T, W>(w + k, rows, K, x, out + k * W);
  if constexpr (C > 1) {
    if (k < columns) {
      transposed_columns<C / 2, T, W>(w + k, rows, columns - k, K, x, out + k * W);
    }
  }
}

// out [K][W] += w^T x, with w [rows, K] and x [rows][W], rows ascending.
template <class T, int W>
void transposed_product(const T* w, std::int64_t rows, std::int64_t K, const T* x, T* out) {
  constexpr int C = 8 / Lanes<T, W>::kParts;
  if constexpr (kKnownSizes<T, W>) {
    if (K == 8) return transposed_columns<C, T, W>(w, rows, 8, Fixed<8>{}, x, out);
    if (K == 16) return transposed_columns<C, T, W>(w, rows, 16, Fixed<16>{}, x, out);
  }
  transposed_columns<C, T, W>(w, rows, K, K, x, out);
}

// R rows of the votes of N inputs, and what they add to their dot products with M vectors.
template <int N, int R, int M, class T, int W, class Size>
POLYAD_INLINE void votes_tile(const T* const (&w)[N], const Size& K, const T* const (&u)[N],
                              const T* const (&x)[M], std::int64_t row, T* const (&votes)[N],
                              typename Lanes<T, W>::Part (&dot)[N][M][Lanes<T, W>::kParts]) {
  using L = Lanes<T, W>;
  constexpr int P = L::kParts;
  typename L::Part sum[N][R][P] = {};
  const T* first[N];
  for (int n = 0; n < N; ++n) first[n] = w[n] + row * K;
  for_each_number(K, [&](std::int64_t k) {
    for (int n = 0; n < N; ++n) {
      typename L::Part each[P];
      for (int p = 0; p < P; ++p) each[p] = L::load(u[n] + k * W + p * L::kWidth);
      for (int r = 0; r < R; ++r) {
        const typename L::Part weight = L::splat(first[n][r * K + k]);
        for (int p = 0; p < P; ++p) sum[n][r][p] += weight * each[p];
      }
    }
  });
  for (int n = 0; n < N; ++n) {
    for (int r = 0; r < R; ++r) {
      for (int p = 0; p < P; ++p) {
        L::store(votes[n] + (row + r) * W + p * L::kWidth, sum[n][r][p]);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int m = 0; m < M; ++m) {
      for (int p = 0; p < P; ++p) {
        const typename L::Part y = L::load(x[m] + (row + r) * W + p * L::kWidth);
        for (int n = 0; n < N; ++n) dot[n][m][p] += sum[n][r][p] * y;
      }
    }
  }
}

template <int N, int R, int M, class T, int W, class Size>
POLYAD_INLINE void votes_tiles(const T* const (&w)[N], const Size& K, const T* const (&u)[N],
                               const T* const (&x)[M], std::int64_t row, std::int64_t end,
                               T* const (&votes)[N],
                               typename Lanes<T, W>::Part (&dot)[N][M][Lanes<T, W>::kParts]) {
  for (; row + R <= end; row += R) {
    votes_tile<N, R, M, T, W>(w, K, u, x, row, votes, dot);
  }
  if constexpr (R > 1) {
    if (row < end) votes_tiles<N, R / 2, M, T, W>(w, K, u, x, row, end, votes, dot);
  }
}

// votes [rows][W] of N inputs with weights w [rows, K] and numbers u [K][W], and, while they are in
// registers, their dot products with M vectors x [rows][W]: out + (n M + m) J W, [J][W].
template <int N, int M, class T, int W, class Size>
POLYAD_INLINE void votes_and_dots_of(const T* const (&w)[N], const Size& K, const T* const (&u)[N],
                                     std::int64_t J, std::int64_t D, const T* const (&x)[M],
                                     T* const (&votes)[N], T* out) {
  using L = Lanes<T, W>;
  constexpr int R = kRows<T, W> / N;
  for (std::int64_t j = 0; j < J; ++j) {
    typename L::Part dot[N][M][L::kParts] = {};
    votes_tiles<N, R, M, T, W>(w, K, u, x, j * D, (j + 1) * D, votes, dot);
    for (int n = 0; n < N; ++n) {
      for (int m = 0; m < M; ++m) {
        for (int p = 0; p < L::kParts; ++p) {
          L::store(out + ((n * M + m) * J + j) * W + p * L::kWidth, dot[n][m][p]);
        }
      }
    }
  }
}

template <int N, int M, class T, int W>
void votes_and_dots(const T* const (&w)[N], std::int64_t K, const T* const (&u)[N], std::int64_t J,
                    std::int64_t D, const T* const (&x)[M], T* const (&votes)[N], T* out) {
  if constexpr (kKnownSizes<T, W> && N == kTogether<T, W>) {
    if (K == 8) return votes_and_dots_of<N, M, T, W>(w, Fixed<8>{}, u, J, D, x, votes, out);
    if (K == 16) return votes_and_dots_of<N, M, T, W>(w, Fixed<16>{}, u, J, D, x, votes, out);
  }
  votes_and_dots_of<N, M, T, W>(w, K, u, J, D, x, votes, out);
}

// The same dot products of votes that are there: out + (n M + m) J W, [J][W].
template <int N, int M, class T, int W>
void dots(T* const (&votes)[N], std::int64_t J, std::int64_t D, const T* const (&x)[M], T* out) {
  using L = Lanes<T, W>;
  for (std::int64_t j = 0; j < J; ++j) {
    for (int p = 0; p < L::kParts; ++p) {
      typename L::Part dot[N][M] = {};
      for (std::int64_t at = j * D * W + p * L::kWidth; at < (j + 1) * D * W; at += W) {
        for (int m = 0; m < M; ++m) {
          const typename L::Part y = L::load(x[m] + at);
          for (int n = 0; n < N; ++n) dot[n][m] += L::load(votes[n] + at) * y;
        }
      }
      for (int n = 0; n < N; ++n) {
        for (int m = 0; m < M; ++m) {
          L::store(out + ((n * M + m) * J + j) * W + p * L::kWidth, dot[n][m]);
        }
      }
    }
  }
}

// sums [J D][W] += sum over N inputs of c [J][W] x [J D][W]; c of input n at n * c_span.
template <int N, class T, int W>
POLYAD_INLINE void add_scaled(const T* c, std::int64_t c_span, T* const (&x)[N], std::int64_t J,
                              std::int64_t D, T* sums) {
  using L = Lanes<T, W>;
  for (std::int64_t j = 0; j < J; ++j) {
    for (int p = 0; p < L::kParts; ++p) {
      typename L::Part scale[N];
      for (int n = 0; n < N; ++n) scale[n] = L::load(c + n * c_span + j * W + p * L::kWidth);
      for (std::int64_t at = j * D * W + p * L::kWidth; at < (j + 1) * D * W; at += W) {
        typename L::Part sum = L::load(sums + at);
        for (int n = 0; n < N; ++n) sum += scale[n] * L::load(x[n] + at);
        L::store(sums + at, sum);
      }
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
