// The counts that BLEU is made of (Papineni et al. 2002, section 2.1), a batch of texts at a time.
//
//   matches_k = sum_g min(c(g), max_r r(g))   over the n-grams g of order k = 1 .. N of a candidate
//               c: count in the candidate, r: count in a reference, the maximum over its references
//   length    = the length of the reference whose length is closest; of two the shorter
//
// A candidate of L words has max(L - k + 1, 0) n-grams of order k, so nothing else is needed. All
// counts are exact: n-grams are compared by their words.
#pragma once

#include <cstdint>

#include "align/sentences.hpp"

namespace polyad::align {

// Sentence i of the candidates against the references places[i] .. places[i + 1] - 1.
struct BleuArgs {
  Sentences candidates;             // C
  Sentences references;             // places[C] of them
  const std::int64_t* places;       // [C + 1], ascending from 0, at least one reference for each
  int max_n;                        // N >= 1
  std::int32_t* matches;            // [C, N] out
  std::int32_t* reference_lengths;  // [C] out
};

// Throws std::length_error if a candidate and its references have 2^31 words or more together.
void bleu_counts(const BleuArgs& args);

}  // namespace polyad::align
