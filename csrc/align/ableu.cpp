#include "align/ableu.hpp"

#include <algorithm>
#include <cstdint>

#include "align/each.hpp"
#include "common/check.hpp"

namespace polyad::align {
namespace {

std::uint64_t mixed(std::uint64_t x) {
  x *= 0x9E3779B97F4A7C15u;
  return x ^ (x >> 29);
}

std::uint64_t hash_of(const std::int32_t* gram, int order) {
  std::uint64_t hash = 0;
  for (int k = 0; k < order; ++k) {
    hash = mixed(hash + static_cast<std::uint32_t>(gram[k]) + 1);
  }
  return hash;
}

// The power of two that leaves half the slots free.
std::size_t slots_for(std::int64_t items) {
  std::size_t slots = 16;
  while (slots < 2 * static_cast<std::size_t>(items)) slots *= 2;
  return slots;
}

// The reference n-grams by one of their words: a chain for each, in the order of first occurrence.
class Chain {
 public:
  Chain(const SoftScratch& scratch, int position, SoftScratch::Chain& chain) : chain_(chain) {
    const auto types = static_cast<std::int32_t>(scratch.reference.first.size());
    const std::size_t slots = slots_for(types);
    mask_ = slots - 1;
    chain.heads.assign(slots, -1);
    chain.words.resize(slots);
    chain.lengths.assign(slots, 0);
    chain.next.resize(types);
    for (std::int32_t type = types - 1; type >= 0; --type) {
      const std::int32_t word = scratch.reference.first[type][position];
      const std::size_t slot = find(word);
      chain.next[type] = chain.heads[slot];
      chain.heads[slot] = type;
      chain.words[slot] = word;
      ++chain.lengths[slot];
    }
  }

  std::int32_t head(std::int32_t word) const { return chain_.heads[find(word)]; }
  std::int32_t next(std::int32_t type) const { return chain_.next[type]; }
  std::int32_t length(std::int32_t word) const { return chain_.lengths[find(word)]; }

 private:
  std::size_t find(std::int32_t word) const {
    std::size_t slot = mixed(static_cast<std::uint32_t>(word)) & mask_;
    while (chain_.heads[slot] >= 0 && chain_.words[slot] != word) slot = (slot + 1) & mask_;
    return slot;
  }

  SoftScratch::Chain& chain_;
  std::size_t mask_;
};

// Calls body(word, cosine) for a word and all that are like it.
template <class Body>
void for_like(std::int32_t word, const Similarity& similarity, const Body& body) {
  body(word, 1.0);
  if (word >= similarity.count) return;
  for (std::int32_t at = similarity.offsets[word]; at < similarity.offsets[word + 1]; ++at) {
    const double cosine = clipped_cosine(similarity.values[at]);
    if (similarity.words[at] != word && cosine > 0.0) body(similarity.words[at], cosine);
  }
}

// Which reference n-grams are similar to others. Few are found by their first word; many by
// whichever word leads to the fewest: a frequent word leads to many from as many n-grams, which
// takes the square of their number.
class Chains {
 public:
  Chains(int order, const Similarity& similarity, SoftScratch& scratch)
      : order_(order), similarity_(similarity), scratch_(scratch) {
    constexpr std::size_t kMany = 256;
    positions_ = scratch.reference.first.size() > kMany ? order : 1;
    if (std::ssize(scratch.chains) < positions_) scratch.chains.resize(positions_);
    chains_.reserve(positions_);
    for (int k = 0; k < positions_; ++k) chains_.emplace_back(scratch, k, scratch.chains[k]);
  }

  // Calls body(reference n-gram, s, whether identical) for all that are similar to g at all.
  template <class Body>
  void for_similar(const std::int32_t* g, const Body& body) const {
    const int position = best_position(g);
    const Chain& chain = chains_[position];
    for_like(g[position], similarity_, [&](std::int32_t word, double cosine) {
      for (std::int32_t h = chain.head(word); h >= 0; h = chain.next(h)) {
        const std::int32_t* other = scratch_.reference.first[h];
        double product = 1.0;
        bool same = true;
        for (int k = 0; k < order_ && product > 0.0; ++k) {
          product *= k == position ? cosine : similarity_(g[k], other[k]);
          same = same && g[k] == other[k];
        }
        if (product > 0.0) body(h, geometric_mean(product, order_), same);
      }
    });
  }

 private:
  int best_position(const std::int32_t* g) const {
    int best = 0;
    std::int64_t fewest = 0;
    for (int k = 0; k < positions_ && positions_ > 1; ++k) {
      std::int64_t found = 0;
      for_like(g[k], similarity_,
               [&](std::int32_t word, double) { found += chains_[k].length(word); });
      if (k == 0 || found < fewest) {
        best = k;
        fewest = found;
      }
    }
    return best;
  }

