// What the forward and the backward kernel of the whole-sequence scan share: packed weights, the
// products of a step, and where a block keeps its arrays.
//
// One block takes one sequence at a time and stays with it for all its steps. Its arrays stand in
// shared memory; what is left of that holds the first of the packed weights, the others come
// through the second-level cache at every step.
#pragma once

#include "common/gemm.cuh"
#include "ntm/addressing_rows_cuda.cuh"
#include "ntm/cuda.hpp"
#include "ntm/memory_rows_cuda.cuh"

namespace polyad::ntm::cuda {
namespace {

using polyad::cuda::allow_all_shared_memory;
using polyad::cuda::device_attribute;
using polyad::cuda::dynamic_shared;
using polyad::cuda::launch;

constexpr int kScanThreads = 512;

// Blocks, and with them workspaces in global memory; more sequences wait for a block.
constexpr std::int64_t kScanBlocks = 1024;

// Elements at the start of shared memory for the sums of teams. Dynamic as all the rest: the limit
// that allow_all_shared_memory sets holds for static and dynamic arrays together.
constexpr int kScanSlots = team_slots(kScanThreads);

template <class T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));

template <class T>
POLYAD_INLINE constexpr std::int64_t vectors(std::int64_t n) {
  return (n + kVector<T> - 1) / kVector<T> * kVector<T>;
}

// 16 bytes of a row.
template <class T>
struct alignas(16) Vector {
  T value[kVector<T>];
};

// --- packed weights ------------------------------------------------------------------------------

// A matrix of a step: y [columns] = x [rows] times it.
struct StepMatrix {
  std::int64_t offset;  // in the packed weights
  int rows, columns;
  int stride;  // columns in whole vectors; those past the last are zero
  int slices;  // threads that share a column: each takes every slices-th row, and the sums are
               // added in order
};

// Forward: layer l takes [r, h] or [h of the layer below, h] to its sums; matrix L takes the top to
// the heads' parameters. After the matrices come their biases, one row each (zero for layer 0,
// whose biases are in the projected inputs). Backward: the same matrices transposed, no biases.
template <class T, bool Backward>
StepMatrix step_matrix(const ScanShape& shape, std::int64_t l) {
  StepMatrix matrix{};
  for (std::int64_t i = 0; i <= l; ++i) {
    matrix.offset += std::int64_t{matrix.rows} * matrix.stride;
    const std::int64_t below = i == 0 ? shape.read_size() : shape.hidden;
    const std::int64_t from =
        i == shape.layers ? shape.hidden : below + (shape.lstm ? shape.hidden : 0);
    const std::int64_t to = i == shape.layers ? shape.head_outputs() : shape.gates();
    matrix.rows = static_cast<int>(Backward ? to : from);
    matrix.columns = static_cast<int>(Backward ? from : to);
    matrix.stride = static_cast<int>(vectors<T>(matrix.columns));
  }
  constexpr int kMostSlices = 16;
  int slices = kScanThreads / (matrix.stride / kVector<T>);
  slices = slices < kMostSlices ? slices : kMostSlices;
  slices = slices < matrix.rows ? slices : matrix.rows;
  matrix.slices = slices < 1 ? 1 : slices;
  return matrix;
}

// All matrices of a step, and where their biases begin.
template <class T, bool Backward>
struct StepMatrices {
  StepMatrix of[kMaxLayers + 1];
  std::int64_t bias[kMaxLayers + 1];
  std::int64_t size;

  explicit StepMatrices(const ScanShape& shape) : of{}, bias{}, size(0) {
    for (std::int64_t l = 0; l <= shape.layers; ++l) {
      of[l] = step_matrix<T, Backward>(shape, l);
      size = of[l].offset + std::int64_t{of[l].rows} * of[l].stride;
    }
    for (std::int64_t l = 0; !Backward && l <= shape.layers; ++l) {
      bias[l] = size;
      size += of[l].stride;
    }
  }
};

// The weight from input `from` to output `to` of matrix l.
template <class T>
__device__ __forceinline__ T step_weight(const ScanShape& shape,
                                         const ScanParameters<const T>& parameters, std::int64_t l,
                                         std::int64_t from, std::int64_t to) {
  if (l == shape.layers) return parameters.head_weight[to * shape.hidden + from];
  const std::int64_t below = l == 0 ? shape.read_size() : shape.hidden;
  if (from >= below) return parameters.weight_hh[l][to * shape.hidden + from - below];
  const std::int64_t inputs = l == 0 ? shape.inputs : 0;
  return parameters.weight_ih[l][to * shape.layer_inputs(l) + inputs + from];
}

