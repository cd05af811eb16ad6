// The formulas of addressing on a value type V: a number on CUDA, a register of rows on the CPU.
// notes on notation: for row i of the memory and one head, d_i = M_i . k, n_i = |M_i|, and the
// weights go content w^c -> interpolated w^g -> shifted w~ -> sharpened w.
#pragma once

#include <cstdint>

#include "common/math.hpp"

namespace polyad::ntm {

// Where epsilon stands in the cosine similarity:
//   root  c_i = d_i / sqrt((n_i^2 + eps) (|k|^2 + eps))       sum  c_i = d_i / (n_i |k| + eps)
enum class Similarity : int { root = 0, sum = 1 };

namespace {

// Weights are taken as at least this before their logarithm.
template <class T>
constexpr T kSmallestWeight = static_cast<T>(1e-30);

// Stands for minus infinity where a maximum is taken; exp gives 0.
template <class T>
constexpr T kLowest = static_cast<T>(-3e38);

// What a key contributes to the similarity: its square norm under the root, or its norm.
template <class T>
POLYAD_INLINE T key_size(T square, T epsilon, Similarity similarity) {
  return sqrt_of(similarity == Similarity::root ? square + epsilon : square);
}

// q_i with c_i = d_i q_i, from the square norm of the row and `key_size`.
template <class V, class T>
POLYAD_INLINE V cosine_scale(const V& square, T key, T epsilon, Similarity similarity) {
  if (similarity == Similarity::root) return 1 / (sqrt_of(square + epsilon) * key);
  return 1 / (sqrt_of(square) * key + epsilon);
}

// alpha_i in dc_i/dM_i = q_i k - c_i alpha_i M_i: 1 / (n_i^2 + eps), or q_i |k| / n_i (0 at n_i =
// 0).
template <class V, class T>
POLYAD_INLINE V row_pull(const V& square, const V& scale, T key, T epsilon, Similarity similarity) {
  if (similarity == Similarity::root) return 1 / (square + epsilon);
  const V zero = V{};
  const V size = sqrt_of(square);
  return size > zero ? scale * key / (size > zero ? size : size + 1) : zero;
}

// beta_i in dc_i/dk = q_i M_i - c_i beta_i k: 1 / (|k|^2 + eps), or q_i n_i / |k| (0 at k = 0).
template <class V, class T>
POLYAD_INLINE V key_pull(const V& square, const V& scale, T key, Similarity similarity) {
  const V zero = V{};
  if (similarity == Similarity::root) return zero + 1 / (key * key);
  return key > T{0} ? scale * sqrt_of(square) / key : zero;
}

// w^g = g w^c + (1 - g) w_prev
template <class V, class T>
POLYAD_INLINE V interpolated(const V& content, const V& previous, T gate) {
  return gate * content + (1 - gate) * previous;
}

// l = log max(w~, 1e-30); NaN stays NaN
template <class T, class V>
POLYAD_INLINE V bounded_log(const V& shifted) {
  const V smallest = V{} + kSmallestWeight<T>;
  return log_of(shifted < smallest ? smallest : shifted);
}

// dL/dw~_i = gamma exp((gamma - 1) l_i - log sum_j exp(gamma l_j)) (wbar_i - tau): no division by
// w~
template <class V, class T>
POLYAD_INLINE V sharpen_adjoint(const V& log_shifted, const V& grad, T tau, T gamma, T log_sum) {
  return gamma * exp_of((gamma - 1) * log_shifted - log_sum) * (grad - tau);
}

// x modulo n for x >= -n S, as a circular shift needs it.
POLYAD_INLINE std::int64_t wrapped(std::int64_t x, std::int64_t n) {
  const std::int64_t r = x % n;
  return r < 0 ? r + n : r;
}

}  // namespace
}  // namespace polyad::ntm
