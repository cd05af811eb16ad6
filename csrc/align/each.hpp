// Work that is shared out among threads and may run out of memory.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

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

// Things that one thread uses at a time, made when all are in use.
template <class T>
class Shared {
 public:
  // One of them; it goes back when the pointer ends.
  auto borrow() {
    const auto give_back = [this](T* thing) {
      const std::lock_guard lock(mutex_);
      free_.emplace_back(thing);
    };
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      free_.push_back(std::make_unique<T>());
      free_.reserve(++made_);  // giving back must not need memory
    }
    std::unique_ptr<T, decltype(give_back)> borrowed(free_.back().release(), give_back);
    free_.pop_back();
    return borrowed;
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> free_;
  std::size_t made_ = 0;
};

}  // namespace
}  // namespace polyad::align
