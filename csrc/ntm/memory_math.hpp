// The formulas of reading and writing on a value type V: a number on CUDA, a register of rows on
// the CPU.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::ntm {

// Write heads of a step: the backward pass keeps one factor per head in registers.
inline constexpr int kMaxWriteHeads = 16;

namespace {

// One element of the memory after a step: M prod_h (1 - w_h e_h) + sum_h w_h a_h; all erases, then
// all adds. weight(h) is w_h of the element's row. Heads is their number, or -1 for `heads`.
template <int Heads = -1, class V, class T, class Weight>
POLYAD_INLINE V written(V memory, std::int64_t heads, const Weight& weight, const T* erase,
                        const T* add, std::int64_t head_stride) {
  const std::int64_t count = Heads >= 0 ? Heads : heads;
  V added = V{};
  for (std::int64_t h = 0; h < count; ++h) {
    const V w = weight(h);
    memory = memory * (1 - w * erase[h * head_stride]);
    added = added + w * add[h * head_stride];
  }
  return memory + added;
}

// Its adjoint, from the gradient of the element after the step: returns the gradient of the element
// before, and calls to_head(h, to_weight, to_erase, to_add) for every head.
//   to_weight = grad a_h - to_product e_h,  to_erase = - w_h to_product,  to_add = w_h grad
//   with to_product = grad M prod_{h' != h} (1 - w_h' e_h')
template <int Heads = -1, class V, class T, class Weight, class ToHead>
POLYAD_INLINE V written_backward(const V& memory, const V& grad, std::int64_t heads,
                                 const Weight& weight, const T* erase, const T* add,
                                 std::int64_t head_stride, const ToHead& to_head) {
  const std::int64_t count = Heads >= 0 ? Heads : heads;
  V before[Heads >= 0 ? Heads : kMaxWriteHeads];  // product of the factors of the heads before
  V product = V{} + 1;
  for (std::int64_t h = 0; h < count; ++h) {
    before[h] = product;
    product = product * (1 - weight(h) * erase[h * head_stride]);
  }
  V after = V{} + 1;
  const V scaled = grad * memory;
  for (std::int64_t h = count - 1; h >= 0; --h) {
    const V w = weight(h);
    const V to_product = scaled * before[h] * after;
    to_head(h, grad * add[h * head_stride] - to_product * erase[h * head_stride], -(w * to_product),
            w * grad);
    after = after * (1 - w * erase[h * head_stride]);
  }
  return grad * product;
}

}  // namespace
}  // namespace polyad::ntm
