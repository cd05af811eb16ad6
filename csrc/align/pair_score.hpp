// The score of a pair of sentences by the n-grams they share: Bleualign's.
//
// Of a source h and a target r with L_h and L_r words, orders k = 1 .. N,
//
//   c_k      = sum over k-grams g of  min(count of g in h, count of g in r)
//   a        = 1/N sum_k (log c_k - log(L_h - k + 1)) + min(0, 1 - L_r / L_h)      BLEU(h -> r)
//   b        = 1/N sum_k (log c_k - log(L_r - k + 1)) + min(0, 1 - L_h / L_r)      BLEU(r -> h)
//   score    = 2 e^a e^b / (e^a + e^b)
//
// in double, summed in that order; a pair without a common N-gram has no score.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "align/sentences.hpp"

namespace polyad::align {

inline constexpr int kMaxOrder = 10;  // N

// The score from its parts. Negative where e^a is 0 (one text is hundreds of times longer),
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

  double rest(const Row* row, std::int32_t length, std::int32_t target_length) const {
    return row != nullptr && target_length < kLengths ? row->rest[target_length]
                                                      : rest_of(length, target_length);
  }
  double whole(const Row* row, std::int32_t length, std::int32_t target_length) const {
    return row != nullptr && target_length < kLengths ? row->whole[target_length]
                                                      : whole_of(length, target_length);
  }
  double of_count(std::int32_t count) const {  // 1/N log count
    return count < kLengths ? of_counts_[count] : of_large(count);
  }
  const double* of_counts() const { return of_counts_.data(); }  // [kLengths]

 private:
  double of_large(std::int32_t count) const;
  double rest_of(std::int32_t length, std::int32_t target_length) const;
  double whole_of(std::int32_t length, std::int32_t target_length) const;

  int max_n_ = 0;
  std::vector<std::unique_ptr<Row>> rows_;
  std::vector<double> of_counts_;
};

}  // namespace polyad::align
