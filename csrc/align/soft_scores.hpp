// The best targets of every source by ABLEU, without comparing all pairs.
//
// 1. Candidates. Every word of the source, and every word like it, leads to the targets that hold
//    it. What a target gathers, counted with weights w (1 without weights),
//
//      overlap = sum_g w(g) max_h s(g, h) min(c(g), r(h))  +  common bigrams (max_n > 1, no
//      weights)
//
//    is divided by the mean of what both sides hold; the `candidates` best stay, ties by increasing
//    target. Words that lead to most targets are left out once kMostPostings targets have been met.
// 2. The exact score of each: soft_pair_score, or soft_weighted_score with weights (ableu.hpp).
//
// With candidates >= targets nothing is left out but pairs whose score is 0.
#pragma once

#include <cstdint>
#include <vector>

#include "align/ableu.hpp"
#include "align/sentences.hpp"
#include "align/soft_pairs.hpp"

namespace polyad::align {

inline constexpr std::int64_t kMostPostings = 1 << 15;

struct SoftOptions {
  Similarities similarities;
  Matching matching = Matching::source;
  int max_n = 2;                    // 1 with weights
  const double* weights = nullptr;  // [words], at least 0; or null
  int candidates = 16;
};

struct SoftLink {
  double score;
  std::int32_t target;
};

// The words of a list of targets, with the places where they occur. Word numbers should be small:
// memory grows with the largest one.
class SoftIndex {
 public:
  // What one thread needs while it looks up sources.
  struct Desk {
    SoftScratch scratch;
    SoftPairs pairs;
    // [targets]; gathered 0 and last_word -1 between two sources
    std::vector<double> gathered, of_word;
    std::vector<std::int32_t> last_word;  // which word of_word belongs to
    std::vector<std::int32_t> touched, words;
    std::vector<SoftLink> links;
  };

  // Keeps the views, not the ids: both must live as long as the index.
  void build(const Words* targets, std::int64_t count, const SoftOptions& options);

  // The top_k best targets of a source, by decreasing score, ties by increasing target; scores
  // above 0.
  void look_up(Words source, int top_k, Desk& desk, std::vector<SoftLink>& best) const;

 private:
  std::int64_t postings_of(std::int32_t word) const;
  double mass(Words words) const;
  double weight(std::int32_t word) const;

  struct Posting {
    std::int32_t target, count;
  };
  struct Bigram {
    std::uint64_t words;
    std::int32_t target, count;
  };

  SoftOptions options_;
  std::vector<Words> targets_;
  std::vector<SoftText> texts_;        // [targets], where SoftPairs scores them
  std::vector<double> masses_;         // [targets]
  std::vector<std::int64_t> offsets_;  // [words + 1]
  std::vector<Posting> postings_;      // by word, targets ascending
  std::vector<Bigram> bigrams_;        // by words, then target
};

// target int32 and score double [N, top_k], found int32 [N] how many entries of a row hold
// something.
struct SoftScoresArgs {
  Sentences sources, targets;
  SoftOptions options;
  int top_k;
  std::int32_t* target;
  double* score;
  std::int32_t* found;
};
void soft_scores(const SoftScoresArgs& args);

}  // namespace polyad::align
