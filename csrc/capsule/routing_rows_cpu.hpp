// What the forward and the backward pass of routing share on the CPU: blocks of samples, votes,
// couplings, and scratch. For *_cpu.cpp files only.
#pragma once

#include <cstring>

#include "capsule/lanes_cpu.hpp"
#include "capsule/routing.hpp"
#include "capsule/routing_math.hpp"
#include "capsule/routing_space.hpp"
#include "capsule/squash_math.hpp"
#include "common/pieces.hpp"

namespace polyad::capsule {
namespace {

// A block of samples.
struct SampleBlock {
  std::int64_t index, first, samples;
};

template <class T>
POLYAD_INLINE SampleBlock sample_block(std::int64_t batch, std::int64_t index) {
  constexpr int whole = kBlock<T>;
  const std::int64_t first = index * whole;
  const std::int64_t samples = batch - first < whole ? batch - first : whole;
  return {index, first, samples};
}

// Where votes come from: weights and inputs, or an array.
template <class T>
struct VoteSource {
  RoutingShape shape;
  const T* u;
  const T* weight;
  const T* votes;
  const std::int32_t* type;

  // An empty batch may have a null u.
  POLYAD_INLINE bool given() const { return shape.input_size == 0; }
  POLYAD_INLINE const T* weights_of(std::int64_t i) const {
    return weight + (type != nullptr ? type[i] : i) * shape.rows() * shape.input_size;
  }
};

// u [count K][W] <- the inputs first .. first + count - 1 of a block; nothing where votes are
// given.
template <class T>
POLYAD_INLINE void gather_inputs(const VoteSource<T>& from, const SampleBlock& block,
                                 std::int64_t first, std::int64_t count, T* u) {
  if (from.given()) return;
  const std::int64_t K = from.shape.input_size, stride = from.shape.inputs * K;
  gather<T>(from.u + block.first * stride + first * K, stride, block.samples, count * K, u);
}

// votes [rows][W] of N inputs, whose numbers u [K][W] are gathered.
template <int N, class T>
POLYAD_INLINE void votes_of(const VoteSource<T>& from, const SampleBlock& block,
                            const std::int64_t (&inputs)[N], const T* const (&u)[N],
                            T* const (&votes)[N]) {
  const std::int64_t rows = from.shape.rows(), stride = from.shape.inputs * rows;
  for (int n = 0; n < N; ++n) {
    if (!from.given()) {
      product<false, T>(from.weights_of(inputs[n]), rows, from.shape.input_size, u[n], votes[n]);
    } else {
      gather<T>(from.votes + block.first * stride + inputs[n] * rows, stride, block.samples, rows,
                votes[n]);
    }
  }
}

// The same, and their dot products with M vectors x [rows][W]: out + (n M + m) J W, [J][W].
template <int N, int M, class T>
POLYAD_INLINE void votes_and_dots(const VoteSource<T>& from, const SampleBlock& block,
                                  const std::int64_t (&inputs)[N], const T* const (&u)[N],
                                  const T* const (&x)[M], T* const (&votes)[N], T* out) {
  const std::int64_t J = from.shape.outputs, D = from.shape.output_size;
  if (from.given()) {
    votes_of<N, T>(from, block, inputs, u, votes);
    return dots<N, M, T>(votes, J, D, x, out);
  }
  const T* w[N];
  for (int n = 0; n < N; ++n) w[n] = from.weights_of(inputs[n]);
  votes_and_dots<N, M, T>(w, from.shape.input_size, u, J, D, x, votes, out);
}

// couplings [J][W] of an input: softmax of its logits [J], which may be null, plus agreements
// [J][W], which may be null too, and may be couplings.
template <class T>
POLYAD_INLINE void couplings_of(const RoutingShape& shape, bool leaky, const T* logits,
                                const T* agreements, T* couplings) {
  const auto logit = [&](std::int64_t j) {
    const Vector<T> l = agreements != nullptr ? load(agreements + j * kBlock<T>) : Vector<T>{};
    return logits != nullptr ? l + logits[j] : l;
  };
  softmax<Vector<T>>(
      shape.outputs, leaky, logit, [&](std::int64_t j) { return load(couplings + j * kBlock<T>); },
      [&](std::int64_t j, const Vector<T>& c) { store(couplings + j * kBlock<T>, c); });
}

// The coupling that all outputs have before anything is known.
template <class T>
POLYAD_INLINE T first_coupling(const RoutingShape& shape, bool leaky) {
  return T{1} / static_cast<T>(shape.outputs + (leaky ? 1 : 0));
}

// v [rows][W] <- squash of every output capsule of s [rows][W]
template <class T>
POLYAD_INLINE void squash_rows(const RoutingShape& shape, const T* s, T* v) {
  const std::int64_t D = shape.output_size;
  for (std::int64_t j = 0; j < shape.outputs; ++j) {
    const std::int64_t at = j * D * kBlock<T>;
    const auto of = [&](std::int64_t d) { return load(s + at + d * kBlock<T>); };
    const Length<Vector<T>> length = length_of<T, Vector<T>>(D, of);
    for (std::int64_t d = 0; d < D; ++d) store(v + at + d * kBlock<T>, length.phi * of(d));
  }
}

// grad_s [rows][W] <- the adjoint, from grad = dL/dv [rows][W]
template <class T>
POLYAD_INLINE void squash_rows_backward(const RoutingShape& shape, const T* s, const T* grad,
                                        T* grad_s) {
  const std::int64_t D = shape.output_size;
  for (std::int64_t j = 0; j < shape.outputs; ++j) {
    const std::int64_t at = j * D * kBlock<T>;
    const auto of = [&](std::int64_t d) { return load(s + at + d * kBlock<T>); };
    const Length<Vector<T>> length = length_of<T, Vector<T>>(D, of);
    Vector<T> along = {};
    for (std::int64_t d = 0; d < D; ++d) {
      along += of(d) * length.inverse * load(grad + at + d * kBlock<T>);
    }
    along = along * length.radial;
    for (std::int64_t d = 0; d < D; ++d) {
      const Vector<T> g = load(grad + at + d * kBlock<T>) + along * (of(d) * length.inverse);
      store(grad_s + at + d * kBlock<T>, length.phi * g);
    }
  }
}

// A chunk of inputs, summed piece by piece.
template <class T>
struct Chunk {
  const RoutingShape& shape;
  std::int64_t begin, end;
  T* piece;  // [rows][W]
  T* sums;   // [rows][W]

