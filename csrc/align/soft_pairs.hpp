// The scores of ableu.hpp, soft_pair_score and soft_weighted_score, of one source with many
// targets, for orders up to 2: which words are alike is looked up once for the source, and both
// directions come of one walk over the pairs of words that are.
#pragma once

#include <cstdint>
#include <vector>

#include "align/ableu.hpp"
#include "align/sentences.hpp"

namespace polyad::align {

// The different words of a text, and its different pairs of neighbours, in the order in which they
// first occur.
struct SoftText {
  struct Pair {
    std::int32_t first, second;  // places in `words`
    std::int32_t count;
    std::int32_t next;  // the next pair with the same first word; -1
  };
  std::vector<std::int32_t> words, counts, heads;  // heads: the first pair of each word; -1
  std::vector<Pair> pairs;
  std::int32_t size = 0;

  // places: of each word number, -1 everywhere before and after; grows as needed.
  void build(Words text, bool with_pairs, std::vector<std::int32_t>& places);
};

class SoftPairs {
 public:
  // Looks up a source's words. `most`: above every word of the targets. weights: of words, or null.
  void begin(Words source, const Similarity& similarity, int max_n, Matching matching,
             const double* weights, std::int32_t most);
  // Whether the table of both sides' words is small enough; else ableu.hpp scores them.
  bool fits(const SoftText& target) const {
    return source_.words.size() * target.words.size() <= std::size_t{1} << 20;
  }
  double score(const SoftText& target);
  void end();

 private:
  struct Node {  // a target word that a source word is like
    double cosine;
    std::int32_t word, place, next;
  };
  struct Edge {
    double score;
    bool same;
    std::int32_t source, target;
  };
  struct Both {
    double forward, backward;
  };

  void like(std::int32_t word, std::int32_t place, double cosine);
  Both words_matches(const SoftText& target);
  Both pairs_matches(const SoftText& target);
  double greedy(bool forward, const std::vector<std::int32_t>& counts,
                const std::vector<std::int32_t>& other_counts,
                const std::vector<std::int32_t>& words, bool weighted);

  SoftText source_;
  const double* weights_ = nullptr;
  int max_n_ = 2;
  Matching matching_ = Matching::source;
  std::vector<std::int32_t> places_, slots_;  // slots_: the first node of each target word; -1
  std::vector<Node> nodes_;
  std::vector<double> table_, best_, back_best_;
  std::vector<Edge> edges_;
  std::vector<std::int32_t> left_, other_left_, counts_, other_counts_;
};

}  // namespace polyad::align
