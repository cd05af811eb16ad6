#include "align/tokenize.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>

namespace polyad::align {
namespace {

enum class Kind : std::uint8_t { word, space, alone, stop, hyphen };

constexpr std::array<Kind, 256> kinds() {
  std::array<Kind, 256> kinds{};
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    kinds[c] = c > ' ' && c < 0x7f && !letter ? Kind::alone : Kind::word;
  }
  kinds[static_cast<int>(' ')] = Kind::space;
  kinds[static_cast<int>('\'')] = Kind::word;
  kinds[static_cast<int>('.')] = Kind::stop;
  kinds[static_cast<int>(',')] = Kind::stop;
  kinds[static_cast<int>('-')] = Kind::hyphen;
  return kinds;
}
constexpr std::array<Kind, 256> kKinds = kinds();

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool continues_code_point(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::size_t code_point_size(char first) {
  const auto c = static_cast<unsigned char>(first);
  return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

template <class T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// The first eight bytes of a word. Loads of fixed sizes that overlap, as these are fast.
std::uint64_t head_of(std::string_view word) {
  const char* at = word.data();
  const std::size_t size = word.size();
  if (size >= 8) return load<std::uint64_t>(at);
  if (size >= 4) {
    return load<std::uint32_t>(at) | static_cast<std::uint64_t>(load<std::uint32_t>(at + size - 4))
                                         << 8 * (size - 4);
  }
  std::uint64_t head = 0;
  for (std::size_t i = 0; i < size; ++i) {
    head |= static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])) << 8 * i;
  }
  return head;
}

std::uint64_t hash_of(std::string_view word, std::uint64_t head) {
  constexpr std::uint64_t kFactor = 0x9fb21c651e98df25u;
  std::uint64_t hash = (head ^ word.size()) * kFactor;
  for (std::size_t at = 8; at < word.size(); at += 8) {
    hash ^= hash >> 32;
    hash = (hash ^ load<std::uint64_t>(word.data() + std::min(at, word.size() - 8))) * kFactor;
  }
  return hash ^ hash >> 32;
}

// The size of the white space (Python's) that begins at `text`, 0 if there is none.
std::size_t white_space(std::string_view text) {
  if (text.empty()) return 0;
  const auto c = static_cast<unsigned char>(text[0]);
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
  const auto starts = [&](std::string_view what) { return text.substr(0, what.size()) == what; };
  if (c == 0xc2) return starts("\xc2\x85") || starts("\xc2\xa0") ? 2 : 0;
  if (c == 0xe1) return starts("\xe1\x9a\x80") ? 3 : 0;
  if (c == 0xe3) return starts("\xe3\x80\x80") ? 3 : 0;
  if (c != 0xe2 || text.size() < 3) return 0;
  const auto third = static_cast<unsigned char>(text[2]);
  const bool wide = text[1] == '\x80' && ((third >= 0x80 && third <= 0x8a) || third == 0xa8 ||
                                          third == 0xa9 || third == 0xaf);
  return wide || starts("\xe2\x81\x9f") ? 3 : 0;
}

// Code points of a line without the white space at its ends.
std::int32_t stripped_length(std::string_view line) {
  while (const std::size_t size = white_space(line)) line.remove_prefix(size);
  while (!line.empty()) {
    std::size_t last = line.size() - 1;
    while (last > 0 && continues_code_point(line[last])) --last;
    if (white_space(line.substr(last)) != line.size() - last) break;
    line.remove_suffix(line.size() - last);
  }
  return static_cast<std::int32_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return !continues_code_point(c); }));
}

template <class Take>
void split_nist(std::string_view line, const Take& take) {
  std::size_t begin = 0;
  const auto end_word = [&](std::size_t end) {
    if (end > begin) take(line.substr(begin, end - begin));
    begin = end + 1;
  };
  for (std::size_t at = 0; at < line.size(); ++at) {
    const Kind kind = kKinds[static_cast<unsigned char>(line[at])];
    if (kind == Kind::word) continue;
    const bool digit_before = at > 0 && is_digit(line[at - 1]);
    if (kind == Kind::stop) {
      const bool digit_after = at + 1 < line.size() && is_digit(line[at + 1]);
      if (digit_before && digit_after) continue;
    }
    if (kind == Kind::hyphen && !digit_before) continue;
    end_word(at);
    if (kind != Kind::space) take(line.substr(at, 1));
  }
  end_word(line.size());
}

template <class Take>
void split_characters(std::string_view line, const Take& take) {
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t size = std::min(code_point_size(line[at]), line.size() - at);
    if (line[at] != ' ') take(line.substr(at, size));
    at += size;
  }
}

}  // namespace

Vocabulary::Vocabulary() : slots_(1024, Slot{0, 0, -1}), begins_(1, 0) {}

std::size_t Vocabulary::slot_of(std::string_view of, std::uint64_t head) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash_of(of, head) & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.number < 0) return at;
    if (slot.head == head && slot.size == of.size() &&
        (of.size() <= 8 || word(slot.number) == of)) {
      return at;
    }
  }
}

