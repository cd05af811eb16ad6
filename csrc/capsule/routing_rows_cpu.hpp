// What the forward and the backward pass of routing share on the CPU: blocks of samples, votes,
// couplings, and scratch. For *_cpu.cpp files only.
#pragma once

#include <cstring>

#include "capsule/lanes_cpu.hpp"
#include "capsule/routing.hpp"
#include "capsule/routing_math.hpp"
#include "capsule/routing_space.hpp"
#include "capsule/squash_math.hpp"
#include "common/parallel.hpp"

namespace polyad::capsule {
namespace {

// A block of samples.
struct SampleBlock {
  std::int64_t index, first, samples;
  int width;  // of its arrays: the samples, rounded up to a quarter, a half or a whole of kBlock
};

template <class T>
POLYAD_INLINE SampleBlock sample_block(std::int64_t batch, std::int64_t index) {
  constexpr int whole = kBlock<T>;
  const std::int64_t first = index * whole;
  const std::int64_t samples = batch - first < whole ? batch - first : whole;
  const int width = samples <= whole / 4 ? whole / 4 : samples <= whole / 2 ? whole / 2 : whole;
  return {index, first, samples, width};
}

// Calls body(Fixed<W>) with the width of a block.
template <class T, class Body>
POLYAD_INLINE void with_width(int width, const Body& body) {
  constexpr int whole = kBlock<T>;
  if (width == whole) return body(Fixed<whole>{});
  if (width == whole / 2) return body(Fixed<whole / 2>{});
  body(Fixed<whole / 4>{});
}

// Where votes come from: weights and inputs, or an array.
template <class T>
struct VoteSource {
  RoutingShape shape;
  const T* u;
  const T* weight;
  const T* votes;
  const std::int32_t* type;

  POLYAD_INLINE const T* weights_of(std::int64_t i) const {
    return weight + (type != nullptr ? type[i] : i) * shape.rows() * shape.input_size;
  }
};

// u [count K][W] <- the inputs first .. first + count - 1 of a block; nothing where votes are
// given.
template <class T, int W>
POLYAD_INLINE void gather_inputs(const VoteSource<T>& from, const SampleBlock& block,
                                 std::int64_t first, std::int64_t count, T* u) {
  if (from.u == nullptr) return;
  const std::int64_t K = from.shape.input_size, stride = from.shape.inputs * K;
  gather<T, W>(from.u + block.first * stride + first * K, stride, block.samples, count * K, u);
}

// votes [rows][W] of input i, whose numbers u [K][W] are gathered.
template <class T, int W>
POLYAD_INLINE void votes_of(const VoteSource<T>& from, const SampleBlock& block, std::int64_t i,
                            const T* u, T* votes) {
  const std::int64_t rows = from.shape.rows();
  if (from.u != nullptr) {
    return product<false, T, W>(from.weights_of(i), rows, from.shape.input_size, u, votes);
  }
  const std::int64_t stride = from.shape.inputs * rows;
  gather<T, W>(from.votes + block.first * stride + i * rows, stride, block.samples, rows, votes);
}

// couplings [J][W] of input i: softmax of its logits [J], which may be null, plus votes . total,
// where total [rows][W] is the sum of outputs, or null before the first.
template <class T, int W>
POLYAD_INLINE void couplings_of(const RoutingShape& shape, bool leaky, const T* logits,
                                const T* votes, const T* total, T* couplings) {
  using L = Lanes<T, W>;
  using Part = typename L::Part;
  const std::int64_t J = shape.outputs, D = shape.output_size;
  for (std::int64_t j = 0; j < J; ++j) {
    T* l = couplings + j * W;
    if (total != nullptr) {
      dots<T, W>(votes + j * D * W, total + j * D * W, D, l);
    } else {
      for (int i = 0; i < W; ++i) l[i] = T{0};
    }
    if (logits != nullptr) {
      for (int i = 0; i < W; ++i) l[i] += logits[j];
    }
  }
  for (int p = 0; p < L::kParts; ++p) {
    T* at = couplings + p * L::kWidth;
    const auto get = [&](std::int64_t j) { return L::load(at + j * W); };
    const auto set = [&](std::int64_t j, const Part& c) { L::store(at + j * W, c); };
    softmax<Part>(J, leaky, get, get, set);
  }
}

// The coupling that all outputs have before anything is known.
template <class T>
POLYAD_INLINE T first_coupling(const RoutingShape& shape, bool leaky) {
  return T{1} / static_cast<T>(shape.outputs + (leaky ? 1 : 0));
}

// v [rows][W] <- squash of every output capsule of s [rows][W]
template <class T, int W>
POLYAD_INLINE void squash_rows(const RoutingShape& shape, const T* s, T* v) {
  using L = Lanes<T, W>;
  using Part = typename L::Part;
  const std::int64_t D = shape.output_size;
  for (std::int64_t j = 0; j < shape.outputs; ++j) {
    for (int p = 0; p < L::kParts; ++p) {
      const std::int64_t at = j * D * W + p * L::kWidth;
      const auto of = [&](std::int64_t d) { return L::load(s + at + d * W); };
      const Length<Part> length = length_of<T, Part>(D, of);
      for (std::int64_t d = 0; d < D; ++d) L::store(v + at + d * W, length.phi * of(d));
    }
  }
}

// grad_s [rows][W] <- the adjoint, from grad = dL/dv [rows][W]
template <class T, int W>
POLYAD_INLINE void squash_rows_backward(const RoutingShape& shape, const T* s, const T* grad,
                                        T* grad_s) {
  using L = Lanes<T, W>;
  using Part = typename L::Part;
  const std::int64_t D = shape.output_size;
  for (std::int64_t j = 0; j < shape.outputs; ++j) {
    for (int p = 0; p < L::kParts; ++p) {
      const std::int64_t at = j * D * W + p * L::kWidth;
      const auto of = [&](std::int64_t d) { return L::load(s + at + d * W); };
      const Length<Part> length = length_of<T, Part>(D, of);
      Part along = {};
      for (std::int64_t d = 0; d < D; ++d) {
        along += of(d) * length.inverse * L::load(grad + at + d * W);
      }
      along = along * length.radial;
      for (std::int64_t d = 0; d < D; ++d) {
        const Part g = L::load(grad + at + d * W) + along * (of(d) * length.inverse);
        L::store(grad_s + at + d * W, length.phi * g);
      }
    }
  }
}

// Calls body(part, item) for all items; those of a part come one after the other, in ascending
// order, so that a part can have scratch of its own.
template <class Body>
POLYAD_INLINE void in_parts(std::int64_t items, std::int64_t parts, const Body& body) {
  parallel_for(parts, [&](std::int64_t part) {
    for (std::int64_t item = part; item < items; item += parts) body(part, item);
  });
}

}  // namespace
}  // namespace polyad::capsule
