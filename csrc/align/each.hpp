// Work that is shared out among threads and may run out of memory.
#pragma once

#include <exception>
#include <mutex>

#include "common/parallel.hpp"

namespace polyad::align {
namespace {

// Calls body(part) for all parts; throws what one of them threw, after all have ended.
template <class Body>
void for_each_part(std::int64_t parts, const Body& body) {
  std::exception_ptr thrown;
  std::mutex mutex;
  parallel_for(parts, [&](std::int64_t part) {
    try {
      body(part);
    } catch (...) {
      const std::lock_guard lock(mutex);
      thrown = std::current_exception();
    }
  });
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace
}  // namespace polyad::align
