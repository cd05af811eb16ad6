// The capsule kernels on CUDA. The contracts are those of squash.hpp, routing.hpp and
// em_routing.hpp; every pointer is a device address, work goes to `stream` of the current device,
// nothing is allocated and nothing waits. Float sums are taken in a fixed order that depends on the
// sizes alone.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "capsule/em_routing.hpp"
#include "capsule/routing.hpp"
#include "capsule/squash.hpp"

namespace polyad::capsule::cuda {

// X stored, T computed in: float, float; double, double; __half, float; __nv_bfloat16, float.
template <class X, class T>
void squash(const SquashArgs<X>& args, cudaStream_t stream);
template <class X, class T>
void squash_backward(const SquashBackwardArgs<X>& args, cudaStream_t stream);

// Half types do not come here: the Python edge widens them, as routing returns float. `parts` is
// not read. The types of inputs are not trusted: a value out of range counts as the nearest type
// there is. A sample's v, couplings and grad_u do not depend on its batch.
void routing(const RoutingArgs<float>& args, cudaStream_t stream);
void routing(const RoutingArgs<double>& args, cudaStream_t stream);
void routing_backward(const RoutingBackwardArgs<float>& args, cudaStream_t stream);
void routing_backward(const RoutingBackwardArgs<double>& args, cudaStream_t stream);

// Elements T of their scratch, enough for every combination of arguments that may be null. The
// batch goes through it in slices where it is large.
template <class T>
std::int64_t routing_scratch(const RoutingShape& shape);
template <class T>
std::int64_t routing_backward_scratch(const RoutingShape& shape, const CapsuleTypes& types,
                                      bool detach);

// `parts` is not read.
void em_routing(const EmRoutingArgs<float>& args, cudaStream_t stream);
void em_routing(const EmRoutingArgs<double>& args, cudaStream_t stream);
void em_routing_backward(const EmRoutingBackwardArgs<float>& args, cudaStream_t stream);
void em_routing_backward(const EmRoutingBackwardArgs<double>& args, cudaStream_t stream);

// Elements of their scratch.
std::int64_t em_routing_scratch(const EmShape& shape, bool is_double);
std::int64_t em_routing_backward_scratch(const EmShape& shape, bool is_double);

}  // namespace polyad::capsule::cuda
