// Scores of sentence pairs by the n-grams they share: Bleualign's, for all pairs at once.
//
// Of a source h and a target r with L_h and L_r words, orders k = 1 .. N,
//
//   c_k      = sum over k-grams g of  min(count of g in h, count of g in r)
//   a        = 1/N sum_k (log c_k - log(L_h - k + 1)) + min(0, 1 - L_r / L_h)      BLEU(h -> r)
//   b        = 1/N sum_k (log c_k - log(L_r - k + 1)) + min(0, 1 - L_h / L_r)      BLEU(r -> h)
//   score    = 2 e^a e^b / (e^a + e^b)
//
// in double, summed in that order; a pair without a common N-gram has no score. Of targets whose
// sets of n-grams (orders 1 .. N, however often each occurs) are equal, all have the c_k and the
// length of the first: Bleualign remembers scores by that set, and its beads depend on it.
//
// Functions of this family own their working memory: how much they need depends on the texts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "align/ngram_rows_cpu.hpp"
#include "align/sentences.hpp"

namespace polyad::align {

inline constexpr int kMaxOrder = 10;

struct PairScore {
  double score;
  std::int32_t target;
  double counts[kMaxOrder];  // c_1 .. c_N
};

// The score above from its parts. Negative where e^a is 0 (one text is hundreds of times longer),
// as if nothing were shared.
double pair_score(const double* counts, int max_n, std::int32_t source_length,
                  std::int32_t target_length);
// ... where the two directions have counts of their own.
double pair_score(const double* counts, const double* back_counts, int max_n,
                  std::int32_t source_length, std::int32_t target_length);

// How many n-grams two texts have in common. Bit j of row i says whether the n-gram at i of the
// source stands at j of the target.
class CommonNgrams {
 public:
  void begin(const Words& source, const Words& target);
  // c_k for k = 1, 2, ... from call to call, at most as often as the source has words. Each n-gram
  // of the source takes the first equal one that is left.
  std::int32_t next();

 private:
  std::int64_t rows_ = 0, words_ = 0;
  std::vector<std::uint64_t> bits_, used_;
};

// ... of two texts; negative if they have no N-gram in common.
double pair_score(const Words& source, const Words& target, int max_n, CommonNgrams& common);

// Numbers of pairs of numbers.
class PairNumbers {
 public:
  static constexpr std::int32_t kNone = -1;

  void reset(std::size_t expected);
  // The number of a pair; a new pair gets `fresh`.
  std::int32_t insert(std::uint32_t first, std::uint32_t second, std::int32_t fresh);
  std::int32_t find(std::uint32_t first, std::uint32_t second) const;

 private:
  void resize(std::size_t slots);
  std::size_t slot_of(std::uint64_t key) const;

  std::vector<std::uint64_t> keys_;   // open addressing
  std::vector<std::int32_t> values_;  // where a key is
  std::size_t mask_ = 0, taken_ = 0;
  int shift_ = 0;
};

// Upper bounds of the logarithm of a score. The harmonic mean of two numbers is at most their
// geometric mean, so that  log score <= (a + b) / 2 = rest + 1/N sum_k log c_k,  where the rest
// depends on the two lengths alone.
class ScoreBounds {
 public:
  static constexpr std::int32_t kLengths = 256;  // shorter texts are looked up

  struct Row {
    double rest[kLengths];    // by the target's length
    double whole[kLengths];   // rest + all of c_1 .. c_{N-1} that the shorter text could share
    double longer[kLengths];  // the same without c_1
    double most;              // the largest of `whole`, also over longer targets
  };

  // Forgets rows of another N.
  void begin(int max_n);
  // That of a source; null for a long one.
  const Row* row(std::int32_t length);

  double rest(const Row* row, std::int32_t length, std::int32_t target_length) const;
  double whole(const Row* row, std::int32_t length, std::int32_t target_length) const;
  double of_count(double count) const;                           // 1/N log count
  const double* of_counts() const { return of_counts_.data(); }  // [kLengths]

 private:
  double rest_of(std::int32_t length, std::int32_t target_length) const;
  double whole_of(std::int32_t length, std::int32_t target_length) const;

  int max_n_ = 0;
  std::vector<std::unique_ptr<Row>> rows_;
  std::vector<double> of_counts_;
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

  // The top_k best targets of a source, by decreasing score, ties by increasing target.
  void look_up(const Words& source, int top_k, Desk& desk, std::vector<PairScore>& best) const;

 private:
  // An n-gram that stands in a sentence once more is a gram of its own there, so that a clipped
  // count is a number of common grams.
  struct Grams {
    PairNumbers numbers;                // (gram of the first n - 1 words + 1, last word)
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
