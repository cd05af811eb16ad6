#include "capsule/routing_gradients_cuda.hpp"
#include "capsule/routing_rows_cuda.cuh"
#include "capsule/routing_terms_cuda.cuh"
#include "common/cuda_check.hpp"

namespace polyad::capsule::cuda {
namespace {

using polyad::cuda::kWarp;
using polyad::cuda::launch;

// grad_votes [B, I, J, D]: neighbouring threads take neighbouring quads.
template <class T>
struct VotesGradient {
  Extent extent;
  Terms<T> terms;
  bool aligned;
  T* grad_votes;
};

template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    votes_gradient_kernel(const __grid_constant__ VotesGradient<T> args) {
  const Extent& extent = args.extent;
  const int width = extent.quads();
  const std::int64_t quads = std::int64_t{extent.outputs} * width, rows = extent.rows();
  const std::int64_t groups = (extent.batch + kSamples<T> - 1) / kSamples<T>;
  for_numbers(groups * extent.inputs * quads, [&](std::int64_t e) {
    const int quad = static_cast<int>(e % quads);
    const int inputs[1] = {static_cast<int>(e / quads % extent.inputs)};
    const int sample = static_cast<int>(e / quads / extent.inputs) * kSamples<T>;
    const int j = quad / width, d = quad % width * kRows;
    const int count = extent.output_size - d < kRows ? extent.output_size - d : kRows;
    Patch<T> x[1];
    x[0].clear();
    add_terms<T, 1>(extent, args.terms, inputs, j, d, count, sample, x);
    x[0].store(args.grad_votes + inputs[0] * rows + std::int64_t{j} * extent.output_size + d,
               extent.inputs * rows, sample, extent.batch, count, args.aligned);
  });
}

template <class T>
struct Sums {
  Extent extent;
  std::int64_t sets;
  const T* from;
  int pitch;
  bool add;
  T* to;
};

constexpr int kSumWarps = 8;

// A block takes 32 rows, one per lane; its warps share sets and samples.
template <class T>
__global__ void __launch_bounds__(kSumWarps* kWarp)
    sum_vectors_kernel(const __grid_constant__ Sums<T> args) {
  __shared__ T sums[kSumWarps][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t rows = args.extent.rows();
  const std::int64_t row = blockIdx.x * std::int64_t{kWarp} + lane;
  const std::int64_t count = args.sets * args.extent.batch;
  T sum = 0;
  if (row < rows) {
#pragma unroll 8
    for (std::int64_t n = warp; n < count; n += kSumWarps) sum += args.from[n * rows + row];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || row >= rows) return;
  sum = args.add ? args.to[row] : T{0};
  for (int w = 0; w < kSumWarps; ++w) sum += sums[w][lane];
  args.to[row] = sum;
}

// A warp takes a connection.
template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    sum_connections_kernel(const __grid_constant__ Sums<T> args) {
  Extent connections = args.extent;
  connections.batch = args.extent.inputs;
  const std::int64_t set = std::int64_t{args.extent.inputs} * args.extent.outputs * args.pitch;
  for_capsules(connections, [&](std::int64_t i, std::int64_t j, int lane) {
    const std::int64_t connection = i * args.extent.outputs + j;
    const T* from = args.from + connection * args.pitch;
    T sum = 0;
    for (std::int64_t n = 0; n < args.sets; ++n) {
#pragma unroll 4
      for (int b = lane; b < args.extent.batch; b += kWarp) sum += from[n * set + b];
    }
    sum = sum_over_lanes(sum, kWarp);
    if (lane == 0) args.to[connection] = args.add ? args.to[connection] + sum : sum;
  });
}

}  // namespace

template <class T>
void gradient_of_votes(const Extent& extent, const Terms<T>& terms, T* grad_votes,
                       cudaStream_t stream) {
  constexpr std::uintptr_t kWhole = 16;
  const bool aligned =
      extent.output_size % kRows == 0 && reinterpret_cast<std::uintptr_t>(grad_votes) % kWhole == 0;
  const std::int64_t groups = (extent.batch + kSamples<T> - 1) / kSamples<T>;
  launch_numbers("capsule_routing_votes", votes_gradient_kernel<T>,
                 groups * extent.inputs * extent.outputs * extent.quads(), stream,
                 VotesGradient<T>{extent, terms, aligned, grad_votes});
}

template <class T>
void sum_vectors(const Extent& extent, std::int64_t sets, const T* from, bool add, T* to,
                 cudaStream_t stream) {
  launch("capsule_routing_bias", sum_vectors_kernel<T>,
         {(extent.rows() + kWarp - 1) / kWarp, kSumWarps * kWarp}, stream,
         Sums<T>{extent, sets, from, 0, add, to});
}

template <class T>
void sum_connections(const Extent& extent, std::int64_t sets, const T* from, int pitch, bool add,
                     T* to, cudaStream_t stream) {
  Extent connections = extent;
  connections.batch = extent.inputs;
  launch_capsules("capsule_routing_logits", sum_connections_kernel<T>, connections, stream,
                  Sums<T>{extent, sets, from, pitch, add, to});
}

template void gradient_of_votes<float>(const Extent&, const Terms<float>&, float*, cudaStream_t);
template void gradient_of_votes<double>(const Extent&, const Terms<double>&, double*, cudaStream_t);
template void sum_vectors<float>(const Extent&, std::int64_t, const float*, bool, float*,
                                 cudaStream_t);
template void sum_vectors<double>(const Extent&, std::int64_t, const double*, bool, double*,
                                  cudaStream_t);
template void sum_connections<float>(const Extent&, std::int64_t, const float*, int, bool, float*,
                                     cudaStream_t);
template void sum_connections<double>(const Extent&, std::int64_t, const double*, int, bool,
                                      double*, cudaStream_t);

}  // namespace polyad::capsule::cuda
