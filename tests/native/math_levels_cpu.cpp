#include "common/math.hpp"
#include "math_levels.hpp"

namespace polyad::testing::POLYAD_ISA {
namespace {

struct Exp {
  template <class V>
  static V of(const V& x) {
    return exp_of(x);
  }
};
struct Log {
  template <class V>
  static V of(const V& x) {
    return log_of(x);
  }
};
struct Tanh {
  template <class V>
  static V of(const V& x) {
    return tanh_of(x);
  }
};
struct Sqrt {
  template <class V>
  static V of(const V& x) {
    return sqrt_of(x);
  }
};
struct Sigmoid {
  template <class V>
  static V of(const V& x) {
    return sigmoid_of(x);
  }
};

template <class Function, class T>
void on_registers(const T* x, std::int64_t n, T* y) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) store(y + i, Function::of(load(x + i)));
}

template <class T>
void softplus(const T* x, std::int64_t n, T* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = softplus_of(x[i]);
}

template <class T>
constexpr MathFunctions<T> functions() {
  return {on_registers<Exp, T>,  on_registers<Log, T>,     on_registers<Tanh, T>,
          on_registers<Sqrt, T>, on_registers<Sigmoid, T>, softplus<T>};
}

}  // namespace

const MathTable math_table{functions<float>(), functions<double>()};

}  // namespace polyad::testing::POLYAD_ISA
