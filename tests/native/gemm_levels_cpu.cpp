#include "common/gemm.hpp"
#include "gemm_levels.hpp"

namespace polyad::testing::POLYAD_ISA {
namespace {

template <class T>
std::int64_t size_of(std::int64_t K, std::int64_t N) {
  return packed_size<T>(K, N);
}

template <class T>
void multiply(const Product<T>& p) {
  if (p.transposed) {
    pack_transposed(p.b, p.K, p.N, p.b_row, p.packed);
  } else if (p.zero_row < 0) {
    pack(p.b, p.K, p.N, p.b_row, p.packed);
  } else {
    const auto row = [&](std::int64_t k) { return k == p.zero_row ? nullptr : p.b + k * p.b_row; };
    pack_rows(row, p.K, p.N, p.packed);
  }
  gemm(Rows<T>{p.a, p.a_row, p.a_column}, p.M, p.K, p.packed, p.N, p.c, p.c_row);
}

}  // namespace

const GemmTable gemm_table{{size_of<float>, multiply<float>}, {size_of<double>, multiply<double>}};

}  // namespace polyad::testing::POLYAD_ISA
