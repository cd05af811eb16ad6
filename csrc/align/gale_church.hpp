// Beads by the lengths of sentences alone (Gale & Church 1993).
//
//   d(s, t)    = |t - c s| / sqrt(v (c s + t) / 2)    lengths s, t of the two sides of a bead
//   P(a-b)     = prior(a-b) erfc(d / sqrt(2))         prior: 1-1 .89, 2-1 and 1-2 .089, 2-2 .011,
//                                                     1-0 and 0-1 .0099
//   alignment  = the beads that cover both sides and whose product of P is largest
//
// erfc is the Chebyshev fit of Numerical Recipes (relative error below 1.2e-7). Among equal
// products the greatest type wins, (2, 2) > (2, 1) > (1, 2) > (1, 1) > (1, 0) > (0, 1). double
// throughout.
#pragma once

#include <cstdint>
#include <vector>

#include "align/sentences.hpp"

namespace polyad::align {

struct GaleChurchOptions {
  // true: sums of logarithms, which never underflow, and both ends of both texts bind. false: the
  // products as Bleualign computes them, for equal beads: no logarithms, so that they are 0 from
  // some hundreds of sentences on and 1-1 beads from the end follow; 2 erfc / 2 rounded as 1 - (1 -
  // erfc / 2); an empty bead of length 0 on both sides has probability 0; the first source sentence
  // or the first target sentence may be left out at no cost. ratio and variance are then 1 and 6.8.
  bool log_space = true;
  double ratio = 1.0;      // c > 0
  double variance = 6.8;   // v > 0
  std::int64_t band = -1;  // log_space: how many target sentences to either side of the line on
                           // which both texts have used up equal shares of their length; -1: all
                           // of them in texts of up to 4 million cells, otherwise 256, doubled
                           // until the path keeps clear of the edge
};

// Appends the beads of source [n] and target [m], lengths of at least 0, in document order; null
// beads hold one sentence each. Sentences that the linear form leaves out come as null beads too.
// Needs m bytes for each source sentence before the products vanish (some hundreds), in log space
// n (2 band + 1) + m.
void gale_church(const double* source, std::int64_t n, const double* target, std::int64_t m,
                 const GaleChurchOptions& options, std::vector<Span>& out);

}  // namespace polyad::align
