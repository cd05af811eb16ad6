#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

#include "align/tokenize.hpp"

namespace polyad::testing {
namespace {

using align::TokenizeRule;
using align::Tokens;
using align::Vocabulary;

// Lower case of ASCII is known without a table; here only e with acute has one, and U+0130 none.
std::array<std::uint32_t, 0x200> table() {
  std::array<std::uint32_t, 0x200> lower{};
  for (std::uint32_t code = 0; code < lower.size(); ++code) lower[code] = code;
  lower[0xc9] = 0xe9;
  lower[0x130] = 0;
  return lower;
}

struct Result {
  bool known;
  std::vector<std::vector<std::string>> lines;
  std::vector<std::int32_t> characters;
};

Result split(std::string_view text, TokenizeRule rule = TokenizeRule::nist) {
  const auto lower = table();
  Vocabulary vocabulary;
  Tokens tokens;
  Result result{};
  result.known = align::tokenize(text, rule, {lower.data(), lower.size()}, vocabulary, tokens);
  for (std::size_t line = 0; line + 1 < tokens.offsets.size(); ++line) {
    std::vector<std::string> words;
    for (std::int32_t at = tokens.offsets[line]; at < tokens.offsets[line + 1]; ++at) {
      words.emplace_back(vocabulary.word(tokens.ids[at]));
    }
    result.lines.push_back(words);
  }
  result.characters = tokens.characters;
  return result;
}

TEST(Tokenize, NistRule) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(split("Hello, World. 3.5 a.b 3.a a.3 3. .3").lines[0],
            (Words{"hello", ",", "world", ".", "3.5", "a", ".", "b", "3", ".", "a", "a", ".", "3",
                   "3", ".", ".", "3"}));
  EXPECT_EQ(split("3-4 a-b 3- -3 1--2").lines[0],
            (Words{"3", "-", "4", "a-b", "3", "-", "-3", "1", "-", "-2"}));
  EXPECT_EQ(split("a<skipped>B &amp;lt; &quot;x&gt; it's\t").lines[0],
            (Words{"ab", "&", "lt", ";", "\"", "x", ">", "it's\t"}));
  EXPECT_EQ(split("\xc3\x89T\xc3\x89").lines[0], (Words{"\xc3\xa9t\xc3\xa9"}));
}

TEST(Tokenize, LinesAndLengths) {
  const Result result = split("one two\n\n \xc2\xa0\xc3\xa9t\xc3\xa9 \xe3\x80\x80\n");
  ASSERT_TRUE(result.known);
  EXPECT_EQ(result.lines.size(), 4u);
  EXPECT_EQ(result.characters, (std::vector<std::int32_t>{7, 0, 3, 0}));
}

TEST(Tokenize, LeavesWhatItDoesNotKnow) {
  EXPECT_FALSE(split("a \xc4\xb0 b").known);
  EXPECT_TRUE(split("a \xc4\xb0 b").lines.empty());
}

TEST(Tokenize, Characters) {
  EXPECT_EQ(split("A &amp;\xea\xb0\x80", TokenizeRule::characters).lines[0],
            (std::vector<std::string>{"a", "&", "a", "m", "p", ";", "\xea\xb0\x80"}));
}

// Any bytes at all, valid UTF-8 or not, end in as many lines as there are line feeds, and one more.
TEST(Tokenize, AnyBytes) {
  std::mt19937_64 random(3);
  const std::string_view pieces[] = {
      "&amp;",    "&lt", "<skipped>", "\xed\xa0\x80", "\xf0\x9f\x98\x80",
      "\xe2\x80", "\n",  "\xff",      "3.1",          "\xc2"};
  for (int repeat = 0; repeat < 20000; ++repeat) {
    std::string text;
    for (std::size_t part = random() % 8; part > 0; --part) {
      if (random() % 2) {
        text += pieces[random() % std::size(pieces)];
      } else {
        for (std::size_t byte = random() % 12; byte > 0; --byte) {
          text += static_cast<char>(random());
        }
      }
    }
    for (const TokenizeRule rule : {TokenizeRule::nist, TokenizeRule::characters}) {
      const Result result = split(text, rule);
      if (!result.known) continue;
      const auto feeds = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
      ASSERT_EQ(result.lines.size(), feeds + 1);
      ASSERT_EQ(result.characters.size(), feeds + 1);
    }
  }
}

TEST(Vocabulary, NumbersStayWhenItGrows) {
  Vocabulary vocabulary;
  for (int n = 0; n < 5000; ++n) ASSERT_EQ(vocabulary.number("w" + std::to_string(n)), n);
  for (int n = 0; n < 5000; ++n) {
    ASSERT_EQ(vocabulary.number("w" + std::to_string(n)), n);
    ASSERT_EQ(vocabulary.word(n), "w" + std::to_string(n));
  }
  EXPECT_EQ(vocabulary.size(), 5000);
}

}  // namespace
}  // namespace polyad::testing
