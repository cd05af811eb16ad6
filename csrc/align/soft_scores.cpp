#include "align/soft_scores.hpp"

#include <algorithm>

#include "align/each.hpp"

namespace polyad::align {
namespace {

std::uint64_t pair_of(std::int32_t first, std::int32_t second) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(first)) << 32 |
         static_cast<std::uint32_t>(second);
}

bool better(const SoftLink& a, const SoftLink& b) {
  return a.score != b.score ? a.score > b.score : a.target < b.target;
}

void keep_best(std::vector<SoftLink>& links, int count) {
  if (std::ssize(links) > count) {
    std::nth_element(links.begin(), links.begin() + count, links.end(), better);
    links.resize(count);
  }
}

// Calls body(first, count) for runs of equal numbers of a sorted list.
template <class List, class Body>
void for_runs(const List& sorted, const Body& body) {
  for (std::size_t at = 0; at < sorted.size();) {
    std::size_t end = at + 1;
    while (end < sorted.size() && sorted[end] == sorted[at]) ++end;
    body(sorted[at], static_cast<std::int32_t>(end - at));
    at = end;
  }
}

}  // namespace

double SoftIndex::weight(std::int32_t word) const {
  return options_.weights == nullptr ? 1.0 : options_.weights[word];
}

// What a sentence can gather from its equal.
double SoftIndex::mass(Words words) const {
  double sum = 0.0;
  for (std::int32_t i = 0; i < words.size; ++i) sum += weight(words[i]);
  const bool with_bigrams = options_.weights == nullptr && options_.max_n > 1;
  return with_bigrams && words.size > 1 ? sum + words.size - 1 : sum;
}

void SoftIndex::build(const Words* targets, std::int64_t count, const SoftOptions& options) {
  options_ = options;
  targets_.assign(targets, targets + count);
  masses_.clear();
  std::int32_t most = -1;
  for (const Words& target : targets_) {
    masses_.push_back(mass(target));
    for (std::int32_t i = 0; i < target.size; ++i) most = std::max(most, target[i]);
  }
  // words of each target in order, repetitions counted: once to see how many, once to store them
  offsets_.assign(static_cast<std::size_t>(most) + 2, 0);
  std::vector<std::int32_t> words;
  const auto for_words = [&](const auto& body) {
    for (std::int32_t j = 0; j < static_cast<std::int32_t>(count); ++j) {
      words.assign(targets_[j].ids, targets_[j].ids + targets_[j].size);
      std::sort(words.begin(), words.end());
      for_runs(words, [&](std::int32_t word, std::int32_t times) { body(word, j, times); });
    }
  };
  for_words([&](std::int32_t word, std::int32_t, std::int32_t) { ++offsets_[word + 1]; });
  for (std::size_t word = 1; word < offsets_.size(); ++word) offsets_[word] += offsets_[word - 1];
  postings_.resize(offsets_.back());
  std::vector<std::int64_t> next(offsets_.begin(), offsets_.end() - 1);
  for_words([&](std::int32_t word, std::int32_t j, std::int32_t times) {
    postings_[next[word]++] = {j, times};
  });

  texts_.clear();
  if (options_.max_n <= 2) {
    texts_.resize(targets_.size());
    std::vector<std::int32_t> places;
    for (std::size_t j = 0; j < targets_.size(); ++j) {
      texts_[j].build(targets_[j], options_.max_n > 1, places);
    }
  }

  bigrams_.clear();
  if (options_.weights != nullptr || options_.max_n < 2) return;
  std::vector<std::uint64_t> pairs;
  for (std::int32_t j = 0; j < static_cast<std::int32_t>(count); ++j) {
    pairs.clear();
    for (std::int32_t i = 0; i + 1 < targets_[j].size; ++i) {
      pairs.push_back(pair_of(targets_[j][i], targets_[j][i + 1]));
    }
    std::sort(pairs.begin(), pairs.end());
    for_runs(pairs,
             [&](std::uint64_t pair, std::int32_t times) { bigrams_.push_back({pair, j, times}); });
  }
  std::stable_sort(bigrams_.begin(), bigrams_.end(),
                   [](const Bigram& a, const Bigram& b) { return a.words < b.words; });
}

std::int64_t SoftIndex::postings_of(std::int32_t word) const {
  return word + 1 < std::ssize(offsets_) ? offsets_[word + 1] - offsets_[word] : 0;
}

