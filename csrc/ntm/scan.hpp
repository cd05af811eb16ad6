// A whole sequence of a Neural Turing Machine (Graves, Wayne, Danihelka 2014) in one call:
// controller, heads and memory, forward and backward, with no return to the caller between steps.
//
// One step, for each sequence, with K = R + W heads, read heads first:
//
//   layer 0     a = W_ih [x_t, r_{t-1}] + b_ih  (+ W_hh h_{t-1} + b_hh for an LSTM)
//   layer l     the same from [h^{l-1}_t];   LSTM: gates i, f, g, o as torch.nn.LSTM,
//               c = sigma(f) c_{t-1} + sigma(i) tanh(g), h = sigma(o) tanh(c);  else h = tanh(a)
//   heads       p = W_head h^top + b_head; of each head, in this order:
//               key [M], beta (softplus), gate (sigma), kernel [S] (softmax), gamma (1 + softplus),
//               and of a write head also erase [M] (sigma), add [M]; keys and adds linear or tanh
//   weights     w_t = addressing(M_{t-1}, w_{t-1}, p), all heads on the memory before the step
//   memory      M_t = M_{t-1} o prod_h (1 - w_h e_h^T) + sum_h w_h a_h^T
//   reads       r_t = M_t^T w  (M_{t-1} if read_first)
//   output      y_t = W_out [h^top, r_t] + b_out
//
// After its last step a sequence rests: outputs are zero, and its state is that of the last step.
//
// Accuracy: sums are taken in T in one fixed order, the same for any batch, any number of threads
// and any split into calls; results agree with double arithmetic within a few thousand eps relative
// to the largest value for well-scaled inputs. Across levels and devices: within that tolerance.
#pragma once

#include <cstdint>

#include "ntm/addressing_math.hpp"
#include "ntm/memory_math.hpp"
#include "ntm/scratch.hpp"

namespace polyad::ntm {

inline constexpr int kMaxLayers = 8;

struct ScanShape {
  std::int64_t batch;    // B
  std::int64_t steps;    // T, of the longest sequence
  std::int64_t inputs;   // I
  std::int64_t outputs;  // O
  std::int64_t hidden;   // H
  std::int64_t layers;   // L, 1 .. kMaxLayers
  std::int64_t rows;     // N
  std::int64_t width;    // M
  std::int64_t reads;    // R >= 1
  std::int64_t writes;   // W, 1 .. kMaxWriteHeads
  std::int64_t shifts;   // S, odd
  bool lstm;             // else feed-forward
  bool read_first;
  bool tanh_heads;  // keys and adds through tanh
  Similarity similarity;
  double epsilon;

  POLYAD_INLINE constexpr std::int64_t heads() const { return reads + writes; }      // K
  POLYAD_INLINE constexpr std::int64_t basic() const { return width + 3 + shifts; }  // a read head
  POLYAD_INLINE constexpr std::int64_t write_basic() const {
    return basic() + 2 * width;
  }  // a write head
  POLYAD_INLINE constexpr std::int64_t head_outputs() const {  // P
    return reads * basic() + writes * write_basic();
  }
  POLYAD_INLINE constexpr std::int64_t read_size() const { return reads * width; }        // R M
  POLYAD_INLINE constexpr std::int64_t gates() const { return (lstm ? 4 : 1) * hidden; }  // G
  POLYAD_INLINE constexpr std::int64_t layer_inputs(std::int64_t layer) const {
    return layer == 0 ? inputs + read_size() : hidden;
  }
};

// Weights, or their gradients. Layers that the shape does not have, and weight_hh and bias_hh of a
// feed-forward controller, are null. A gradient that is null is not computed.
template <class T>
struct ScanParameters {
  T* weight_ih[kMaxLayers];  // [G, layer_inputs]
  T* weight_hh[kMaxLayers];  // [G, H]
  T* bias_ih[kMaxLayers];    // [G]
  T* bias_hh[kMaxLayers];    // [G]
  T* head_weight;            // [P, H]
  T* head_bias;              // [P]
  T* output_weight;          // [O, H + R M]
  T* output_bias;            // [O]
};

// A state, or its gradient.
template <class T>
struct ScanState {
  T* memory;   // [B, N, M]
  T* reads;    // [B, R, M]
  T* weights;  // [B, K, N]
  T* h;        // [L, B, H], LSTM only
  T* c;        // [L, B, H], LSTM only
};

// What forward leaves for backward and for a trace. Row t + 1 is what step t left, row 0 the
// initial state; rows past a sequence's end are zero. Every pointer is null where nothing is to be
// kept.
template <class T>
struct ScanRecord {
  T* gates;    // [L, B, T, G] after their activations; feed-forward: null
  T* cells;    // [L, B, T + 1, H]; feed-forward: null
  T* hidden;   // [L, B, T + 1, H]
  T* heads;    // [B, T, P] after their activations
  T* weights;  // [B, T + 1, K, N]
  T* reads;    // [B, T + 1, R M]
  T* memory;   // [B, scan_checkpoints, M, Np] the memory before steps 0, stride, 2 stride ..,
               // transposed, Np = whole_lines(N)
  std::int64_t stride;  // steps between two checkpoints, >= 1; kCheckpointStride serves well
};

POLYAD_INLINE constexpr std::int64_t scan_checkpoints(std::int64_t steps, std::int64_t stride) {
  return (steps + stride - 1) / stride;
}

// Steps between two checkpoints: writing a step's memory again costs less than to keep it, from the
// first step on (memory that is kept must be fetched from the system and misses the cache), and the
// copies of one stretch still fit the second-level cache at the usual sizes.
inline constexpr std::int64_t kCheckpointStride = 8;

template <class T>
struct ScanArgs {
  ScanShape shape;
  const T* inputs;              // [B, T, I]
  const std::int64_t* lengths;  // [B] in 1 .. T, or null: all T
  ScanParameters<const T> parameters;
  ScanState<const T> state;
  T* outputs;            // [B, T, O]
  ScanState<T> last;     // may not alias `state`
  std::int32_t* status;  // [B] 0, or 1 + the first step at which inputs, state, controller,
                         // reads or outputs are not finite
  ScanRecord<T> record;
  T* scratch;            // [scan_scratch]
  std::int64_t threads;  // as given to scan_scratch: how finely the batch is cut
};

template <class T>
struct ScanBackwardArgs {
  ScanShape shape;
  const T* inputs;
  const std::int64_t* lengths;
  ScanParameters<const T> parameters;
  ScanRecord<const T> record;
  const T* grad_outputs;         // [B, T, O]; what lies past a sequence's end is not used
  ScanState<const T> grad_last;  // gradients of the last state; null: zero
  T* grad_inputs;                // [B, T, I] or null
  ScanState<T> grad_state;       // all given
  ScanParameters<T> grad_parameters;
  T* scratch;            // [scan_backward_scratch]
  std::int64_t threads;  // as given to scan_backward_scratch
};

// Elements of T, for a given number of threads >= 1; results do not depend on it.
std::int64_t scan_scratch(const ScanShape& shape, std::int64_t threads, bool is_double);
std::int64_t scan_backward_scratch(const ScanShape& shape, std::int64_t stride,
                                   std::int64_t threads, bool is_double);

void scan(const ScanArgs<float>& args);
void scan(const ScanArgs<double>& args);
void scan_backward(const ScanBackwardArgs<float>& args);
void scan_backward(const ScanBackwardArgs<double>& args);

}  // namespace polyad::ntm
