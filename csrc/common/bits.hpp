// Rows of bits for the CPU kernels: one variable of 64 * W samples, handled in vector registers.
//
// Everything here has internal linkage, because each ISA level compiles its own copy.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "common/device.hpp"

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace polyad {
namespace {

#if defined(__AVX512F__)
inline constexpr int kVectorWords = 8;
#elif defined(__AVX2__)
inline constexpr int kVectorWords = 4;
#else
inline constexpr int kVectorWords = 2;
#endif

template <int Words>
struct Vector {
  typedef std::uint64_t type __attribute__((vector_size(8 * Words)));
};
template <>
struct Vector<1> {  // a one-lane vector type would go through MMX
  typedef std::uint64_t type;
};

// 64 * W samples of one bit, in W / Lane::words registers.
template <int W>
struct Row {
  static constexpr int kLaneWords = W < kVectorWords ? W : kVectorWords;
  static constexpr int kLanes = W / kLaneWords;
  using Lane = typename Vector<kLaneWords>::type;

  Lane lane[kLanes];

  static POLYAD_INLINE Row load(const std::uint64_t* words) {
    Row row;
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i)
      std::memcpy(&row.lane[i], words + i * kLaneWords, sizeof(Lane));
    return row;
  }
  static POLYAD_INLINE Row zeros() {
    Row row;
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i) row.lane[i] = Lane{};
    return row;
  }
  static POLYAD_INLINE Row ones() { return ~zeros(); }

  POLYAD_INLINE void store(std::uint64_t* words) const {
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i) std::memcpy(words + i * kLaneWords, &lane[i], sizeof(Lane));
  }
  POLYAD_INLINE Row operator~() const {
    Row row;
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i) row.lane[i] = ~lane[i];
    return row;
  }
  POLYAD_INLINE Row operator&(const Row& other) const {
    Row row;
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i) row.lane[i] = lane[i] & other.lane[i];
    return row;
  }
  POLYAD_INLINE Row operator|(const Row& other) const {
    Row row;
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i) row.lane[i] = lane[i] | other.lane[i];
    return row;
  }
  POLYAD_INLINE Row operator^(const Row& other) const {
    Row row;
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i) row.lane[i] = lane[i] ^ other.lane[i];
    return row;
  }
  POLYAD_INLINE bool any() const {
    Lane all = lane[0];
#pragma GCC unroll 4
    for (int i = 1; i < kLanes; ++i) all |= lane[i];
#if defined(__AVX512F__)
    if constexpr (kLaneWords == 8) return _mm512_test_epi64_mask((__m512i)all, (__m512i)all) != 0;
#endif
#if defined(__AVX2__)
    if constexpr (kLaneWords == 4) return !_mm256_testz_si256((__m256i)all, (__m256i)all);
#endif
#if defined(__SSE4_1__)
    if constexpr (kLaneWords == 2) return !_mm_testz_si128((__m128i)all, (__m128i)all);
#endif
    std::uint64_t words[kLaneWords];
    std::memcpy(words, &all, sizeof(all));
    std::uint64_t bits = words[0];
    for (int i = 1; i < kLaneWords; ++i) bits |= words[i];
    return bits != 0;
  }
};

// Bit w: word w of the row is not zero.
template <int W>
POLYAD_INLINE unsigned nonzero_words(const std::uint64_t* row) {
#if defined(__AVX512F__)
  if constexpr (W == 8) {
    const __m512i words = _mm512_loadu_si512(row);
    return _mm512_test_epi64_mask(words, words);
  }
#endif
  unsigned nonzero = 0;
  for (int w = 0; w < W; ++w) nonzero |= static_cast<unsigned>(row[w] != 0) << w;
  return nonzero;
}

// Full adder on every bit: sum <- a ^ b ^ c, returns the carry maj(a, b, c).
template <int W>
POLYAD_INLINE Row<W> full_add(Row<W>& sum, const Row<W>& b, const Row<W>& c) {
  Row<W> carry;
#pragma GCC unroll 4
  for (int i = 0; i < Row<W>::kLanes; ++i) {
    const auto a0 = sum.lane[i], b0 = b.lane[i], c0 = c.lane[i];
#if defined(__AVX512F__)
    if constexpr (Row<W>::kLaneWords == 8) {
      const __m512i va = (__m512i)a0, vb = (__m512i)b0, vc = (__m512i)c0;
      carry.lane[i] = (typename Row<W>::Lane)_mm512_ternarylogic_epi64(va, vb, vc, 0xE8);
      sum.lane[i] = (typename Row<W>::Lane)_mm512_ternarylogic_epi64(va, vb, vc, 0x96);
      continue;
    }
#endif
    const auto x = a0 ^ b0;
    carry.lane[i] = (a0 & b0) | (x & c0);
    sum.lane[i] = x ^ c0;
  }
  return carry;
}

