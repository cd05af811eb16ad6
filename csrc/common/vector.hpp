// One register of numbers at the level of the file that includes this, and what loops over arrays
// need of it. For *_cpu.cpp files only.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

#include "common/device.hpp"

namespace polyad {
namespace {  // internal linkage: each ISA level keeps its own copy

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
constexpr int kLanes = kVectorBytes / sizeof(T);

template <class T>
POLYAD_INLINE Vector<T> load(const T* p) {
  Vector<T> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

template <class T>
POLYAD_INLINE void store(T* p, const Vector<T>& v) {
  std::memcpy(p, &v, sizeof(v));
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// All bits of the first `count` lanes.
template <class T>
POLYAD_INLINE __m256i first_lanes(std::int64_t count) {
  if constexpr (sizeof(T) == 4) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  } else {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  }
}
#endif

// The first `count` numbers, or as many as there are lanes; zeros in the other lanes. No number
// past the first `count` is touched; count may be negative.
template <class T>
POLYAD_INLINE Vector<T> load_up_to(const T* p, std::int64_t count) {
  if (count >= kLanes<T>) return load(p);
  Vector<T> v = {};
  if (count <= 0) return v;
#if defined(__AVX512F__)  // a masked load; memcpy of a few bytes is a call
  const auto mask = static_cast<unsigned short>((1u << count) - 1);
  if constexpr (sizeof(T) == 4) {
    const __m512 lanes = _mm512_maskz_loadu_ps(mask, p);
    std::memcpy(&v, &lanes, sizeof(v));
  } else {
    const __m512d lanes = _mm512_maskz_loadu_pd(static_cast<unsigned char>(mask), p);
    std::memcpy(&v, &lanes, sizeof(v));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256 lanes = _mm256_maskload_ps(p, first_lanes<T>(count));
    std::memcpy(&v, &lanes, sizeof(v));
  } else {
    const __m256d lanes = _mm256_maskload_pd(p, first_lanes<T>(count));
    std::memcpy(&v, &lanes, sizeof(v));
  }
#else
  std::memcpy(&v, p, static_cast<std::size_t>(count) * sizeof(T));
#endif
  return v;
}

template <class T>
POLYAD_INLINE void store_first(T* p, const Vector<T>& v, std::int64_t count) {
  if (count >= kLanes<T>) return store(p, v);
  if (count <= 0) return;
#if defined(__AVX512F__)
  const auto mask = static_cast<unsigned short>((1u << count) - 1);
  if constexpr (sizeof(T) == 4) {
    __m512 lanes;
    std::memcpy(&lanes, &v, sizeof(v));
    _mm512_mask_storeu_ps(p, mask, lanes);
  } else {
    __m512d lanes;
    std::memcpy(&lanes, &v, sizeof(v));
    _mm512_mask_storeu_pd(p, static_cast<unsigned char>(mask), lanes);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    __m256 lanes;
    std::memcpy(&lanes, &v, sizeof(v));
    _mm256_maskstore_ps(p, first_lanes<T>(count), lanes);
  } else {
    __m256d lanes;
    std::memcpy(&lanes, &v, sizeof(v));
    _mm256_maskstore_pd(p, first_lanes<T>(count), lanes);
  }
#else
  std::memcpy(p, &v, static_cast<std::size_t>(count) * sizeof(T));
#endif
}

template <class T>
POLYAD_INLINE Vector<T> splat(T value) {
  return value -
         Vector<T>{};  // unlike a sum with zero, this is the value itself: no addition is left
}

// Integers as wide as T, one per lane: what comparisons give and shuffles take.
template <class T>
using Index = decltype(Vector<T>{} < Vector<T>{});

// Lane i of the result is lane (i + n) mod kLanes of v.
template <int n, class T>
POLYAD_INLINE Vector<T> rotated(const Vector<T>& v) {
  Index<T> from;
  for (int i = 0; i < kLanes<T>; ++i) from[i] = (i + n) % kLanes<T>;
  return __builtin_shuffle(v, from);
}

// Sum and maximum of the lanes, always in the same order: halves onto halves.
template <class T, int n = kLanes<T> / 2>
POLYAD_INLINE T sum_of_lanes(const Vector<T>& v) {
  const Vector<T> half = v + rotated<n, T>(v);
  if constexpr (n > 1) return sum_of_lanes<T, n / 2>(half);
  return half[0];
}

template <class T, int n = kLanes<T> / 2>
POLYAD_INLINE T max_of_lanes(const Vector<T>& v) {
  const Vector<T> other = rotated<n, T>(v);
  const Vector<T> half = v < other ? other : v;
  if constexpr (n > 1) return max_of_lanes<T, n / 2>(half);
  return half[0];
}

// Swaps rows and columns of kLanes registers: blocks of 1, 2, 4 .. lanes change places.
template <int n = 1, class T>
POLYAD_INLINE void transpose(Vector<T> (&v)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
  Index<T> low, high;  // lanes of the first of two registers, then of the second
  for (int j = 0; j < L; ++j) {
    low[j] = (j & n) != 0 ? L + j - n : j;
    high[j] = (j & n) != 0 ? L + j : j + n;
  }
  for (int i = 0; i < L; ++i) {
    if ((i & n) != 0) continue;
    const Vector<T> a = v[i], b = v[i + n];
    v[i] = __builtin_shuffle(a, b, low);
    v[i + n] = __builtin_shuffle(a, b, high);
  }
  if constexpr (2 * n < L) transpose<2 * n, T>(v);
}

// The least multiple of the lanes that is not below n: the length of a padded row.
template <class T>
POLYAD_INLINE constexpr std::int64_t padded(std::int64_t n) {
  return (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

}  // namespace
}  // namespace polyad
