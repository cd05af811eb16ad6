// What Bleualign makes of the sentences between two anchors.
//
// A gap has hypotheses and references, and an anchor on each side of it (or none, at the ends). The
// candidates are the anchors, up to 12 sentences from either end of the gap, and all joins of up to
// max_join neighbours among these, on both sides; `best` of a hypothesis is the reference of the
// highest score, the first of several in that order. As long as one of these applies, the first
// that does:
//
//   A  the anchor before takes the gap's first hypothesis in, if joined they score higher, share
//   more
//      words (the counts of the scores, compared order by order), and the best reference stays the
//      anchor's own
//   B  the anchor behind takes the last one in, likewise
//   C  the anchor before moves to its best reference, if neither anchor has that
//   D  the anchor behind, likewise
//   E  the first hypothesis and the first reference of the gap are linked, if the latter is the
//      former's best; the link becomes the anchor before
//
// and what remains is aligned by length if it is short or the sides are of similar size, or
// dropped.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "align/bleualign.hpp"
#include "align/gale_church.hpp"
#include "align/ngram.hpp"

namespace polyad::align {

using Ids = std::vector<std::int32_t>;

struct Bead {
  Ids source, target;
  Label label;

  bool same_sides(const Bead& other) const {
    return source == other.source && target == other.target;
  }
  friend bool operator==(const Bead&, const Bead&) = default;
  friend auto operator<=>(const Bead&, const Bead&) = default;
};

// One text that is compared in a gap: some sentences, joined.
struct GapText {
  Ids ids;
  std::size_t begin, end;  // of its words
};

// How the texts of gaps are compared: by common n-grams, or softly.
struct GapScoring {
  int max_n;
  const Similarities* similarities;  // null: by common n-grams
  Matching matching;
};

// The gaps of one run over one document, in order. Keeps its memory for the next run.
class GapFiller {
 public:
  // Begins a run: H and R, their lengths, and where the beads go.
  void begin(const Sentences& hypotheses, const std::int32_t* hypothesis_lengths,
             const Sentences& references, const std::int32_t* reference_lengths,
             const BleualignOptions& options, const GapScoring& scoring);

  // The beads of the chain of anchors (hypothesis, reference), in the order in which they are
  // found.
  void fill(const std::vector<std::pair<std::int32_t, std::int32_t>>& anchors,
            std::vector<Bead>& beads);

  // Everything by length.
  void by_length(std::vector<Bead>& beads);

 private:
  struct Anchor {
    Ids source, target;
  };
  // The texts of one side of a gap and their words.
  struct Side {
    std::vector<GapText> texts;
    std::vector<std::int32_t> words;

    Words operator[](std::size_t place) const {
      const GapText& text = texts[place];
      return {words.data() + text.begin, static_cast<std::int32_t>(text.end - text.begin)};
    }
  };

  Anchor fill_gap(Ids source, Ids target, Anchor before, Anchor behind);
  void collect(const Sentences& sentences, const Ids& gap, const Ids& before, const Ids& behind,
               Side& side) const;
  const PairScore* best(const Ids& source);
  const Ids& best_target(const PairScore& found) const { return targets_.texts[found.target].ids; }
  bool soft_best(const Words& source, PairScore& best);
  bool joins(const Ids& joined, Anchor& anchor);
  bool moves(Anchor& anchor, const Anchor& other, Ids& target);
  bool links(Ids& source, Ids& target, Anchor& before);
  void align_by_length(const Ids& source, const Ids& target);
  void emit(const Anchor& anchor);

  Sentences hypotheses_{}, references_{};
  const std::int32_t *hypothesis_lengths_ = nullptr, *reference_lengths_ = nullptr;
  BleualignOptions options_;
  GapScoring scoring_{};
  const std::vector<std::pair<std::int32_t, std::int32_t>>* anchors_ = nullptr;
  std::vector<Bead>* beads_ = nullptr;

  Side sources_, targets_;
  std::vector<Words> target_words_;
  NgramIndex index_;
  NgramIndex::Desk desk_;
  SoftScratch soft_;
  enum class Known : std::uint8_t { not_yet, nothing, found };
  std::vector<Known> known_;  // of each text of sources_
  std::vector<PairScore> found_;
  std::vector<PairScore> row_;
  std::vector<double> lengths_[2];
  std::vector<Span> spans_;
};

}  // namespace polyad::align