template <bool Backward, class T>
__global__ void __launch_bounds__(256)
    pack_kernel(const __grid_constant__ ScanShape shape,
                const __grid_constant__ ScanParameters<const T> parameters,
                const __grid_constant__ StepMatrices<T, Backward> matrices, T* packed) {
  const std::int64_t first = blockIdx.x * std::int64_t{blockDim.x} + threadIdx.x;
  const std::int64_t threads = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t l = 0; l <= shape.layers; ++l) {
    const StepMatrix& matrix = matrices.of[l];
    for (std::int64_t e = first; e < std::int64_t{matrix.rows} * matrix.stride; e += threads) {
      const std::int64_t row = e / matrix.stride, column = e % matrix.stride;
      T weight = 0;
      if (column < matrix.columns) {
        weight = Backward ? step_weight(shape, parameters, l, column, row)
                          : step_weight(shape, parameters, l, row, column);
      }
      packed[matrix.offset + e] = weight;
    }
    if (Backward) continue;
    T* bias = packed + matrices.bias[l];
    for (std::int64_t c = first; c < matrix.stride; c += threads) {
      T value = 0;
      if (c < matrix.columns) {
        if (l == shape.layers) {
          value = parameters.head_bias[c];
        } else if (l > 0) {
          value = parameters.bias_ih[l][c] + (shape.lstm ? parameters.bias_hh[l][c] : T{0});
        }
      }
      bias[c] = value;
    }
  }
}

template <class T, bool Backward>
void pack(const char* name, const ScanShape& shape, const ScanParameters<const T>& parameters,
          const StepMatrices<T, Backward>& matrices, T* packed, cudaStream_t stream) {
  launch(name, pack_kernel<Backward, T>, {(matrices.size + 255) / 256, 256}, stream, shape,
         parameters, matrices, packed);
}

// --- products of a step --------------------------------------------------------------------------

// The packed weights, of which the first `cached` elements stand in shared memory too.
template <class T>
struct PackedWeights {
  const T* global;
  const T* shared;
  std::int64_t cached;
};

template <class T>
__device__ __forceinline__ void fill_cache(const PackedWeights<T>& weights, T* shared) {
  for (std::int64_t e = thread_rank(); e < weights.cached; e += block_threads()) {
    shared[e] = weights.global[e];
  }
}

template <class T>
__device__ __forceinline__ void add_row(const T* row, T factor, Vector<T>& sum) {
  const Vector<T> weights = *reinterpret_cast<const Vector<T>*>(row);
#pragma unroll
  for (int v = 0; v < kVector<T>; ++v) sum.value[v] += weights.value[v] * factor;
}

// partial [slices, stride] <- the slices' sums of x [rows] times the matrix; the first also has the
// biases [columns], or null, whose loads go beside those of the weights.
template <class T>
__device__ __forceinline__ void multiply(const StepMatrix& matrix, const PackedWeights<T>& weights,
                                         const T* bias, const T* x, T* partial) {
  constexpr int kUnroll = kVector<T>;  // more rows of doubles would not fit the registers
  const int quads = matrix.stride / kVector<T>, slices = matrix.slices;
  const std::int64_t left = (weights.cached - matrix.offset) / matrix.stride;
  const int cached = left < 0 ? 0 : left < matrix.rows ? static_cast<int>(left) : matrix.rows;
  for (int item = thread_rank(); item < slices * quads; item += block_threads()) {
    const int slice = item / quads, column = (item - slice * quads) * kVector<T>;
    Vector<T> sum = {}, extra = {};
    if (bias != nullptr && slice == 0) {
#pragma unroll
      for (int v = 0; v < kVector<T>; ++v) {
        if (column + v < matrix.columns) extra.value[v] = bias[column + v];
      }
    }
    int k = slice;
#pragma unroll kUnroll
    for (; k < cached; k += slices) {
      add_row(weights.shared + matrix.offset + k * matrix.stride + column, x[k], sum);
    }
#pragma unroll kUnroll
    for (; k < matrix.rows; k += slices) {
      add_row(weights.global + matrix.offset + std::int64_t{k} * matrix.stride + column, x[k], sum);
    }
#pragma unroll
    for (int v = 0; v < kVector<T>; ++v) sum.value[v] += extra.value[v];
    *reinterpret_cast<Vector<T>*>(partial + slice * matrix.stride + column) = sum;
  }
}

// Column c of the product, once the block has waited.
template <class T>
__device__ __forceinline__ T column_sum(const StepMatrix& matrix, const T* partial, int c) {
  T sum = partial[c];
  for (int s = 1; s < matrix.slices; ++s) sum += partial[s * matrix.stride + c];
  return sum;
}

// Elements of `partial` for all matrices.
template <class T, bool Backward>
std::int64_t partial_size(const ScanShape& shape) {
  std::int64_t most = kScanThreads * kVector<T>;
  for (std::int64_t l = 0; l <= shape.layers; ++l) {
    const std::int64_t stride = step_matrix<T, Backward>(shape, l).stride;
    most = most < stride ? stride : most;
  }
  return most;
}

// --- where arrays stand --------------------------------------------------------------------------

// Cuts a space into arrays that begin at whole vectors, and gives where they begin.
template <class T>
struct Cutter {
  std::int64_t used = 0;

  std::int64_t take(std::int64_t count) {
    const std::int64_t begin = used;
    used += vectors<T>(count);
    return begin;
  }
};

