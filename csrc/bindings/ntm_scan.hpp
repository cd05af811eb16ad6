// The arguments of scan as Python passes them, for _cpu and _cuda: lists of integers and addresses.
#pragma once

#include <pybind11/stl.h>

#include <cstdint>
#include <vector>

#include "bindings/address.hpp"
#include "ntm/scan.hpp"

namespace polyad::bindings {

using Integers = std::vector<std::int64_t>;
using Addresses = std::vector<Address>;

// batch, steps, inputs, outputs, hidden, layers, rows, width, reads, writes, shifts, lstm,
// read_first, tanh_heads, similarity
inline ntm::ScanShape scan_shape(const Integers& n, double epsilon) {
  return {
      n.at(0),  n.at(1),       n.at(2),       n.at(3),       n.at(4),
      n.at(5),  n.at(6),       n.at(7),       n.at(8),       n.at(9),
      n.at(10), n.at(11) != 0, n.at(12) != 0, n.at(13) != 0, static_cast<ntm::Similarity>(n.at(14)),
      epsilon};
}

// weight_ih of all layers, weight_hh, bias_ih, bias_hh, then head and output; as in NTMParameters
template <class T>
ntm::ScanParameters<T> scan_parameters(const ntm::ScanShape& shape, const Addresses& from) {
  ntm::ScanParameters<T> to{};
  std::size_t next = 0;
  const auto fill = [&](T** pointers, bool present) {
    for (std::int64_t l = 0; present && l < shape.layers; ++l) pointers[l] = at<T>(from.at(next++));
  };
  fill(to.weight_ih, true);
  fill(to.weight_hh, shape.lstm);
  fill(to.bias_ih, true);
  fill(to.bias_hh, shape.lstm);
  for (T** pointer : {&to.head_weight, &to.head_bias, &to.output_weight, &to.output_bias}) {
    *pointer = at<T>(from.at(next++));
  }
  return to;
}

template <class T>
ntm::ScanState<T> scan_state(const Addresses& from) {
  return {at<T>(from.at(0)), at<T>(from.at(1)), at<T>(from.at(2)), at<T>(from.at(3)),
          at<T>(from.at(4))};
}

template <class T>
ntm::ScanRecord<T> scan_record(const Addresses& from, std::int64_t stride) {
  return {at<T>(from.at(0)), at<T>(from.at(1)), at<T>(from.at(2)), at<T>(from.at(3)),
          at<T>(from.at(4)), at<T>(from.at(5)), at<T>(from.at(6)), stride};
}

}  // namespace polyad::bindings
