// The products of common/gemm.hpp as each ISA level computes them.
#pragma once

#include <cstdint>

#include "common/isa.hpp"

namespace polyad::testing {

// C [M, N] += A [M, K] B [K, N], with A[i, k] at a[i * a_row + k * a_column], C[i, j] at
// c[i * c_row + j]; `packed` has packed_size elements.
template <class T>
struct Product {
  std::int64_t M, K, N;
  const T* a;
  std::int64_t a_row, a_column;
  const T* b;  // B[k, n] at b[k * b_row + n], or at b[n * b_row + k] if transposed
  std::int64_t b_row;
  bool transposed;
  std::int64_t zero_row;  // a row of B that is left out when packing; -1: none
  T* packed;
  T* c;
  std::int64_t c_row;
};

template <class T>
struct GemmFunctions {
  std::int64_t (*packed_size)(std::int64_t K, std::int64_t N);
  void (*multiply)(const Product<T>&);
};

struct GemmTable {
  GemmFunctions<float> of_float;
  GemmFunctions<double> of_double;
};

namespace v2 {
extern const GemmTable gemm_table;
}
#ifdef POLYAD_X86_LEVELS
namespace v3 {
extern const GemmTable gemm_table;
}
namespace v4 {
extern const GemmTable gemm_table;
}
#endif

}  // namespace polyad::testing
