#include "align/soft_pairs.hpp"

#include <algorithm>
#include <utility>

namespace polyad::align {
namespace {

// Room for `most` numbers, those that are new -1.
void grow(std::vector<std::int32_t>& places, std::int64_t most) {
  if (std::ssize(places) < most) places.resize(static_cast<std::size_t>(most), -1);
}

}  // namespace

void SoftText::build(Words text, bool with_pairs, std::vector<std::int32_t>& places) {
  words.clear();
  counts.clear();
  heads.clear();
  pairs.clear();
  size = text.size;
  // each neighbourhood: the places of both words, and where it stands
  std::vector<std::pair<std::uint64_t, std::int32_t>> met;
  if (with_pairs) met.reserve(static_cast<std::size_t>(text.size));
  std::uint64_t before = 0;
  for (std::int32_t at = 0; at < text.size; ++at) {
    grow(places, std::int64_t{text[at]} + 1);
    std::int32_t& place = places[text[at]];
    if (place < 0) {
      place = static_cast<std::int32_t>(words.size());
      words.push_back(text[at]);
      counts.push_back(0);
      heads.push_back(-1);
    }
    ++counts[place];
    const auto now = static_cast<std::uint64_t>(place);
    if (with_pairs && at > 0) met.emplace_back(before << 32 | now, at);
    before = now;
  }
  for (std::int32_t word : words) places[word] = -1;

  // Equal ones are counted next to each other: a list of each word's followers, walked at every
  // occurrence, takes the square of their number.
  std::sort(met.begin(), met.end());
  struct Run {
    std::int32_t at, count;
    std::uint64_t key;
  };
  std::vector<Run> runs;
  for (const auto& [key, at] : met) {
    if (runs.empty() || runs.back().key != key) runs.push_back({at, 0, key});
    ++runs.back().count;
  }
  std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.at < b.at; });
  for (const auto& [at, count, key] : runs) {
    const auto first = static_cast<std::int32_t>(key >> 32);
    const auto second = static_cast<std::int32_t>(key & 0xffffffffu);
    pairs.push_back({first, second, count, heads[first]});
    heads[first] = static_cast<std::int32_t>(pairs.size()) - 1;
  }
}

void SoftPairs::like(std::int32_t word, std::int32_t place, double cosine) {
  if (word >= std::ssize(slots_)) return;  // no target has it
  nodes_.push_back({cosine, word, place, slots_[word]});
  slots_[word] = static_cast<std::int32_t>(nodes_.size()) - 1;
}

void SoftPairs::begin(Words source, const Similarity& similarity, int max_n, Matching matching,
                      const double* weights, std::int32_t most) {
  max_n_ = max_n;
  matching_ = matching;
  weights_ = weights;
  grow(slots_, most);
  source_.build(source, max_n > 1, places_);
  nodes_.clear();
  for (std::size_t i = 0; i < source_.words.size(); ++i) {
    const std::int32_t word = source_.words[i], place = static_cast<std::int32_t>(i);
    like(word, place, 1.0);
    if (word >= similarity.count) continue;
    for (std::int32_t at = similarity.offsets[word]; at < similarity.offsets[word + 1]; ++at) {
      const double cosine = clipped_cosine(similarity.values[at]);
      if (similarity.words[at] != word && cosine > 0.0) like(similarity.words[at], place, cosine);
    }
  }
}

void SoftPairs::end() {
  for (const Node& node : nodes_) slots_[node.word] = -1;
}

// As one_to_one_matches of ableu.cpp, from the edges found: `forward` says whose side comes first.
double SoftPairs::greedy(bool forward, const std::vector<std::int32_t>& counts,
                         const std::vector<std::int32_t>& other_counts,
                         const std::vector<std::int32_t>& words, bool weighted) {
  const auto own = [&](const Edge& e) { return forward ? e.source : e.target; };
  const auto other = [&](const Edge& e) { return forward ? e.target : e.source; };
  std::sort(edges_.begin(), edges_.end(), [&](const Edge& a, const Edge& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.same != b.same) return a.same;
    return own(a) != own(b) ? own(a) < own(b) : other(a) < other(b);
  });
  left_ = counts;
  other_left_ = other_counts;
  double sum = 0.0;
  for (const Edge& edge : edges_) {
    std::int32_t &of_own = left_[own(edge)], &of_other = other_left_[other(edge)];
    const std::int32_t taken = std::min(of_own, of_other);
    sum += (weighted ? weights_[words[own(edge)]] : 1.0) * edge.score * taken;
    of_own -= taken;
    of_other -= taken;
  }
  return sum;
}

