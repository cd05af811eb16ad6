// Energy of real or binary samples, its gradient, and the moments of the edges.
//
//   phi_e(x) = prod over literals l of e of  f_l ,   f_l = x_j (positive) or 1 - x_j (negative)
//   E(x)     = - sum_e w_e phi_e(x)                                (an empty edge has phi = 1)
//
//   dE/dw_e  = - phi_e(x)
//   dE/dx_j  = - sum over edges e that hold j of  w_e s_ej prod_{l in e, l != j} f_l ,   s = +-1
//
// Leave-one-out products come from prefix and suffix products: no division, zeros are exact.
// Products and their sums over 256 edges are taken in T, the runs and dE/dw in double; dE/dx
// accumulates in T. Relative error: a few hundred eps of the sum of absolute terms. Equal bit for
// bit for any number of threads.
#pragma once

#include <cstdint>

#include "hypernet/edges.hpp"

namespace polyad::hypernet {

// Samples of a tile on the CPU: 256 bytes, so that a row is 4 AVX-512 registers.
template <class T>
inline constexpr int kEnergyTile = 256 / sizeof(T);

template <class T>
POLYAD_INLINE constexpr std::int64_t energy_tiles(std::int64_t samples) {
  return (samples + kEnergyTile<T> - 1) / kEnergyTile<T>;
}

// The CPU backward pass always splits its work into 8 parts, whatever the number of threads: part
// (g, h) takes tiles g, g + G, .. and the h-th share of the edges, G H = 8.
inline constexpr int kEnergyParts = 8;

template <class T>
POLYAD_INLINE constexpr int energy_tile_parts(std::int64_t samples) {  // G
  const std::int64_t tiles = energy_tiles<T>(samples);
  return tiles >= 8 ? 8 : tiles >= 4 ? 4 : tiles >= 2 ? 2 : 1;
}

// X is the storage type of x (float, double; on CUDA also half types), T the type computed in.
template <class X, class T = X>
struct EnergyArgs {
  const X* x;            // [N, I]
  std::int64_t samples;  // N
  std::int64_t variables;
  Edges edges;
  const T* weights;  // [E], caller's order
  T* out;            // [N]
  T* tiles;          // CPU scratch [energy_tiles, I, kEnergyTile]: x by tiles, padded with zeros;
                     // CUDA: [cuda::energy_scratch]
};

template <class X, class T = X>
struct EnergyBackwardArgs {
  const X* x;            // [N, I]
  std::int64_t samples;  // N
  std::int64_t variables;
  Edges edges;
  const T* weights;      // [E], caller's order; not read if grad_x is null
  const T* grad;         // [N] dL/dE
  X* grad_x;             // [N, I] or null
  T* grad_w;             // [E], caller's order, or null
  T* tiles;              // CPU scratch [energy_tiles, I, kEnergyTile]; CUDA:
                         // [cuda::energy_backward_scratch]
  T* grad_tiles;         // CPU scratch [8 / G, energy_tiles, I, kEnergyTile], if grad_x is wanted
  double* grad_parts;    // CPU scratch [G, E], if grad_w is wanted
  T* products;           // CPU scratch [8, longest, kEnergyTile]
  std::int64_t longest;  // literals of the longest edge
  // CUDA, if grad_x is wanted, as in gibbs.hpp: every variable gathers the edges that hold it.
  const std::int64_t* incidence_offsets = nullptr;  // [I + 1]
  const std::int32_t* incidence = nullptr;          // [L]
};

void energy(const EnergyArgs<float>& args);
void energy(const EnergyArgs<double>& args);
void energy_backward(const EnergyBackwardArgs<float>& args);
void energy_backward(const EnergyBackwardArgs<double>& args);

}  // namespace polyad::hypernet
