// The functions of common/math.hpp on arrays, as each ISA level computes them.
#pragma once

#include <cstdint>

#include "common/isa.hpp"

namespace polyad::testing {

template <class T>
using OnArray = void (*)(const T* x, std::int64_t n, T* y);  // n: a multiple of 16

template <class T>
struct MathFunctions {
  OnArray<T> exp, log, tanh, sqrt, sigmoid, softplus;
};

struct MathTable {
  MathFunctions<float> of_float;
  MathFunctions<double> of_double;
};

namespace v2 {
extern const MathTable math_table;
}
#ifdef POLYAD_X86_LEVELS
namespace v3 {
extern const MathTable math_table;
}
namespace v4 {
extern const MathTable math_table;
}
#endif

}  // namespace polyad::testing
