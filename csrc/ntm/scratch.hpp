// Scratch of the CPU ops on a batch: how many pieces, and lengths that hold at every ISA level.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::ntm {

// Elements of an array of n, rounded up to whole cache lines: no level has wider registers.
template <class T>
POLYAD_INLINE constexpr std::int64_t whole_lines(std::int64_t n) {
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  return (n + line - 1) / line * line;
}

// Parts that `items` pieces of work are split into, each with `elements` of scratch, which tell how
// much work it is: one for one thread, so that its scratch stays in the cache; else a few for each
// thread, so that a slow one does not hold up the rest; none too small to be worth a thread.
std::int64_t parts_of(std::int64_t items, std::int64_t elements);

}  // namespace polyad::ntm
