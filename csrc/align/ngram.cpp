#include "align/ngram.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "align/each.hpp"
#include "common/check.hpp"

namespace polyad::align {
namespace {

// A bound may be below the score that it bounds by rounding alone.
constexpr double kRounding = 1e-9;
// Targets among which a search costs more than looking at all, and which share of them is few.
constexpr std::int32_t kShortList = 32, kFew = 64;

// As ngram_rows_cpu.hpp, for the counts of long sources.
std::int64_t places_within(const std::uint32_t* values, std::int64_t size, std::uint32_t low,
                           std::uint32_t high, std::int32_t* out) {
  std::int64_t found = 0;
  for (std::int64_t at = 0; at < size; ++at) {
    if (values[at] >= low && values[at] <= high) out[found++] = static_cast<std::int32_t>(at);
  }
  return found;
}

template <class T>
void at_least(std::vector<T>& values, std::size_t size) {
  if (values.size() < size) values.resize(size);
}

}  // namespace

// --- NgramIndex: build ---------------------------------------------------------------------------

void NgramIndex::build(const Words* targets, std::int64_t count, int max_n) {
  require(max_n >= 1 && max_n <= kMaxOrder, "max_n: expected 1 .. 10");
  max_n_ = max_n;
  std::size_t words = 0;
  for (std::int64_t j = 0; j < count; ++j) words += targets[j].size;
  words_.reset();
  for (int k = 0; k < max_n; ++k) {
    Grams& grams = grams_[k];
    // in a long text many n-grams have come before; the table grows where they have not
    if (k > 0) grams.numbers.reset(words < 100'000 ? words : words / 2);
    grams.repeats.reset(words / 32);
    grams.count = 0;
    grams.last.clear();
    grams.times.clear();
    grams.offsets.assign(1, 0);
    grams.list.clear();
  }
  keys_.clear();
  outlines_.clear();
  classes_.resize(count);
  class_slots_.assign(power_of_two(2 * count), -1);
  for (std::int64_t j = 0; j < count; ++j) {
    const KeySet keys = add_grams(targets[j], static_cast<std::int32_t>(j));
    classes_[j] = class_of(keys, targets[j].size);
  }
  place_classes();
}

// Appends the grams of a target to the lists of all orders.
NgramIndex::KeySet NgramIndex::add_grams(const Words& words, std::int32_t target) {
  KeySet keys{0, 0};
  prefixes_.assign(words.size, -1);
  for (int k = 0; k < max_n_; ++k) {
    Grams& grams = grams_[k];
    for (std::int32_t i = 0; i + k < words.size; ++i) {
      std::int32_t gram = k == 0 ? words_.insert(words[i], grams.count)
                                 : grams.numbers.insert(prefixes_[i], words[i + k], grams.count);
      prefixes_[i] = gram;
      if (gram == grams.count) {
        ++grams.count;
        grams.last.push_back(0);
        grams.times.push_back(0);
      }
      if (grams.last[gram] != target + 1) {
        grams.last[gram] = target + 1;
        grams.times[gram] = 0;
        const std::uint64_t mark =
            mixed_bits(std::uint64_t{static_cast<std::uint32_t>(gram + 1)} << 32 | (k + 1u));
        keys.sum += mark;
        keys.other_sum += (mark ^ mark >> 29) * 0x9e3779b97f4a7c15u;
      } else {
        gram = grams.repeats.insert(gram, ++grams.times[gram], grams.count);
        if (gram == grams.count) {
          ++grams.count;
          grams.last.push_back(0);
          grams.times.push_back(0);
        }
      }
      grams.list.push_back(gram);
    }
  }
  return keys;
}

// The class with these n-grams; where it is there already, the lists lose what was appended.
std::int32_t NgramIndex::class_of(const KeySet& keys, std::int32_t length) {
  const std::size_t mask = class_slots_.size() - 1;
  std::size_t slot = keys.sum & mask;
  for (; class_slots_[slot] >= 0; slot = (slot + 1) & mask) {
    const std::int32_t found = class_slots_[slot];
    if (keys_[found].sum == keys.sum && keys_[found].other_sum == keys.other_sum) {
      for (int k = 0; k < max_n_; ++k) grams_[k].list.resize(grams_[k].offsets.back());
      return found;
    }
  }
  const auto fresh = static_cast<std::int32_t>(keys_.size());
  class_slots_[slot] = fresh;
  keys_.push_back(keys);
  Outline outline{0, 0, length};
  for (std::size_t at = grams_[0].offsets.back(); at < grams_[0].list.size(); ++at) {
    outline.add(grams_[0].list[at]);
  }
  outlines_.push_back(outline);
  for (int k = 0; k < max_n_; ++k) {
    grams_[k].offsets.push_back(static_cast<std::int32_t>(grams_[k].list.size()));
  }
  return fresh;
}

// Sorts targets by class, and classes by the grams of order N that they have.
void NgramIndex::place_classes() {
  const std::size_t classes = keys_.size();
  member_offsets_.assign(classes + 1, 0);
  for (std::int32_t c : classes_) ++member_offsets_[c + 1];
  for (std::size_t c = 0; c < classes; ++c) member_offsets_[c + 1] += member_offsets_[c];
  members_.resize(classes_.size());
  std::vector<std::int32_t>& next = next_;
  next.assign(member_offsets_.begin(), member_offsets_.end() - 1);
  for (std::size_t j = 0; j < classes_.size(); ++j) {
    members_[next[classes_[j]]++] = static_cast<std::int32_t>(j);
  }

  const Grams& top = grams_[max_n_ - 1];
  place_offsets_.assign(top.count + 1, 0);
  for (std::int32_t gram : top.list) ++place_offsets_[gram + 1];
  for (std::int32_t g = 0; g < top.count; ++g) place_offsets_[g + 1] += place_offsets_[g];
  places_.resize(top.list.size());
  next.assign(place_offsets_.begin(), place_offsets_.end() - 1);
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::int32_t at = top.offsets[c]; at < top.offsets[c + 1]; ++at) {
      places_[next[top.list[at]]++] = static_cast<std::int32_t>(c);
    }
  }
}

