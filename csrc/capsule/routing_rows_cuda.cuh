// Small pieces that the kernels of routing share: lanes that sum, quads of numbers, types, and
// walks over capsules, connections and numbers.
#pragma once

#include <cstdint>
#include <limits>

#include "capsule/routing_math.hpp"
#include "capsule/routing_pass_cuda.hpp"
#include "capsule/squash_math.hpp"
#include "common/cuda_check.hpp"

namespace polyad::capsule::cuda {
namespace {

// N numbers that are loaded and stored together.
template <class T, int N>
struct alignas(16) Pack {
  T value[N];
};

template <class T>
constexpr T kLowest = -std::numeric_limits<T>::infinity();

// Combines over `lanes` neighbouring lanes, a power of two; all lanes of the warp call it and all
// get the same bits.
template <class T, class Combine>
__device__ __forceinline__ T over_lanes(T value, int lanes, const Combine& combine) {
  for (int step = lanes / 2; step > 0; step /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  }
  return value;
}

template <class T>
__device__ __forceinline__ T sum_over_lanes(T value, int lanes) {
  return over_lanes(value, lanes, [](T a, T b) { return a + b; });
}

// The weights that input i uses; a value out of range, which nobody has checked on a device, counts
// as the nearest type there is.
__device__ __forceinline__ std::int64_t type_of(const std::int32_t* type, std::int64_t types,
                                                std::int64_t i) {
  if (type == nullptr) return i;
  const std::int64_t t = type[i];
  return t < 0 ? 0 : t < types ? t : types - 1;
}

// The first `count` numbers at `from`, then zeros. whole: all quads have kRows and are aligned.
template <class T>
__device__ __forceinline__ void load_quad(const T* from, int count, bool whole, T (&to)[kRows]) {
  if (whole) {
    const Pack<T, kRows> loaded =
        count > 0 ? *reinterpret_cast<const Pack<T, kRows>*>(from) : Pack<T, kRows>{};
#pragma unroll
    for (int r = 0; r < kRows; ++r) to[r] = loaded.value[r];
  } else {
#pragma unroll
    for (int r = 0; r < kRows; ++r) to[r] = r < count ? from[r] : T{0};
  }
}

template <class T>
__device__ __forceinline__ void store_quad(T* to, int count, bool whole, const T (&from)[kRows]) {
  if (whole) {
    Pack<T, kRows> packed;
#pragma unroll
    for (int r = 0; r < kRows; ++r) packed.value[r] = from[r];
    *reinterpret_cast<Pack<T, kRows>*>(to) = packed;
  } else {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r < count) to[r] = from[r];
    }
  }
}

// A thread's numbers of one kind: [sample][component].
template <class T>
struct Patch {
  T at[kSamples<T>][kRows];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int s = 0; s < kSamples<T>; ++s) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) at[s][r] = 0;
    }
  }

  // this += the factors of the samples times other
  __device__ __forceinline__ void add(const Pack<T, kSamples<T>>& factor, const Patch& other) {
#pragma unroll
    for (int s = 0; s < kSamples<T>; ++s) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) at[s][r] += factor.value[s] * other.at[s][r];
    }
  }

  __device__ __forceinline__ void add(const Patch& other) {
#pragma unroll
    for (int s = 0; s < kSamples<T>; ++s) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) at[s][r] += other.at[s][r];
    }
  }

  __device__ __forceinline__ Pack<T, kSamples<T>> dot(const Patch& other) const {
    Pack<T, kSamples<T>> sum;
#pragma unroll
    for (int s = 0; s < kSamples<T>; ++s) {
      sum.value[s] = 0;
#pragma unroll
      for (int r = 0; r < kRows; ++r) sum.value[s] += at[s][r] * other.at[s][r];
    }
    return sum;
  }

  // The dot with a patch that `keep` has put away for this thread.
  __device__ __forceinline__ Pack<T, kSamples<T>> dot(const T* own) const {
    using Column = Pack<T, kSamples<T>>;
    Column sum = {};
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const Column column = reinterpret_cast<const Column*>(own)[r * blockDim.x + threadIdx.x];
#pragma unroll
      for (int s = 0; s < kSamples<T>; ++s) sum.value[s] += at[s][r] * column.value[s];
    }
    return sum;
  }
  __device__ __forceinline__ void keep(T* own) const {
    using Column = Pack<T, kSamples<T>>;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      Column column;
#pragma unroll
      for (int s = 0; s < kSamples<T>; ++s) column.value[s] = at[s][r];
      reinterpret_cast<Column*>(own)[r * blockDim.x + threadIdx.x] = column;
    }
  }

  // From, or to, the rows of samples `first` .. at [sample, stride]: `count` components of those
  // below `batch`, and zeros.
  __device__ __forceinline__ void load(const T* rows, std::int64_t stride, int first, int batch,
                                       int count, bool whole) {
#pragma unroll
    for (int s = 0; s < kSamples<T>; ++s) {
      load_quad(rows + std::int64_t{first + s} * stride, first + s < batch ? count : 0, whole,
                at[s]);
    }
  }
  __device__ __forceinline__ void store(T* rows, std::int64_t stride, int first, int batch,
                                        int count, bool whole) const {
#pragma unroll
    for (int s = 0; s < kSamples<T>; ++s) {
      if (first + s < batch) {
        store_quad(rows + std::int64_t{first + s} * stride, count, whole, at[s]);
      }
    }
  }
};

