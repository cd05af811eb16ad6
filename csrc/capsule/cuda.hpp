// The capsule kernels on CUDA. The contracts are those of squash.hpp, routing.hpp and
// em_routing.hpp; every pointer is a device address, work goes to `stream` of the current device,
// nothing is allocated and nothing waits. Float sums are taken in a fixed order that depends on the
// sizes alone.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include "capsule/squash.hpp"

namespace polyad::capsule::cuda {

// X stored, T computed in: float, float; double, double; __half, float; __nv_bfloat16, float.
template <class X, class T>
void squash(const SquashArgs<X>& args, cudaStream_t stream);
template <class X, class T>
void squash_backward(const SquashBackwardArgs<X>& args, cudaStream_t stream);

}  // namespace polyad::capsule::cuda
