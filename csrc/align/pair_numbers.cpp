#include "align/pair_numbers.hpp"

#include <bit>
#include <utility>

namespace polyad::align {
std::size_t power_of_two(std::size_t least) {
  std::size_t size = 16;
  while (size < least) size *= 2;
  return size;
}

void PairNumbers::reset(std::size_t expected) {
  resize(power_of_two(expected + expected / 2));
  taken_ = 0;
}

std::int32_t PairNumbers::add(std::uint64_t key, std::size_t slot, std::int32_t fresh) {
  if (4 * (taken_ + 1) > 3 * keys_.size()) {
    const std::vector<std::uint64_t> keys = std::move(keys_);
    const std::vector<std::int32_t> values = std::move(values_);
    resize(2 * keys.size());
    for (std::size_t old = 0; old < keys.size(); ++old) {
      if (keys[old] == kFree) continue;
      const std::size_t place = slot_of(keys[old]);
      keys_[place] = keys[old];
      values_[place] = values[old];
    }
    slot = slot_of(key);
  }
  keys_[slot] = key;
  values_[slot] = fresh;
  ++taken_;
  return fresh;
}

void PairNumbers::resize(std::size_t slots) {
  keys_.assign(slots, kFree);
  values_.resize(slots);
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
}

void WordNumbers::reset() {
  for (std::int32_t word : words_) numbers_[word] = PairNumbers::kNone;
  words_.clear();
  large_.reset(0);
}

}  // namespace polyad::align
