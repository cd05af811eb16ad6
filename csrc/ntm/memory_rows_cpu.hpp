// Reading and writing one memory, shared by the ops `read` and `write` and the whole-sequence scan.
// Layout as in addressing_rows_cpu.hpp: memory [M, Np], weightings [Np], zeros past the N-th row.
// For *_cpu.cpp only.
#pragma once

#include "common/vector.hpp"
#include "ntm/memory_math.hpp"

namespace polyad::ntm {
namespace {

// reads[h, m] = sum_i w_h,i M_m,i;  weights [R][Np], reads [R][M]
template <class T>
void read_of(const T* memory, std::int64_t stride, std::int64_t width, const T* weights,
             std::int64_t heads, T* reads) {
  for (std::int64_t h = 0; h < heads; ++h) {
    const T* weight = weights + h * stride;
    for (std::int64_t m = 0; m < width; ++m) {
      Vector<T> sum = {};
      for (std::int64_t i = 0; i < stride; i += kLanes<T>) {
        sum += load(memory + m * stride + i) * load(weight + i);
      }
      reads[h * width + m] = sum_of_lanes<T>(sum);
    }
  }
}

// grad_weights [R][Np] += , grad_memory [M][Np] += , from grad_reads [R][M]
template <class T>
void read_backward_of(const T* memory, std::int64_t stride, std::int64_t width, const T* weights,
                      std::int64_t heads, const T* grad_reads, T* grad_weights, T* grad_memory) {
  for (std::int64_t h = 0; h < heads; ++h) {
    const T* grad = grad_reads + h * width;
    for (std::int64_t i = 0; i < stride; i += kLanes<T>) {
      const Vector<T> weight = load(weights + h * stride + i);
      Vector<T> sum = load(grad_weights + h * stride + i);
      for (std::int64_t m = 0; m < width; ++m) {
        const std::int64_t at = m * stride + i;
        sum += load(memory + at) * grad[m];
        store(grad_memory + at, load(grad_memory + at) + weight * grad[m]);
      }
      store(grad_weights + h * stride + i, sum);
    }
  }
}

// The parameters of the write heads, or their gradients: erase and add of head h at h * stride.
template <class T>
struct WriteHeads {
  std::int64_t count;   // W
  std::int64_t stride;  // elements from one head to the next
  T* erase;             // [M]
  T* add;               // [M]
};

// Calls body.operator()<Heads>() with the number of heads, or -1 if there are many.
template <class Body>
POLYAD_INLINE void for_heads(std::int64_t heads, const Body& body) {
  switch (heads) {
    case 1: return body.template operator()<1>();
    case 2: return body.template operator()<2>();
    default: return body.template operator()<-1>();
  }
}

// after [M][Np] from before [M][Np] (may be the same) and weights [W][Np]
template <class T>
void write_of(const T* before, std::int64_t stride, std::int64_t width, const T* weights,
              const WriteHeads<T>& heads, T* after) {
  for_heads(heads.count, [&]<int Heads>() {
    for (std::int64_t m = 0; m < width; ++m) {
      for (std::int64_t i = 0; i < stride; i += kLanes<T>) {
        const auto weight = [&](std::int64_t h) { return load(weights + h * stride + i); };
        store(after + m * stride + i,
              written<Heads>(load(before + m * stride + i), heads.count, weight, heads.erase + m,
                             heads.add + m, heads.stride));
      }
    }
  });
}

// grad_memory [M][Np]: dL/d(after) is replaced by dL/d(before); grad_weights [W][Np] +=; grads get
// the gradients of erase and add.
template <class T>
void write_backward_of(const T* before, std::int64_t stride, std::int64_t width, const T* weights,
                       const WriteHeads<T>& heads, T* grad_memory, T* grad_weights,
                       const WriteHeads<T>& grads) {
  for_heads(heads.count, [&]<int Heads>() {
    for (std::int64_t m = 0; m < width; ++m) {
      constexpr int kHeads = Heads >= 0 ? Heads : kMaxWriteHeads;
      Vector<T> to_erase[kHeads] = {}, to_add[kHeads] = {};
      for (std::int64_t i = 0; i < stride; i += kLanes<T>) {
        const std::int64_t at = m * stride + i;
        const auto weight = [&](std::int64_t h) { return load(weights + h * stride + i); };
        store(grad_memory + at,
              written_backward<Heads>(load(before + at), load(grad_memory + at), heads.count,
                                      weight, heads.erase + m, heads.add + m, heads.stride,
                                      [&](std::int64_t h, const Vector<T>& to_weight,
                                          const Vector<T>& erase, const Vector<T>& add) {
                                        T* grad = grad_weights + h * stride + i;
                                        store(grad, load(grad) + to_weight);
                                        to_erase[h] += erase;
                                        to_add[h] += add;
                                      }));
      }
      for (std::int64_t h = 0; h < heads.count; ++h) {
        grads.erase[h * grads.stride + m] = sum_of_lanes<T>(to_erase[h]);
        grads.add[h * grads.stride + m] = sum_of_lanes<T>(to_add[h]);
      }
    }
  });
}

}  // namespace
}  // namespace polyad::ntm