// The same for the complements of b and c, whose negation costs nothing on AVX-512.
template <int W>
POLYAD_INLINE Row<W> full_add_complements(Row<W>& sum, const Row<W>& b, const Row<W>& c) {
#if defined(__AVX512F__)
  if constexpr (Row<W>::kLaneWords == 8) {
    Row<W> carry;
    const __m512i va = (__m512i)sum.lane[0], vb = (__m512i)b.lane[0], vc = (__m512i)c.lane[0];
    carry.lane[0] = (typename Row<W>::Lane)_mm512_ternarylogic_epi64(va, vb, vc, 0x71);
    sum.lane[0] = (typename Row<W>::Lane)_mm512_ternarylogic_epi64(va, vb, vc, 0x96);
    return carry;
  }
#endif
  return full_add(sum, ~b, ~c);
}

// Half adder on every bit: sum <- a ^ b, returns the carry a & b.
template <int W>
POLYAD_INLINE Row<W> half_add(Row<W>& sum, const Row<W>& b) {
  const Row<W> carry = sum & b;
  sum = sum ^ b;
  return carry;
}

// An integer of T's size, and vectors of both.
template <class T>
struct Masked;
template <>
struct Masked<float> {
  typedef std::int32_t Int;
  typedef std::int32_t Mask __attribute__((vector_size(8 * kVectorWords)));
  typedef float Lanes __attribute__((vector_size(8 * kVectorWords)));
};
template <>
struct Masked<double> {
  typedef std::int64_t Int;
  typedef std::int64_t Mask __attribute__((vector_size(8 * kVectorWords)));
  typedef double Lanes __attribute__((vector_size(8 * kVectorWords)));
};

// accumulator[s] += value for every set bit s of `bits`; 64 accumulators.
template <class T>
POLYAD_INLINE void add_where(T* accumulator, std::uint64_t bits, T value) {
  using Int = typename Masked<T>::Int;
  using Mask = typename Masked<T>::Mask;
  using Lanes = typename Masked<T>::Lanes;
  constexpr int kLanes = sizeof(Lanes) / sizeof(T);
  constexpr int kFew = 32 / kLanes;  // bits that a loop over them serves faster
  if (std::popcount(bits) <= kFew) {
    for (; bits != 0; bits &= bits - 1) accumulator[std::countr_zero(bits)] += value;
    return;
  }
  Mask lane;
  for (int l = 0; l < kLanes; ++l) lane[l] = static_cast<Int>(Int{1} << l);
  for (int i = 0; i < 64; i += kLanes) {
    const Mask word = Mask{} + static_cast<Int>(bits >> i);
    const Mask set = (word & lane) != 0;
    Lanes sum;
    std::memcpy(&sum, accumulator + i, sizeof(sum));
    sum += (Lanes)((Mask)(Lanes{} + value) & set);
    std::memcpy(accumulator + i, &sum, sizeof(sum));
  }
}

#if defined(__AVX512F__)  // masked additions
template <>
POLYAD_INLINE void add_where(float* accumulator, std::uint64_t bits, float value) {
  const __m512 v = _mm512_set1_ps(value);
  for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_loadu_ps(accumulator + 16 * i);
    const __mmask16 mask = static_cast<__mmask16>(bits >> (16 * i));
    _mm512_storeu_ps(accumulator + 16 * i, _mm512_mask_add_ps(a, mask, a, v));
  }
}
template <>
POLYAD_INLINE void add_where(double* accumulator, std::uint64_t bits, double value) {
  const __m512d v = _mm512_set1_pd(value);
  for (int i = 0; i < 8; ++i) {
    const __m512d a = _mm512_loadu_pd(accumulator + 8 * i);
    const __mmask8 mask = static_cast<__mmask8>(bits >> (8 * i));
    _mm512_storeu_pd(accumulator + 8 * i, _mm512_mask_add_pd(a, mask, a, v));
  }
}
#endif

// 64 bytes as bits: byte != 0. Sets `above` if any byte exceeds 1.
POLYAD_INLINE std::uint64_t gather_64_bits(const std::uint8_t* in, bool& above) {
#if defined(__AVX512BW__)
  const __m512i bytes = _mm512_loadu_si512(in);
  above |= _mm512_cmpgt_epu8_mask(bytes, _mm512_set1_epi8(1)) != 0;
  return _mm512_test_epi8_mask(bytes, bytes);
#elif defined(__AVX2__)
  std::uint64_t zeros = 0;
  for (int i = 0; i < 2; ++i) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in) + i);
    const __m256i excess = _mm256_subs_epu8(bytes, _mm256_set1_epi8(1));
    above |= _mm256_testz_si256(excess, excess) == 0;
    const int mask = _mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256()));
    zeros |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(mask)) << (32 * i);
  }
  return ~zeros;
