#include "common/cuda_check.hpp"
#include "hypernet/cuda.hpp"

namespace polyad::hypernet::cuda {
namespace {

using polyad::cuda::check;
using polyad::cuda::kWarp;
using polyad::cuda::launch;

// A block moves 64 samples of 128 variables through shared memory, which turns rows of bytes into
// words and back with whole cache lines on both sides.
constexpr int kSamples = 64;
constexpr int kVariables = 128;
constexpr int kThreads = 256;  // 2 for each variable: 32 samples, half a word, each
constexpr int kWarps = kThreads / kWarp;

__host__ __device__ inline std::int64_t variable_blocks(std::int64_t variables) {
  return (variables + kVariables - 1) / kVariables;
}

// The half-words of the planes: planes are little-endian, so that half h of a word holds samples
// 32 h .. 32 h + 31.
__device__ std::int64_t half_word(std::int64_t group, std::int64_t variable, std::int64_t variables,
                                  int width, int half) {
  return (((group / width) * variables + variable) * width + group % width) * 2 + half;
}

// status <- min over the bad rows of 1 + row, 0 standing for none.
__device__ void report_row(std::int32_t* status, std::int32_t value) {
  int seen = *reinterpret_cast<volatile std::int32_t*>(status);
  while (seen == 0 || value < seen) {
    const int before = atomicCAS(status, seen, value);
    if (before == seen) return;
    seen = before;
  }
}

__global__ void __launch_bounds__(kThreads) pack_kernel(PackArgs args) {
  __shared__ std::uint32_t bytes[kSamples][kVariables / 4];
  __shared__ int first_bad;  // row within the block's 64, or kSamples
  const std::int64_t I = args.variables;
  const std::int64_t blocks = variable_blocks(I);
  const std::int64_t items = plane_tiles(args.samples, args.width) * args.width * blocks;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const bool words_of_four = I % 4 == 0 && reinterpret_cast<std::uintptr_t>(args.x) % 4 == 0;

  for (std::int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const std::int64_t group = item / blocks, j0 = item % blocks * kVariables;
    __syncthreads();  // the words of the item before have been read
    if (threadIdx.x == 0) first_bad = kSamples;
    __syncthreads();
    for (int s = warp; s < kSamples; s += kWarps) {  // a warp reads 128 bytes of a row
      const std::int64_t n = group * kSamples + s, j = j0 + 4 * lane;
      std::uint32_t four = 0;
      if (n < args.samples && j < I) {
        const std::uint8_t* in = args.x + n * I + j;
        if (words_of_four) {
          four = *reinterpret_cast<const std::uint32_t*>(in);
        } else {
          for (int i = 0; i < 4 && j + i < I; ++i) {
            four |= static_cast<std::uint32_t>(in[i]) << (8 * i);
          }
        }
      }
      if ((four & 0xFEFEFEFEu) != 0) atomicMin(&first_bad, s);
      bytes[s][lane] = four;
    }
    __syncthreads();
    const int variable = threadIdx.x % kVariables, half = threadIdx.x / kVariables;
    if (j0 + variable < I) {
      std::uint32_t bits = 0;
#pragma unroll 8
      for (int s = 0; s < 32; ++s) {
        const std::uint32_t byte =
            bytes[32 * half + s][variable / 4] >> (8 * (variable % 4)) & 0xFF;
        bits |= static_cast<std::uint32_t>(byte != 0) << s;
      }
      reinterpret_cast<std::uint32_t*>(
          args.words)[half_word(group, j0 + variable, I, args.width, half)] = bits;
    }
    if (threadIdx.x == 0 && first_bad < kSamples) {
      const std::int64_t value = group * kSamples + first_bad + 1;
      report_row(args.status, static_cast<std::int32_t>(value < INT32_MAX ? value : INT32_MAX));
    }
  }
}

__global__ void __launch_bounds__(kThreads) unpack_kernel(UnpackArgs args) {
  __shared__ std::uint32_t halves[2][kVariables];
  const Planes& planes = args.planes;
  const std::int64_t I = planes.variables;
  const std::int64_t blocks = variable_blocks(I);
  const std::int64_t items = (planes.samples + kSamples - 1) / kSamples * blocks;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;

  for (std::int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const std::int64_t group = item / blocks, j0 = item % blocks * kVariables;
    __syncthreads();  // the halves of the item before have been read
    const int variable = threadIdx.x % kVariables, half = threadIdx.x / kVariables;
    if (j0 + variable < I) {
      halves[half][variable] = reinterpret_cast<const std::uint32_t*>(
          planes.words)[half_word(group, j0 + variable, I, planes.width, half)];
    }
    __syncthreads();
    for (int s = warp; s < kSamples; s += kWarps) {
      const std::int64_t n = group * kSamples + s;
      if (n >= planes.samples) break;
      for (int i = lane; i < kVariables && j0 + i < I; i += kWarp) {
        args.x[n * I + j0 + i] = static_cast<std::uint8_t>(halves[s / 32][i] >> (s % 32) & 1);
      }
    }
  }
}

}  // namespace

void pack(const PackArgs& args, cudaStream_t stream) {
  check(cudaMemsetAsync(args.status, 0, sizeof(std::int32_t), stream), "hypernet_pack");
  const std::int64_t groups = plane_tiles(args.samples, args.width) * args.width;
  launch("hypernet_pack", pack_kernel, {groups * variable_blocks(args.variables), kThreads}, stream,
         args);
}

void unpack(const UnpackArgs& args, cudaStream_t stream) {
  const std::int64_t groups = (args.planes.samples + kSamples - 1) / kSamples;
  launch("hypernet_unpack", unpack_kernel,
         {groups * variable_blocks(args.planes.variables), kThreads}, stream, args);
}

}  // namespace polyad::hypernet::cuda
