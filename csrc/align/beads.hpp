// The beads of two texts by everything that speaks for them: shared n-grams seen from several
// sides, lengths, how sentences begin and end. A path of beads (a source sentences, b target
// sentences) has probability
//
//   P(path)  proportional to  exp( sum over its beads of  weights . features(bead) )
//
// (a semi-Markov conditional random field, Sarawagi & Cohen 2004). The probability of a bead is the
// sum over the paths that hold it; the alignment is the path whose beads' probabilities, each less
// a threshold, add up to most. All sums run inside a band around anchors.
//
// A *view* is a pair of sets of sparse rows that speak one language: a translation of the source
// and the target, the source and a translation of the target, or source and target themselves. With
// feature f in df_f of the view's N sentences,
//
//   x_f        = count_f sqrt(log((N + 1) / df_f))
//   cosine     = <sum of x over the source side, sum of y over the target side> / (norms)
//   s(bead)    = mean over the views of a group of  cosine / median cosine of the anchors
//
// Features of a bead, in the order of the weights, z = (a + b) / 2 - 1, lengths l (source, times
// the texts' ratio) and t:
//   0 1 2 3 4 5 6   it is 1-1; 1-2, 2-1; 2-2; 1-3, 3-1; 2-3, 3-2; 1-4, 4-1; larger
//   7 8             it is a null bead; log(l + t + 10) - 4.5 of a null bead
//   9 10            |r|, min(r r, 4) with r = log((l + 8) / (t + 8))
//   11 12           |l - t| / sqrt(l + t + 1); its square, at most 60, / 10
//   13 14 15        both sides end alike; begin alike in case; sides that begin in lower case
//   16              s less the best s of what is left without a first or last sentence, the least
//                   of both sides; 0 for 1-1
//   17 18           sums of the gains and of the losses of s by one more sentence, each of four
//                   ways
//   19 + 2 g ..     s, s z of group g
// 16, 17 and 18 look at group 0.
#pragma once

#include <cstdint>
#include <vector>

#include "align/sentences.hpp"
#include "align/sparse.hpp"

namespace polyad::align {

struct BeadView {
  SparseRows source, target;  // of the two texts' sizes
  std::int32_t features;      // above every feature
  std::int32_t group;         // 0 .. groups - 1
};

struct BeadSide {
  const double* lengths;      // [count] characters, at least 0
  const std::uint8_t* marks;  // [count] how it ends (low 3 bits); 8 if it begins in lower case
  std::int64_t count;
};

constexpr int kBeadGeneral = 19, kBeadPerGroup = 2, kBeadLargest = 8;

struct BeadArgs {
  BeadSide source, target;
  const BeadView* views;
  std::int64_t view_count;
  int groups;
  const double* weights;  // [kBeadGeneral + kBeadPerGroup groups]
  int max_sentences;      // a + b, 2 .. kBeadLargest
  int margin;             // sentences around the anchors, at least 1
  double threshold;       // 0 .. 1
  bool moved;             // also look for beads that cross the path
  double moved_cost;      // what crossing costs, in units of scores
};

// The cells (i, j) of the band: after i source and j target sentences, j = first[i] ..
// first[i] + offsets[i + 1] - offsets[i] - 1. Both ends of a row ascend with i.
struct BeadBand {
  std::vector<std::int32_t> first;    // [N + 1]
  std::vector<std::int64_t> offsets;  // [N + 2]

  std::int64_t cells() const { return offsets.back(); }
  std::int32_t end(std::int64_t i) const {  // one after the last j
    return static_cast<std::int32_t>(first[i] + (offsets[i + 1] - offsets[i]));
  }
  // The number of a cell; -1 outside.
  std::int64_t cell(std::int64_t i, std::int64_t j) const {
    return i >= 0 && j >= first[i] && j < end(i) ? offsets[i] + (j - first[i]) : -1;
  }
};

// (a, b) of the types of beads, null beads first.
std::vector<std::pair<int, int>> bead_types(int max_sentences);

// features [cells, types, features], 0 where a bead leaves the band (usable 0).
void bead_features(const BeadArgs& args, BeadBand& band, std::vector<float>& features,
                   std::vector<std::uint8_t>& usable);

// scores [cells, types], -infinity where there is no bead -> probabilities of the beads, in place.
// Returns the logarithm of the sum over all paths; -infinity if there is none, and probabilities 0.
double bead_probabilities(const BeadBand& band, std::int64_t target_count, int max_sentences,
                          double* scores);

// Beads with both sides and their probabilities. Memory: some hundred bytes per cell of the band.
void best_beads(const BeadArgs& args, std::vector<Span>& spans, std::vector<double>& scores);

}  // namespace polyad::align
