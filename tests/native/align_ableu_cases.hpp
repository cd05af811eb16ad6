// Random texts and similarities, for the tests of ABLEU and of what looks it up.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "align/ableu.hpp"

namespace polyad::testing {

using align::Matching;
using align::Words;
using Text = std::vector<std::int32_t>;

inline constexpr std::int32_t kWords = 12;

inline Words view(const Text& text) {
  return {text.data(), static_cast<std::int32_t>(text.size())};
}

// A similarity of words 0 .. kWords - 1, some of it out of range on purpose.
struct Table {
  std::vector<std::int32_t> offsets{0}, words;
  std::vector<float> values;

  explicit Table(std::mt19937_64& random) {
    float drawn[kWords][kWords];
    for (std::int32_t a = 0; a < kWords; ++a) {
      for (std::int32_t b = 0; b < kWords; ++b) {
        const bool there = random() % 3 == 0;
        const float value = there ? static_cast<float>(random() % 9) / 6.0f - 0.2f : 0.0f;
        drawn[a][b] = b < a ? drawn[b][a] : value;  // the same from both sides
      }
    }
    for (std::int32_t a = 0; a < kWords; ++a) {
      for (std::int32_t b = 0; b < kWords; ++b) {
        if (drawn[a][b] == 0.0f) continue;
        words.push_back(b);
        values.push_back(drawn[a][b]);
      }
      offsets.push_back(static_cast<std::int32_t>(words.size()));
    }
  }
  align::Similarity similarity() const {
    return {offsets.data(), words.data(), values.data(), kWords};
  }
};

inline Text draw(std::mt19937_64& random, std::uint64_t longest) {
  Text text(random() % (longest + 1));
  for (auto& word : text) word = static_cast<std::int32_t>(random() % (kWords + 3));
  return text;
}

}  // namespace polyad::testing
