// The formula of matching, on `Bits`: a word or row that holds one bit per sample. The CPU loop
// uses rows of vector registers, the CUDA kernel 32-bit words. `plane(j)` gives the bits of
// variable j.
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

// The same for K edges of one shape (positives, count) whose literals lie side by side: the loop
// over the literals serves them all, which hides its overhead.
template <int K, class Bits, class Plane>
POLYAD_INLINE void match_exact_together(const Plane& plane, const Literals& first,
                                        const Bits& zeros, Bits (&out)[K]) {
  Bits any[K];
  for (int e = 0; e < K; ++e) {
    out[e] = ~zeros;
    any[e] = zeros;
  }
  const std::int64_t stride = first.count;
  const std::int32_t* variable = first.variable;
  const std::int32_t* const split = variable + first.positives;
  const std::int32_t* const end = variable + first.count;
  for (; variable != split; ++variable) {
    for (int e = 0; e < K; ++e) out[e] = out[e] & plane(variable[e * stride]);
  }
  for (; variable != end; ++variable) {
    for (int e = 0; e < K; ++e) any[e] = any[e] | plane(variable[e * stride]);
  }
  for (int e = 0; e < K; ++e) out[e] = out[e] & ~any[e];
}

// Bits of a counter that can hold 0 .. t.
POLYAD_INLINE int counter_levels(int t) {
  int levels = 1;
  while ((t >> levels) != 0) ++levels;
  return levels;
}

// full_add of the complements; an overload may save the negations.
template <class Bits>
POLYAD_INLINE Bits full_add_complements(Bits& sum, const Bits& b, const Bits& c) {
  return full_add(sum, ~b, ~c);
}

// Bit-sliced counter: level l is bit l of every sample's count. It starts at 2^levels - 1 - t, so
// that it overflows exactly in the samples with more than t mismatches. A caller that knows the
// number of levels gives it as `Levels`; 0 leaves it to run time.
template <class Bits, int Levels = 0>
struct MismatchCounter {
  Bits ones, twos, fours;                    // levels 0, 1, 2 apart, to stay in registers
  Bits high[Levels == 0 ? 28 : Levels + 1];  // levels 3 ..
  Bits over;
  int runtime_levels;

  POLYAD_INLINE int levels() const { return Levels == 0 ? runtime_levels : Levels; }

  POLYAD_INLINE void start(int t, const Bits& zeros) {
    runtime_levels = counter_levels(t);
    const unsigned first = (1u << levels()) - 1u - static_cast<unsigned>(t);
    ones = (first & 1u) ? ~zeros : zeros;
    twos = (first & 2u) ? ~zeros : zeros;
    fours = (first & 4u) ? ~zeros : zeros;
    for (int l = 3; l < levels(); ++l) high[l - 3] = (first >> l & 1u) ? ~zeros : zeros;
    over = zeros;
  }

  // count += 8, 4 or 2 for every set bit
  POLYAD_INLINE void add_eight(Bits carry) {
    for (int l = 3; l < levels(); ++l) carry = half_add(high[l - 3], carry);
    over = over | carry;
  }
  POLYAD_INLINE void add_four(const Bits& c) {
    if (levels() <= 2) {
      over = over | c;
    } else {
      add_eight(half_add(fours, c));
    }
  }
  POLYAD_INLINE void add_two(const Bits& c) {
    if (levels() == 1) {
      over = over | c;
    } else {
      add_four(half_add(twos, c));
    }
  }
  POLYAD_INLINE void add_two(const Bits& c0, const Bits& c1) {
    if (levels() == 1) {
      over = over | c0 | c1;
    } else {
      add_four(full_add(twos, c0, c1));
    }
  }

  POLYAD_INLINE void add(const Bits& a) { add_two(half_add(ones, a)); }

