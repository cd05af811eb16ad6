#include "align/bleu.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <vector>

#include "align/each.hpp"

namespace polyad::align {
namespace {

constexpr std::int64_t kCandidatesAtATime = 256;

// An n-gram of order k is the pair of the number of its first k - 1 words and the number of its
// last word; numbers are the places of the pairs in sorted order, so equal n-grams have equal ones.
class Counter {
 public:
  void count(const BleuArgs& args, std::int64_t i) {
    gather(args, i);
    for (int order = 1; order <= args.max_n; ++order) {
      args.matches[i * args.max_n + order - 1] = order == 1 ? first() : next(order);
    }
    args.reference_lengths[i] = closest();
  }

 private:
  struct Gram {
    std::uint64_t key;
    std::int32_t place;
  };

  // The candidate's words, then those of its references; ends_[t] is where text t ends.
  void gather(const BleuArgs& args, std::int64_t i) {
    words_.clear();
    ends_.clear();
    add(args.candidates[i]);
    for (std::int64_t r = args.places[i]; r < args.places[i + 1]; ++r) add(args.references[r]);
  }

  void add(Words text) {
    if (words_.size() + text.size > std::numeric_limits<std::int32_t>::max()) {
      throw std::length_error("a candidate and its references have 2^31 words or more");
    }
    words_.insert(words_.end(), text.ids, text.ids + text.size);
    ends_.push_back(static_cast<std::int32_t>(words_.size()));
  }

  std::int32_t closest() const {
    std::int64_t least = -1;
    std::int32_t best = 0;
    for (std::size_t t = 1; t < ends_.size(); ++t) {
      const std::int32_t length = ends_[t] - ends_[t - 1];
      const std::int64_t away = std::abs(static_cast<std::int64_t>(length) - ends_[0]);
      if (least < 0 || away < least || (away == least && length < best)) {
        least = away;
        best = length;
      }
    }
    return best;
  }

  std::int32_t first() {
    grams_.clear();
    for (std::size_t place = 0; place < words_.size(); ++place) {
      grams_.push_back(
          {static_cast<std::uint32_t>(words_[place]), static_cast<std::int32_t>(place)});
    }
    numbers_.resize(words_.size());
    const std::int32_t found = number_and_match();
    last_ = numbers_;
    return found;
  }

  std::int32_t next(int order) {
    grams_.clear();
    std::int32_t begin = 0;
    for (std::int32_t end : ends_) {
      for (std::int32_t place = begin; place + order <= end; ++place) {
        const auto left = static_cast<std::uint64_t>(numbers_[place]);
        grams_.push_back(
            {left << 32 | static_cast<std::uint32_t>(last_[place + order - 1]), place});
      }
      begin = end;
    }
    return number_and_match();
  }

  // Numbers the n-grams, and sums the clipped counts of those that the candidate has.
  std::int32_t number_and_match() {
    std::sort(grams_.begin(), grams_.end(), [](const Gram& a, const Gram& b) {
      return a.key != b.key ? a.key < b.key : a.place < b.place;
    });
    std::int32_t number = 0, matches = 0;
    for (auto run = grams_.begin(); run != grams_.end(); ++number) {
      const std::uint64_t key = run->key;
      std::int32_t in_candidate = 0, in_reference = 0, most = 0;
      std::size_t text = 0;  // equal n-grams stand in the order of the texts
      for (; run != grams_.end() && run->key == key; ++run) {
        if (run->place >= ends_[text]) {
          while (run->place >= ends_[text]) ++text;
          in_reference = 0;
        }
        ++(text == 0 ? in_candidate : in_reference);
        most = std::max(most, in_reference);
        numbers_[run->place] = number;
      }
      matches += std::min(in_candidate, most);
    }
    return matches;
  }

  std::vector<std::int32_t> words_, ends_;
  std::vector<std::int32_t> numbers_, last_;  // of the n-gram, of the word, that begins at a place
  std::vector<Gram> grams_;
};

}  // namespace

void bleu_counts(const BleuArgs& args) {
  const std::int64_t count = args.candidates.count;
  const std::int64_t parts = (count + kCandidatesAtATime - 1) / kCandidatesAtATime;
  for_each_part(parts, [&](std::int64_t part) {
    Counter counter;
    const std::int64_t end = std::min(count, (part + 1) * kCandidatesAtATime);
    for (std::int64_t i = part * kCandidatesAtATime; i < end; ++i) counter.count(args, i);
  });
}

}  // namespace polyad::align
