// Where a head of a Neural Turing Machine looks: content, interpolate, shift, sharpen, and the four
// fused. Per head, i a row of the memory:
//
//   content       c_i = M_i . k / sqrt((|M_i|^2 + eps) (|k|^2 + eps))        (Similarity::root)
//                 c_i = M_i . k / (|M_i| |k| + eps)                          (Similarity::sum)
//                 w^c = softmax(beta c)
//   interpolate   w^g = g w^c + (1 - g) w_prev
//   shift         w~_i = sum_j s_j w^g_{(i - j + S / 2) mod N}
//   sharpen       w = w~^gamma / sum w~^gamma = softmax(gamma log max(w~, 1e-30))
//
// A backward pass takes the inputs of its forward pass and the gradient of its output, computes
// forward again, and gives the gradients of all inputs. At w~ = 0 the gradient of sharpen is the
// limit from the right. Values and gradients are finite for finite inputs in range, also for a zero
// memory, a zero key and one-hot weights.
//
// Accuracy: sums are taken in T in one fixed order, the same for any batch and any number of
// threads. Error relative to the largest element of an output or gradient: a few hundred eps, times
// beta for content and times gamma |log w~| for sharpen, whose exponents carry that rounding.
// Across levels and devices results agree within the same. Outputs may not alias inputs.
#pragma once

#include <cstdint>

#include "ntm/addressing_math.hpp"
#include "ntm/scratch.hpp"

