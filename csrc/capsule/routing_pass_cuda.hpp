// One walk over the votes of a batch, of which routing and its backward pass are made: what a block
// takes, and what it does there. Votes stand in registers and are computed again in every pass.
//
// A block takes a chunk of inputs, a few samples, and a tile of output capsules. A thread holds the
// votes for kSamples samples and kRows consecutive components of one capsule, a quad; it stays with
// them for the whole chunk, so that its part of s is summed in registers. The sums of the chunks go
// to `partial`, where another kernel adds them in order: no atomics.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "capsule/routing.hpp"

namespace polyad::capsule::cuda {

// What a pass does with the votes.
enum class Task : int {
  sum,      // partial = factor sum_i u_hat
  route,    // c = softmax(u_hat . first), partial = sum_i c u_hat
  adjoint,  // c likewise, l' from e = u_hat . second; partial = sum_i l' u_hat; c and l' are kept
  dots,     // u_hat . first and u_hat . second are kept
  weigh,    // partial = sum_i of a kept coefficient times u_hat
};

constexpr int kRows = 4;         // components of a quad
constexpr int kInputs = 2;       // inputs between two barriers
constexpr int kMostQuads = 128;  // of a block that holds all capsules
constexpr int kTileQuads = 64;   // of a block that holds some

template <class T>
constexpr int kSamples = sizeof(T) == 4 ? 4 : 2;
template <class T>
constexpr int kDepth = sizeof(T) == 4 ? 8 : 4;  // components of u that are loaded together

// The shape of a slice of the batch, in which numbers fit registers.
struct Extent {
  int batch, inputs, input_size, outputs, output_size;

  POLYAD_INLINE std::int64_t rows() const { return std::int64_t{outputs} * output_size; }
  POLYAD_INLINE int quads() const { return (output_size + kRows - 1) / kRows; }  // of a capsule
};

// Inputs that are summed in one chunk. Depends on I alone, so that a sample's result does not
// depend on its batch.
POLYAD_INLINE constexpr int chunk_of(int inputs) {
  const int few = (inputs + 127) / 128 * 2, many = (inputs + 511) / 512 * 2;
  const int middle = few < 8 ? 8 : few > 64 ? 64 : few;
  return many > middle ? many : middle;
}
POLYAD_INLINE constexpr int chunks_of(int inputs) {
  return (inputs + chunk_of(inputs) - 1) / chunk_of(inputs);
}

// How blocks divide a pass. Results depend on none of it but the chunks.
struct Plan {
  int chunk, chunks;  // of inputs
  int sample_tiles;
  int tiles;       // of capsules
  int capsules;    // of a tile
  int quads;       // of a capsule in a tile
  int first;       // the component that a capsule's quads begin with
  int group_bits;  // 2^these groups of kSamples samples
  int lane_bits;   // 2^these lanes share the softmax of a sample
  int threads;
  int row_stride, sample_stride;  // in shared memory
  // Shared memory, in elements: two stages of weights, two of inputs, the parts of dots, couplings,
  // and what threads keep there for themselves.
  int of_weights, of_inputs;  // a stage
  int inputs_at, dots_at, couplings_at, own_at;
  std::size_t bytes;

  POLYAD_INLINE int groups() const { return 1 << group_bits; }
  POLYAD_INLINE int lanes() const { return 1 << lane_bits; }
  POLYAD_INLINE int items() const { return chunks * tiles * sample_tiles; }
};

template <class T>
struct Pass {
  Extent extent;
  std::int64_t types;
  const std::int32_t* type;  // [I] or null
  bool leaky;
  bool aligned;  // votes may be read 16 bytes at a time
  const T* u;    // [B, I, K], as in RoutingArgs; null: votes
  const T* weight;
  const T* votes;
  const T* logits;  // [I, J] or null
  const T* first;   // [B, J, D]; null stands for zeros
  const T* second;  // [B, J, D]; dots: or null
  T factor;
  T* kept;         // [I, J, pitch]: c, or dots with first; what weigh takes
  T* kept_second;  // [I, J, pitch]: l', or dots with second
  int pitch;       // B in whole groups of kSamples
  T* couplings;    // [B, I, J] or null
  T* partial;      // [chunks, B, J, D]; adjoint: or null
  Plan plan;
};

// Whether a block can hold all output capsules, as route and adjoint need.
template <class T>
bool fits_block(const Extent& extent, bool given);

// Runs `task` over all tiles. All pointers but the plan are set.
template <class T>
void run_pass(Pass<T> pass, Task task, cudaStream_t stream);

}  // namespace polyad::capsule::cuda
