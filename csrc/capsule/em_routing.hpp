// Routing of matrix capsules by expectation maximisation (Hinton, Sabour and Frosst, Matrix
// Capsules with EM Routing, 2018, procedure 1), without ever storing the votes:
//
//   votes        V_ij = M_i W_ij            p x p matrices of P = p p numbers, h = 0 .. P - 1
//   t = 1..r     R_ij = 1 / J at t = 1, else softmax_j(l_ij) of the E-step before
//     M-step     r_ij = R_ij a_i            S_j = sum_i r_ij            D_j = S_j + eps
//                mu_jh  = sum_i r_ij V_ijh / D_j
//                var_jh = sum_i r_ij (V_ijh - mu_jh)^2 / D_j + eps
//                z_j    = lambda_t (beta_a_j - S_j sum_h (beta_u_j + 1/2 log var_jh))
//     E-step     l_ij   = log sigmoid(z_j) - sum_h ( 1/2 log var_jh + (V_ijh - mu_jh)^2 / (2
//     var_jh) )
//   output       mu and sigmoid(z) of t = r
//
// (The 1/2 log(2 pi) of the density is the same for every j and leaves the softmax as it is.)
//
// Backward, from g = dL/dmu and dL/dsigmoid(z) at t = r, with x' for dL/dx and
// d_ijh = V_ijh - mu_jh; all of it at iteration t:
//
//   cost'_j  = -lambda_t z'_j               beta_a'_j += lambda_t z'_j    beta_u'_j += P S_j
//   cost'_j var'_jh += cost'_j S_j / (2 var_jh) alpha_jh = var'_jh / D_j                the adjoint
//   of sum_i r_ij d_ijh^2 nu_jh    = (mu'_jh - 2 eps mu_jh alpha_jh) / D_j
//                                           sum_i r_ij d_ijh = eps mu_jh is not quite zero
//   gamma_j  = cost'_j sum_h (beta_u_j + 1/2 log var_jh) - sum_h alpha_jh (var_jh - eps)
//   r'_ij    = gamma_j + sum_h d_ijh (alpha_jh d_ijh + nu_jh)
//   a'_i    += sum_j R_ij r'_ij             V'_ijh += r_ij (2 alpha_jh d_ijh + nu_jh)
//   and for t > 1, with mu, var, z and d of t - 1:
//   l'_ij    = R_ij a_i (r'_ij - sum_k R_ik r'_ik)
//   z'_j     = sigmoid(-z_j) sum_i l'_ij    mu'_jh = sum_i l'_ij d_ijh / var_jh
//   var'_jh  = sum_i l'_ij (d_ijh^2 / var_jh - 1) / (2 var_jh)
//   V'_ijh  -= l'_ij d_ijh / var_jh
//   at the end   W'_ij = sum_b M_i^T V'_ij       M'_i = sum_j V'_ij W_ij^T
//
// For V', nu is taken with sum_i r_ij d_ijh as it comes out in T instead of eps mu_jh: mu is
// rounded, and where var is small, alpha makes that rounding large.
//
// What the forward pass keeps is mu, var, z and S of every iteration: nothing of size B I J. Votes
// are computed once in every pass over the inputs: r passes forward, r + 1 backward.
//
// Accuracy: mean and spread of votes are gathered vote by vote (West, 1979), so that a spread which
// is small beside the mean keeps its digits and is never negative. Sums over i are taken in T in
// one fixed order, within chunks (EmShape::chunks) and then over them, which depends on the shape
// without its batch alone: a sample's result depends on neither batch nor threads. Error about
// sqrt(I) eps relative to the sum of absolute terms; a coupling is off by eps times the size of its
// logit. Votes up to 1e18 in float32 do not overflow. Outputs may not alias inputs.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::capsule {

struct EmShape {
  std::int64_t batch;       // B
  std::int64_t inputs;      // I, capsules below; at least 1
  std::int64_t outputs;     // J, capsules above; at least 1
  std::int64_t side;        // p; at least 1
  std::int64_t iterations;  // r; at least 1

