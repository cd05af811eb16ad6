// Reading and writing one memory by the threads of a block, shared by the ops `read` and `write`
// and the whole-sequence scan. Layout as in addressing_rows_cuda.cuh; weightings [heads, N].
#pragma once

#include "ntm/memory_math.hpp"
#include "ntm/team.cuh"

namespace polyad::ntm::cuda {
namespace {

struct MemoryShape {
  int rows;    // N
  int stride;  // of the memory
  int width;   // M
};

// The parameters of the write heads: erase and add of head h at h * stride.
template <class T>
struct WriteHeads {
  int count;   // W
  int stride;  // elements from one head to the next
  const T* erase;
  const T* add;
  const T* weights;  // [W, N]
};

// Element (m, i) after the step.
template <class T>
__device__ __forceinline__ T written_at(const WriteHeads<T>& heads, int rows, int m, int i,
                                        T before) {
  const auto weight = [&](std::int64_t h) { return heads.weights[h * rows + i]; };
  return written(before, heads.count, weight, heads.erase + m, heads.add + m, heads.stride);
}

// memory <- the memory after the step, and to(r, m, read): warps take columns, lanes rows. Either
// part may be left out: no write heads, or no reads.
template <class T, class To>
__device__ void write_and_read(T* memory, const MemoryShape& shape, const WriteHeads<T>& heads,
                               const T* read_weights, int reads, bool read_first, const To& to) {
  constexpr int kTogether = 4;  // reads
  for (int m = warp_rank(); m < shape.width; m += block_warps()) {
    T* column = memory + m * shape.stride;
    for (int r0 = 0; r0 < reads || r0 == 0; r0 += kTogether) {
      const bool last = r0 + kTogether >= reads;
      const bool writes = heads.count > 0 && (read_first ? last : r0 == 0);
      T sums[kTogether] = {};
      for (int i = lane_rank(); i < shape.rows; i += kWarp) {
        const T before = column[i];
        T after = before;
        if (writes) {
          after = written_at(heads, shape.rows, m, i, before);
          column[i] = after;
        }
        const T seen = read_first ? before : after;
#pragma unroll
        for (int j = 0; j < kTogether; ++j) {
          if (r0 + j < reads) sums[j] += read_weights[(r0 + j) * shape.rows + i] * seen;
        }
      }
      sum_of_lanes(sums, reads - r0);
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        if (r0 + j < reads && lane_rank() == 0) to(r0 + j, m, sums[j]);
      }
    }
  }
}

// grad_memory += sum_r w_r grad_r: the adjoint of reading, of the memory.
template <class T>
__device__ void read_backward_memory(T* grad_memory, const MemoryShape& shape, const T* weights,
                                     const T* grad_reads, int reads) {
  for (int m = warp_rank(); m < shape.width; m += block_warps()) {
    for (int i = lane_rank(); i < shape.rows; i += kWarp) {
      T sum = grad_memory[m * shape.stride + i];
      for (int r = 0; r < reads; ++r) {
        sum += weights[r * shape.rows + i] * grad_reads[r * shape.width + m];
      }
      grad_memory[m * shape.stride + i] = sum;
    }
  }
}

// grad_weights [reads, N] += M_i . grad_r: of the weights. `seen(m, i)` is the memory that was
// read.
template <class T, class Seen>
__device__ void read_backward_weights(const MemoryShape& shape, const T* grad_reads, int reads,
                                      T* grad_weights, const Seen& seen) {
  for (int item = thread_rank(); item < reads * shape.rows; item += block_threads()) {
    const int r = item / shape.rows, i = item - r * shape.rows;
    T sum = grad_weights[item];
#pragma unroll 2
    for (int m = 0; m < shape.width; ++m) sum += seen(m, i) * grad_reads[r * shape.width + m];
    grad_weights[item] = sum;
  }
}

// The adjoint of writing for element (m, i) as head h sees it; returns dL/d(before).
template <class T>
struct WriteGrads {
  T to_weight, to_erase, to_add, to_memory;
};

// The other heads' factors go into the memory, and one head remains: nothing is kept per head.
template <class T>
__device__ __forceinline__ WriteGrads<T> written_backward_at(const WriteHeads<T>& heads, int rows,
                                                             int h, int m, int i, T memory,
                                                             T grad) {
  T others = 1;
#pragma unroll 1
  for (int each = 0; each < heads.count; ++each) {
    if (each == h) continue;
    others *= 1 - heads.weights[each * rows + i] * heads.erase[each * heads.stride + m];
  }
  WriteGrads<T> result;
  result.to_memory = others * written_backward(
                                  memory * others, grad, 1,
                                  [&](std::int64_t) { return heads.weights[h * rows + i]; },
                                  heads.erase + h * heads.stride + m,
                                  heads.add + h * heads.stride + m, heads.stride,
                                  [&](std::int64_t, T to_weight, T to_erase, T to_add) {
                                    result.to_weight = to_weight;
                                    result.to_erase = to_erase;
                                    result.to_add = to_add;
                                  });
  return result;
}

// grad_weights [W, N] += : of the weights, from dL/d(after) in grad_memory.
template <class T>
__device__ void write_backward_weights(const T* memory, const MemoryShape& shape,
                                       const WriteHeads<T>& heads, const T* grad_memory,
                                       T* grad_weights) {
  for (int item = thread_rank(); item < heads.count * shape.rows; item += block_threads()) {
    const int h = item / shape.rows, i = item - h * shape.rows;
    T sum = grad_weights[item];
#pragma unroll 2
    for (int m = 0; m < shape.width; ++m) {
      const int at = m * shape.stride + i;
      sum += written_backward_at(heads, shape.rows, h, m, i, memory[at], grad_memory[at]).to_weight;
    }
    grad_weights[item] = sum;
  }
}

// grad_memory: dL/d(after) is replaced by dL/d(before) + extra(m, i), and to(h, m, to_erase,
// to_add).
template <class T, class Extra, class To>
__device__ void write_backward_memory(const T* memory, const MemoryShape& shape,
                                      const WriteHeads<T>& heads, T* grad_memory,
                                      const Extra& extra, const To& to) {
  for (int m = warp_rank(); m < shape.width; m += block_warps()) {
    for (int h = 0; h < heads.count; ++h) {
      T sums[2] = {};
      for (int i = lane_rank(); i < shape.rows; i += kWarp) {
        const int at = m * shape.stride + i;
        const WriteGrads<T> grads =
            written_backward_at(heads, shape.rows, h, m, i, memory[at], grad_memory[at]);
        sums[0] += grads.to_erase;
        sums[1] += grads.to_add;
        if (h == heads.count - 1) grad_memory[at] = grads.to_memory + extra(m, i);
      }
      sum_of_lanes(sums);
      if (lane_rank() == 0) to(h, m, sums[0], sums[1]);
    }
  }
}

}  // namespace
}  // namespace polyad::ntm::cuda
