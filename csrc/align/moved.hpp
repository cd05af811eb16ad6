// Beads that stand elsewhere in the two texts: captions, boxes, notes.
#pragma once

#include <vector>

#include "align/beads.hpp"
#include "align/weighted.hpp"

namespace polyad::align {

// Adds beads of sentences that are in none of `spans`, wherever they stand within kMovedReach
// sentences of each other's places: the one with the largest
//
//   weights . features(bead) - weights . features(its sentences as null beads) - moved_cost
//
// first, as long as that is above 0; its logistic function is the score. Beads of neighbouring
// sentences only, whose 1-1 similarity in group 0 is somewhere at least kMovedLeast and among the
// kMovedTried largest of the source sentence, so that texts that repeat themselves take no longer
// than others. Spans are in order of their source, which their targets then are not.
inline constexpr std::int64_t kMovedReach = 50;
inline constexpr double kMovedLeast = 0.3;
inline constexpr std::ptrdiff_t kMovedTried = 8;

void moved_beads(const BeadArgs& args, const std::vector<Weighted>& views,
                 const std::vector<double>& scales, std::vector<Span>& spans,
                 std::vector<double>& scores);

}  // namespace polyad::align
