// Routing by agreement between capsules (Sabour, Frosst and Hinton, Dynamic Routing Between
// Capsules, 2017, procedure 1), without ever storing the votes:
//
//   votes      u_hat_ij = W_ij u_i                          W_ij = weight[type of i][j], or of i
//   itself t = 1..r   l_ij     = b_ij + u_hat_ij . V_j             V = sum of the outputs v^1 ..
//   v^(t-1)
//              c_i.     = softmax_j(l_i.)                   leaky: beside one more logit, which is
//              0 s_j      = beta_j + sum_i c_ij u_hat_ij v_j      = squash(s_j) squash.hpp
//   output     v^r
//
// Because l is a sum over t of u_hat . v, neither logits nor votes outlive the block in which they
// are computed; a backward pass takes {s^t} and computes them again.
//
// Backward, from g = dL/dv^r, with x' for dL/dx and R = 0 at first:
//
//   t = r..1   v'_j   = g_j at t = r, else R_j
//              s'_j   = squash_backward(s^t_j, v'_j)
//              e_ij   = u_hat_ij . s'_j
//              l'_ij  = c_ij (e_ij - sum_k c_ik e_ik)
//              R_j   += sum_i l'_ij u_hat_ij                 for t > 1
//   u_hat'_ij = sum_t c^t_ij s'^t_j + sum_{t > 1} l'^t_ij V^(t-1)_j
//   W'_ij     = sum_b u_hat'_ij u_i^T     u'_i = sum_j W_ij^T u_hat'_ij
//   beta'_j   = sum_{t, b} s'^t_j         b'_ij = sum_{t, b} l'^t_ij
//
// detach: the agreements u_hat . V are constants, as the first repositories had it: only t = r
// counts, u_hat' = c^r s'^r, beta' = s'^r, b' = l'^r.
//
// routing_votes takes the votes themselves in place of u and weight, and gives u_hat'.
//
// Accuracy: sums over i are taken in T in one fixed order: pieces of 64 inputs, then those pieces
// in chunks (RoutingShape::chunks), then the chunks; the order depends on the shape without its
// batch alone, so a sample's result does not depend on the batch or on threads. Error at most a few
// hundred eps relative to the sum of absolute terms. Outputs may not alias inputs. Every pointer
// that may be null says so.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::capsule {

struct RoutingShape {
  std::int64_t batch;        // B
  std::int64_t inputs;       // I, capsules below; at least 1
  std::int64_t input_size;   // K; at least 1; 0 says that votes are given
  std::int64_t outputs;      // J, capsules above; at least 1
  std::int64_t output_size;  // D; at least 1
  std::int64_t iterations;   // r; at least 1

  // The numbers of one output of all capsules, or of the votes of one input capsule: J D.
  POLYAD_INLINE constexpr std::int64_t rows() const { return outputs * output_size; }

  // Inputs go into at most 32 chunks of equal size, each a multiple of 64 inputs.
  POLYAD_INLINE constexpr std::int64_t chunk() const {
    const std::int64_t pieces = (inputs + 63) / 64;
    return (pieces + 31) / 32 * 64;
  }
  POLYAD_INLINE constexpr std::int64_t chunks() const { return (inputs + chunk() - 1) / chunk(); }
};

// Which weights an input uses: its own, or those of its type.
struct CapsuleTypes {
  std::int64_t types;        // I where every input has weights of its own
  const std::int32_t* type;  // [I], values in 0 .. types - 1; null: input i has type i
  // Backward only: the inputs in ascending order of type, and where each type begins. Null with
  // type.
  const std::int32_t* order;  // [I]
  const std::int32_t* begin;  // [types + 1]
};

template <class T>
struct RoutingArgs {
  RoutingShape shape;
  CapsuleTypes types;
  bool leaky;
  const T* u;          // [B, I, K]; null: votes are given
  const T* weight;     // [types, J, D, K]; null: votes are given
  const T* votes;      // [B, I, J, D]; null: u and weight are given
  const T* bias;       // [J, D] or null
  const T* logits;     // [I, J] or null
  T* s;                // [r, B, J, D]
  T* v;                // [B, J, D]
  T* couplings;        // [B, I, J], of the last iteration, or null
  std::int64_t parts;  // CPU: pieces that the work is split into, each with its own part of scratch
  T* scratch;          // routing_scratch<T>(shape, parts) elements, 64-byte aligned
};

template <class T>
struct RoutingBackwardArgs {
  RoutingShape shape;
  CapsuleTypes types;
  bool leaky;
  bool detach;
  const T* u;  // as in the forward pass
  const T* weight;
  const T* votes;
  const T* logits;
  const T* s;          // [r, B, J, D] what the forward pass gave
  const T* grad;       // [B, J, D] dL/dv^r
  T* grad_u;           // [B, I, K]; null with u
  T* grad_weight;      // [types, J, D, K]; null with weight
  T* grad_votes;       // [B, I, J, D]; null with votes
  T* grad_bias;        // [J, D] or null
  T* grad_logits;      // [I, J] or null
  std::int64_t parts;  // as in the forward pass
  T* scratch;          // routing_backward_scratch<T>(shape, types, detach, parts) elements
};

// Parts for the number of threads in use; results do not depend on them.
std::int64_t routing_parts();

// Elements of scratch, the same at every ISA level.
template <class T>
std::int64_t routing_scratch(const RoutingShape& shape, std::int64_t parts);
template <class T>
std::int64_t routing_backward_scratch(const RoutingShape& shape, const CapsuleTypes& types,
                                      bool detach, std::int64_t parts);

void routing(const RoutingArgs<float>& args);
void routing(const RoutingArgs<double>& args);
void routing_backward(const RoutingBackwardArgs<float>& args);
void routing_backward(const RoutingBackwardArgs<double>& args);

}  // namespace polyad::capsule
