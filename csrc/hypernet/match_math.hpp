// The formula of matching, on `Bits`: a word or row that holds one bit per sample. The CPU loop uses
// rows of vector registers, the CUDA kernel 32-bit words. `plane(j)` gives the bits of variable j.
//
// A full adder `full_add(sum, b, c)` (sum <- sum ^ b ^ c, returns the carry) and a half adder
// `half_add(sum, b)` come with the Bits type.
#pragma once

#include <cstdint>

#include "common/device.hpp"
#include "hypernet/edges.hpp"

namespace polyad::hypernet {
namespace {

// All literals agree: the AND of the positive planes without the OR of the negative ones.
template <class Bits, class Plane>
POLYAD_INLINE Bits match_exact(const Plane& plane, const Literals& edge, const Bits& zeros) {
  Bits all = ~zeros;
  Bits any = zeros;
  for (int i = 0; i < edge.positives; ++i) all = all & plane(edge.variable[i]);
  for (int i = edge.positives; i < edge.count; ++i) any = any | plane(edge.variable[i]);
  return all & ~any;
}

// The same for K edges of one shape (positives, count) whose literals lie side by side: the loop over
// the literals serves them all, which hides its overhead.
template <int K, class Bits, class Plane>
POLYAD_INLINE void match_exact_together(const Plane& plane, const Literals& first,
                                        const Bits& zeros, Bits (&out)[K]) {
  Bits any[K];
  for (int e = 0; e < K; ++e) {
    out[e] = ~zeros;
    any[e] = zeros;
  }
  const std::int32_t* variable[K];
  for (int e = 0; e < K; ++e) variable[e] = first.variable + e * first.count;
  for (int i = 0; i < first.positives; ++i) {
    for (int e = 0; e < K; ++e) out[e] = out[e] & plane(variable[e][i]);
  }
  for (int i = first.positives; i < first.count; ++i) {
    for (int e = 0; e < K; ++e) any[e] = any[e] | plane(variable[e][i]);
  }
  for (int e = 0; e < K; ++e) out[e] = out[e] & ~any[e];
}

// Bits of a counter that can hold 0 .. t.
POLYAD_INLINE int counter_levels(int t) {
  int levels = 1;
  while ((t >> levels) != 0) ++levels;
  return levels;
}

// Bit-sliced counter: level l is bit l of every sample's count. It starts at 2^levels - 1 - t, so
// that it overflows exactly in the samples with more than t mismatches.
template <class Bits>
struct MismatchCounter {
  Bits ones, twos, fours;  // levels 0, 1, 2 apart, to stay in registers
  Bits high[28];           // levels 3 ..
  Bits over;
  int levels;

  POLYAD_INLINE void start(int t, const Bits& zeros) {
    levels = counter_levels(t);
    const unsigned first = (1u << levels) - 1u - static_cast<unsigned>(t);
    ones = (first & 1u) ? ~zeros : zeros;
    twos = (first & 2u) ? ~zeros : zeros;
    fours = (first & 4u) ? ~zeros : zeros;
    for (int l = 3; l < levels; ++l) high[l - 3] = (first >> l & 1u) ? ~zeros : zeros;
    over = zeros;
  }

  POLYAD_INLINE void carry_into_high(Bits carry) {
    for (int l = 3; l < levels; ++l) carry = half_add(high[l - 3], carry);
    over = over | carry;
  }

  POLYAD_INLINE void carry_into_twos(const Bits& c) {
    if (levels == 1) {
      over = over | c;
      return;
    }
    const Bits d = half_add(twos, c);
    if (levels == 2) {
      over = over | d;
      return;
    }
    carry_into_high(half_add(fours, d));
  }

  POLYAD_INLINE void add(const Bits& a) { carry_into_twos(half_add(ones, a)); }

  POLYAD_INLINE void add(const Bits& a, const Bits& b) { carry_into_twos(full_add(ones, a, b)); }

  POLYAD_INLINE void add(const Bits (&a)[8]) {
    const Bits c0 = full_add(ones, a[0], a[1]);
    const Bits c1 = full_add(ones, a[2], a[3]);
    const Bits c2 = full_add(ones, a[4], a[5]);
    const Bits c3 = full_add(ones, a[6], a[7]);
    if (levels == 1) {
      over = over | c0 | c1 | c2 | c3;
      return;
    }
    const Bits d0 = full_add(twos, c0, c1);
    const Bits d1 = full_add(twos, c2, c3);
    if (levels == 2) {
      over = over | d0 | d1;
      return;
    }
    carry_into_high(full_add(fours, d0, d1));
  }
};

// At most t literals disagree.
template <class Bits, class Plane>
POLYAD_INLINE Bits match_tolerant(const Plane& plane, const Literals& edge, int t,
                                  const Bits& zeros) {
  if (t >= edge.count) return ~zeros;
  MismatchCounter<Bits> mismatches;
  mismatches.start(t, zeros);
  int i = 0;
  for (; i + 8 <= edge.positives; i += 8) {
    Bits a[8];
    for (int j = 0; j < 8; ++j) a[j] = ~plane(edge.variable[i + j]);
    mismatches.add(a);
  }
  if (i < edge.positives && i + 8 <= edge.count) {  // one group that holds both kinds
    Bits a[8];
    for (int j = 0; j < 8; ++j) {
      const Bits p = plane(edge.variable[i + j]);
      a[j] = i + j < edge.positives ? ~p : p;
    }
    mismatches.add(a);
    i += 8;
  }
  if (i >= edge.positives) {
    for (; i + 8 <= edge.count; i += 8) {
      Bits a[8];
      for (int j = 0; j < 8; ++j) a[j] = plane(edge.variable[i + j]);
      mismatches.add(a);
    }
  }
  for (; i + 2 <= edge.positives; i += 2) {
    mismatches.add(~plane(edge.variable[i]), ~plane(edge.variable[i + 1]));
  }
  for (; i < edge.positives; ++i) mismatches.add(~plane(edge.variable[i]));
  for (; i + 2 <= edge.count; i += 2) {
    mismatches.add(plane(edge.variable[i]), plane(edge.variable[i + 1]));
  }
  for (; i < edge.count; ++i) mismatches.add(plane(edge.variable[i]));
  return ~mismatches.over;
}

template <class Bits, class Plane>
POLYAD_INLINE Bits match_literals(const Plane& plane, const Literals& edge, int t,
                                  const Bits& zeros) {
  return t == 0 ? match_exact(plane, edge, zeros) : match_tolerant(plane, edge, t, zeros);
}

}  // namespace
}  // namespace polyad::hypernet