namespace polyad::ntm {

// Sizes that the ops of addressing share. B may be 0; N, M, H, S >= 1; S is odd and may exceed N.
struct HeadsShape {
  std::int64_t batch;   // B
  std::int64_t rows;    // N
  std::int64_t width;   // M; not used where there is no memory
  std::int64_t heads;   // H
  std::int64_t shifts;  // S; not used where there is no kernel
};

// What the CPU splits its work into; on CUDA `scratch` is [cuda::addressing_scratch], or null.
template <class T>
struct PartedScratch {
  std::int64_t parts;  // >= 1 unless there is nothing to do
  T* scratch;          // [parts, elements of a part]
};

// Heads of one memory that are addressed together; more go in groups of this many.
inline constexpr std::int64_t kHeadsAtOnce = 8;

// Elements of a part for any op of addressing, forward or backward; without a memory M = 0.
template <class T>
POLYAD_INLINE constexpr std::int64_t addressing_scratch(const HeadsShape& shape) {
  const std::int64_t heads = shape.heads < kHeadsAtOnce ? shape.heads : kHeadsAtOnce;
  const std::int64_t n = whole_lines<T>(shape.rows), halo = whole_lines<T>(shape.shifts / 2);
  const std::int64_t trail = 4 * n + 2 * halo + whole_lines<T>(1);
  // memory and its gradient; squares; previous, weights and their gradients, trails; backward's own
  return 2 * shape.width * n + n + heads * (3 * n + trail) + (heads + 4) * n + 4 * halo +
         whole_lines<T>(heads) + 2 * whole_lines<T>(1);
}

// X is the storage type (float, double; on CUDA also half types), T the type computed in.

template <class X, class T = X>
struct ContentArgs {
  HeadsShape shape;
  Similarity similarity;
  double epsilon;   // > 0
  const X* memory;  // [B, N, M]
  const X* key;     // [B, H, M]
  const X* beta;    // [B, H] >= 0
  X* out;           // [B, H, N] w^c
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct ContentBackwardArgs {
  HeadsShape shape;
  Similarity similarity;
  double epsilon;
  const X* memory;  // [B, N, M]
  const X* key;     // [B, H, M]
  const X* beta;    // [B, H]
  const X* grad;    // [B, H, N] dL/dw^c
  X* grad_memory;   // [B, N, M]
  X* grad_key;      // [B, H, M]
  X* grad_beta;     // [B, H]
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct InterpolateArgs {
  HeadsShape shape;
  const X* content;   // [B, H, N]
  const X* previous;  // [B, H, N]
  const X* gate;      // [B, H] in [0, 1]
  X* out;             // [B, H, N] w^g
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct InterpolateBackwardArgs {
  HeadsShape shape;
  const X* content;   // [B, H, N]
  const X* previous;  // [B, H, N]
  const X* gate;      // [B, H]
  const X* grad;      // [B, H, N] dL/dw^g
  X* grad_content;    // [B, H, N]
  X* grad_previous;   // [B, H, N]
  X* grad_gate;       // [B, H]
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct ShiftArgs {
  HeadsShape shape;
  const X* weights;  // [B, H, N]
  const X* kernel;   // [B, H, S]
  X* out;            // [B, H, N] w~
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct ShiftBackwardArgs {
  HeadsShape shape;
  const X* weights;  // [B, H, N]
  const X* kernel;   // [B, H, S]
  const X* grad;     // [B, H, N] dL/dw~
  X* grad_weights;   // [B, H, N]
  X* grad_kernel;    // [B, H, S]
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct SharpenArgs {
  HeadsShape shape;
  const X* weights;  // [B, H, N] >= 0
  const X* gamma;    // [B, H] >= 1
  X* out;            // [B, H, N] w
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct SharpenBackwardArgs {
  HeadsShape shape;
  const X* weights;  // [B, H, N]
  const X* gamma;    // [B, H]
  const X* grad;     // [B, H, N] dL/dw
  X* grad_weights;   // [B, H, N]
  X* grad_gamma;     // [B, H]
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct AddressingArgs {
  HeadsShape shape;
  Similarity similarity;
  double epsilon;
  const X* memory;    // [B, N, M]
  const X* previous;  // [B, H, N]
  const X* key;       // [B, H, M]
  const X* beta;      // [B, H] >= 0
  const X* gate;      // [B, H] in [0, 1]
  const X* kernel;    // [B, H, S]
  const X* gamma;     // [B, H] >= 1
  X* out;             // [B, H, N] w
  PartedScratch<T> scratch;
};

template <class X, class T = X>
struct AddressingBackwardArgs {
  HeadsShape shape;
  Similarity similarity;
  double epsilon;
  const X* memory;    // [B, N, M]
  const X* previous;  // [B, H, N]
  const X* key;       // [B, H, M]
  const X* beta;      // [B, H]
  const X* gate;      // [B, H]
  const X* kernel;    // [B, H, S]
  const X* gamma;     // [B, H]
  const X* grad;      // [B, H, N] dL/dw
  X* grad_memory;     // [B, N, M]
  X* grad_previous;   // [B, H, N]
  X* grad_key;        // [B, H, M]
  X* grad_beta;       // [B, H]
  X* grad_gate;       // [B, H]
  X* grad_kernel;     // [B, H, S]
  X* grad_gamma;      // [B, H]
  PartedScratch<T> scratch;
};

void content(const ContentArgs<float>& args);
void content(const ContentArgs<double>& args);
void content_backward(const ContentBackwardArgs<float>& args);
void content_backward(const ContentBackwardArgs<double>& args);
void interpolate(const InterpolateArgs<float>& args);
void interpolate(const InterpolateArgs<double>& args);
void interpolate_backward(const InterpolateBackwardArgs<float>& args);
void interpolate_backward(const InterpolateBackwardArgs<double>& args);
void shift(const ShiftArgs<float>& args);
void shift(const ShiftArgs<double>& args);
void shift_backward(const ShiftBackwardArgs<float>& args);
void shift_backward(const ShiftBackwardArgs<double>& args);
void sharpen(const SharpenArgs<float>& args);
void sharpen(const SharpenArgs<double>& args);
void sharpen_backward(const SharpenBackwardArgs<float>& args);
void sharpen_backward(const SharpenBackwardArgs<double>& args);
void addressing(const AddressingArgs<float>& args);
void addressing(const AddressingArgs<double>& args);
void addressing_backward(const AddressingBackwardArgs<float>& args);
void addressing_backward(const AddressingBackwardArgs<double>& args);

}  // namespace polyad::ntm
