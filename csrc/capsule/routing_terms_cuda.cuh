// The terms of u_hat', as two kernels need them.
#pragma once

#include "capsule/routing_gradients_cuda.hpp"
#include "capsule/routing_rows_cuda.cuh"

namespace polyad::capsule::cuda {
namespace {

// x[n] += the terms of u_hat' for inputs[n] (none where negative), capsule j, components d ..;
// the vectors are read once for all of them.
template <class T, int N>
__device__ __forceinline__ void add_terms(const Extent& extent, const Terms<T>& terms,
                                          const int (&inputs)[N], int j, int d, int count,
                                          int sample, Patch<T> (&x)[N]) {
  using Factors = Pack<T, kSamples<T>>;
  const std::int64_t rows = extent.rows(), row = std::int64_t{j} * extent.output_size + d;
  const std::int64_t set = extent.batch * rows;
  const bool whole = extent.output_size % kRows == 0;
  if (sample >= extent.batch) return;
  Patch<T> vector;
  if (terms.even_s != nullptr) {
    vector.load(terms.even_s + row, rows, sample, extent.batch, count, whole);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      if (inputs[n] < 0) continue;
      const T c = terms.even == nullptr ? terms.factor
                                        : terms.even[std::int64_t{inputs[n]} * extent.outputs + j];
      Factors factors;
#pragma unroll
      for (int s = 0; s < kSamples<T>; ++s) factors.value[s] = c;
      x[n].add(factors, vector);
    }
  }
  const auto add = [&](const T* vectors, const T* kept, int t) {
    vector.load(vectors + t * set + row, rows, sample, extent.batch, count, whole);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      if (inputs[n] < 0) continue;
      const std::int64_t at =
          ((std::int64_t{t} * extent.inputs + inputs[n]) * extent.outputs + j) * terms.pitch;
      x[n].add(*reinterpret_cast<const Factors*>(kept + at + sample), vector);
    }
  };
#pragma unroll 1
  for (int t = 0; t < terms.kept; ++t) {
    add(terms.kept_s, terms.kept_c, t);
    if (terms.kept_total != nullptr) add(terms.kept_total, terms.kept_l, t);
  }
}

}  // namespace
}  // namespace polyad::capsule::cuda