void SoftIndex::look_up(Words source, int top_k, Desk& desk, std::vector<SoftLink>& best) const {
  best.clear();
  const auto targets = static_cast<std::size_t>(targets_.size());
  desk.gathered.resize(targets, 0.0);
  desk.of_word.resize(targets);
  desk.last_word.resize(targets, -1);
  desk.touched.clear();
  const auto gather = [&](std::int32_t target, double amount) {
    if (desk.gathered[target] == 0.0) desk.touched.push_back(target);
    desk.gathered[target] += amount;
  };

  const Similarity& similarity = options_.similarities.forward;
  const auto for_neighbours = [&](std::int32_t word, const auto& body) {
    body(word, 1.0);
    if (word >= similarity.count) return;
    for (std::int32_t at = similarity.offsets[word]; at < similarity.offsets[word + 1]; ++at) {
      const double cosine = clipped_cosine(similarity.values[at]);
      if (similarity.words[at] != word && cosine > 0.0) body(similarity.words[at], cosine);
    }
  };
  struct Word {
    std::int64_t postings;
    std::int32_t word, count;
  };
  std::vector<Word> words;
  std::int64_t all = 0;
  desk.words.assign(source.ids, source.ids + source.size);
  std::sort(desk.words.begin(), desk.words.end());
  for_runs(desk.words, [&](std::int32_t word, std::int32_t count) {
    std::int64_t postings = 0;
    for_neighbours(word, [&](std::int32_t other, double) { postings += postings_of(other); });
    words.push_back({postings, word, count});
    all += postings;
  });
  if (all > kMostPostings) {  // rare words first
    std::stable_sort(words.begin(), words.end(),
                     [](const Word& a, const Word& b) { return a.postings < b.postings; });
  }
  std::int64_t met = 0;
  for (const auto& [postings, word, count] : words) {
    met += postings;
    if (met > kMostPostings && met > postings) break;
    const double weight = this->weight(word);
    if (!(weight > 0.0)) continue;
    for_neighbours(word, [&, word = word, count = count](std::int32_t other, double cosine) {
      if (postings_of(other) == 0) return;
      for (std::int64_t at = offsets_[other]; at < offsets_[other + 1]; ++at) {
        const auto [target, times] = postings_[at];
        const double amount = weight * cosine * std::min(count, times);
        if (desk.last_word[target] != word) {
          desk.last_word[target] = word;
          desk.of_word[target] = 0.0;
        }
        if (amount > desk.of_word[target]) {  // of all words like this one the best counts
          gather(target, amount - desk.of_word[target]);
          desk.of_word[target] = amount;
        }
      }
    });
  }
  if (!bigrams_.empty()) {
    std::vector<std::uint64_t> pairs;
    for (std::int32_t i = 0; i + 1 < source.size; ++i) {
      pairs.push_back(pair_of(source[i], source[i + 1]));
    }
    std::sort(pairs.begin(), pairs.end());
    for_runs(pairs, [&](std::uint64_t pair, std::int32_t count) {
      auto at = std::lower_bound(bigrams_.begin(), bigrams_.end(), pair,
                                 [](const Bigram& a, std::uint64_t b) { return a.words < b; });
      for (std::int64_t seen = 0; at != bigrams_.end() && at->words == pair && seen < kMostPostings;
           ++at, ++seen) {
        gather(at->target, std::min(count, at->count));
      }
    });
  }

  const double own = mass(source);
  desk.links.clear();
  for (const std::int32_t target : desk.touched) {
    desk.links.push_back({2.0 * desk.gathered[target] / (own + masses_[target]), target});
    desk.gathered[target] = 0.0;
    desk.last_word[target] = -1;
  }
  keep_best(desk.links, options_.candidates);
  // what fits no table is scored as it stands
  const auto plain = [&](Words target) {
    return options_.weights == nullptr
               ? soft_pair_score(source, target, options_.max_n, options_.similarities,
                                 options_.matching, desk.scratch)
               : soft_weighted_score(source, target, options_.weights, options_.similarities,
                                     options_.matching, desk.scratch);
  };
  if (!texts_.empty()) {
    desk.pairs.begin(source, similarity, options_.max_n, options_.matching, options_.weights,
                     static_cast<std::int32_t>(offsets_.size()) - 1);
  }
  for (const SoftLink& link : desk.links) {
    const bool fits = !texts_.empty() && desk.pairs.fits(texts_[link.target]);
    const double score =
        fits ? desk.pairs.score(texts_[link.target]) : plain(targets_[link.target]);
    if (score > 0.0) best.push_back({score, link.target});
  }
  if (!texts_.empty()) desk.pairs.end();
  keep_best(best, top_k);
  std::sort(best.begin(), best.end(), better);
}

void soft_scores(const SoftScoresArgs& args) {
  std::vector<Words> targets;
  for (std::int64_t j = 0; j < args.targets.count; ++j) targets.push_back(args.targets[j]);
  SoftIndex index;
  index.build(targets.data(), args.targets.count, args.options);
  // Sources that share a desk: a desk is as long as the targets, so their number has a bound.
  const std::int64_t N = args.sources.count;
  const std::int64_t size = std::max<std::int64_t>(64, N / 256);
  for_each_part((N + size - 1) / size, [&](std::int64_t part) {
    SoftIndex::Desk desk;
    std::vector<SoftLink> best;
    for (std::int64_t i = part * size; i < std::min(N, (part + 1) * size); ++i) {
      index.look_up(args.sources[i], args.top_k, desk, best);
      args.found[i] = static_cast<std::int32_t>(best.size());
      for (std::size_t k = 0; k < best.size(); ++k) {
        args.target[i * args.top_k + static_cast<std::int64_t>(k)] = best[k].target;
        args.score[i * args.top_k + static_cast<std::int64_t>(k)] = best[k].score;
      }
    }
  });
}

}  // namespace polyad::align
