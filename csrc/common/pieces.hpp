// Scratch of the CPU kernels, handed out piece by piece, and work that is done part by part. For
// *_cpu.cpp files only.
#pragma once

#include <cstdint>

#include "common/device.hpp"
#include "common/parallel.hpp"

namespace polyad {
namespace {

// Hands out consecutive pieces of scratch.
template <class T>
struct Pieces {
  T* next;

  POLYAD_INLINE T* take(std::int64_t elements) {
    T* piece = next;
    next += elements;
    return piece;
  }
};

// Calls body(item, pieces) for every item; items of one part lie side by side and share its scratch
// of `elements`, one after the other.
template <class T, class Body>
void for_items(std::int64_t items, std::int64_t parts, T* scratch, std::int64_t elements,
               const Body& body) {
  parallel_for(parts, [&](std::int64_t part) {
    const std::int64_t end = items * (part + 1) / parts;
    for (std::int64_t item = items * part / parts; item < end; ++item) {
      body(item, Pieces<T>{scratch + part * elements});
    }
  });
}

}  // namespace
}  // namespace polyad
