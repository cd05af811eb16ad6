// Reading and writing the memory of a Neural Turing Machine, with weightings of H heads:
//
//   read    r_h = sum_i w_h,i M_i
//   write   M' = M o prod_h (1 - w_h e_h^T) + sum_h w_h a_h^T      (all erases, then all adds)
//
// A backward pass takes the inputs of its forward pass and the gradient of its output, and gives
// the gradients of all inputs. Products that leave one head out need no division: zeros are exact.
//
// Accuracy: sums are taken in T in one fixed order, the same for any batch and any number of
// threads; error at most a few hundred eps relative to the sum of absolute terms. Outputs may not
// alias inputs.
#pragma once

#include <cstdint>

#include "ntm/addressing.hpp"
#include "ntm/memory_math.hpp"

namespace polyad::ntm {

// Elements of a part for read and write, forward or backward; sizes as in addressing.hpp.
template <class T>
POLYAD_INLINE constexpr std::int64_t memory_scratch(const HeadsShape& shape) {
  const std::int64_t heads = shape.heads < kMaxWriteHeads ? shape.heads : kMaxWriteHeads;
  return 2 * (shape.width + heads) * whole_lines<T>(shape.rows);
}

// X is the storage type (float, double; on CUDA also half types), T the type computed in.

template <class X, class T = X>
struct ReadArgs {
  HeadsShape shape;
  const X* memory;   // [B, N, M]
  const X* weights;  // [B, H, N]
  X* out;            // [B, H, M]
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct ReadBackwardArgs {
  HeadsShape shape;
  const X* memory;   // [B, N, M]
  const X* weights;  // [B, H, N]
  const X* grad;     // [B, H, M] dL/dr
  X* grad_memory;    // [B, N, M]
  X* grad_weights;   // [B, H, N]
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct WriteArgs {
  HeadsShape shape;  // H <= kMaxWriteHeads
  const X* memory;   // [B, N, M]
  const X* weights;  // [B, H, N]
  const X* erase;    // [B, H, M]
  const X* add;      // [B, H, M]
  X* out;            // [B, N, M]
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct WriteBackwardArgs {
  HeadsShape shape;
  const X* memory;   // [B, N, M]
  const X* weights;  // [B, H, N]
  const X* erase;    // [B, H, M]
  const X* add;      // [B, H, M]
  const X* grad;     // [B, N, M] dL/dM'
  X* grad_memory;    // [B, N, M]
  X* grad_weights;   // [B, H, N]
  X* grad_erase;     // [B, H, M]
  X* grad_add;       // [B, H, M]
  PartedScratch<T> scratch;
};

void read(const ReadArgs<float>& args);
void read(const ReadArgs<double>& args);
void read_backward(const ReadBackwardArgs<float>& args);
void read_backward(const ReadBackwardArgs<double>& args);
void write(const WriteArgs<float>& args);
void write(const WriteArgs<double>& args);
void write_backward(const WriteBackwardArgs<float>& args);
void write_backward(const WriteBackwardArgs<double>& args);

}  // namespace polyad::ntm