// --- walks ---------------------------------------------------------------------------------------

constexpr int kVectorThreads = 128;
constexpr int kVectorWarps = kVectorThreads / polyad::cuda::kWarp;

// body(e) for e < count.
template <class Body>
__device__ __forceinline__ void for_numbers(std::int64_t count, const Body& body) {
  const std::int64_t step = std::int64_t{gridDim.x} * kVectorThreads;
  for (std::int64_t e = blockIdx.x * std::int64_t{kVectorThreads} + threadIdx.x; e < count;
       e += step) {
    body(e);
  }
}

template <class Args>
void launch_numbers(const char* name, void (*kernel)(Args), std::int64_t count, cudaStream_t stream,
                    const Args& args) {
  polyad::cuda::launch(
      name, kernel, {(count + kVectorThreads - 1) / kVectorThreads, kVectorThreads}, stream, args);
}

// body(i, b) for all inputs and the places of a row [pitch]: neighbours are neighbouring samples.
template <class Body>
__device__ __forceinline__ void for_connections(const Extent& extent, int pitch, const Body& body) {
  for_numbers(std::int64_t{extent.inputs} * pitch,
              [&](std::int64_t e) { body(e / pitch, e % pitch); });
}

// body(b, j, lane) for all capsules of the batch, by whole warps.
template <class Body>
__device__ __forceinline__ void for_capsules(const Extent& extent, const Body& body) {
  const std::int64_t count = std::int64_t{extent.batch} * extent.outputs;
  const int lane = static_cast<int>(threadIdx.x) % polyad::cuda::kWarp;
  const int warp = static_cast<int>(threadIdx.x) / polyad::cuda::kWarp;
  for (std::int64_t e = blockIdx.x * std::int64_t{kVectorWarps} + warp; e < count;
       e += std::int64_t{gridDim.x} * kVectorWarps) {
    body(e / extent.outputs, e % extent.outputs, lane);
  }
}

template <class Args>
void launch_capsules(const char* name, void (*kernel)(Args), const Extent& extent,
                     cudaStream_t stream, const Args& args) {
  const std::int64_t count = std::int64_t{extent.batch} * extent.outputs;
  polyad::cuda::launch(name, kernel, {(count + kVectorWarps - 1) / kVectorWarps, kVectorThreads},
                       stream, args);
}

// body(d, part, parts, leads) on every lane of a warp, as often for each, with d beyond D at the
// end: components across the lanes, and where they are few, `parts` lanes for each, of which one
// leads.
template <class Body>
__device__ __forceinline__ void for_components(const Extent& extent, int lane, const Body& body) {
  constexpr int kWarp = polyad::cuda::kWarp;
  int width = kWarp;
  while (width / 2 >= extent.output_size) width /= 2;
  const int part = lane / width;
  for (int d = lane % width; d - lane % width < extent.output_size; d += width) {
    body(std::int64_t{d}, part, kWarp / width, part == 0);
  }
}

// The sum over the parts of a component, in which lanes stand far apart; all get the same bits.
template <class T>
__device__ __forceinline__ T over_parts(T value, int parts) {
  for (int step = polyad::cuda::kWarp / 2; step >= polyad::cuda::kWarp / parts; step /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, step);
  }
  return value;
}

// The sum of every parts-th chunk from `part` on; chunks lie a batch apart.
template <class T>
__device__ __forceinline__ T sum_of_chunks(const T* partial, int part, int parts, int chunks,
                                           const Extent& extent) {
  const std::int64_t stride = extent.batch * extent.rows();
  T sum = 0;
#pragma unroll 8
  for (int c = part; c < chunks; c += parts) sum += partial[c * stride];
  return sum;
}

// |s| from the largest size that each lane has seen; s [D] was written by this warp before a
// __syncwarp.
template <class T>
__device__ __forceinline__ Length<T> length_over_warp(const T* s, std::int64_t D, T most,
                                                      int lane) {
  constexpr int kWarp = polyad::cuda::kWarp;
  most = over_lanes(most, kWarp, [](T a, T b) { return larger_size(a, b); });
  const T shrink = shrink_of<T>(most);
  T q = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) {
    const T x = s[d] * shrink;
    q += x * x;
  }
  return length_from<T>(most, shrink, sum_over_lanes(q, kWarp));
}

}  // namespace
}  // namespace polyad::capsule::cuda
