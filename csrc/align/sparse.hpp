// Sentences as sparse vectors: how often each feature (an n-gram of words, of characters) occurs.
#pragma once

#include <cstdint>
#include <vector>

#include "align/sentences.hpp"

namespace polyad::align {

// Rows of (feature, value), features ascending within a row. Read-only view.
struct SparseRows {
  const std::int64_t* offsets;   // [count + 1], ascending from 0
  const std::int32_t* features;  // [offsets[count]], each at least 0
  const float* values;           // [offsets[count]]
  std::int64_t count;
};

struct SparseTable {
  std::vector<std::int64_t> offsets = {0};
  std::vector<std::int32_t> features;
  std::vector<float> values;

  SparseRows view() const {
    return {offsets.data(), features.data(), values.data(),
            static_cast<std::int64_t>(offsets.size()) - 1};
  }
};

// Words as their code points, one after the other.
struct Spelling {
  const std::int32_t* letters;  // [offsets[count]]
  const std::int32_t* offsets;  // [count + 1]
  std::int64_t count;
};

// Counts of the word n-grams of orders 1 and 2 of texts whose word numbers are below `words`: a
// word's feature is its number, pairs are numbered from `words` on as they come. Returns the number
// of features.
std::int32_t word_vectors(const Sentences* texts, std::int64_t count, std::int32_t words,
                          SparseTable* out);

// Counts of the character n-grams of orders 3 to 5 within the words of texts, a mark before and
// after each word; a word of one letter is its own 3-gram. Numbered as they come; n-grams are told
// apart by 64-bit hashes. Returns the number of features.
std::int32_t letter_vectors(const Sentences* texts, std::int64_t count, const Spelling& spelling,
                            SparseTable* out);

}  // namespace polyad::align