  int order_, positions_;
  const Similarity& similarity_;
  SoftScratch& scratch_;
  std::vector<Chain> chains_;
};

// Weights of n-grams: 1, or those of words.
struct Unweighted {
  double operator()(const std::int32_t*) const { return 1.0; }
};
struct WordWeights {
  const double* values;
  double operator()(const std::int32_t* gram) const { return values[gram[0]]; }
};

template <class Weight>
double source_matches(int order, const Similarity& similarity, const Weight& weight,
                      SoftScratch& scratch) {
  const Chains chains(order, similarity, scratch);
  double sum = 0.0;
  for (std::size_t g = 0; g < scratch.candidate.first.size(); ++g) {
    const std::int32_t count = scratch.candidate.count[g];
    double best = 0.0;
    chains.for_similar(scratch.candidate.first[g], [&](std::int32_t h, double score, bool) {
      best = std::max(best, score * std::min(count, scratch.reference.count[h]));
    });
    sum += weight(scratch.candidate.first[g]) * best;
  }
  return sum;
}

template <class Weight>
double one_to_one_matches(int order, const Similarity& similarity, const Weight& weight,
                          SoftScratch& scratch) {
  const Chains chains(order, similarity, scratch);
  auto& edges = scratch.edges;
  edges.clear();
  const auto types = static_cast<std::int32_t>(scratch.candidate.first.size());
  for (std::int32_t g = 0; g < types; ++g) {
    chains.for_similar(scratch.candidate.first[g], [&](std::int32_t h, double score, bool same) {
      edges.push_back({score, same, g, h});
    });
  }
  std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.same != b.same) return a.same;
    return a.candidate != b.candidate ? a.candidate < b.candidate : a.reference < b.reference;
  });
  scratch.left = scratch.reference.count;
  double sum = 0.0;
  for (const auto& edge : edges) {
    std::int32_t& of_candidate = scratch.candidate.count[edge.candidate];
    std::int32_t& of_reference = scratch.left[edge.reference];
    const std::int32_t taken = std::min(of_candidate, of_reference);
    sum += weight(scratch.candidate.first[edge.candidate]) * edge.score * taken;
    of_candidate -= taken;
    of_reference -= taken;
  }
  return sum;
}

template <class Weight>
double weighted_matches(int order, Words candidate, const Words* references, std::int32_t count,
                        const Similarity& similarity, Matching matching, const Weight& weight,
                        SoftScratch& scratch) {
  if (candidate.size < order) return 0.0;
  std::int64_t tokens = 0;
  for (std::int32_t i = 0; i < count; ++i) tokens += references[i].size;
  scratch.candidate.begin(candidate.size);
  scratch.candidate.add(order, candidate);
  scratch.reference.begin(tokens);
  for (std::int32_t i = 0; i < count; ++i) scratch.reference.add(order, references[i]);
  if (scratch.reference.first.empty()) return 0.0;
  return matching == Matching::source ? source_matches(order, similarity, weight, scratch)
                                      : one_to_one_matches(order, similarity, weight, scratch);
}

// The length that the brevity penalty compares with: the closest one, the shorter of two.
std::int32_t closest_length(std::int32_t length, const Words* references, std::int64_t count) {
  std::int32_t best = count > 0 ? references[0].size : 0;
  for (std::int64_t i = 1; i < count; ++i) {
    const std::int32_t other = references[i].size;
    const auto distance = [&](std::int32_t x) { return x < length ? length - x : x - length; };
    if (distance(other) < distance(best) || (distance(other) == distance(best) && other < best)) {
      best = other;
    }
  }
  return best;
}

}  // namespace

void SoftScratch::Grams::begin(std::int64_t tokens) {
  first.clear();
  count.clear();
  of_text.clear();
  slots.assign(slots_for(tokens), -1);
}

std::int32_t SoftScratch::Grams::find_or_add(int order, const std::int32_t* gram) {
  const std::size_t mask = slots.size() - 1;
  std::size_t slot = hash_of(gram, order) & mask;
  while (slots[slot] >= 0 && !std::equal(gram, gram + order, first[slots[slot]])) {
    slot = (slot + 1) & mask;
  }
  if (slots[slot] < 0) {
    slots[slot] = static_cast<std::int32_t>(first.size());
    first.push_back(gram);
    count.push_back(0);
    of_text.push_back(0);
  }
  return slots[slot];
}

void SoftScratch::Grams::add(int order, Words text) {
  for (std::int32_t at = 0; at + order <= text.size; ++at) {
    ++of_text[find_or_add(order, text.ids + at)];
  }
  for (std::size_t type = 0; type < first.size(); ++type) {
    count[type] = std::max(count[type], of_text[type]);
    of_text[type] = 0;
  }
}

double soft_matches(int order, Words candidate, const Words* references, std::int32_t count,
                    const Similarity& similarity, Matching matching, SoftScratch& scratch) {
  return weighted_matches(order, candidate, references, count, similarity, matching, Unweighted{},
                          scratch);
}