  POLYAD_INLINE constexpr std::int64_t pose() const { return side * side; }       // P
  POLYAD_INLINE constexpr std::int64_t rows() const { return outputs * pose(); }  // J P

  // Inputs go into at most 16 chunks of equal size, each a multiple of 16 inputs.
  POLYAD_INLINE constexpr std::int64_t chunk() const {
    const std::int64_t pieces = (inputs + 15) / 16;
    return (pieces + 15) / 16 * 16;
  }
  POLYAD_INLINE constexpr std::int64_t chunks() const { return (inputs + chunk() - 1) / chunk(); }
};

template <class T>
struct EmRoutingArgs {
  EmShape shape;
  double epsilon;
  const double* inverse_temperature;  // [r] lambda, on the host
  const T* poses;                     // [B, I, P]
  const T* activations;               // [B, I] in [0, 1]
  const T* weight;                    // [I, J, p, p]
  const T* beta_u;                    // [J]
  const T* beta_a;                    // [J]
  T* out_poses;                       // [B, J, P]
  T* out_activations;                 // [B, J]
  T* mu;                              // [r, B, J, P]
  T* variance;                        // [r, B, J, P]
  T* score;                           // [r, B, J] z
  T* mass;                            // [r, B, J] S
  std::int64_t parts;                 // of the work, each with working space of its own
  T* scratch;                         // em_routing_scratch<T>(shape, parts) elements
};

template <class T>
struct EmRoutingBackwardArgs {
  EmShape shape;
  double epsilon;
  const double* inverse_temperature;  // [r] on the host
  const T* poses;                     // as in the forward pass
  const T* activations;
  const T* weight;
  const T* beta_u;
  const T* mu;  // [r, B, J, P] and so on: what the forward pass gave
  const T* variance;
  const T* score;
  const T* mass;
  const T* grad_out_poses;        // [B, J, P]
  const T* grad_out_activations;  // [B, J]
  T* grad_poses;                  // [B, I, P]
  T* grad_activations;            // [B, I]
  T* grad_weight;                 // [I, J, p, p]
  T* grad_beta_u;                 // [J]
  T* grad_beta_a;                 // [J]
  std::int64_t parts;
  T* scratch;  // em_routing_backward_scratch<T>(shape, parts) elements
};

// On the CPU, a block of samples lies across the lanes of a register; no level has more lanes.
template <class T>
constexpr std::int64_t kMostLanes = 64 / static_cast<std::int64_t>(sizeof(T));

// Inputs that are taken together: what is read for one of them, the Gaussians and the sums, serves
// the others as well.
constexpr std::int64_t kEmInputs = 4;

template <class T>
constexpr std::int64_t em_padded_batch(const EmShape& shape) {
  return (shape.batch + kMostLanes<T> - 1) / kMostLanes<T> * kMostLanes<T>;
}

// Elements of scratch on the CPU: the Gaussians of each block, what each chunk sums for it, and the
// working space of every part, which takes kEmInputs at a time.
template <class T>
constexpr std::int64_t em_routing_scratch(const EmShape& shape, std::int64_t parts) {
  const std::int64_t J = shape.outputs, rows = shape.rows();
  return em_padded_batch<T>(shape) * (2 * rows + J + shape.chunks() * (2 * rows + J)) +
         parts * kMostLanes<T> * kEmInputs * (rows + J + shape.pose() + 1);
}
template <class T>
constexpr std::int64_t em_routing_backward_scratch(const EmShape& shape, std::int64_t parts) {
  const std::int64_t J = shape.outputs, rows = shape.rows();
  return em_padded_batch<T>(shape) *
             (shape.iterations * (4 * rows + 2 * J) + 2 * J + shape.chunks() * (3 * rows + J)) +
         parts * kMostLanes<T> * (kEmInputs * (3 * rows + 2 * J + shape.pose() + 1) + shape.pose());
}

void em_routing(const EmRoutingArgs<float>& args);
void em_routing(const EmRoutingArgs<double>& args);
void em_routing_backward(const EmRoutingBackwardArgs<float>& args);
void em_routing_backward(const EmRoutingBackwardArgs<double>& args);

}  // namespace polyad::capsule