std::int32_t Vocabulary::number(std::string_view of) {
  const std::uint64_t head = head_of(of);
  std::size_t slot = slot_of(of, head);
  if (slots_[slot].number >= 0) return slots_[slot].number;
  if (2 * begins_.size() > slots_.size()) {
    grow();
    slot = slot_of(of, head);
  }
  const std::int32_t fresh = size();
  slots_[slot] = {head, static_cast<std::uint32_t>(of.size()), fresh};
  bytes_.insert(bytes_.end(), of.begin(), of.end());
  begins_.push_back(bytes_.size());
  return fresh;
}

void Vocabulary::grow() {
  const std::vector<Slot> old = std::move(slots_);
  slots_.assign(2 * old.size(), Slot{0, 0, -1});
  for (const Slot& slot : old) {
    if (slot.number >= 0) slots_[slot_of(word(slot.number), slot.head)] = slot;
  }
}

namespace {

constexpr std::string_view kSkipped = "<skipped>";
struct Entity {
  std::string_view name;
  char character;
};
constexpr Entity kEntities[] = {{"&gt;", '>'}, {"&lt;", '<'}, {"&quot;", '"'}, {"&amp;", '&'}};

std::uint32_t decode(std::string_view text, std::size_t size) {
  const auto byte = [&](std::size_t at) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at]));
  };
  if (size == 2) return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
  if (size == 3) return (byte(0) & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  return (byte(0) & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
}

void encode(std::uint32_t code, std::vector<char>& out) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

// Eight ASCII characters in lower case; false if there are others, or an ampersand, among them.
bool lower_eight(const char* from, std::vector<char>& out) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u, kHigh = 0x80 * kOnes;
  auto eight = load<std::uint64_t>(from);
  const std::uint64_t ampersand = eight ^ ('&' * kOnes);
  if ((eight & kHigh) != 0 || ((ampersand - kOnes) & ~ampersand & kHigh) != 0) return false;
  const std::uint64_t from_a = eight + (0x80 - 'A') * kOnes, past_z = eight + (0x7f - 'Z') * kOnes;
  eight |= ((from_a ^ past_z) & kHigh) >> 2;
  const auto* bytes = reinterpret_cast<const char*>(&eight);
  out.insert(out.end(), bytes, bytes + 8);
  return true;
}

// Appends a line in lower case, entities resolved if they are to be; false where there is none.
bool add_lower(std::string_view line, bool entities, const LowerCase& lower,
               std::vector<char>& out) {
  for (std::size_t at = 0; at < line.size();) {
    if (at + 8 <= line.size() && lower_eight(line.data() + at, out)) {
      at += 8;
      continue;
    }
    const char c = line[at];
    if (static_cast<unsigned char>(c) >= 0x80) {
      const std::size_t size = std::min(code_point_size(c), line.size() - at);
      if (size < 2) return false;
      const std::uint32_t code = decode(line.substr(at), size);
      at += size;
      if (code >= lower.size || lower.lower[code] == code) {
        out.insert(out.end(), line.begin() + (at - size), line.begin() + at);
      } else if (lower.lower[code] == 0) {
        return false;
      } else {
        encode(lower.lower[code], out);
      }
      continue;
    }
    if (c == '&' && entities) {
      const auto entity = std::find_if(
          std::begin(kEntities), std::end(kEntities),
          [&](const Entity& one) { return line.substr(at, one.name.size()) == one.name; });
      if (entity != std::end(kEntities)) {
        out.push_back(entity->character);
        at += entity->name.size();
        continue;
      }
    }
    out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    ++at;
  }
  return true;
}

std::string without_skipped(std::string_view line) {
  std::string rest;
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t skipped = std::min(line.find(kSkipped, at), line.size());
    rest += line.substr(at, skipped - at);
    at = skipped + kSkipped.size();
  }
  return rest;
}

}  // namespace

bool tokenize(std::string_view text, TokenizeRule rule, const LowerCase& lower,
              Vocabulary& vocabulary, Tokens& out) {
  const auto take = [&](std::string_view word) { out.ids.push_back(vocabulary.number(word)); };
  const bool nist = rule == TokenizeRule::nist;
  const bool skips = nist && text.find(kSkipped) != text.npos;
  std::vector<char> lowered;
  out = {};
  out.ids.reserve(text.size() / 5);
  out.offsets.push_back(0);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    lowered.clear();
    if (!(skips ? add_lower(without_skipped(line), true, lower, lowered)
                : add_lower(line, nist, lower, lowered))) {
      out = {};
      return false;
    }
    const std::string_view words(lowered.data(), lowered.size());
    if (nist) {
      split_nist(words, take);
    } else {
      split_characters(words, take);
    }
    if (out.ids.size() > std::numeric_limits<std::int32_t>::max()) {
      throw std::length_error("expected fewer than 2^31 words at a time");
    }
    out.offsets.push_back(static_cast<std::int32_t>(out.ids.size()));
    out.characters.push_back(stripped_length(line));
    begin = end + 1;
  }
  return true;
}

}  // namespace polyad::align
