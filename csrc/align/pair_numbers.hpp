// A table of numbers of pairs of numbers: open addressing, never smaller than half as large again
// as what it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace polyad::align {

std::uint64_t mixed_bits(std::uint64_t x);
// The least power of two that is at least 16 and `least`.
std::size_t power_of_two(std::size_t least);

class PairNumbers {
 public:
  static constexpr std::int32_t kNone = -1;

  void reset(std::size_t expected);
  // The number of a pair; a new pair gets `fresh`.
  std::int32_t insert(std::uint32_t first, std::uint32_t second, std::int32_t fresh);
  std::int32_t find(std::uint32_t first, std::uint32_t second) const;

 private:
  void resize(std::size_t slots);
  std::size_t slot_of(std::uint64_t key) const;

  std::vector<std::uint64_t> keys_;   // open addressing
  std::vector<std::int32_t> values_;  // where a key is
  std::size_t mask_ = 0, taken_ = 0;
  int shift_ = 0;
};

}  // namespace polyad::align
