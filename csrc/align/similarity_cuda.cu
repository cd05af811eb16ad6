#include "align/cuda.hpp"
#include "align/similarity_math.hpp"
#include "common/cuda_check.hpp"
#include "common/gemm.cuh"

namespace polyad::align::cuda {
namespace {

using namespace polyad::cuda;  // NOLINT: tiles

// A block takes kTile source rows and goes through all targets, tile by tile, ascending.
__global__ void __launch_bounds__(kTileThreads)
    neighbours_kernel(const __grid_constant__ NeighboursArgs args) {
  __shared__ float cosines[kTile][kTile + 1];
  const int thread = static_cast<int>(threadIdx.x), K = args.top_k;
  const int tx = thread % 16, ty = thread / 16;
  const std::int64_t S = args.sources, T = args.targets, D = args.dimension;
  for (std::int64_t tile = blockIdx.x; tile < tiles_of(S); tile += gridDim.x) {
    const std::int64_t row = tile * kTile;
    const std::int64_t mine = row + thread;  // the row whose list this thread keeps
    const bool keeps = thread < kTile && mine < S;
    int found = 0;
    for (std::int64_t first = 0; first < T; first += kTile) {
      float sums[kPerThread][kPerThread] = {};
      tile_product<false>(
          0, D,
          [&](int i, std::int64_t k) {
            return row + i < S ? args.source[(row + i) * D + k] : 0.0f;
          },
          [&](std::int64_t k, int j) {
            return first + j < T ? args.target[(first + j) * D + k] : 0.0f;
          },
          false, sums);
      for (int r = 0; r < kPerThread; ++r) {
        for (int c = 0; c < kPerThread; ++c) cosines[ty + 16 * r][tx + 16 * c] = sums[r][c];
      }
      __syncthreads();
      if (keeps) {
        float* values = args.values + mine * K;
        std::int32_t* words = args.words + mine * K;
        for (int j = 0; j < kTile && first + j < T; ++j) {
          const float cosine = cosines[thread][j];
          if (!enters(cosine, values, found, K, args.threshold)) continue;
          found = insert_neighbour(cosine, static_cast<std::int32_t>(first + j), values, words,
                                   found, K);
        }
      }
      __syncthreads();
    }
    if (keeps) args.found[mine] = found;
  }
}

}  // namespace

void neighbours(const NeighboursArgs& args, cudaStream_t stream) {
  if (args.sources == 0) return;
  launch("align_neighbours", neighbours_kernel, {tiles_of(args.sources), kTileThreads}, stream,
         args);
}

}  // namespace polyad::align::cuda
