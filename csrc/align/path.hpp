// The best chain through links between two lists of sentences.
//
// Of links (i, j) with scores w, the chain (i_1, j_1), (i_2, j_2), ... with i and j strictly
// ascending whose sum of scores, added up from its start, is the largest. Links with w <= 0 are in
// no chain. Among equal sums the chain is Bleualign's: its last link has the smallest i, then the
// smallest j, and so has the chain before that link, in turn. A Fenwick tree over j holds the best
// chain that ends at or before each j: O(links log m) time, O(links + m) memory.
#pragma once

#include <cstdint>
#include <vector>

namespace polyad::align {

struct Links {
  const std::int32_t* source;  // [count] i, ascending
  const std::int32_t* target;  // [count] j, at least 0
  const double* score;         // [count] w, no NaN
  std::int64_t count;
};

// Puts the places of the chain's links into `path`, ascending; `targets` is above every j.
void best_path(const Links& links, std::int32_t targets, std::vector<std::int64_t>& path);

}  // namespace polyad::align
