// What both passes of EM routing on CUDA share: where a warp works, the votes of an input,
// couplings, the densities that E-steps read.
//
// One warp takes one sample and one chunk of inputs, or one sample and one output capsule; its
// lanes stride over the J P numbers of the votes of one input. What a warp works on stands in
// shared memory, or in the scratch where a capsule layer is too large for that.
#pragma once

#include "capsule/cuda.hpp"
#include "capsule/em_routing_math.hpp"
#include "common/cuda_check.hpp"

namespace polyad::capsule::cuda {
namespace {

using polyad::cuda::dynamic_shared;
using polyad::cuda::kWarp;
using polyad::cuda::launch;

constexpr std::int64_t kMostWarps = 8;           // of a block
constexpr std::int64_t kSharedBytes = 48 << 10;  // on every device without asking
constexpr std::int64_t kGlobalTeams = 4096;      // warps with working space in the scratch

// Inputs of a chunk: at most 32 chunks, as many warps for every sample.
std::int64_t chunk_of(const EmShape& shape) { return (shape.inputs + 31) / 32; }
std::int64_t chunks_of(const EmShape& shape) {
  return (shape.inputs + chunk_of(shape) - 1) / chunk_of(shape);
}

// The P numbers of an output capsule in arrays that a lane sums: an odd stride, so that the lanes
// read different banks.
__host__ __device__ constexpr std::int64_t odd(std::int64_t pose) { return pose | 1; }

// Elements that a warp works on, whichever kernel it is.
std::int64_t space_of(const EmShape& shape) {
  return 4 * shape.rows() + 2 * shape.outputs * odd(shape.pose()) + 4 * shape.outputs +
         shape.pose();
}

// How many warps a block has, and where they work.
template <class T>
struct Teams {
  std::int64_t warps, space;
  T* scratch;  // null: shared memory

  Teams(const EmShape& shape, T* where) : warps(kMostWarps), space(space_of(shape)) {
    const auto bytes = static_cast<std::int64_t>(sizeof(T));
    while (warps > 1 && warps * space * bytes > kSharedBytes) warps /= 2;
    scratch = space * bytes > kSharedBytes ? where : nullptr;
    if (scratch != nullptr) warps = 4;
  }
  static std::int64_t elements(const EmShape& shape) {
    const std::int64_t space = space_of(shape);
    return space * static_cast<std::int64_t>(sizeof(T)) > kSharedBytes ? kGlobalTeams * space : 0;
  }
  polyad::cuda::Launch shape_for(std::int64_t blocks) const {
    const std::int64_t most = kGlobalTeams / warps;
    return {scratch != nullptr && blocks > most ? most : blocks, static_cast<int>(warps * kWarp),
            scratch != nullptr ? 0 : static_cast<std::size_t>(warps * space) * sizeof(T)};
  }
  __device__ T* of_block() const {
    return scratch == nullptr ? dynamic_shared<T>() : scratch + blockIdx.x * warps * space;
  }
};

__device__ __forceinline__ int lane_rank() { return static_cast<int>(threadIdx.x % kWarp); }
__device__ __forceinline__ int warp_rank() { return static_cast<int>(threadIdx.x / kWarp); }

template <class T>
__device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

template <class T>
__device__ __forceinline__ T warp_max(T x) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(0xffffffffu, x, step);
    x = other > x ? other : x;
  }
  return x;
}

// Sizes of a layer; `side` is known when compiling where n > 0.
template <int n>
struct Sizes {
  int outputs, given_side;

  __device__ explicit Sizes(const EmShape& shape)
      : outputs(static_cast<int>(shape.outputs)), given_side(static_cast<int>(shape.side)) {}
  __device__ __forceinline__ int side() const { return n > 0 ? n : given_side; }
  __device__ __forceinline__ int pose() const { return side() * side(); }
  __device__ __forceinline__ int rows() const { return outputs * pose(); }
  __device__ __forceinline__ int terms() const { return outputs * static_cast<int>(odd(pose())); }
  // The place of number e = (j, h) of the votes among the terms that a lane sums over h.
  __device__ __forceinline__ int term(int e) const {
    return e / pose() * static_cast<int>(odd(pose())) + e % pose();
  }
};

