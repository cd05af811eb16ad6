// common/math.hpp against the library's functions in double, over the whole range, at every level.
#include <cmath>
#include <limits>
#include <vector>

#include "levels.hpp"
#include "math_levels.hpp"

namespace polyad::testing {

#ifndef POLYAD_X86_LEVELS
namespace v3 = v2;
namespace v4 = v2;
#endif

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class Math : public AtLevel {
 protected:
  const MathTable& functions() const {
    return pick(v2::math_table, v3::math_table, v4::math_table);
  }

  template <class T>
  static std::vector<T> apply(OnArray<T> function, std::vector<T> x) {
    const std::size_t n = x.size();
    x.resize((n + 15) / 16 * 16, T{1});
    std::vector<T> y(x.size());
    function(x.data(), static_cast<std::int64_t>(x.size()), y.data());
    y.resize(n);
    return y;
  }

  // The largest error over x, in eps of T relative to the value.
  template <class T, class Exact>
  static double worst(OnArray<T> function, const std::vector<T>& x, const Exact& exact) {
    const std::vector<T> y = apply(function, x);
    double most = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = exact(static_cast<double>(x[i]));
      const double error = std::abs(static_cast<double>(y[i]) - want);
      const double scaled = error == 0 ? 0 : error / std::abs(want);
      most = std::isnan(scaled) || scaled > most ? scaled : most;
      if (std::isnan(scaled)) ADD_FAILURE() << "at " << x[i] << ": " << y[i];
    }
    return most / std::numeric_limits<T>::epsilon();
  }
};
POLYAD_AT_EVERY_LEVEL(Math);

template <class T>
std::vector<T> evenly(double low, double high, int count) {
  std::vector<T> x;
  for (int i = 0; i <= count; ++i) x.push_back(static_cast<T>(low + (high - low) * i / count));
  return x;
}

// Positive numbers of every size, and all around 1.
template <class T>
std::vector<T> every_size(double low, double high, int count) {
  std::vector<T> x;
  for (double e : evenly<double>(std::log(low), std::log(high), count)) {
    x.push_back(static_cast<T>(std::exp(e)));
  }
  for (double near : evenly<double>(0.5, 2, count / 4)) x.push_back(static_cast<T>(near));
  return x;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::log1p(std::exp(x)); }

TEST_P(Math, Exp) {
  const auto exact = [](double x) { return std::exp(x); };
  EXPECT_LE(worst(functions().of_float.exp, evenly<float>(-87.3, 88.7, 400000), exact), 2);
  EXPECT_LE(worst(functions().of_float.exp, evenly<float>(-1, 1, 100000), exact), 2);
  EXPECT_LE(worst(functions().of_double.exp, evenly<double>(-700, 700, 100000), exact), 2);
  const auto y = apply(functions().of_float.exp,
                       {-kInfinity, -3e38f, -104, -88, -0.0f, 0, 89, 3e38f, kInfinity, kNaN});
  EXPECT_EQ(std::vector<float>(y.begin(), y.begin() + 4), std::vector<float>(4, 0));
  EXPECT_EQ(y[4], 1);
  EXPECT_EQ(y[5], 1);
  EXPECT_EQ(std::vector<float>(y.begin() + 6, y.begin() + 9), std::vector<float>(3, kInfinity));
  EXPECT_TRUE(std::isnan(y[9]));
}

TEST_P(Math, Log) {
  const auto exact = [](double x) { return std::log(x); };
  EXPECT_LE(worst(functions().of_float.log, every_size<float>(1.2e-38, 3.4e38, 400000), exact), 2);
  EXPECT_LE(worst(functions().of_double.log, every_size<double>(1e-300, 1e300, 100000), exact), 2);
  const auto y = apply(functions().of_float.log, {1, kNaN});
  EXPECT_EQ(y[0], 0);
  EXPECT_TRUE(std::isnan(y[1]));
}

TEST_P(Math, Tanh) {
  const auto exact = [](double x) { return std::tanh(x); };
  EXPECT_LE(worst(functions().of_float.tanh, evenly<float>(-12, 12, 400000), exact), 3);
  EXPECT_LE(worst(functions().of_float.tanh, every_size<float>(1e-30, 1e30, 100000), exact), 3);
  EXPECT_LE(worst(functions().of_double.tanh, evenly<double>(-25, 25, 100000), exact), 3);
  const auto y = apply(functions().of_float.tanh, {-kInfinity, -40, 0, 40, kInfinity, kNaN});
  EXPECT_EQ(std::vector<float>(y.begin(), y.begin() + 5), (std::vector<float>{-1, -1, 0, 1, 1}));
  EXPECT_TRUE(std::isnan(y[5]));
}

TEST_P(Math, Sqrt) {
  const auto exact = [](double x) { return std::sqrt(x); };
  EXPECT_LE(worst(functions().of_float.sqrt, every_size<float>(1e-37, 1e38, 100000), exact), 0.5);
  EXPECT_LE(worst(functions().of_double.sqrt, every_size<double>(1e-300, 1e300, 100000), exact),
            0.5);
  EXPECT_EQ(apply(functions().of_float.sqrt, {0})[0], 0);
}

TEST_P(Math, Sigmoid) {
  EXPECT_LE(worst(functions().of_float.sigmoid, evenly<float>(-87, 87, 400000), sigmoid), 4);
  EXPECT_LE(worst(functions().of_double.sigmoid, evenly<double>(-700, 700, 100000), sigmoid), 4);
  const auto y = apply(functions().of_float.sigmoid, {-kInfinity, -1000, 0, 1000, kInfinity, kNaN});
  EXPECT_EQ(std::vector<float>(y.begin(), y.begin() + 5), (std::vector<float>{0, 0, 0.5f, 1, 1}));
  EXPECT_TRUE(std::isnan(y[5]));
}

TEST_P(Math, Softplus) {
  EXPECT_LE(worst(functions().of_float.softplus, evenly<float>(-80, 80, 100000), softplus), 3);
  EXPECT_LE(worst(functions().of_double.softplus, evenly<double>(-700, 700, 50000), softplus), 3);
  EXPECT_EQ(apply(functions().of_float.softplus, {1000})[0], 1000);
}

}  // namespace
}  // namespace polyad::testing