// --- NgramIndex: look up -------------------------------------------------------------------------

// The grams of a source that some target has, repeats told apart as there.
void NgramIndex::find_grams(const Words& source, Desk& desk) const {
  desk.prefixes.assign(source.size, -1);
  for (int k = 0; k < max_n_; ++k) {
    const Grams& grams = grams_[k];
    std::vector<std::int32_t>& seen = desk.seen[k];
    at_least(seen, grams.count);
    at_least(desk.marks[k], grams.count);
    desk.grams[k].clear();
    for (std::int32_t i = 0; i + k < source.size; ++i) {
      std::int32_t& prefix = desk.prefixes[i];
      if (k > 0 && prefix < 0) continue;
      prefix = k == 0 ? words_.find(source[i]) : grams.numbers.find(prefix, source[i + k]);
      if (prefix < 0) continue;
      const std::int32_t before = seen[prefix]++;
      const std::int32_t gram = before == 0 ? prefix : grams.repeats.find(prefix, before);
      if (gram >= 0) desk.grams[k].push_back(gram);
    }
    // Every gram that was seen stands in the list for its first time.
    for (std::int32_t gram : desk.grams[k]) seen[gram] = 0;
  }
}

void NgramIndex::look_up(const Words& source, int top_k, Desk& desk,
                         std::vector<PairScore>& best) const {
  best.clear();
  if (source.size < max_n_) return;
  find_grams(source, desk);
  const std::size_t top = desk.grams[max_n_ - 1].size();
  if (top == 0) return;
  if (top <= std::numeric_limits<std::uint8_t>::max()) {
    rank(source.size, top_k, desk.shared, desk, best);
  } else {
    rank(source.size, top_k, desk.shared_wide, desk, best);
  }
}

template <class Count>
void NgramIndex::rank(std::int32_t length, int top_k, std::vector<Count>& shared, Desk& desk,
                      std::vector<PairScore>& best) const {
  const auto classes = static_cast<std::int32_t>(keys_.size());
  at_least(shared, classes);
  at_least(desk.candidates, classes);
  for (int k = 0; k + 1 < max_n_; ++k) {
    for (std::int32_t gram : desk.grams[k]) desk.marks[k][gram] = 1;
  }
  desk.outline = {};
  for (std::int32_t gram : desk.grams[0]) desk.outline.add(gram);
  desk.bounds.begin(max_n_);
  const ScoreBounds::Row* row = desk.bounds.row(length);
  std::int32_t* candidates = desk.candidates.data();
  double threshold = -std::numeric_limits<double>::infinity();
  const auto weigh_all = [&](std::int64_t count) {
    for (std::int64_t place = 0; place < count; ++place) {
      const std::int32_t candidate = candidates[place];
      weigh(candidate, static_cast<std::int32_t>(shared[candidate]), length, row, top_k, desk,
            threshold, best);
    }
  };
  const std::vector<std::int32_t>& top = desk.grams[max_n_ - 1];
  std::int64_t places = 0;
  for (std::int32_t gram : top) places += place_offsets_[gram + 1] - place_offsets_[gram];
  if (classes >= kShortList && places < classes / kFew) {
    // rare N-grams: only the classes that have one are looked at
    std::int64_t found = 0;
    for (std::int32_t gram : top) {
      for (std::int32_t at = place_offsets_[gram]; at < place_offsets_[gram + 1]; ++at) {
        if (shared[places_[at]]++ == 0) candidates[found++] = places_[at];
      }
    }
    weigh_all(found);
    for (std::int64_t place = 0; place < found; ++place) shared[candidates[place]] = 0;
  } else {
    for (std::int32_t gram : top) {
      for (std::int32_t at = place_offsets_[gram]; at < place_offsets_[gram + 1]; ++at) {
        ++shared[places_[at]];
      }
    }
    // Most classes share one or two N-grams by chance: those come last, and not at all once enough
    // better ones are found. In a short list it costs less to look at all.
    const auto most = static_cast<std::uint32_t>(top.size());
    const std::uint32_t steps = classes < kShortList || row == nullptr ? 1 : 4;
    for (std::uint32_t low = steps; low >= 1; --low) {
      if (low > most) continue;
      if (low < steps && row->most + desk.bounds.of_count(low) + kRounding < threshold) break;
      const Count high = low == steps ? most : low;
      std::int64_t found =
          places_within(shared.data(), classes, static_cast<Count>(low), high, candidates);
      if (low < steps && max_n_ > 1) {
        found = promising({outlines_.data(), desk.outline,
                           static_cast<std::int32_t>(desk.grams[0].size()), row->longer,
                           desk.bounds.of_counts(), ScoreBounds::kLengths,
                           threshold - desk.bounds.of_count(low) - kRounding, candidates, found});
      }
      weigh_all(found);
    }
    std::memset(shared.data(), 0, classes * sizeof(Count));
  }
  for (int k = 0; k + 1 < max_n_; ++k) {
    for (std::int32_t gram : desk.grams[k]) desk.marks[k][gram] = 0;
  }
}

