// Matching hyperedges against binary samples.
//
//   match[n, e] = 1[ #{literals l of edge e : x[n, variable(l)] != value(l)} <= t_e ]
//
// and three reductions of it that never store N x E bits:
//
//   votes[n, c]     = sum over edges e with label c of  w_e match[n, e]
//   match_counts[e] = sum_n match[n, e]
//   feedback[e]     = ( sum_n right[n] match[n, e],  sum_n wrong[n] match[n, e] )
//
// Counts and integer votes are exact and equal at every ISA level and on every device. Float votes
// add in the weights' type over runs of 256 edges in plan order, and the runs in double: relative
// error at most 256 eps of sum |w|; equal bit for bit for any number of threads.
#pragma once

#include <cstdint>

#include "hypernet/edges.hpp"
#include "hypernet/planes.hpp"

namespace polyad::hypernet {

// t_e: `each[order[e]]` where `each` (int32 [E], caller's order) is given, else `all`; t_e >= 0.
struct Tolerance {
  const std::int32_t* each;
  std::int32_t all;
};

struct MatchArgs {
  Planes x;
  Edges edges;
  Tolerance tolerance;
  std::uint8_t* out;  // [N, E] 0 or 1, columns in the caller's order
};

// Edges are sorted by class: those of class c are class_offsets[c] .. class_offsets[c + 1] - 1 in
// kernel order. Weights are in the caller's order.
template <class Weight>  // int64_t, float or double
struct VotesArgs {
  Planes x;
  Edges edges;
  Tolerance tolerance;
  const std::int64_t* class_offsets;  // [C + 1]
  std::int64_t classes;               // C
  const Weight* weights;              // [E]; integers: sum |w| < 2^62
  Weight* out;                        // [N, C]
  std::uint64_t* scratch;             // [votes_scratch(E, C, bits)] for integer weights on the CPU;
                                      // CUDA: [cuda::votes_scratch], or null; else null
  int bits;                           // bits of the largest |w|, 0..62; integer weights on the CPU
};

// Words of scratch for integer votes on the CPU: the weights, cut into bits for 64 edges at a time.
POLYAD_INLINE constexpr std::int64_t votes_scratch(std::int64_t edges, std::int64_t classes,
                                                   int bits) {
  return (edges / 64 + classes) * 2 * bits;
}

struct FeedbackArgs {
  Planes x;
  Edges edges;
  Tolerance tolerance;
  const std::uint64_t* masks;  // [tiles, 2, W] right and wrong, packed as two variables
  std::int64_t* right;         // [E], caller's order
  std::int64_t* wrong;         // [E]
};

struct MatchCountsArgs {
  Planes x;
  Edges edges;
  Tolerance tolerance;
  std::int64_t* out;  // [E], caller's order
};

void match(const MatchArgs& args);
void votes(const VotesArgs<std::int64_t>& args);
void votes(const VotesArgs<float>& args);
void votes(const VotesArgs<double>& args);
void match_counts(const MatchCountsArgs& args);
void feedback(const FeedbackArgs& args);

}  // namespace polyad::hypernet