  Chunk(const RoutingShape& of, std::int64_t index, T* of_piece, T* all)
      : shape(of),
        begin(index * of.chunk()),
        end(begin + of.chunk() < of.inputs ? begin + of.chunk() : of.inputs),
        piece(of.chunk() > kPiece ? of_piece : all),
        sums(all) {}

  // Calls body(first, count, to) for groups of inputs, to add to `to`; sums <- what they added.
  template <class Body>
  POLYAD_INLINE void for_each_group(const Body& body) const {
    const std::int64_t group = group_of<T>(shape), rows = shape.rows();
    const auto bytes = static_cast<std::size_t>(rows * kBlock<T>) * sizeof(T);
    std::memset(sums, 0, bytes);
    if (piece != sums) std::memset(piece, 0, bytes);
    for (std::int64_t first = begin; first < end; first += kPiece) {
      const std::int64_t stop = first + kPiece < end ? first + kPiece : end;
      for (std::int64_t at = first; at < stop; at += group) {
        body(at, at + group < stop ? group : stop - at, piece);
      }
      if (piece != sums) move_into(piece, rows * kBlock<T>, sums);
    }
  }
};

// Calls body(Fixed<N>, at) for `count` inputs, N of them together.
template <class T, class Body>
POLYAD_INLINE void in_pairs(std::int64_t count, const Body& body) {
  constexpr int N = kTogether<T>;
  std::int64_t at = 0;
  for (; at + N <= count; at += N) body(Fixed<N>{}, at);
  if constexpr (N > 1) {
    for (; at < count; ++at) body(Fixed<1>{}, at);
  }
}

}  // namespace
}  // namespace polyad::capsule
