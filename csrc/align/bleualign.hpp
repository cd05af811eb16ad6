// Beads as Bleualign (Sennrich & Volk 2010, 2011) finds them, whole documents at a time.
//
// One run compares hypotheses H (a translation of one side) with references R (the other side):
//
//   1. the best targets of every hypothesis, ngram.hpp;
//   2. the best chain through them, path.hpp: the anchors;
//   3. between two anchors, gaps.hpp: sentences join an anchor or are linked, and what remains is
//      aligned by length, gale_church.hpp.
//
// The runs of all translations of the source are intersected, beads with their labels; so are those
// of the target; then the two, without labels, unless one of them is empty. Beads come in ascending
// order of their source sentences, then of their target sentences. Beads may overlap, repeat each
// other, and now and then leave out a sentence in their midst: what is observed is reproduced.
#pragma once

#include <cstdint>
#include <vector>

#include "align/ableu.hpp"
#include "align/sentences.hpp"

namespace polyad::align {

enum class Label : std::int8_t { bleu = 0, gap_filler = 1, gale_church = 2 };

struct BleualignOptions {
  int max_n = 2;             // N of the scores
  int top_k = 3;             // targets that are kept of every hypothesis
  int max_join = 2;          // sentences that are joined to one text in a gap, at most
  bool gap_links = true;     // 1-1 links in gaps
  bool gap_lengths = true;   // by length what remains of a gap
  bool length_only = false;  // everything by length
};

// Sentences, and for each the number of code points without white space at the ends.
struct Text {
  Sentences sentences;
  const std::int32_t* characters;  // [N]
};

// Links that take the place of step 1: those of hypothesis i are offsets[i] .. offsets[i + 1] - 1.
struct GivenLinks {
  const std::int64_t* offsets = nullptr;  // [N + 1]; null: there are none
  const std::int32_t* target = nullptr;   // references of the same document, counted from its first
  const double* score = nullptr;          // by decreasing score
};

// A translation of all documents, with the links of its run where they are given.
struct Translation {
  Text text;
  GivenLinks links;
};

// D documents, each a stretch of source and of target sentences.
struct BleualignArgs {
  const std::int64_t* source_documents;  // [D + 1] of source sentences
  const std::int64_t* target_documents;  // [D + 1] of target sentences
  std::int64_t documents;                // D
  Text source, target;
  std::vector<Translation> translations;       // of the source; none: the source itself, as it is
  std::vector<Translation> back_translations;  // of the target
  BleualignOptions options;
  // Not null: soft counts take the place of clipped ones where texts are compared in gaps.
  const Similarities* forward = nullptr;   // translation of the source -> target
  const Similarities* backward = nullptr;  // translation of the target -> source
  Matching matching = Matching::source;
};

// Beads of a document. A side's sentences are source[source_offsets[b] : source_offsets[b + 1]].
struct Beads {
  std::vector<std::int32_t> source, target;
  std::vector<std::int64_t> source_offsets{0}, target_offsets{0};
  std::vector<Label> labels;
  // The score of ngram.hpp, between the first translation of the source (or the source) and the
  // target, both sides joined; 0 where no N-gram is shared.
  std::vector<double> scores;
};

// One entry of `out` per document. Documents are shared out among the threads.
void bleualign(const BleualignArgs& args, std::vector<Beads>& out);

}  // namespace polyad::align
