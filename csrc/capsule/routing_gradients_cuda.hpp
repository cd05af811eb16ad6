// The end of the backward pass of routing on CUDA: from couplings, their adjoints and vectors to
// the gradients. All of u_hat' is a sum of few terms,
//
//   u_hat'_ij = even_ij s'_j of the iteration with even couplings, if there is one
//             + sum over the kept iterations of c_ij s'_j + l'_ij V_j,
//
// so that neither votes nor couplings are computed again.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "capsule/routing_pass_cuda.hpp"

namespace polyad::capsule::cuda {

template <class T>
struct Terms {
  const T* even_s;  // [B, J, D] s' or null
  const T* even;    // [I, J], or null: factor everywhere
  T factor;
  int kept;             // iterations
  const T* kept_s;      // [kept, B, J, D]
  const T* kept_total;  // [kept, B, J, D] V, or null: the agreements are constants
  const T* kept_c;      // [kept, I, J, pitch]
  const T* kept_l;      // [kept, I, J, pitch]
  int pitch;
};

template <class T>
struct Gradients {
  Extent extent;
  CapsuleTypes types;
  Terms<T> terms;
  bool add;         // to what an earlier slice has left in grad_weight
  const T* u;       // [B, I, K]
  const T* weight;  // [types, J, D, K]
  T* grad_u;        // [B, I, K]
  T* grad_weight;   // [types, J, D, K]
  T* partial;       // [pieces, types, J, D, K]; null where there is one piece
};

// Pieces into which the inputs of each type are divided.
template <class T>
std::int64_t pieces_of(const RoutingShape& shape, const CapsuleTypes& types);

// Also with no samples: grad_weight is zero then.
template <class T>
void gradients(const Gradients<T>& args, std::int64_t pieces, cudaStream_t stream);

template <class T>
void gradient_of_votes(const Extent& extent, const Terms<T>& terms, T* grad_votes,
                       cudaStream_t stream);

// to [J, D] (+)= the sum of from [sets, B, J, D] over sets and samples.
template <class T>
void sum_vectors(const Extent& extent, std::int64_t sets, const T* from, bool add, T* to,
                 cudaStream_t stream);

// to [I, J] (+)= the sum of from [sets, I, J, pitch] over sets and samples.
template <class T>
void sum_connections(const Extent& extent, std::int64_t sets, const T* from, int pitch, bool add,
                     T* to, cudaStream_t stream);

}  // namespace polyad::capsule::cuda
