// What the benchmarks of every family share: the table of a level, aligned arrays, rates.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "common/isa.hpp"

namespace polyad::bench {

// The table of `level` out of the three.
template <class Table>
const Table& at_level(Isa level, const Table& v2, const Table& v3, const Table& v4) {
  return level == Isa::v4 ? v4 : level == Isa::v3 ? v3 : v2;
}
#ifdef POLYAD_X86_LEVELS
#define POLYAD_TABLE_OF(family, level, table) \
  ::polyad::bench::at_level(level, family::v2::table, family::v3::table, family::v4::table)
#else
#define POLYAD_TABLE_OF(family, level, table) family::v2::table
#endif

// A vector that starts at a cache line, as the arrays of numpy and torch do.
template <class T>
class Aligned {
 public:
  explicit Aligned(std::int64_t n, T value = T{})
      : storage_(static_cast<std::size_t>(n) + 64 / sizeof(T), value), count_(n) {}
  T* data() {
    const auto at = reinterpret_cast<std::uintptr_t>(storage_.data());
    return storage_.data() + (64 - at % 64) % 64 / sizeof(T);
  }
  // Uniform values in [low, high).
  Aligned&& uniform(T low, T high) && {
    std::mt19937_64 random(11);
    for (std::int64_t i = 0; i < count_; ++i) {
      data()[i] = low + (high - low) * static_cast<T>(random() % 65536) / 65536;
    }
    return static_cast<Aligned&&>(*this);
  }

 private:
  std::vector<T> storage_;
  std::int64_t count_;
};

inline benchmark::Counter rate(double per_iteration) {
  return {per_iteration, benchmark::Counter::kIsIterationInvariantRate};
}

}  // namespace polyad::bench
