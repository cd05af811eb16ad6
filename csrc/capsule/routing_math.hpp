// Couplings and their adjoint on a value type V: a number on CUDA, a register of samples on the
// CPU. Vectors over j are reached through functions of their index, so that any layout will do.
#pragma once

#include <cstdint>

#include "common/device.hpp"
#include "common/math.hpp"

namespace polyad::capsule {
namespace {

// c_j = exp(l_j) / sum_k exp(l_k); leaky: 1 is added to the sum, for one more logit that is 0.
// l(j) gives a logit, set(j, c) takes an unfinished and then a finished coupling, get(j) gives it
// back. A logit of -infinity closes a connection.
template <class V, class Logit, class Get, class Set>
POLYAD_INLINE void softmax(std::int64_t outputs, bool leaky, const Logit& l, const Get& get,
                           const Set& set) {
  V most = leaky ? V{} : l(0);
  for (std::int64_t j = leaky ? 0 : 1; j < outputs; ++j) {
    const V x = l(j);
    most = x > most ? x : most;
  }
  V sum = leaky ? exp_of(V{} - most) : V{};
  for (std::int64_t j = 0; j < outputs; ++j) {
    const V x = exp_of(l(j) - most);
    sum = sum + x;
    set(j, x);
  }
  const V scale = 1 / sum;
  for (std::int64_t j = 0; j < outputs; ++j) set(j, get(j) * scale);
}

// l'_j = c_j (e_j - sum_k c_k e_k), which serves the leaky form as well: its logit that is 0 has
// e = 0.
template <class V, class Coupling, class Get, class Set>
POLYAD_INLINE void softmax_backward(std::int64_t outputs, const Coupling& c, const Get& e,
                                    const Set& set) {
  V mean = V{};
  for (std::int64_t j = 0; j < outputs; ++j) mean = mean + c(j) * e(j);
  for (std::int64_t j = 0; j < outputs; ++j) set(j, c(j) * (e(j) - mean));
}

}  // namespace
}  // namespace polyad::capsule
