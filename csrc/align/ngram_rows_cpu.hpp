// The one loop of ngram.cpp that lasts: which of many small counts lie within bounds.
#pragma once

#include <cstdint>

namespace polyad::align {

// Writes the places, ascending, whose value lies within low .. high, 1 <= low, and returns how many
// there are. `out` has room for `size`.
std::int64_t places_within(const std::uint8_t* values, std::int64_t size, std::uint8_t low,
                           std::uint8_t high, std::int32_t* out);

}  // namespace polyad::align