SoftPairs::Both SoftPairs::words_matches(const SoftText& target) {
  const std::size_t columns = target.words.size();
  const bool greedily = matching_ == Matching::one_to_one, weighted = weights_ != nullptr;
  table_.assign(source_.words.size() * columns, 0.0);
  best_.assign(source_.words.size(), 0.0);
  back_best_.assign(columns, 0.0);
  edges_.clear();
  for (std::size_t j = 0; j < columns; ++j) {
    for (std::int32_t at = slots_[target.words[j]]; at >= 0; at = nodes_[at].next) {
      const auto& [cosine, word, place, next] = nodes_[at];
      table_[place * columns + j] = cosine;
      const double amount = cosine * std::min(source_.counts[place], target.counts[j]);
      best_[place] = std::max(best_[place], amount);
      back_best_[j] = std::max(back_best_[j], amount);
      if (greedily) {
        edges_.push_back(
            {cosine, source_.words[place] == word, place, static_cast<std::int32_t>(j)});
      }
    }
  }
  if (greedily) {
    return {greedy(true, source_.counts, target.counts, source_.words, weighted),
            greedy(false, target.counts, source_.counts, target.words, weighted)};
  }
  Both both{0.0, 0.0};
  for (std::size_t i = 0; i < best_.size(); ++i) {
    both.forward += weighted ? weights_[source_.words[i]] * best_[i] : best_[i];
  }
  for (std::size_t j = 0; j < columns; ++j) {
    both.backward += weighted ? weights_[target.words[j]] * back_best_[j] : back_best_[j];
  }
  return both;
}

// After words_matches, whose table it reads.
SoftPairs::Both SoftPairs::pairs_matches(const SoftText& target) {
  const std::size_t columns = target.words.size();
  const bool greedily = matching_ == Matching::one_to_one;
  back_best_.assign(target.pairs.size(), 0.0);
  edges_.clear();
  Both both{0.0, 0.0};
  for (std::size_t g = 0; g < source_.pairs.size(); ++g) {
    const SoftText::Pair& own = source_.pairs[g];
    const double* first = table_.data() + own.first * columns;
    const double* second = table_.data() + own.second * columns;
    double best = 0.0;
    for (std::size_t j = 0; j < columns; ++j) {
      if (!(first[j] > 0.0)) continue;
      for (std::int32_t h = target.heads[j]; h >= 0; h = target.pairs[h].next) {
        const SoftText::Pair& other = target.pairs[h];
        const double product = first[j] * second[other.second];
        if (!(product > 0.0)) continue;
        const double score = geometric_mean(product, 2);
        if (greedily) {
          const bool same = source_.words[own.first] == target.words[other.first] &&
                            source_.words[own.second] == target.words[other.second];
          edges_.push_back({score, same, static_cast<std::int32_t>(g), h});
          continue;
        }
        const double amount = score * std::min(own.count, other.count);
        best = std::max(best, amount);
        back_best_[h] = std::max(back_best_[h], amount);
      }
    }
    both.forward += best;
  }
  if (!greedily) {
    for (double amount : back_best_) both.backward += amount;
    return both;
  }
  const auto counts_of = [](const SoftText& text, std::vector<std::int32_t>& counts) {
    counts.clear();
    for (const SoftText::Pair& pair : text.pairs) counts.push_back(pair.count);
  };
  counts_of(source_, counts_);
  counts_of(target, other_counts_);
  return {greedy(true, counts_, other_counts_, {}, false),
          greedy(false, other_counts_, counts_, {}, false)};
}

double SoftPairs::score(const SoftText& target) {
  const Both words = words_matches(target);
  if (!(words.forward > 0.0 && words.backward > 0.0)) return 0.0;
  if (weights_ != nullptr) {
    const auto total = [&](const SoftText& text) {
      double sum = 0.0;
      for (std::size_t i = 0; i < text.words.size(); ++i) {
        sum += weights_[text.words[i]] * text.counts[i];
      }
      return sum;
    };
    return harmonic_mean(words.forward / total(source_), words.backward / total(target));
  }
  double forward[2] = {words.forward, 0.0}, backward[2] = {words.backward, 0.0};
  if (max_n_ > 1) {
    const Both pairs = pairs_matches(target);
    forward[1] = pairs.forward;
    backward[1] = pairs.backward;
  }
  return harmonic_mean(bleu_of_matches(forward, 1, max_n_, source_.size, target.size),
                       bleu_of_matches(backward, 1, max_n_, target.size, source_.size));
}

}  // namespace polyad::align