// Scores the targets of a class and keeps those among the top_k best. threshold is the logarithm of
// the score of the last of these, -infinity before there are so many.
void NgramIndex::weigh(std::int32_t candidate, std::int32_t shared, std::int32_t length,
                       const ScoreBounds::Row* row, int top_k, const Desk& desk, double& threshold,
                       std::vector<PairScore>& best) const {
  const std::int32_t target_length = outlines_[candidate].length;
  const ScoreBounds& bounds = desk.bounds;
  const double of_shared = bounds.of_count(shared);
  if (bounds.whole(row, length, target_length) + of_shared + kRounding < threshold) return;
  PairScore found{0, 0, {}};
  found.counts[max_n_ - 1] = shared;
  double bound = bounds.rest(row, length, target_length) + of_shared;
  for (int k = 0; k + 1 < max_n_; ++k) {
    const Grams& grams = grams_[k];
    const std::uint8_t* marks = desk.marks[k].data();
    std::int32_t count = 0;
    for (std::int32_t at = grams.offsets[candidate]; at < grams.offsets[candidate + 1]; ++at) {
      count += marks[grams.list[at]];
    }
    found.counts[k] = count;
    bound += bounds.of_count(count);
  }
  if (bound + kRounding < threshold) return;
  found.score = pair_score(found.counts, max_n_, length, target_length);
  if (found.score < 0) return;
  const auto better = [](const PairScore& one, const PairScore& other) {
    return one.score > other.score || (one.score == other.score && one.target < other.target);
  };
  for (std::int32_t at = member_offsets_[candidate]; at < member_offsets_[candidate + 1]; ++at) {
    found.target = members_[at];
    if (static_cast<int>(best.size()) == top_k) {
      if (!better(found, best.back())) break;
      best.pop_back();
    }
    best.insert(std::upper_bound(best.begin(), best.end(), found, better), found);
    if (static_cast<int>(best.size()) == top_k) threshold = std::log(best.back().score);
  }
}

void ngram_scores(const NgramScoresArgs& args) {
  require(args.top_k >= 1, "top_k: expected at least 1");
  std::vector<Words> targets(args.targets.count);
  for (std::int64_t j = 0; j < args.targets.count; ++j) targets[j] = args.targets[j];
  NgramIndex index;
  index.build(targets.data(), args.targets.count, args.max_n);
  // Every part has a desk of its own, as large as the vocabulary: few parts, of equal sizes.
  const std::int64_t parts = std::min<std::int64_t>(4 * get_num_threads(), args.sources.count);
  for_each_part(parts, [&](std::int64_t part) {
    NgramIndex::Desk desk;
    std::vector<PairScore> best;
    const std::int64_t end = args.sources.count * (part + 1) / parts;
    for (std::int64_t i = args.sources.count * part / parts; i < end; ++i) {
      index.look_up(args.sources[i], args.top_k, desk, best);
      args.found[i] = static_cast<std::int32_t>(best.size());
      for (std::size_t rank = 0; rank < best.size(); ++rank) {
        args.target[i * args.top_k + rank] = best[rank].target;
        args.score[i * args.top_k + rank] = best[rank].score;
      }
    }
  });
}

}  // namespace polyad::align
