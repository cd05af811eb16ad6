// What both passes of EM routing on the CPU share: a block of samples across the lanes, the votes
// of an input capsule for an output capsule, the couplings. For *_cpu.cpp files only.
#pragma once

#include "capsule/em_routing.hpp"
#include "capsule/em_routing_math.hpp"
#include "capsule/lanes_cpu.hpp"
#include "capsule/routing_math.hpp"
#include "common/pieces.hpp"

namespace polyad::capsule {
namespace {

// Samples first .. first + samples - 1 across the lanes.
template <class T>
struct Block {
  std::int64_t first;
  std::int64_t samples;

  Block(const EmShape& shape, std::int64_t index)
      : first(index * kLanes<T>),
        samples(shape.batch - first < kLanes<T> ? shape.batch - first : kLanes<T>) {}
};

template <class T>
std::int64_t em_blocks(const EmShape& shape) {
  return (shape.batch + kLanes<T> - 1) / kLanes<T>;
}

// The Gaussians of one iteration, as the E-step reads them: of one block of samples.
template <class T>
struct Densities {
  T* mu;      // [J, P][L]
  T* sharp;   // [J, P][L] 1 / (2 var)
  T* offset;  // [J][L] log sigmoid(z_j) - sum_h 1/2 log(var_jh / var_0h)
};

// pose [P][L] and activation [L] of input i.
template <class T, class Args>
POLYAD_INLINE void load_input(const Args& args, const Block<T>& block, std::int64_t i, T* pose,
                              T* activation) {
  const std::int64_t I = args.shape.inputs, P = args.shape.pose();
  gather<T>(args.poses + (block.first * I + i) * P, I * P, block.samples, P, pose);
  for (std::int64_t lane = 0; lane < kLanes<T>; ++lane) {
    activation[lane] = lane < block.samples ? args.activations[(block.first + lane) * I + i] : T{0};
  }
}

// The pose of an input across the lanes: in registers where its size is known when compiling.
template <class T, class Side>
struct Pose {
  const T* at;
  const Side side;

  POLYAD_INLINE Pose(const T* pose, const Side& p) : at(pose), side(p) {}
  POLYAD_INLINE Vector<T> operator()(std::int64_t row, std::int64_t k) const {
    return load(at + (row * side + k) * kLanes<T>);
  }
};

template <class T, int n>
struct Pose<T, Fixed<n>> {
  Vector<T> m[n * n];

  POLYAD_INLINE Pose(const T* pose, const Fixed<n>&) {
    for (int e = 0; e < n * n; ++e) m[e] = load(pose + e * kLanes<T>);
  }
  POLYAD_INLINE Vector<T> operator()(std::int64_t row, std::int64_t k) const {
    return m[row * n + k];
  }
};

// Calls each(h, V_h) for the vote M W of a pose, with weight [p, p].
template <class T, class Side, class Each>
POLYAD_INLINE void for_votes(const Pose<T, Side>& pose, const T* weight, const Side& side,
                             const Each& each) {
  for (std::int64_t q = 0; q < side; ++q) {
    for (std::int64_t row = 0; row < side; ++row) {
      Vector<T> sum = pose(row, 0) * weight[q];
      for (std::int64_t k = 1; k < side; ++k) sum += pose(row, k) * weight[k * side + q];
      each(row * side + q, sum);
    }
  }
}

constexpr int kInputs = kEmInputs;

// activations [N][L] and votes [N][J, P][L] of inputs i .. i + N - 1, and poses [N][P][L].
template <int N, class T, class Side, class Args>
POLYAD_INLINE void load_votes(const Args& args, const Block<T>& block, std::int64_t i,
                              const Side& side, T* poses, T* activations, T* votes) {
  constexpr int L = kLanes<T>;
  const std::int64_t J = args.shape.outputs, P = side * side, rows = J * P;
  for (int n = 0; n < N; ++n) {
    load_input(args, block, i + n, poses + n * P * L, activations + n * L);
    const Pose<T, Side> of_input(poses + n * P * L, side);
    const T* weight = args.weight + (i + n) * rows;
    for (std::int64_t j = 0; j < J; ++j) {
      T* to = votes + (n * rows + j * P) * L;
      for_votes(of_input, weight + j * P, side,
                [&](std::int64_t h, const Vector<T>& vote) { store(to + h * L, vote); });
    }
  }
}

// Calls body with the inputs first .. end - 1, N at a time while there are as many: body(i, Count).
template <int N, class Body>
POLYAD_INLINE void for_inputs(std::int64_t first, std::int64_t end, const Body& body) {
  std::int64_t i = first;
  for (; i + N <= end; i += N) body(i, Fixed<N>{});
  if constexpr (N > 1) for_inputs<N / 2>(i, end, body);
}

// couplings [J][L] <- softmax over j of the logits that stand there.
template <class T>
POLYAD_INLINE void couple(std::int64_t outputs, T* couplings) {
  constexpr int L = kLanes<T>;
  const auto get = [&](std::int64_t j) { return load(couplings + j * L); };
  softmax<Vector<T>>(outputs, false, get, get,
                     [&](std::int64_t j, const Vector<T>& c) { store(couplings + j * L, c); });
}

}  // namespace
}  // namespace polyad::capsule
