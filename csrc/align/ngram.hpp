// The best targets of every sentence by the n-grams they share, of all pairs at once.
//
// Pairs score as pair_score.hpp says. Of targets whose sets of n-grams (orders 1 .. N, however
// often each occurs) are equal, all have the c_k and the length of the first: Bleualign remembers
// scores by that set, and its beads depend on it.
//
// Functions of this family own their working memory: how much they need depends on the texts.
#pragma once

#include <cstdint>
#include <vector>

#include "align/ngram_rows_cpu.hpp"
#include "align/pair_numbers.hpp"
#include "align/pair_score.hpp"
#include "align/sentences.hpp"

namespace polyad::align {

struct PairScore {
  double score;
  std::int32_t target;
  double counts[kMaxOrder];  // c_1 .. c_N
};

// The n-grams of a list of targets, and where those of order N occur. What was reserved is kept for
// the next list.
class NgramIndex {
 public:
  // What one thread needs while it looks up sources, of this index or another. Its counts and marks
  // are zeros between two calls.
  struct Desk {
    std::vector<std::uint8_t> shared;            // [classes] c_N, of sources with few N-grams
    std::vector<std::uint32_t> shared_wide;      // ... with many
    std::vector<std::uint8_t> marks[kMaxOrder];  // [grams] 1: the source has it
    std::vector<std::int32_t> seen[kMaxOrder];   // [grams] how often the source had it so far
    std::vector<std::int32_t> grams[kMaxOrder];  // of the source, those that some target has
    std::vector<std::int32_t> prefixes, candidates;
    Outline outline;
    ScoreBounds bounds;
  };

  void build(const Words* targets, std::int64_t count, int max_n);

  // Whether a target is the first of those with its n-grams, so that its scores are its own.
  bool is_first(std::int32_t target) const {
    return members_[member_offsets_[classes_[target]]] == target;
  }

  // The top_k best targets of a source, by decreasing score, ties by increasing target.
  void look_up(const Words& source, int top_k, Desk& desk, std::vector<PairScore>& best) const;

 private:
  // An n-gram that stands in a sentence once more is a gram of its own there, so that a clipped
  // count is a number of common grams.
  struct Grams {
    PairNumbers numbers;                // from order 2 on: (gram without its last word, that word)
    PairNumbers repeats;                // (gram, how often it stood there before)
    std::int32_t count = 0;             // how many there are
    std::vector<std::int32_t> last;     // [grams] 1 + the last target that had it
    std::vector<std::int32_t> times;    // [grams] how often that target had it
    std::vector<std::int32_t> offsets;  // [classes + 1] of `list`
    std::vector<std::int32_t> list;     // the grams of each class
  };
  struct KeySet {
    std::uint64_t sum, other_sum;
  };

  KeySet add_grams(const Words& words, std::int32_t target);
  std::int32_t class_of(const KeySet& keys, std::int32_t length);
  void place_classes();
  void find_grams(const Words& source, Desk& desk) const;
  template <class Count>
  void rank(std::int32_t length, int top_k, std::vector<Count>& shared, Desk& desk,
            std::vector<PairScore>& best) const;
  void weigh(std::int32_t candidate, std::int32_t shared, std::int32_t length,
             const ScoreBounds::Row* row, int top_k, const Desk& desk, double& threshold,
             std::vector<PairScore>& best) const;

  int max_n_ = 0;
  WordNumbers words_;
  Grams grams_[kMaxOrder];
  std::vector<KeySet> keys_;                   // [classes]
  std::vector<std::int32_t> class_slots_;      // classes by their key set; -1: free
  std::vector<Outline> outlines_;              // [classes] of the first target
  std::vector<std::int32_t> classes_;          // [targets]
  std::vector<std::int32_t> member_offsets_;   // [classes + 1]
  std::vector<std::int32_t> members_;          // the targets of each class, ascending
  std::vector<std::int32_t> place_offsets_;    // [grams of order N + 1]
  std::vector<std::int32_t> places_;           // the classes that have it, ascending
  std::vector<std::int32_t> prefixes_, next_;  // while it is built
  std::vector<double> logs_;                   // [n] log n
};

// The top_k best targets of every source, see NgramIndex::look_up. target int32 and score double
// [sources, top_k]; found int32 [sources] says how many entries of a row hold something.
struct NgramScoresArgs {
  Sentences sources, targets;
  int max_n;  // N, 1 .. kMaxOrder
  int top_k;
  std::int32_t* target;
  double* score;
  std::int32_t* found;
};

void ngram_scores(const NgramScoresArgs& args);

}  // namespace polyad::align