// Where a launch puts a block's vectors and memories, and how many weights fit beside them.
struct Layout {
  bool all_shared;  // vectors and memories
  bool vectors_shared;
  std::int64_t vectors;   // elements
  std::int64_t memories;  // elements
  std::int64_t cached;    // elements of the packed weights
  std::int64_t bytes;     // of shared memory

  POLYAD_INLINE std::int64_t workspace() const { return vectors + memories; }
};

template <class T>
Layout layout_for(std::int64_t vectors_size, std::int64_t memories_size, std::int64_t packed) {
  const std::int64_t room = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) /
                                static_cast<std::int64_t>(sizeof(T)) / kVector<T> * kVector<T> -
                            kScanSlots;
  Layout layout{};
  layout.vectors = vectors_size;
  layout.memories = memories_size;
  layout.all_shared = placement() == Placement::automatic && vectors_size + memories_size <= room;
  layout.vectors_shared =
      layout.all_shared || (placement() != Placement::all_global && vectors_size <= room);
  std::int64_t used = layout.all_shared       ? vectors_size + memories_size
                      : layout.vectors_shared ? vectors_size
                                              : 0;
  layout.cached = room - used < packed ? room - used : packed;
  if (placement() == Placement::all_global) layout.cached = 0;
  layout.bytes = (kScanSlots + used + layout.cached) * static_cast<std::int64_t>(sizeof(T));
  return layout;
}

// The addresses of a block's slots, vectors, memories and cached weights.
template <class T>
struct Places {
  T *slots, *vectors, *memories, *cache;
};

template <bool Shared, class T>
__device__ __forceinline__ Places<T> places(const Layout& layout, T* workspace) {
  T* slots = dynamic_shared<T>();
  T* shared = slots + kScanSlots;
  if constexpr (Shared) {
    return {slots, shared, shared + layout.vectors, shared + layout.vectors + layout.memories};
  }
  T* own = workspace + blockIdx.x * layout.workspace();
  if (layout.vectors_shared) return {slots, shared, own + layout.vectors, shared + layout.vectors};
  return {slots, own, own + layout.vectors, shared};
}

inline std::int64_t scan_blocks(const ScanShape& shape) {
  return shape.batch < kScanBlocks ? shape.batch : kScanBlocks;
}

template <class T>
__device__ __forceinline__ Heads<T> heads_of(const ScanShape& shape) {
  return {static_cast<int>(shape.rows),
          memory_stride(shape.rows),
          static_cast<int>(shape.width),
          static_cast<int>(shape.shifts),
          static_cast<int>(shape.reads),
          static_cast<int>(shape.heads()),
          shape.similarity,
          static_cast<T>(shape.epsilon)};
}

template <class T>
__device__ __forceinline__ WriteHeads<T> write_heads_of(const ScanShape& shape,
                                                        const Heads<T>& heads, const T* parameters,
                                                        const T* weights) {
  const HeadLayout part = head_layout(shape.width, shape.shifts);
  const T* first = parameters + heads.at(heads.reads);
  return {static_cast<int>(shape.writes), static_cast<int>(shape.write_basic()), first + part.erase,
          first + part.add, weights + shape.reads * shape.rows};
}

// The place of column c of the heads' parameters within its head.
__device__ __forceinline__ int part_of(const ScanShape& shape, int c) {
  const int reads = static_cast<int>(shape.reads * shape.basic());
  return c < reads ? c % static_cast<int>(shape.basic())
                   : (c - reads) % static_cast<int>(shape.write_basic());
}

__device__ __forceinline__ std::int64_t length_of(const ScanShape& shape,
                                                  const std::int64_t* lengths, std::int64_t b) {
  // values on a device are not checked: what is out of range may not lead out of bounds
  const std::int64_t length = lengths == nullptr ? shape.steps : lengths[b];
  return length < 0 ? 0 : length < shape.steps ? length : shape.steps;
}

// to [count] <- from [count], or zeros where there is no `from`.
template <class T>
__device__ __forceinline__ void copy(T* to, const T* from, std::int64_t count) {
  for (std::int64_t e = thread_rank(); e < count; e += block_threads()) {
    to[e] = from == nullptr ? T{0} : from[e];
  }
}

// memory [M, stride] <- from [N, M], or zeros; and back.
template <class T>
__device__ __forceinline__ void load_memory(const Heads<T>& heads, const T* from, T* memory) {
  for (int e = thread_rank(); e < heads.rows * heads.width; e += block_threads()) {
    const int i = e / heads.width, m = e - i * heads.width;
    memory[m * heads.stride + i] = from == nullptr ? T{0} : from[e];
  }
}

template <class T>
__device__ __forceinline__ void store_memory(const Heads<T>& heads, const T* memory, T* to) {
  for (int e = thread_rank(); e < heads.rows * heads.width; e += block_threads()) {
    const int i = e / heads.width, m = e - i * heads.width;
    to[e] = memory[m * heads.stride + i];
  }
}

}  // namespace
}  // namespace polyad::ntm::cuda
