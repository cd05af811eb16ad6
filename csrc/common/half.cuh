// Numbers of any storage type, half types among them, as the type they are computed in; and back.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

namespace polyad::cuda {
namespace {

__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ double widen(double value) { return value; }
__device__ __forceinline__ float widen(__half value) { return __half2float(value); }
__device__ __forceinline__ float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class X, class T>
__device__ __forceinline__ X narrow(T value) {
  if constexpr (std::is_same_v<X, __half>) {
    return __float2half_rn(value);
  } else if constexpr (std::is_same_v<X, __nv_bfloat16>) {
    return __float2bfloat16_rn(value);
  } else {
    return value;
  }
}

}  // namespace
}  // namespace polyad::cuda
