// Tokenised sentences and groups of them, as the kernels of the family align see them.
#pragma once

#include <cstdint>

namespace polyad::align {

// One sentence, or several one after the other. Read-only view.
struct Words {
  const std::int32_t* ids;
  std::int32_t size;

  std::int32_t operator[](std::int32_t place) const { return ids[place]; }
};

// N sentences of word numbers, one after the other. Read-only view.
struct Sentences {
  const std::int32_t* ids;      // [offsets[N]], each at least 0
  const std::int32_t* offsets;  // [N + 1], ascending from 0
  std::int64_t count;           // N

  std::int32_t length(std::int64_t i) const { return offsets[i + 1] - offsets[i]; }
  Words operator[](std::int64_t i) const { return {ids + offsets[i], length(i)}; }
  // Sentences begin .. end - 1, joined.
  Words joined(std::int64_t begin, std::int64_t end) const {
    return {ids + offsets[begin], offsets[end] - offsets[begin]};
  }
};

// A bead: source sentences source_begin .. source_end - 1 and target ones likewise; an empty side
// makes it a null bead.
struct Span {
  std::int32_t source_begin, source_end, target_begin, target_end;

  friend bool operator==(const Span&, const Span&) = default;
};

}  // namespace polyad::align