  // Literals that ask for 1 differ where their plane is 0: `Complement` counts the zeros of a.
  template <bool Complement>
  POLYAD_INLINE Bits add_ones(const Bits& a, const Bits& b) {
    return Complement ? full_add_complements(ones, a, b) : full_add(ones, a, b);
  }
  template <bool Complement>
  POLYAD_INLINE void add(const Bits (&a)[2]) {
    add_two(add_ones<Complement>(a[0], a[1]));
  }
  template <bool Complement>
  POLYAD_INLINE void add(const Bits (&a)[4]) {
    const Bits c0 = add_ones<Complement>(a[0], a[1]);
    const Bits c1 = add_ones<Complement>(a[2], a[3]);
    add_two(c0, c1);
  }
  template <bool Complement>
  POLYAD_INLINE void add(const Bits (&a)[8]) {
    const Bits c0 = add_ones<Complement>(a[0], a[1]);
    const Bits c1 = add_ones<Complement>(a[2], a[3]);
    const Bits c2 = add_ones<Complement>(a[4], a[5]);
    const Bits c3 = add_ones<Complement>(a[6], a[7]);
    if (levels() == 1) {
      over = over | c0 | c1 | c2 | c3;
      return;
    }
    const Bits d0 = full_add(twos, c0, c1);
    const Bits d1 = full_add(twos, c2, c3);
    if (levels() == 2) {
      over = over | d0 | d1;
      return;
    }
    add_eight(full_add(fours, d0, d1));
  }
};

// Adds the planes of N literals to the counter.
template <int N, bool Complement, class Bits, class Plane, class Counter>
POLYAD_INLINE void count_literals(const Plane& plane, const std::int32_t* variable,
                                  Counter& mismatches) {
  Bits a[N];
  for (int j = 0; j < N; ++j) a[j] = plane(variable[j]);
  mismatches.template add<Complement>(a);
}

// The same for literals of one sign, all but the last of an odd number. Returns the number added.
template <bool Complement, class Bits, class Plane, class Counter>
POLYAD_INLINE int count_sign(const Plane& plane, const std::int32_t* variable, int count,
                             Counter& mismatches) {
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    count_literals<8, Complement, Bits>(plane, variable + i, mismatches);
  }
  if (i + 4 <= count) {
    count_literals<4, Complement, Bits>(plane, variable + i, mismatches);
    i += 4;
  }
  if (i + 2 <= count) {
    count_literals<2, Complement, Bits>(plane, variable + i, mismatches);
    i += 2;
  }
  return i;
}

// At most t literals disagree; Levels is 0 or counter_levels(t).
template <int Levels, class Bits, class Plane>
POLYAD_INLINE Bits match_tolerant(const Plane& plane, const Literals& edge, int t,
                                  const Bits& zeros) {
  MismatchCounter<Bits, Levels> mismatches;
  mismatches.start(t, zeros);
  const std::int32_t* negative = edge.variable + edge.positives;
  const int negatives = edge.count - edge.positives;
  const int p = count_sign<true, Bits>(plane, edge.variable, edge.positives, mismatches);
  const int n = count_sign<false, Bits>(plane, negative, negatives, mismatches);
  const bool odd_positive = p < edge.positives, odd_negative = n < negatives;
  if (odd_positive && odd_negative) {
    const Bits last[2] = {~plane(edge.variable[p]), plane(negative[n])};
    mismatches.template add<false>(last);
  } else if (odd_positive) {
    mismatches.add(~plane(edge.variable[p]));
  } else if (odd_negative) {
    mismatches.add(plane(negative[n]));
  }
  return ~mismatches.over;
}

template <class Bits, class Plane>
POLYAD_INLINE Bits match_literals(const Plane& plane, const Literals& edge, int t,
                                  const Bits& zeros) {
  if (t >= edge.count) return ~zeros;
  return t == 0 ? match_exact(plane, edge, zeros) : match_tolerant<0>(plane, edge, t, zeros);
}

}  // namespace
}  // namespace polyad::hypernet
