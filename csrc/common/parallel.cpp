#include "common/parallel.hpp"

#include <omp.h>

#include <atomic>

#include "common/check.hpp"

namespace polyad {
namespace {

std::atomic<int> num_threads{0};  // 0: not set, ask OpenMP

}  // namespace

void set_num_threads(int n) {
  require(n >= 1, "set_num_threads: expected n >= 1");
  num_threads.store(n, std::memory_order_relaxed);
}

int get_num_threads() {
  const int n = num_threads.load(std::memory_order_relaxed);
  return n > 0 ? n : omp_get_max_threads();
}

}  // namespace polyad
