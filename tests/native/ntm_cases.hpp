// Random heads and memories, and what the tests of the ntm kernels share.
#pragma once

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "levels.hpp"
#include "ntm/tables.hpp"

namespace polyad::testing {

using Generator = std::mt19937_64;

inline std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

inline std::string sizes_of(const ntm::HeadsShape& s) {
  return "B=" + std::to_string(s.batch) + " N=" + std::to_string(s.rows) +
         " M=" + std::to_string(s.width) + " H=" + std::to_string(s.heads) +
         " S=" + std::to_string(s.shifts);
}

template <class T>
std::vector<T> uniform(Generator& random, std::int64_t count, double low, double high) {
  std::uniform_real_distribution<double> value(low, high);
  std::vector<T> x(size(count));
  for (T& each : x) each = static_cast<T>(value(random));
  return x;
}

// Of either sign, away from zero, where the cosine similarity is steep.
template <class T>
std::vector<T> signs(Generator& random, std::int64_t count) {
  std::bernoulli_distribution coin(0.5);
  std::vector<T> x = uniform<T>(random, count, 0.3, 2);
  for (T& each : x) each = coin(random) ? each : -each;
  return x;
}

// Rows of positive numbers that add up to 1.
template <class T>
std::vector<T> distributions(Generator& random, std::int64_t count, std::int64_t length) {
  std::vector<T> x = uniform<T>(random, count * length, 0.05, 1);
  for (std::int64_t r = 0; r < count; ++r) {
    T sum = 0;
    for (std::int64_t i = 0; i < length; ++i) sum += x[size(r * length + i)];
    for (std::int64_t i = 0; i < length; ++i) x[size(r * length + i)] /= sum;
  }
  return x;
}

// Outputs and scratch start as NaN: what a kernel does not write, or reads before, is seen.
template <class T>
std::vector<T> unset(std::int64_t count) {
  return std::vector<T>(size(count), std::numeric_limits<T>::quiet_NaN());
}

inline constexpr std::int64_t kGuard = 64;  // elements behind an array that nothing may touch

// An array that ends in untouched elements; its own start as NaN.
template <class T>
struct Guarded {
  std::vector<T> values;

  explicit Guarded(std::int64_t count) : values(unset<T>(count + kGuard)) {
    std::fill(values.end() - kGuard, values.end(), T{777});
  }
  T* data() { return values.data(); }
  std::int64_t count() const { return std::ssize(values) - kGuard; }
  // The array; the test fails if something was written behind it, or not everything in it.
  std::vector<T> checked(const std::string& name, bool filled = true) const {
    for (auto each = values.end() - kGuard; each != values.end(); ++each) {
      EXPECT_EQ(*each, T{777}) << name << ": written " << each - values.end() + kGuard << " behind";
    }
    std::vector<T> own(values.begin(), values.end() - kGuard);
    if (filled) {
      for (std::size_t i = 0; i < own.size(); ++i) {
        EXPECT_FALSE(std::isnan(own[i])) << name << ": element " << i << " of " << own.size();
      }
    }
    return own;
  }
};

// Arrays of one call, in the order of its arguments; equal bit for bit or near each other.
template <class T>
using Arrays = std::vector<std::vector<T>>;

template <class T>
void expect_near(const Arrays<T>& got, const Arrays<T>& want, double eps) {
  ASSERT_EQ(got.size(), want.size());
  const double unit = std::numeric_limits<T>::epsilon();
  for (std::size_t a = 0; a < got.size(); ++a) {
    ASSERT_EQ(got[a].size(), want[a].size());
    double largest = 1;
    for (T each : want[a]) largest = std::max(largest, std::abs(static_cast<double>(each)));
    for (std::size_t i = 0; i < got[a].size(); ++i) {
      const double error =
          std::abs(static_cast<double>(got[a][i]) - static_cast<double>(want[a][i]));
      ASSERT_LE(error, eps * unit * largest) << "array " << a << " element " << i;
    }
  }
}

}  // namespace polyad::testing
