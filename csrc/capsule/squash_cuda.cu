#include "capsule/cuda.hpp"
#include "common/cuda_check.hpp"
#include "common/half.cuh"

namespace polyad::capsule::cuda {
namespace {

using polyad::cuda::launch;
using polyad::cuda::narrow;
using polyad::cuda::widen;

constexpr int kThreads = 256;

// W neighbouring lanes share a vector: one alone where its numbers stand apart (inner > 1), so that
// lanes read beside each other; else as many as it has numbers, up to a warp.
template <int W, class T, class Combine>
__device__ __forceinline__ T over_lanes(T value, const Combine& combine) {
#pragma unroll
  for (int step = W / 2; step > 0; step /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  }
  return value;
}

template <int W, class T>
__device__ __forceinline__ T sum_over_lanes(T value) {
  return over_lanes<W>(value, [](T a, T b) { return a + b; });
}

template <class T, int W, class X>
__device__ __forceinline__ Length<T> length_over_lanes(const X* s, std::int64_t size,
                                                       std::int64_t stride, int lane) {
  T most = 0;
  for (std::int64_t d = lane; d < size; d += W) most = larger_size<T>(most, widen(s[d * stride]));
  most = over_lanes<W>(most, [](T a, T b) { return larger_size<T>(a, b); });
  const T shrink = shrink_of<T>(most);
  T q = 0;
  for (std::int64_t d = lane; d < size; d += W) {
    const T x = widen(s[d * stride]) * shrink;
    q += x * x;
  }
  return length_from<T>(most, shrink, sum_over_lanes<W>(q));
}

// Where vector `index` begins.
__device__ __forceinline__ std::int64_t begin_of(const SquashShape& shape, std::int64_t index) {
  return shape.inner == 1 ? index * shape.size
                          : index / shape.inner * shape.size * shape.inner + index % shape.inner;
}

// Calls body(begin, lane, there) for the vectors of this thread. All lanes of a warp go on
// together: those past the end take the last vector and `there` false.
template <int W, class Body>
__device__ __forceinline__ void for_vectors(const SquashShape& shape, const Body& body) {
  const std::int64_t count = shape.outer * shape.inner;
  const std::int64_t per_block = kThreads / W;
  const std::int64_t blocks = (count + per_block - 1) / per_block;
  for (std::int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const std::int64_t index = block * per_block + threadIdx.x / W;
    const bool there = index < count;
    body(begin_of(shape, there ? index : count - 1), static_cast<int>(threadIdx.x % W), there);
  }
}

template <class X, class T, int W>
__global__ void __launch_bounds__(kThreads) squash_kernel(const SquashArgs<X> args) {
  for_vectors<W>(args.shape, [&](std::int64_t begin, int lane, bool there) {
    const X* s = args.s + begin;
    const std::int64_t D = args.shape.size, stride = args.shape.inner;
    const Length<T> length = length_over_lanes<T, W>(s, D, stride, lane);
    if (!there) return;
    for (std::int64_t d = lane; d < D; d += W) {
      args.v[begin + d * stride] = narrow<X>(length.phi * widen(s[d * stride]));
    }
  });
}

template <class X, class T, int W>
__global__ void __launch_bounds__(kThreads)
    squash_backward_kernel(const SquashBackwardArgs<X> args) {
  for_vectors<W>(args.shape, [&](std::int64_t begin, int lane, bool there) {
    const X *s = args.s + begin, *grad = args.grad + begin;
    const std::int64_t D = args.shape.size, stride = args.shape.inner;
    const Length<T> length = length_over_lanes<T, W>(s, D, stride, lane);
    T along = 0;
    for (std::int64_t d = lane; d < D; d += W) {
      along += widen(s[d * stride]) * length.inverse * widen(grad[d * stride]);
    }
    along = sum_over_lanes<W>(along) * length.radial;
    if (!there) return;
    for (std::int64_t d = lane; d < D; d += W) {
      const T unit = widen(s[d * stride]) * length.inverse;
      args.grad_s[begin + d * stride] =
          narrow<X>(length.phi * (widen(grad[d * stride]) + along * unit));
    }
  });
}

template <int W, class Args>
void launch_at(const char* name, void (*kernel)(Args), const Args& args, cudaStream_t stream) {
  const std::int64_t per_block = kThreads / W;
  launch(name, kernel,
         {(args.shape.outer * args.shape.inner + per_block - 1) / per_block, kThreads}, stream,
         args);
}

// The lanes that share a vector.
int lanes_of(const SquashShape& shape) {
  if (shape.inner > 1) return 1;
  return shape.size > 16 ? 32 : shape.size > 8 ? 16 : shape.size > 4 ? 8 : 4;
}

}  // namespace

template <class X, class T>
void squash(const SquashArgs<X>& args, cudaStream_t stream) {
  constexpr const char* name = "capsule_squash";
  switch (lanes_of(args.shape)) {
    case 1: return launch_at<1>(name, squash_kernel<X, T, 1>, args, stream);
    case 4: return launch_at<4>(name, squash_kernel<X, T, 4>, args, stream);
    case 8: return launch_at<8>(name, squash_kernel<X, T, 8>, args, stream);
    case 16: return launch_at<16>(name, squash_kernel<X, T, 16>, args, stream);
    default: return launch_at<32>(name, squash_kernel<X, T, 32>, args, stream);
  }
}

template <class X, class T>
void squash_backward(const SquashBackwardArgs<X>& args, cudaStream_t stream) {
  constexpr const char* name = "capsule_squash_backward";
  switch (lanes_of(args.shape)) {
    case 1: return launch_at<1>(name, squash_backward_kernel<X, T, 1>, args, stream);
    case 4: return launch_at<4>(name, squash_backward_kernel<X, T, 4>, args, stream);
    case 8: return launch_at<8>(name, squash_backward_kernel<X, T, 8>, args, stream);
    case 16: return launch_at<16>(name, squash_backward_kernel<X, T, 16>, args, stream);
    default: return launch_at<32>(name, squash_backward_kernel<X, T, 32>, args, stream);
  }
}

template void squash<float, float>(const SquashArgs<float>&, cudaStream_t);
template void squash<double, double>(const SquashArgs<double>&, cudaStream_t);
template void squash<__half, float>(const SquashArgs<__half>&, cudaStream_t);
template void squash<__nv_bfloat16, float>(const SquashArgs<__nv_bfloat16>&, cudaStream_t);
template void squash_backward<float, float>(const SquashBackwardArgs<float>&, cudaStream_t);
template void squash_backward<double, double>(const SquashBackwardArgs<double>&, cudaStream_t);
template void squash_backward<__half, float>(const SquashBackwardArgs<__half>&, cudaStream_t);
template void squash_backward<__nv_bfloat16, float>(const SquashBackwardArgs<__nv_bfloat16>&,
                                                    cudaStream_t);

}  // namespace polyad::capsule::cuda
