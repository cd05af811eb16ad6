#include "roofline.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <vector>

namespace polyad::bench {
namespace {

constexpr int kPasses = 200;  // the best of many short ones: a quiet moment

// Seconds of the quickest of many calls.
template <class Call>
double best_of(const Call& call) {
  double best = 1e9;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
  }
  return best;
}

double measure(AndRows* and_rows) {
  constexpr int kVariables = 784, kRows = 4096, kCalls = 16;
  alignas(64) static std::uint64_t words[kVariables][8];
  alignas(64) std::uint64_t out[8][8];
  std::mt19937_64 random(1);
  std::vector<std::int32_t> variables(kRows);
  for (auto& row : words) {
    for (auto& word : row) word = random();
  }
  for (auto& variable : variables) variable = static_cast<std::int32_t>(random() % kVariables);
  const double best = best_of([&] {
    for (int i = 0; i < kCalls; ++i) and_rows(words[0], variables.data(), kRows, out[0]);
  });
  return kCalls * kRows / best;
}

double measure(MultiplyAdd* multiply_add) {
  constexpr std::int64_t kCount = 20000;
  float out = 0;
  std::int64_t floats = 0;
  const double best = best_of([&] { floats = multiply_add(kCount, 0.5f, 0.25f, &out); });
  return static_cast<double>(kCount * floats) / best;
}

// What `measure` finds at a level, measured once.
template <class Kernel, std::size_t count>
double once(Isa level, const std::array<Kernel*, count>& kernels) {
  static std::array<double, count> measured{};
  const auto i = static_cast<std::size_t>(level);
  if (measured[i] == 0) measured[i] = measure(kernels[i]);
  return measured[i];
}

}  // namespace

double row_loads_per_second(Isa level) {
#ifdef POLYAD_X86_LEVELS
  return once<AndRows>(level, std::array{v2::and_rows, v3::and_rows, v4::and_rows});
#else
  return once<AndRows>(level, std::array{v2::and_rows});
#endif
}

double products_per_second(Isa level) {
#ifdef POLYAD_X86_LEVELS
  return once<MultiplyAdd>(level, std::array{v2::multiply_add, v3::multiply_add, v4::multiply_add});
#else
  return once<MultiplyAdd>(level, std::array{v2::multiply_add});
#endif
}

}  // namespace polyad::bench
