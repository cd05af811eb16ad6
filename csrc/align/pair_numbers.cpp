#include "align/pair_numbers.hpp"

#include <bit>
#include <utility>

namespace polyad::align {
namespace {

constexpr std::uint64_t kFree = ~std::uint64_t{0};

std::uint64_t key_of(std::uint32_t first, std::uint32_t second) {
  return std::uint64_t{first} << 32 | second;
}

}  // namespace

std::uint64_t mixed_bits(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}

std::size_t power_of_two(std::size_t least) {
  std::size_t size = 16;
  while (size < least) size *= 2;
  return size;
}

void PairNumbers::reset(std::size_t expected) {
  resize(power_of_two(expected + expected / 2));
  taken_ = 0;
}

std::size_t PairNumbers::slot_of(std::uint64_t key) const {
  // the upper bits of the product depend on all of the key's
  std::size_t slot = (key ^ key >> 32) * 0x9e3779b97f4a7c15u >> shift_;
  while (keys_[slot] != kFree && keys_[slot] != key) slot = (slot + 1) & mask_;
  return slot;
}

std::int32_t PairNumbers::insert(std::uint32_t first, std::uint32_t second, std::int32_t fresh) {
  const std::uint64_t key = key_of(first, second);
  std::size_t slot = slot_of(key);
  if (keys_[slot] == key) return values_[slot];
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

std::int32_t PairNumbers::find(std::uint32_t first, std::uint32_t second) const {
  const std::size_t slot = slot_of(key_of(first, second));
  return keys_[slot] == kFree ? kNone : values_[slot];
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
