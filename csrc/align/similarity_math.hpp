// A list of the best neighbours, kept in order while cosines come in by increasing target.
#pragma once

#include <cstdint>

#include "common/device.hpp"

namespace polyad::align {

// The least cosine that still enters a list of which `found` of K places are taken: at the
// threshold, or above the last one of a full list, as of equal ones the lower target came first.
POLYAD_INLINE bool enters(float cosine, const float* values, int found, int top_k,
                          float threshold) {
  return found < top_k ? cosine >= threshold : cosine > values[top_k - 1];
}

// Puts a cosine that enters behind all that are at least as large; returns how many there are.
POLYAD_INLINE int insert_neighbour(float cosine, std::int32_t target, float* values,
                                   std::int32_t* words, int found, int top_k) {
  int place = found < top_k ? found : top_k - 1;
  for (; place > 0 && values[place - 1] < cosine; --place) {
    values[place] = values[place - 1];
    words[place] = words[place - 1];
  }
  values[place] = cosine;
  words[place] = target;
  return found < top_k ? found + 1 : top_k;
}

}  // namespace polyad::align