#elif defined(__SSE4_1__)
  std::uint64_t zeros = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in) + i);
    const __m128i excess = _mm_subs_epu8(bytes, _mm_set1_epi8(1));
    above |= _mm_testz_si128(excess, excess) == 0;
    const int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128()));
    zeros |= static_cast<std::uint64_t>(mask) << (16 * i);
  }
  return ~zeros;
#else
  std::uint64_t bits = 0;
  for (int i = 0; i < 64; ++i) {
    bits |= static_cast<std::uint64_t>(in[i] != 0) << i;
    above |= in[i] > 1;
  }
  return bits;
#endif
}

// The same for the first `count` bytes, 0 < count <= 64; reads no further.
POLYAD_INLINE std::uint64_t gather_bits(const std::uint8_t* in, int count, bool& above) {
  if (count == 64) return gather_64_bits(in, above);
  std::uint8_t padded[64] = {};
  std::memcpy(padded, in, static_cast<std::size_t>(count));
  return gather_64_bits(padded, above);
}

// Writes 64 bits as bytes 0 and 1.
POLYAD_INLINE void spread_64_bits(std::uint64_t bits, std::uint8_t* out) {
#if defined(__AVX512BW__)
  _mm512_storeu_si512(out, _mm512_maskz_set1_epi8(bits, 1));
#elif defined(__SSE4_1__)
  // a byte of the bits to 8 lanes, of which lane i keeps bit i
  const __m128i lanes = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  for (int i = 0; i < 4; ++i) {
    const __m128i pair = _mm_cvtsi32_si128(static_cast<int>(bits >> (16 * i) & 0xFFFF));
    const __m128i bytes =
        _mm_shuffle_epi8(pair, _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    const __m128i ones = _mm_min_epu8(_mm_and_si128(bytes, lanes), _mm_set1_epi8(1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out) + i, ones);
  }
#else
  for (int i = 0; i < 64; ++i) out[i] = static_cast<std::uint8_t>(bits >> i & 1);
#endif
}

// The same for the lowest `count` bits, 0 < count <= 64; writes no further.
POLYAD_INLINE void spread_bits(std::uint64_t bits, std::uint8_t* out, int count) {
  if (count == 64) {
    spread_64_bits(bits, out);
    return;
  }
  std::uint8_t padded[64];
  spread_64_bits(bits, padded);
  std::memcpy(out, padded, static_cast<std::size_t>(count));
}

// Transposes a 64 x 64 bit matrix in place: bit c of row r <-> bit r of row c. At distance J = 32,
// 16, .. 1 the upper columns of row r and the lower ones of row r + J change places; rows are 8, 4
// or 2 to a register, so that the last steps exchange lanes.
struct Transpose64 {
  static constexpr int kLanes = kVectorWords;
  using Lanes = typename Vector<kLanes>::type;

  // The lower J columns of every 2 J.
  static constexpr std::uint64_t lower(int j) { return ~std::uint64_t{0} / ((1ull << j) + 1); }

  template <int J>
  static POLYAD_INLINE void between(Lanes (&m)[64 / kLanes]) {
    constexpr int kStep = J / kLanes;
#pragma GCC unroll 32
    for (int r = 0; r < 64 / kLanes; ++r) {
      if ((r & kStep) != 0) continue;
      const Lanes a = m[r], b = m[r + kStep];
      m[r] = (a & lower(J)) | ((b & lower(J)) << J);
      m[r + kStep] = (b & ~lower(J)) | ((a >> J) & lower(J));
    }
  }

  template <int J>
  static POLYAD_INLINE void inside(Lanes (&m)[64 / kLanes]) {
    Lanes partner, keep, from_right, from_left;
    for (int i = 0; i < kLanes; ++i) {
      const bool first = (i & J) == 0;
      partner[i] = static_cast<std::uint64_t>(i ^ J);
      keep[i] = first ? lower(J) : ~lower(J);
      from_right[i] = first ? ~lower(J) : 0;
      from_left[i] = first ? 0 : lower(J);
    }
#pragma GCC unroll 32
    for (int r = 0; r < 64 / kLanes; ++r) {
      const Lanes other = __builtin_shuffle(m[r], partner);
      m[r] = (m[r] & keep) | ((other << J) & from_right) | ((other >> J) & from_left);
    }
  }

  template <int J>
  static POLYAD_INLINE void step(Lanes (&m)[64 / kLanes]) {
    if constexpr (J >= kLanes) {
      between<J>(m);
    } else {
      inside<J>(m);
    }
  }
};

inline __attribute__((noinline)) void transpose64(std::uint64_t (&rows)[64]) {
  Transpose64::Lanes m[64 / Transpose64::kLanes];
  std::memcpy(m, rows, sizeof(m));
  Transpose64::step<32>(m);
  Transpose64::step<16>(m);
  Transpose64::step<8>(m);
  Transpose64::step<4>(m);
  Transpose64::step<2>(m);
  Transpose64::step<1>(m);
  std::memcpy(rows, m, sizeof(m));
}

}  // namespace
}  // namespace polyad
