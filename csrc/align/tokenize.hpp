// Words of lines of text, as numbers.
//
// Text is UTF-8 in lower case, a sentence per line, lines between '\n' (one more line than there
// are line feeds). Rules:
//
//   nist        Bleualign's, after NIST's mteval-v11. ASCII characters other than letters, digits,
//               control characters, the apostrophe and '.' ',' '-' are words of their own; so are
//               '.' and ',' unless both neighbours are ASCII digits, and '-' after one. Spaces
//               separate; everything else (tabs and all that is not ASCII too) goes together.
//   characters  every code point but the space is a word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace polyad::align {

// Words and their numbers 0, 1, ... in the order in which they first came.
class Vocabulary {
 public:
  Vocabulary();

  std::int32_t number(std::string_view word);
  std::string_view word(std::int32_t number) const {
    return {bytes_.data() + begins_[number], begins_[number + 1] - begins_[number]};
  }
  std::int32_t size() const { return static_cast<std::int32_t>(begins_.size()) - 1; }

 private:
  void grow();
  std::size_t slot_of(std::string_view word, std::uint64_t hash) const;

  struct Slot {
    std::uint32_t hash;
    std::int32_t number;  // -1: free
  };
  std::vector<Slot> slots_;
  std::vector<char> bytes_;
  std::vector<std::size_t> begins_;  // [size + 1]
};

enum class TokenizeRule { nist, characters };

struct Tokens {
  std::vector<std::int32_t> ids;         // all lines, one after the other
  std::vector<std::int32_t> offsets;     // [lines + 1]
  std::vector<std::int32_t> characters;  // [lines] code points without the white space at the ends
};

// Throws std::length_error if there are 2^31 words or more.
void tokenize(std::string_view text, TokenizeRule rule, Vocabulary& vocabulary, Tokens& out);

}  // namespace polyad::align
