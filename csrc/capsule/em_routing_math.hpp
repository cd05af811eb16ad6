// The steps of EM routing and their adjoints on a value type V: a number on CUDA, a register of
// samples on the CPU; T is the type of its numbers. Names as in em_routing.hpp.
#pragma once

#include <cstdint>

#include "common/device.hpp"
#include "common/math.hpp"

namespace polyad::capsule {
namespace {

// How votes of mass `added` and mean m change votes of mass `mass` and the mean n:
//   n' = n + toward (m - n)      spread' = spread + spread of the added + between (m - n)^2
template <class V>
struct Share {
  V toward;
  V between;
};

template <class V>
POLYAD_INLINE Share<V> share_of(const V& mass, const V& added) {
  const V whole = mass + added;
  const V toward = whole > V{} ? added / whole : V{};
  return {toward, mass * toward};
}

template <class V>
struct Gaussian {
  V mu;
  V variance;
};

// From the mean of votes weighted by r alone and sum_i r (V - mean)^2.
template <class T, class V>
POLYAD_INLINE Gaussian<V> gaussian_of(const V& mass, const V& mean, const V& spread, T epsilon) {
  const V whole = mass + epsilon;
  const V off = mean * (epsilon / whole);  // mean - mu
  return {mean * (mass / whole), (spread + mass * off * off) / whole + epsilon};
}

// z, where `logs` is sum_h 1/2 log var.
template <class T, class V>
POLYAD_INLINE V score_of(T lambda, T beta_u, T beta_a, T pose, const V& mass, const V& logs) {
  return lambda * (beta_a - mass * (pose * beta_u + logs));
}

template <class V>
POLYAD_INLINE V half_log(const V& variance) {
  return log_of(sqrt_of(variance));
}

// 1/2 log(var_jh / var_0h) stands in the logits for 1/2 log var_jh: the softmax over j does not see
// the difference, and what is summed is not large where all variances are. Roots first: their ratio
// does not overflow.
template <class V>
POLYAD_INLINE V half_log_ratio(const V& variance, const V& of_first) {
  return log_of(sqrt_of(variance) / sqrt_of(of_first));
}

// log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|))
template <class V>
POLYAD_INLINE V log_sigmoid_of(const V& x) {
  const V zero = V{};
  const V below = x < zero ? x : zero;
  return below - log_of(1 + exp_of(x < zero ? x : zero - x));
}

// A logit so low that its coupling is 0; logits below it could be -infinity, whose differences are
// not numbers.
template <class T, class V>
POLYAD_INLINE V bounded_logit(const V& logit) {
  constexpr T kLowest = sizeof(T) == 4 ? T(-1e38) : T(-1e300);
  return logit < V{} + kLowest ? V{} + kLowest : logit;
}

// What the adjoints of an iteration need of one output capsule besides mu and var.
template <class V>
struct MStep {
  V cost;     // cost'
  V by_log;   // cost' S / 2: var' gains by_log / var
  V of_mass;  // cost' sum_h (beta_u + 1/2 log var), the first part of gamma
  V beta_u;   // added to beta_u'
  V beta_a;   // added to beta_a'
};

template <class T, class V>
POLYAD_INLINE MStep<V> m_step_backward(T lambda, T beta_u, T pose, const V& mass, const V& logs,
                                       const V& grad_score) {
  const V to_beta_a = lambda * grad_score;
  const V cost = V{} - to_beta_a;
  return {cost, cost * mass * T(0.5), cost * (pose * beta_u + logs), pose * mass * cost, to_beta_a};
}

template <class V>
struct Slopes {
  V alpha;
  V nu;
};

template <class T, class V>
POLYAD_INLINE Slopes<V> slopes_of(const V& mass, const V& mu, const V& grad_mu,
                                  const V& grad_variance, T epsilon) {
  const V whole = mass + epsilon;
  const V alpha = grad_variance / whole;
  return {alpha, (grad_mu - (2 * epsilon) * mu * alpha) / whole};
}

// nu with `residual` = sum_i r d in place of eps mu.
template <class T, class V>
POLYAD_INLINE V corrected_nu(const V& mass, const V& mu, const V& alpha, const V& nu,
                             const V& residual, T epsilon) {
  return nu - 2 * alpha * ((residual - epsilon * mu) / (mass + epsilon));
}

// What a distance d = V - mu adds to r'.
template <class V>
POLYAD_INLINE V assigned_slope(const V& d, const V& alpha, const V& nu) {
  return d * (alpha * d + nu);
}

// mu' and var' of the Gaussian whose densities were the logits: from sum_i l', sum_i l' d and
// sum_i l' d^2, with sharp = 1 / (2 var).
template <class V>
POLYAD_INLINE Gaussian<V> e_step_backward(const V& sharp, const V& sum, const V& first,
                                          const V& second) {
  return {2 * sharp * first, sharp * (2 * (sharp * second) - sum)};
}

}  // namespace
}  // namespace polyad::capsule