double soft_pair_score(Words source, Words target, int max_n, const Similarities& similarities,
                       Matching matching, SoftScratch& scratch) {
  double matches[kMostOrders];
  const auto one_way = [&](Words from, Words to, const Similarity& similarity) {
    for (int order = max_n; order >= 1; --order) {  // the highest is the likeliest to be 0
      matches[order - 1] = soft_matches(order, from, &to, 1, similarity, matching, scratch);
      if (!(matches[order - 1] > 0.0)) return 0.0;
    }
    return bleu_of_matches(matches, 1, max_n, from.size, to.size);
  };
  const double forward = one_way(source, target, similarities.forward);
  if (!(forward > 0.0)) return 0.0;
  return harmonic_mean(forward, one_way(target, source, similarities.backward));
}

double soft_weighted_score(Words source, Words target, const double* weights,
                           const Similarities& similarities, Matching matching,
                           SoftScratch& scratch) {
  const auto one_way = [&](Words from, Words to, const Similarity& similarity) {
    double total = 0.0;
    for (std::int32_t i = 0; i < from.size; ++i) total += weights[from[i]];
    if (!(total > 0.0)) return 0.0;
    return weighted_matches(1, from, &to, 1, similarity, matching, WordWeights{weights}, scratch) /
           total;
  };
  const double precision = one_way(source, target, similarities.forward);
  if (!(precision > 0.0)) return 0.0;
  return harmonic_mean(precision, one_way(target, source, similarities.backward));
}

void ableu(const AbleuArgs& args) {
  require(args.first_order >= 1 && args.first_order <= args.last_order &&
              args.last_order <= kMostOrders,
          "ableu: orders out of range");
  constexpr std::int64_t kPart = 64;  // sentences that share a scratch
  const std::int64_t N = args.candidates.count;
  const int orders = args.last_order - args.first_order + 1;
  for_each_part((N + kPart - 1) / kPart, [&](std::int64_t part) {
    SoftScratch scratch;
    std::vector<Words> references;
    for (std::int64_t i = part * kPart; i < std::min(N, (part + 1) * kPart); ++i) {
      const Words candidate = args.candidates[i];
      references.clear();
      for (std::int64_t place = args.places[i]; place < args.places[i + 1]; ++place) {
        references.push_back(args.references[place]);
      }
      const auto count = static_cast<std::int32_t>(references.size());
      const std::int32_t length = closest_length(candidate.size, references.data(), count);
      double matches[2][kMostOrders] = {};
      for (int k = 0; k < orders; ++k) {
        const int order = args.first_order + k;
        matches[0][k] = soft_matches(order, candidate, references.data(), count,
                                     args.similarities.forward, args.matching, scratch);
        if (args.both_directions && count == 1) {
          matches[1][k] = soft_matches(order, references[0], &candidate, 1,
                                       args.similarities.backward, args.matching, scratch);
        }
      }
      const auto score = [&](int direction, double c, double r) {
        return bleu_of_matches(matches[direction], args.first_order, args.last_order, c, r);
      };
      if (args.scores != nullptr) {
        const double forward = score(0, candidate.size, length);
        args.scores[i] = args.both_directions
                             ? harmonic_mean(forward, score(1, length, candidate.size))
                             : forward;
      }
      if (args.matches != nullptr) {
        for (int direction = 0; direction < 2; ++direction) {
          std::copy_n(matches[direction], orders, args.matches + (2 * i + direction) * orders);
        }
      }
      if (args.reference_lengths != nullptr) args.reference_lengths[i] = length;
    }
  });
}

void ableu_pairs(const AbleuPairsArgs& args) {
  require(args.first_order >= 1 && args.first_order <= args.last_order &&
              args.last_order <= kMostOrders,
          "ableu_pairs: orders out of range");
  constexpr std::int64_t kPart = 64;  // pairs that share a scratch
  for_each_part((args.count + kPart - 1) / kPart, [&](std::int64_t part) {
    SoftScratch scratch;
    const auto one_way = [&](Words from, Words to, const Similarity& similarity) {
      double matches[kMostOrders];
      for (int order = args.last_order; order >= args.first_order; --order) {
        double& of_order = matches[order - args.first_order];
        of_order = soft_matches(order, from, &to, 1, similarity, args.matching, scratch);
        if (!(of_order > 0.0)) return 0.0;
      }
      return bleu_of_matches(matches, args.first_order, args.last_order, from.size, to.size);
    };
    for (std::int64_t p = part * kPart; p < std::min(args.count, (part + 1) * kPart); ++p) {
      const Words source = args.sources[args.source[p]], target = args.targets[args.target[p]];
      const double forward = one_way(source, target, args.similarities.forward);
      args.scores[p] =
          args.both_directions
              ? harmonic_mean(forward, one_way(target, source, args.similarities.backward))
              : forward;
    }
  });
}

}  // namespace polyad::align
