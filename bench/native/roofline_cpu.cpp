#include "common/bits.hpp"
#include "roofline.hpp"

namespace polyad::bench::POLYAD_ISA {

void and_rows(const std::uint64_t* words, const std::int32_t* variables, std::int64_t count,
              std::uint64_t* out) {
  // As many chains as hide the latency of the AND without spilling: 8 registers in all.
  constexpr int kChains = kVectorWords;
  Row<8> row[kChains];
  for (Row<8>& r : row) r = Row<8>::ones();
  for (std::int64_t i = 0; i < count; i += kChains) {
#pragma GCC unroll 8
    for (int c = 0; c < kChains; ++c) {
      row[c] = row[c] & Row<8>::load(words + static_cast<std::int64_t>(variables[i + c]) * 8);
    }
  }
  for (int c = 0; c < kChains; ++c) row[c].store(out + 8 * c);
}

}  // namespace polyad::bench::POLYAD_ISA
