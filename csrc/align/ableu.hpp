// ABLEU: BLEU whose n-grams match by degrees (Kakao AI Report 8, formula 4, corrected).
//
//   s(g, h)    = ( prod_k cosine(g_k, h_k) )^(1 / n)   n-grams g, h of order n; cosines clipped to
//                [0, 1]; a word with itself 1, words without a vector 0 with all others
//   source     = sum_g max_h s(g, h) min(c(g), r(h))   c, r: counts in the candidate and the
//                reference, r the maximum over the references
//   one_to_one = sum_gh s(g, h) x_gh                   x chosen greedily by decreasing s, as many
//   as
//                c(g) and r(h) still have; of equal s identical n-grams first, then the lowest g,
//                then the lowest h, in the order in which they first occur
//
//   ABLEU      = BP exp( mean_n log(matches_n / n-grams of the candidate) ),
//                BP = 1 if c > r, else exp(1 - r / c)
//
// Both are the clipped count of BLEU, exactly, where different words have similarity 0, and never
// less than it. All sums are double, n-grams in the order in which they first occur. Where a
// candidate repeats no n-gram, one_to_one <= source.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "align/ableu_math.hpp"
#include "align/sentences.hpp"

namespace polyad::align {

// Word a is like the words words[offsets[a] : offsets[a + 1]], ascending, by values; like all
// others by 0. Words from `count` on are like themselves alone, as every word is, whatever is
// stored.
struct Similarity {
  const std::int32_t* offsets;  // [count + 1], ascending from 0; null for the identity (count 0)
  const std::int32_t* words;
  const float* values;  // cosines; clipped to [0, 1] when read
  std::int32_t count;

  POLYAD_INLINE double operator()(std::int32_t a, std::int32_t b) const {
    if (a == b) return 1.0;
    if (a >= count) return 0.0;
    std::int32_t low = offsets[a], high = offsets[a + 1];
    while (low < high) {
      const std::int32_t middle = low + (high - low) / 2;
      if (words[middle] < b) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < offsets[a + 1] && words[low] == b ? clipped_cosine(values[low]) : 0.0;
  }
};

// A similarity of the words of two sides, and the same one seen from the other side; the same view
// twice where it is symmetric.
struct Similarities {
  Similarity forward, backward;
};

enum class Matching { source, one_to_one };

// What soft_matches works in; kept by the caller so that many calls allocate once. One per thread.
class SoftScratch {
 public:
  // The different n-grams of texts, in the order in which they first occur.
  struct Grams {
    std::vector<const std::int32_t*> first;  // where each begins
    std::vector<std::int32_t> count;
    std::vector<std::int32_t> of_text;  // counts in the text being added; 0 in between
    std::vector<std::int32_t> slots;    // open addressing; -1 where free

    void begin(std::int64_t tokens);
    // Count the n-grams of one text; of several the greatest count stands.
    void add(int order, Words text);

   private:
    std::int32_t find_or_add(int order, const std::int32_t* gram);
  };

  // A possible match in 'one_to_one'.
  struct Edge {
    double score;
    bool same;
    std::int32_t candidate, reference;
  };

  // Reference n-grams by one of their words.
  struct Chain {
    std::vector<std::int32_t> heads, words, lengths;  // of each slot; heads -1 where free
    std::vector<std::int32_t> next;
  };

  Grams candidate, reference;
  std::vector<Chain> chains;  // one for each word of an n-gram, or the first one alone
  std::vector<Edge> edges;
  std::vector<std::int32_t> left;
};

// The matches of the candidate's n-grams of one order with those of the references: what BLEU calls
// the clipped count. 0 where a side has none.
double soft_matches(int order, Words candidate, const Words* references, std::int32_t count,
                    const Similarity& similarity, Matching matching, SoftScratch& scratch);

// The same with one reference.
inline double soft_matches(int order, const std::int32_t* g, std::int32_t ng, const std::int32_t* h,
                           std::int32_t nh, const Similarity& similarity, Matching matching,
                           SoftScratch& scratch) {
  const Words reference{h, nh};
  return soft_matches(order, {g, ng}, &reference, 1, similarity, matching, scratch);
}

inline constexpr int kMostOrders = 16;

// The harmonic mean of ABLEU in both directions, orders 1 .. max_n <= kMostOrders: Bleualign's
// score of a pair, with soft counts. 0 where an order has no match.
double soft_pair_score(Words source, Words target, int max_n, const Similarities& similarities,
                       Matching matching, SoftScratch& scratch);

// The same for words that count by weight, w >= 0, and without the brevity penalty:
//
//   P = sum_g w(g) matches(g) / sum_g w(g) c(g)      R likewise, from the other side
//   score = 2 P R / (P + R)
//
// weights [words]: for every word of either side.
double soft_weighted_score(Words source, Words target, const double* weights,
                           const Similarities& similarities, Matching matching,
                           SoftScratch& scratch);

// Sentence i of the candidates against the references places[i] .. places[i + 1] - 1.
struct AbleuArgs {
  Sentences candidates;        // N
  Sentences references;        // places[N] of them
  const std::int64_t* places;  // [N + 1], ascending from 0
  Similarities similarities;
  Matching matching;
  int first_order, last_order;  // 1 <= first <= last <= kMostOrders
  bool both_directions;         // harmonic mean; each candidate has one reference
  double* scores;               // [N], or null
  // [N, 2, last - first + 1] matches of either direction (the second one only with
  // both_directions), [N] length of the reference that counts (the closest; of two the shorter), or
  // null: what a score of a whole corpus is made of
  double* matches;
  std::int32_t* reference_lengths;
};
void ableu(const AbleuArgs& args);

// Pairs (source[p], target[p]) out of two lists of sentences: scores that links have, say.
struct AbleuPairsArgs {
  Sentences sources, targets;
  const std::int32_t* source;  // [P]
  const std::int32_t* target;  // [P]
  std::int64_t count;          // P
  Similarities similarities;
  Matching matching;
  int first_order, last_order;
  bool both_directions;
  double* scores;  // [P]
};
void ableu_pairs(const AbleuPairsArgs& args);

// The longest sentence that one CUDA block can score.
inline constexpr std::int32_t kMostWords = 1024;

}  // namespace polyad::align
