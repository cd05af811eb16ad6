// How the CPU kernels of routing divide their scratch: the same at every ISA level, so that the
// caller can be told its size.
#pragma once

#include "capsule/routing.hpp"

namespace polyad::capsule {
namespace {

// Samples of a block: as many as a register of the level holds, so that a small batch leaves few
// lanes empty; those beyond its end hold zeros. Outside the kernels, where scratch is measured out,
// as many as at any level: no size below is larger for fewer.
template <class T>
#if defined(POLYAD_ISA) && defined(__AVX2__) && !defined(__AVX512F__)
constexpr int kBlock = 32 / sizeof(T);
#elif defined(POLYAD_ISA) && !defined(__AVX512F__)
constexpr int kBlock = 16 / sizeof(T);
#else
constexpr int kBlock = 64 / sizeof(T);
#endif

constexpr std::int64_t kPiece = 64;  // inputs that are summed one after the other

template <class T>
POLYAD_INLINE constexpr std::int64_t blocks_of(std::int64_t batch) {
  return (batch + kBlock<T> - 1) / kBlock<T>;
}

template <class T>
POLYAD_INLINE constexpr std::int64_t whole_blocks(std::int64_t n) {
  return (n + kBlock<T> - 1) / kBlock<T> * kBlock<T>;
}

// Inputs whose numbers are gathered together: enough to fill a line of every sample, and an even
// number, as they are worked on in pairs.
template <class T>
POLYAD_INLINE constexpr std::int64_t group_of(const RoutingShape& shape) {
  if (shape.input_size == 0) return 2;
  const std::int64_t fill = whole_blocks<T>(shape.input_size) / shape.input_size;
  return (fill + 1) / 2 * 2;
}

// Vectors [rows] per sample that the backward pass combines: s' of r iterations and V after all but
// the last; with detach one each.
POLYAD_INLINE constexpr std::int64_t kept_vectors(const RoutingShape& shape, bool detach) {
  return detach ? 2 : 2 * shape.iterations - 1;
}

// Elements of a gradient W'_i while it is summed: rows across the lanes, [rows / L][K][L].
template <class T>
POLYAD_INLINE constexpr std::int64_t lying_gradient(const RoutingShape& shape) {
  return whole_blocks<T>(shape.rows()) * shape.input_size;
}

// Places for the gradients of pieces of the inputs of a type; type t begins at begin[t] / kPiece +
// t.
POLYAD_INLINE constexpr std::int64_t piece_places(const RoutingShape& shape,
                                                  const CapsuleTypes& types) {
  return types.type == nullptr ? 0 : shape.inputs / kPiece + types.types + 1;
}

// Elements that a thread works with, forward ..
template <class T>
POLYAD_INLINE constexpr std::int64_t routing_desk(const RoutingShape& shape) {
  return (group_of<T>(shape) * shape.input_size + 3 * shape.rows() + 2 * shape.outputs) * kBlock<T>;
}

// .. and backward.
template <class T>
POLYAD_INLINE constexpr std::int64_t routing_backward_desk(const RoutingShape& shape, bool detach) {
  const std::int64_t group = group_of<T>(shape);
  return (2 * group * shape.input_size + 3 * shape.rows()) * kBlock<T> +
         2 * (2 * kept_vectors(shape, detach) + 1) * shape.outputs * kBlock<T> +
         group * lying_gradient<T>(shape) + kBlock<T> * kBlock<T>;
}

}  // namespace
}  // namespace polyad::capsule
