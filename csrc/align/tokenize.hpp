// Words of lines of text, as numbers.
//
// Text is UTF-8, a sentence per line, lines between '\n' (one more line than there are line feeds).
// It is brought into lower case. Rules:
//
//   nist        Bleualign's, after NIST's mteval-v11. "<skipped>" is left out; &gt; &lt; &quot;
//   &amp;
//               stand for their characters. ASCII characters other than letters, digits, control
//               characters, the apostrophe and '.' ',' '-' are words of their own; so are '.' and
//               ',' unless both neighbours are ASCII digits, and '-' after one. Spaces separate;
//               everything else (tabs and all that is not ASCII too) goes together.
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
  // Short words are told apart by their slot alone.
  struct Slot {
    std::uint64_t head;  // the first eight bytes, zeros behind a shorter word
    std::uint32_t size;
    std::int32_t number;  // -1: free
  };
  void grow();
  std::size_t slot_of(std::string_view word, std::uint64_t head) const;

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

// lower [size]: the lower case of every code point below `size`; others have none. Code points
// whose lower case depends on their neighbours, or is not one code point, are 0 there.
struct LowerCase {
  const std::uint32_t* lower;
  std::uint32_t size;
};

// False, with nothing in `out`, if the text has a code point whose lower case is 0.
// Throws std::length_error if there are 2^31 words or more.
bool tokenize(std::string_view text, TokenizeRule rule, const LowerCase& lower,
              Vocabulary& vocabulary, Tokens& out);

}  // namespace polyad::align
