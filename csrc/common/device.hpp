// Marks functions that a CPU loop and a CUDA kernel both call: a formula is written once.
#pragma once

#ifdef __CUDACC__
#define POLYAD_INLINE __host__ __device__ __forceinline__
#else
#define POLYAD_INLINE inline __attribute__((always_inline))
#endif
