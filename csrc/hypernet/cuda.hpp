// The hypernet kernels on CUDA. The contracts are those of planes.hpp, match.hpp, energy.hpp and
// gibbs.hpp; every pointer is a device address, work goes to `stream` of the current device,
// nothing is allocated and nothing waits. Float sums are taken in a fixed order that depends on the
// sizes and the device model alone.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "hypernet/energy.hpp"
#include "hypernet/gibbs.hpp"
#include "hypernet/match.hpp"
#include "hypernet/planes.hpp"

namespace polyad::hypernet::cuda {

// Where a batch is too small to fill the device, the edges of a class are cut into parts that
// blocks sum apart. VotesArgs::scratch: 8-byte words [parts, N, C]; null: one part. VotesArgs::bits
// is not read.
POLYAD_INLINE constexpr std::int64_t votes_parts(std::int64_t samples, std::int64_t edges,
                                                 std::int64_t classes) {
  const std::int64_t blocks = (samples + 1023) / 1024 * classes;
  if (blocks == 0) return 1;
  const std::int64_t wanted = 512 / blocks, most = edges / (512 * classes);
  const std::int64_t parts = wanted < most ? wanted : most;
  return parts < 1 ? 1 : parts;
}

POLYAD_INLINE constexpr std::int64_t votes_scratch(std::int64_t samples, std::int64_t edges,
                                                   std::int64_t classes) {
  const std::int64_t parts = votes_parts(samples, edges, classes);
  return parts == 1 ? 0 : parts * samples * classes;
}

// Samples of a tile of x: 4 for each lane of a warp.
inline constexpr int kEnergyTile = 128;

POLYAD_INLINE constexpr std::int64_t energy_tiles(std::int64_t samples) {
  return (samples + kEnergyTile - 1) / kEnergyTile;
}

// The edges are cut into parts that blocks sum apart, so that a small batch fills the device.
POLYAD_INLINE constexpr std::int64_t energy_parts(std::int64_t samples, std::int64_t edges) {
  const std::int64_t tiles = energy_tiles(samples);
  if (tiles == 0) return 1;
  const std::int64_t wanted = 1024 / tiles, most = edges / 256;
  const std::int64_t parts = wanted < most ? wanted : most;
  return parts < 1 ? 1 : parts;
}

// Elements T of EnergyArgs::tiles: x by tiles [tiles, I, kEnergyTile], then, if there are several
// parts, their sums as double [parts, N]. 16-byte aligned.
template <class T>
POLYAD_INLINE constexpr std::int64_t energy_scratch(std::int64_t samples, std::int64_t variables,
                                                    std::int64_t edges) {
  const std::int64_t parts = energy_parts(samples, edges);
  return energy_tiles(samples) * variables * kEnergyTile +
         (parts == 1 ? 0 : parts * samples * static_cast<std::int64_t>(sizeof(double) / sizeof(T)));
}

// Elements T of EnergyBackwardArgs::tiles: x by tiles, then minus dL/dE [tiles, kEnergyTile].
// 16-byte aligned. The other scratch of EnergyBackwardArgs is not read; grad_x needs the incidence.
POLYAD_INLINE constexpr std::int64_t energy_backward_scratch(std::int64_t samples,
                                                             std::int64_t variables) {
  return energy_tiles(samples) * (variables + 1) * kEnergyTile;
}

void pack(const PackArgs& args, cudaStream_t stream);
void unpack(const UnpackArgs& args, cudaStream_t stream);

void match(const MatchArgs& args, cudaStream_t stream);
void votes(const VotesArgs<std::int64_t>& args, cudaStream_t stream);
void votes(const VotesArgs<float>& args, cudaStream_t stream);
void votes(const VotesArgs<double>& args, cudaStream_t stream);
void match_counts(const MatchCountsArgs& args, cudaStream_t stream);
void feedback(const FeedbackArgs& args, cudaStream_t stream);

void energy(const EnergyArgs<float>& args, cudaStream_t stream);
void energy(const EnergyArgs<double>& args, cudaStream_t stream);
void energy(const EnergyArgs<__half, float>& args, cudaStream_t stream);
void energy(const EnergyArgs<__nv_bfloat16, float>& args, cudaStream_t stream);
void energy_backward(const EnergyBackwardArgs<float>& args, cudaStream_t stream);
void energy_backward(const EnergyBackwardArgs<double>& args, cudaStream_t stream);
void energy_backward(const EnergyBackwardArgs<__half, float>& args, cudaStream_t stream);
void energy_backward(const EnergyBackwardArgs<__nv_bfloat16, float>& args, cudaStream_t stream);

void gibbs(const GibbsArgs<float>& args, cudaStream_t stream);
void gibbs(const GibbsArgs<double>& args, cudaStream_t stream);

}  // namespace polyad::hypernet::cuda
