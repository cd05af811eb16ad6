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
  for (std::int64_t k = 0; k < K; ++k) {
    typename L::Part x[P];
    for (int p = 0; p < P; ++p) x[p] = L::load(u + k * W + p * L::kWidth);
    for (int r = 0; r < R; ++r) {
      const typename L::Part weight = L::splat(w[r * K + k]);
      for (int p = 0; p < P; ++p) sum[r][p] += weight * x[p];
    }
  }
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
  if (K == 8) return product_rows<R, add, T, W>(w, rows, Fixed<8>{}, u, out);
  if (K == 16) return product_rows<R, add, T, W>(w, rows, Fixed<16>{}, u, out);
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
  if (K == 8) return transposed_columns<C, T, W>(w, rows, 8, Fixed<8>{}, x, out);
  if (K == 16) return transposed_columns<C, T, W>(w, rows, 16, Fixed<16>{}, x, out);
  transposed_columns<C, T, W>(w, rows, K, K, x, out);
}

// out [W] <- a . b over D numbers of every sample, in two interleaved sums.
template <class T, int W>
POLYAD_INLINE void dots(const T* a, const T* b, std::int64_t D, T* out) {
  using L = Lanes<T, W>;
  for (int p = 0; p < L::kParts; ++p) {
    const T* x = a + p * L::kWidth;
    const T* y = b + p * L::kWidth;
    typename L::Part even = {}, odd = {};
    std::int64_t d = 0;
    for (; d + 1 < D; d += 2) {
      even += L::load(x + d * W) * L::load(y + d * W);
      odd += L::load(x + (d + 1) * W) * L::load(y + (d + 1) * W);
    }
    if (d < D) even += L::load(x + d * W) * L::load(y + d * W);
    L::store(out + p * L::kWidth, even + odd);
  }
}

// out [D][W] += c [W] x [D][W]
template <class T, int W>
POLYAD_INLINE void add_scaled(const T* c, const T* x, std::int64_t D, T* out) {
  using L = Lanes<T, W>;
  for (int p = 0; p < L::kParts; ++p) {
    const int at = p * L::kWidth;
    const typename L::Part scale = L::load(c + at);
    for (std::int64_t d = 0; d < D; ++d) {
      T* to = out + d * W + at;
      L::store(to, L::load(to) + scale * L::load(x + d * W + at));
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
