// Threads of the CPU kernels. The only file that knows OpenMP.
//
// Work is handed out item by item and every item writes its own part of the output, so that results
// do not depend on the number of threads.
#pragma once

#include <cstdint>

namespace polyad {

// The number of threads that kernels use; 1 <= n. The default is what OpenMP offers.
void set_num_threads(int n);
int get_num_threads();

namespace {  // internal linkage: each ISA level keeps its own copy (no COMDAT across levels)

// Calls body(i) for i = 0 .. items - 1. Items are taken in order by whichever thread is free.
template <class Body>
void parallel_for(std::int64_t items, const Body& body) {
  const int threads = get_num_threads();
  if (items <= 1 || threads <= 1) {
    for (std::int64_t i = 0; i < items; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t i = 0; i < items; ++i) body(i);
}

}  // namespace
}  // namespace polyad
