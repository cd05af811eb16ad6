#include "align/ngram_rows_cpu.hpp"

#include <cstring>

#include "align/tables.hpp"
#include "common/device.hpp"

#ifdef __SSE2__
#include <immintrin.h>
#endif

namespace polyad::align::POLYAD_ISA {
namespace {

// Bit i says whether value i of 64 lies within the bounds. Compilers turn no plain loop into this.
struct Within {
#if defined(__AVX512BW__)
  __m512i low, high;
  Within(std::uint8_t least, std::uint8_t most)
      : low(_mm512_set1_epi8(static_cast<char>(least))),
        high(_mm512_set1_epi8(static_cast<char>(most))) {}
  POLYAD_INLINE std::uint64_t operator()(const std::uint8_t* values) const {
    const __m512i v = _mm512_loadu_si512(values);
    return _mm512_cmpge_epu8_mask(v, low) & _mm512_cmple_epu8_mask(v, high);
  }
#elif defined(__AVX2__)
  __m256i low, high;
  Within(std::uint8_t least, std::uint8_t most)
      : low(_mm256_set1_epi8(static_cast<char>(least))),
        high(_mm256_set1_epi8(static_cast<char>(most))) {}
  POLYAD_INLINE std::uint64_t half(const std::uint8_t* values) const {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
    const __m256i inside = _mm256_max_epu8(_mm256_min_epu8(v, high), low);
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(inside, v)));
  }
  POLYAD_INLINE std::uint64_t operator()(const std::uint8_t* values) const {
    return half(values) | half(values + 32) << 32;
  }
#elif defined(__SSE2__)
  __m128i low, high;
  Within(std::uint8_t least, std::uint8_t most)
      : low(_mm_set1_epi8(static_cast<char>(least))),
        high(_mm_set1_epi8(static_cast<char>(most))) {}
  POLYAD_INLINE std::uint64_t quarter(const std::uint8_t* values) const {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
    const __m128i inside = _mm_max_epu8(_mm_min_epu8(v, high), low);
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(inside, v)));
  }
  POLYAD_INLINE std::uint64_t operator()(const std::uint8_t* values) const {
    return quarter(values) | quarter(values + 16) << 16 | quarter(values + 32) << 32 |
           quarter(values + 48) << 48;
  }
#else
  std::uint8_t low, high;
  Within(std::uint8_t least, std::uint8_t most) : low(least), high(most) {}
  POLYAD_INLINE std::uint64_t operator()(const std::uint8_t* values) const {
    std::uint64_t bits = 0;
    for (int i = 0; i < 64; ++i) {
      bits |= static_cast<std::uint64_t>(values[i] >= low && values[i] <= high) << i;
    }
    return bits;
  }
#endif
};

std::int64_t places_within(const std::uint8_t* values, std::int64_t size, std::uint8_t low,
                           std::uint8_t high, std::int32_t* out) {
  const Within within(low, high);
  std::int64_t found = 0;
  const auto put = [&](const std::uint8_t* at, std::int64_t begin) {
    for (std::uint64_t bits = within(at); bits != 0; bits &= bits - 1) {
      out[found++] = static_cast<std::int32_t>(begin + __builtin_ctzll(bits));
    }
  };
  std::int64_t begin = 0;
  for (; begin + 64 <= size; begin += 64) put(values + begin, begin);
  if (begin < size) {
    std::uint8_t last[64] = {};  // zeros lie below every `low`
    std::memcpy(last, values + begin, size - begin);
    put(last, begin);
  }
  return found;
}

std::int64_t promising(const PromisingArgs& args) {
  std::int64_t kept = 0;
  for (std::int64_t at = 0; at < args.count; ++at) {
    const std::int32_t candidate = args.candidates[at];
    const Outline& target = args.targets[candidate];
    std::int32_t words = args.words - __builtin_popcountll(args.source.low & ~target.low) -
                         __builtin_popcountll(args.source.high & ~target.high);
    if (words > target.length) words = target.length;
    const bool keep = target.length >= args.lengths ||
                      args.rest[target.length] + args.of_words[words] >= args.threshold;
    args.candidates[kept] = candidate;
    kept += keep;
  }
  return kept;
}

}  // namespace

extern const NgramRowsTable ngram_rows_table;
const NgramRowsTable ngram_rows_table{places_within, promising};

}  // namespace polyad::align::POLYAD_ISA
