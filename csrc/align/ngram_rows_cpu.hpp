// The loops of ngram.cpp that last: which of many targets are worth scoring.
#pragma once

#include <cstdint>

namespace polyad::align {

// Writes the places, ascending, whose value lies within low .. high, 1 <= low, and returns how many
// there are. `out` has room for `size`.
std::int64_t places_within(const std::uint8_t* values, std::int64_t size, std::uint8_t low,
                           std::uint8_t high, std::int32_t* out);

// One bit of 128 for every word of a text: a bit that one text has and another lacks is a word, at
// least, that they do not share. Words that stand in the text once more are others.
struct Outline {
  std::uint64_t low = 0, high = 0;
  std::int32_t length = 0;  // words

  void add(std::int32_t word) {
    const auto bit = static_cast<std::uint32_t>(word) * 0x9e3779b1u >> 25;
    (bit < 64 ? low : high) |= std::uint64_t{1} << (bit % 64);
  }
};

// Of the targets `candidates` [count], keeps those, in their order, for which
//
//   rest[length] + of_words[min(words - bits that the target lacks, length)] >= threshold
//
// or whose length is not below `lengths`; returns how many there are.
struct PromisingArgs {
  const Outline* targets;
  Outline source;
  std::int32_t words;      // of the source that any target has, below `lengths`
  const double* rest;      // [lengths]
  const double* of_words;  // [lengths] ascending
  std::int32_t lengths;
  double threshold;
  std::int32_t* candidates;
  std::int64_t count;
};
std::int64_t promising(const PromisingArgs& args);

}  // namespace polyad::align
