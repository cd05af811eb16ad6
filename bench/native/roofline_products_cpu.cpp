#include "common/vector.hpp"
#include "roofline.hpp"

namespace polyad::bench::POLYAD_ISA {

std::int64_t multiply_add(std::int64_t count, float a, float b, float* out) {
  constexpr int kChains = 10;  // of the 16 registers; 4 to 5 cycles of latency, 2 a cycle
  typedef float Floats __attribute__((vector_size(kLanes<float> * sizeof(float))));
  Floats x[kChains];
  for (int c = 0; c < kChains; ++c) x[c] = static_cast<float>(c) - Floats{};
  const Floats times = a - Floats{}, plus = b - Floats{};
  for (std::int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 10
    for (int c = 0; c < kChains; ++c) x[c] = x[c] * times + plus;
  }
  for (int c = 0; c < kChains; ++c) {
    for (int lane = 0; lane < kLanes<float>; ++lane) *out += x[c][lane];
  }
  return kChains * kLanes<float>;
}

}  // namespace polyad::bench::POLYAD_ISA
