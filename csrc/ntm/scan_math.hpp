// The formulas of the controller and of the heads' activations on a value type V: a number on CUDA,
// a register of units on the CPU.
#pragma once

#include "common/math.hpp"

namespace polyad::ntm {
namespace {

// One unit of an LSTM: gates hold the sums and receive the activations, c the cell.
template <class V>
struct LstmGates {
  V i, f, g, o;
};

// Activates the gates and the cell in place; returns h.
template <class V>
POLYAD_INLINE V lstm_unit(LstmGates<V>& gates, V& c) {
  gates.i = sigmoid_of(gates.i);
  gates.f = sigmoid_of(gates.f);
  gates.g = tanh_of(gates.g);
  gates.o = sigmoid_of(gates.o);
  c = gates.f * c + gates.i * gates.g;
  return gates.o * tanh_of(c);
}

// dL/d(sums) of a unit from dL/dh and dL/dc; grad_c becomes the gradient of the cell before.
template <class V>
POLYAD_INLINE LstmGates<V> lstm_unit_backward(const LstmGates<V>& gates, const V& c_before,
                                              const V& c, const V& grad_h, V& grad_c) {
  const V squashed = tanh_of(c);
  const V to_c = grad_c + grad_h * gates.o * (1 - squashed * squashed);
  grad_c = to_c * gates.f;
  return {to_c * gates.g * gates.i * (1 - gates.i), to_c * c_before * gates.f * (1 - gates.f),
          to_c * gates.i * (1 - gates.g * gates.g), grad_h * squashed * gates.o * (1 - gates.o)};
}

// Derivatives of the activations, from their values.
template <class V>
POLYAD_INLINE V sigmoid_slope(const V& y) {
  return y * (1 - y);
}
template <class V>
POLYAD_INLINE V tanh_slope(const V& y) {
  return 1 - y * y;
}
template <class T>
POLYAD_INLINE T softplus_slope(T y) {
  return -expm1_of(-y);
}

// The parts of one head's row of parameters.
struct HeadLayout {
  std::int64_t key, beta, gate, kernel, gamma, erase, add;
};

POLYAD_INLINE constexpr HeadLayout head_layout(std::int64_t width, std::int64_t shifts) {
  const std::int64_t gamma = width + 2 + shifts;
  return {0, width, width + 1, width + 2, gamma, gamma + 1, gamma + 1 + width};
}

}  // namespace
}  // namespace polyad::ntm
