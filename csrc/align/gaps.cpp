#include "align/gaps.hpp"

#include <algorithm>
#include <cmath>

namespace polyad::align {
namespace {

constexpr std::size_t kWindow = 10;  // and as many as are joined

Ids range(std::int32_t begin, std::int32_t end) {
  Ids ids;
  for (std::int32_t i = begin; i < end; ++i) ids.push_back(i);
  return ids;
}

std::int32_t after(const Ids& ids) { return ids.empty() ? 0 : ids.back() + 1; }

Ids operator+(const Ids& one, const Ids& other) {
  Ids both = one;
  both.insert(both.end(), other.begin(), other.end());
  return both;
}

}  // namespace

void GapFiller::begin(const Sentences& hypotheses, const std::int32_t* hypothesis_lengths,
                      const Sentences& references, const std::int32_t* reference_lengths,
                      const BleualignOptions& options, const GapScoring& scoring) {
  hypotheses_ = hypotheses;
  references_ = references;
  hypothesis_lengths_ = hypothesis_lengths;
  reference_lengths_ = reference_lengths;
  options_ = options;
  scoring_ = scoring;
}

void GapFiller::fill(const std::vector<std::pair<std::int32_t, std::int32_t>>& anchors,
                     std::vector<Bead>& beads) {
  anchors_ = &anchors;
  beads_ = &beads;
  Anchor before;
  for (const auto& [source, target] : anchors) {
    Ids sources = range(after(before.source), source),
        targets = range(after(before.target), target);
    Anchor behind{{source}, {target}};
    if (sources.empty() && targets.empty()) {
      emit(before);
      before = std::move(behind);
    } else {
      before =
          fill_gap(std::move(sources), std::move(targets), std::move(before), std::move(behind));
    }
  }
  // What follows the last anchor begins behind its own two sentences, wherever it has moved since.
  const std::int32_t source = anchors.empty() ? 0 : anchors.back().first + 1;
  const std::int32_t target = anchors.empty() ? 0 : anchors.back().second + 1;
  Ids sources = range(source, static_cast<std::int32_t>(hypotheses_.count));
  Ids targets = range(target, static_cast<std::int32_t>(references_.count));
  if (!sources.empty() || !targets.empty()) {
    before = fill_gap(std::move(sources), std::move(targets), std::move(before), {});
  }
  emit(before);
}

void GapFiller::by_length(std::vector<Bead>& beads) {
  beads_ = &beads;
  align_by_length(range(0, static_cast<std::int32_t>(hypotheses_.count)),
                  range(0, static_cast<std::int32_t>(references_.count)));
}

// Returns the anchor behind the gap as it is in the end.
GapFiller::Anchor GapFiller::fill_gap(Ids source, Ids target, Anchor before, Anchor behind) {
  collect(hypotheses_, source, before.source, behind.source, sources_);
  collect(references_, target, before.target, behind.target, targets_);
  target_words_.clear();
  for (std::size_t j = 0; j < targets_.texts.size(); ++j) target_words_.push_back(targets_[j]);
  if (scoring_.similarities == nullptr) {
    index_.build(target_words_.data(), static_cast<std::int64_t>(target_words_.size()),
                 scoring_.max_n);
  }
  known_.assign(sources_.texts.size(), Known::not_yet);
  found_.resize(sources_.texts.size());

  const std::size_t first_bead = beads_->size();
  const bool joining = options_.max_join > 1;
  while (!source.empty() || !target.empty()) {
    if (joining && !source.empty() && !before.source.empty() &&
        joins(before.source + Ids{source.front()}, before)) {
      source.erase(source.begin());
    } else if (joining && !source.empty() && !behind.source.empty() &&
               joins(Ids{source.back()} + behind.source, behind)) {
      source.pop_back();
    } else if (!(joining && moves(before, behind, target)) &&
               !(joining && moves(behind, before, target)) &&
               !(options_.gap_links && links(source, target, before))) {
      align_by_length(source, target);
      break;
    }
  }
  const Bead last{before.source, before.target, Label::bleu};
  const auto same = [&](const Bead& bead) { return bead.same_sides(last); };
  if (std::none_of(beads_->begin() + first_bead, beads_->end(), same)) emit(before);
  return behind;
}

// The texts of one side that are compared.
void GapFiller::collect(const Sentences& sentences, const Ids& gap, const Ids& before,
                        const Ids& behind, Side& side) const {
  const std::size_t window = (options_.gap_links ? kWindow : 0) + options_.max_join;
  side.texts.clear();
  side.words.clear();
  side.texts.push_back({before, 0, 0});
  for (std::size_t x = 0; x < gap.size(); ++x) {
    if (x < window || gap.size() - x <= window) side.texts.push_back({{gap[x]}, 0, 0});
  }
  side.texts.push_back({behind, 0, 0});
  const std::size_t singles = side.texts.size();
  for (int joined = 2; joined <= options_.max_join; ++joined) {
    for (std::size_t begin = 0; begin + joined <= singles; ++begin) {
      Ids ids;
      for (int more = 0; more < joined; ++more) ids = ids + side.texts[begin + more].ids;
      side.texts.push_back({std::move(ids), 0, 0});
    }
  }
  for (GapText& text : side.texts) {
    text.begin = side.words.size();
    for (std::int32_t id : text.ids) {
      const Words words = sentences[id];
      side.words.insert(side.words.end(), words.ids, words.ids + words.size);
    }
    text.end = side.words.size();
  }
}

// What the sentences score with their best reference; null if they are no candidate or have none.
const PairScore* GapFiller::best(const Ids& source) {
  const auto text = std::find_if(sources_.texts.begin(), sources_.texts.end(),
                                 [&](const GapText& one) { return one.ids == source; });
  if (text == sources_.texts.end()) return nullptr;
  const std::size_t place = text - sources_.texts.begin();
  if (known_[place] == Known::not_yet) {
    bool any = false;
    if (scoring_.similarities != nullptr) {
      any = soft_best(sources_[place], found_[place]);
    } else {
      index_.look_up(sources_[place], 1, desk_, row_);
      any = !row_.empty();
      if (any) found_[place] = row_[0];
    }
    known_[place] = any ? Known::found : Known::nothing;
  }
  return known_[place] == Known::found ? &found_[place] : nullptr;
}

// The same with soft counts: of either direction its own.
bool GapFiller::soft_best(const Words& source, PairScore& best) {
  const Similarities& similarities = *scoring_.similarities;
  const int orders = scoring_.max_n;
  best.score = 0;
  for (std::size_t j = 0; j < target_words_.size(); ++j) {
    const Words& target = target_words_[j];
    PairScore found{0, static_cast<std::int32_t>(j), {}};
    double back[kMaxOrder] = {};
    bool all = true;
    for (int k = 0; k < orders && all; ++k) {
      found.counts[k] =
          soft_matches(k + 1, source, &target, 1, similarities.forward, scoring_.matching, soft_);
      back[k] =
          soft_matches(k + 1, target, &source, 1, similarities.backward, scoring_.matching, soft_);
      all = found.counts[k] > 0 && back[k] > 0;
    }
    if (!all) continue;
    found.score = pair_score(found.counts, back, orders, source.size, target.size);
    if (found.score > best.score) best = found;
  }
  return best.score > 0;
}

// A and B: the anchor's sentences become `joined`.
bool GapFiller::joins(const Ids& joined, Anchor& anchor) {
  const PairScore* longer = best(joined);
  const PairScore* own = longer == nullptr ? nullptr : best(anchor.source);
  if (own == nullptr || !(longer->score > own->score)) return false;
  const int orders = scoring_.max_n;
  if (!std::lexicographical_compare(own->counts, own->counts + orders, longer->counts,
                                    longer->counts + orders)) {
    return false;
  }
  if (best_target(*longer) != anchor.target) return false;
  anchor.source = joined;
  return true;
}

// C and D.
bool GapFiller::moves(Anchor& anchor, const Anchor& other, Ids& target) {
  if (target.empty() || anchor.source.empty()) return false;
  const PairScore* found = best(anchor.source);
  if (found == nullptr) return false;
  const Ids& to = best_target(*found);
  if (to == anchor.target || to == other.target) return false;
  anchor.target = to;
  std::erase_if(target, [&](std::int32_t id) {
    return std::find(anchor.target.begin(), anchor.target.end(), id) != anchor.target.end();
  });
  return true;
}

// E.
bool GapFiller::links(Ids& source, Ids& target, Anchor& before) {
  if (source.empty() || target.empty()) return false;
  const PairScore* found = best({source.front()});
  if (found == nullptr || best_target(*found) != Ids{target.front()}) return false;
  emit(before);
  before = {{source.front()}, {target.front()}};
  source.erase(source.begin());
  target.erase(target.begin());
  return true;
}

void GapFiller::align_by_length(const Ids& source, const Ids& target) {
  if (source.empty() || target.empty()) return;
  const double longer = std::max(source.size(), target.size());
  const double shorter = std::min(source.size(), target.size());
  const bool alike = longer < 4 || longer / shorter < 2;
  if (!options_.length_only && !(options_.gap_lengths && alike)) return;
  lengths_[0].clear();
  lengths_[1].clear();
  for (std::int32_t id : source) lengths_[0].push_back(hypothesis_lengths_[id]);
  for (std::int32_t id : target) lengths_[1].push_back(reference_lengths_[id]);
  spans_.clear();
  GaleChurchOptions linear;
  linear.log_space = false;
  gale_church(lengths_[0].data(), static_cast<std::int64_t>(source.size()), lengths_[1].data(),
              static_cast<std::int64_t>(target.size()), linear, spans_);
  for (const Span& span : spans_) {
    if (span.source_begin == span.source_end || span.target_begin == span.target_end) continue;
    beads_->push_back({{source.begin() + span.source_begin, source.begin() + span.source_end},
                       {target.begin() + span.target_begin, target.begin() + span.target_end},
                       Label::gale_church});
  }
}

void GapFiller::emit(const Anchor& anchor) {
  if (anchor.source.empty() || anchor.target.empty()) return;
  const bool one_to_one = anchor.source.size() == 1 && anchor.target.size() == 1;
  const bool scored =
      one_to_one && std::binary_search(anchors_->begin(), anchors_->end(),
                                       std::pair(anchor.source[0], anchor.target[0]));
  beads_->push_back({anchor.source, anchor.target, scored ? Label::bleu : Label::gap_filler});
}

}  // namespace polyad::align
