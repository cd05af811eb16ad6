// A table of numbers of pairs of numbers: open addressing, never smaller than half as large again
// as what it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace polyad::align {

inline std::uint64_t mixed_bits(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

// The least power of two that is at least 16 and `least`.
std::size_t power_of_two(std::size_t least);

class PairNumbers {
 public:
  static constexpr std::int32_t kNone = -1;

  void reset(std::size_t expected);
  // The number of a pair; a new pair gets `fresh`.
  std::int32_t insert(std::uint32_t first, std::uint32_t second, std::int32_t fresh) {
    const std::uint64_t key = key_of(first, second);
    const std::size_t slot = slot_of(key);
    return keys_[slot] == key ? values_[slot] : add(key, slot, fresh);
  }
  std::int32_t find(std::uint32_t first, std::uint32_t second) const {
    const std::size_t slot = slot_of(key_of(first, second));
    return keys_[slot] == kFree ? kNone : values_[slot];
  }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};

  static std::uint64_t key_of(std::uint32_t first, std::uint32_t second) {
    return std::uint64_t{first} << 32 | second;
  }
  std::size_t slot_of(std::uint64_t key) const {
    // the upper bits of the product depend on all of the key's
    std::size_t slot = (key ^ key >> 32) * 0x9e3779b97f4a7c15u >> shift_;
    while (keys_[slot] != kFree && keys_[slot] != key) slot = (slot + 1) & mask_;
    return slot;
  }
  std::int32_t add(std::uint64_t key, std::size_t slot, std::int32_t fresh);
  void resize(std::size_t slots);

  std::vector<std::uint64_t> keys_;   // open addressing
  std::vector<std::int32_t> values_;  // where a key is
  std::size_t mask_ = 0, taken_ = 0;
  int shift_ = 0;
};

// Numbers of words, which are numbers themselves: those of a vocabulary of ordinary size without a
// search.
class WordNumbers {
 public:
  void reset();
  // The number of a word; a new word gets `fresh`.
  std::int32_t insert(std::int32_t word, std::int32_t fresh) {
    if (static_cast<std::size_t>(word) >= kDirect) return large_.insert(0, word, fresh);
    if (static_cast<std::size_t>(word) >= numbers_.size()) {
      numbers_.resize(word + word / 2 + 1, PairNumbers::kNone);
    }
    std::int32_t& number = numbers_[word];
    if (number == PairNumbers::kNone) {
      number = fresh;
      words_.push_back(word);
    }
    return number;
  }
  std::int32_t find(std::int32_t word) const {
    if (static_cast<std::size_t>(word) >= kDirect) return large_.find(0, word);
    return static_cast<std::size_t>(word) < numbers_.size() ? numbers_[word] : PairNumbers::kNone;
  }

 private:
  static constexpr std::size_t kDirect = 1 << 22;

  std::vector<std::int32_t> numbers_;  // [word] kNone: it has none
  std::vector<std::int32_t> words_;    // those that have one
  PairNumbers large_;
};

}  // namespace polyad::align
