// What the kernels of addressing and memory share: where a block keeps its arrays,
// and arrays of a batch item in and out. One block takes one memory at a time.
#pragma once

#include "common/check.hpp"
#include "common/half.cuh"
#include "ntm/addressing_rows_cuda.cuh"
#include "ntm/cuda.hpp"

namespace polyad::ntm::cuda {
namespace {

using polyad::cuda::allow_all_shared_memory;
using polyad::cuda::device_attribute;
using polyad::cuda::dynamic_shared;
using polyad::cuda::launch;
using polyad::cuda::narrow;
using polyad::cuda::widen;

constexpr int kPieceThreads = 256;

// Elements at the start of shared memory for the sums of teams. Dynamic as all the rest: the limit
// that allow_all_shared_memory sets holds for static and dynamic arrays together.
constexpr int kPieceSlots = team_slots(kPieceThreads);

// Where the arrays of a block stand: in shared memory, or in a part of the scratch.
template <class T>
struct PiecePlan {
  std::int64_t elements;  // of a block
  std::int64_t blocks;
  std::size_t shared_bytes;
  T* scratch;  // null: in shared memory

  __device__ T* slots() const { return dynamic_shared<T>(); }
  __device__ T* space() const {
    return scratch == nullptr ? dynamic_shared<T>() + kPieceSlots : scratch + blockIdx.x * elements;
  }
};

template <class T>
PiecePlan<T> piece_plan(const char* name, std::int64_t batch, std::int64_t elements,
                        const PartedScratch<T>& scratch) {
  constexpr std::size_t slots = kPieceSlots * sizeof(T);
  const std::size_t bytes = slots + static_cast<std::size_t>(elements) * sizeof(T);
  const auto most =
      static_cast<std::size_t>(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  if (placement() == Placement::automatic && bytes <= most)
    return {elements, batch, bytes, nullptr};
  require(batch == 0 || (scratch.scratch != nullptr && scratch.parts > 0),
          (std::string(name) + ": scratch: expected a part for every block, got none").c_str());
  return {elements, batch < scratch.parts ? batch : scratch.parts, slots, scratch.scratch};
}

// to [count] <- from [count], in T; nothing without `from`.
template <class X, class T>
__device__ __forceinline__ void load_array(const X* from, std::int64_t count, T* to) {
  if (from == nullptr) return;
  for (std::int64_t e = thread_rank(); e < count; e += block_threads()) {
    to[e] = static_cast<T>(widen(from[e]));
  }
}

template <class X, class T>
__device__ __forceinline__ void store_array(const T* from, std::int64_t count, X* to) {
  if (to == nullptr) return;
  for (std::int64_t e = thread_rank(); e < count; e += block_threads()) to[e] = narrow<X>(from[e]);
}

// memory [M, stride] <- from [N, M]; and back.
template <class X, class T>
__device__ __forceinline__ void load_rows(const X* from, int rows, int width, int stride,
                                          T* memory) {
  for (int e = thread_rank(); e < rows * width; e += block_threads()) {
    const int i = e / width, m = e - i * width;
    memory[m * stride + i] = static_cast<T>(widen(from[e]));
  }
}

template <class X, class T>
__device__ __forceinline__ void store_rows(const T* memory, int rows, int width, int stride,
                                           X* to) {
  for (int e = thread_rank(); e < rows * width; e += block_threads()) {
    const int i = e / width, m = e - i * width;
    to[e] = narrow<X>(memory[m * stride + i]);
  }
}

template <class T>
__device__ __forceinline__ void clear_array(T* to, std::int64_t count) {
  for (std::int64_t e = thread_rank(); e < count; e += block_threads()) to[e] = T{0};
}

}  // namespace
}  // namespace polyad::ntm::cuda