// Number e of the votes of an input: a row of its pose by a column of the weight.
template <int n, class T>
__device__ __forceinline__ T vote(const Sizes<n>& sizes, const T* pose, const T* weight, int e) {
  const int side = sizes.side(), h = e % sizes.pose();
  const T* row = pose + h / side * side;
  const T* column = weight + (e - h) + h % side;
  T sum = 0;
  for (int k = 0; k < side; ++k) sum += row[k] * column[k * side];
  return sum;
}

// couplings [J] <- their softmax.
template <class T>
__device__ __forceinline__ void couple(int outputs, T* couplings) {
  T most = couplings[0];
  for (int j = lane_rank(); j < outputs; j += kWarp) {
    most = couplings[j] > most ? couplings[j] : most;
  }
  most = warp_max(most);
  T sum = 0;
  __syncwarp();
  for (int j = lane_rank(); j < outputs; j += kWarp) {
    const T x = exp_of(couplings[j] - most);
    couplings[j] = x;
    sum += x;
  }
  const T scale = 1 / warp_sum(sum);
  for (int j = lane_rank(); j < outputs; j += kWarp) couplings[j] *= scale;
  __syncwarp();
}

template <class T>
struct Inputs {
  EmShape shape;
  std::int64_t chunk, chunks;
  const T *poses, *activations, *weight;
};

template <class T>
__device__ __forceinline__ void load_pose(const Inputs<T>& in, std::int64_t b, std::int64_t i,
                                          int pose, T* to) {
  __syncwarp();
  const T* from = in.poses + (b * in.shape.inputs + i) * pose;
  for (int h = lane_rank(); h < pose; h += kWarp) to[h] = from[h];
  __syncwarp();
}

// Calls body(b, chunk, space) for the pairs of this warp; neighbouring warps share a chunk.
template <class T, class Body>
__device__ __forceinline__ void for_chunks(const Inputs<T>& in, const Teams<T>& teams,
                                           const Body& body) {
  const std::int64_t items = in.shape.batch * in.chunks, step = gridDim.x * teams.warps;
  T* space = teams.of_block() + warp_rank() * teams.space;
  for (std::int64_t item = blockIdx.x * teams.warps + warp_rank(); item < items; item += step) {
    body(item % in.shape.batch, item / in.shape.batch, space);
    __syncwarp();
  }
}

// Calls body(b, j) for the output capsules of this warp.
template <class Body>
__device__ __forceinline__ void for_capsules(std::int64_t items, std::int64_t outputs,
                                             const Body& body) {
  const std::int64_t warps = blockDim.x / kWarp;
  for (std::int64_t item = blockIdx.x * warps + warp_rank(); item < items;
       item += gridDim.x * warps) {
    body(item / outputs, item % outputs);
  }
}

// What E-steps read, for `samples` Gaussians of J capsules (a batch of one iteration or of all):
// sharp [samples, J, P], offset [samples, J], and, unless null, logs [samples, J].
template <class T>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    densities_kernel(std::int64_t samples, std::int64_t J, std::int64_t P, const T* variance,
                     const T* score, T* sharp, T* offset, T* logs) {
  for_capsules(samples * J, J, [&](std::int64_t b, std::int64_t j) {
    T sum = 0, relative = 0;
    for (std::int64_t h = lane_rank(); h < P; h += kWarp) {
      const T of = variance[(b * J + j) * P + h];
      sharp[(b * J + j) * P + h] = T(0.5) / of;
      sum += half_log(of);
      relative += half_log_ratio(of, variance[b * J * P + h]);
    }
    sum = warp_sum(sum);
    relative = warp_sum(relative);
    if (lane_rank() == 0) {
      offset[b * J + j] = log_sigmoid_of(score[b * J + j]) - relative;
      if (logs != nullptr) logs[b * J + j] = sum;
    }
  });
}

polyad::cuda::Launch over_capsules(std::int64_t items) {
  return {(items + kMostWarps - 1) / kMostWarps, static_cast<int>(kMostWarps * kWarp)};
}

}  // namespace
}  // namespace polyad::capsule::cuda
