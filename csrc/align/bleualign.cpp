#include "align/bleualign.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "align/each.hpp"
#include "align/gaps.hpp"
#include "align/path.hpp"

namespace polyad::align {
namespace {

Sentences part(const Sentences& all, std::int64_t begin, std::int64_t end) {
  return {all.ids, all.offsets + begin, end - begin};
}

// By the two sides alone.
bool comes_before(const Bead& one, const Bead& other) {
  return std::tie(one.source, one.target) < std::tie(other.source, other.target);
}

// One thread's memory.
struct Desk {
  NgramIndex index;
  NgramIndex::Desk lookups;
  GapFiller gaps;
  CommonNgrams common;
  SoftScratch soft;
  std::vector<Words> words;
  std::vector<PairScore> row;
  std::vector<std::int32_t> source, target;
  std::vector<double> score;
  std::vector<std::int64_t> path;
  std::vector<std::pair<std::int32_t, std::int32_t>> anchors;
  // the anchor of each sentence in the run of the first translation, if its score is that of its
  // texts
  struct Scored {
    std::int32_t target = -1;
    double score = 0;
  };
  std::vector<Scored> scored;
};

// H: sentences begin .. end - 1 of the translation; R: those of a document's other side.
struct Run {
  const Translation& translation;
  std::int64_t begin, end;
  const Text& other;
  std::int64_t other_begin, other_end;
  const Similarities* similarities;
};

class Document {
 public:
  Document(const BleualignArgs& args, std::int64_t number, Desk& desk)
      : args_(args),
        desk_(desk),
        source_begin_(args.source_documents[number]),
        source_end_(args.source_documents[number + 1]),
        target_begin_(args.target_documents[number]),
        target_end_(args.target_documents[number + 1]) {}

  std::vector<Bead> beads() const {
    desk_.scored.clear();
    if (source_begin_ == source_end_ || target_begin_ == target_end_) return {};
    std::vector<Bead> of_source = common(args_.translations, false);
    std::vector<Bead> of_target = common(args_.back_translations, true);
    std::vector<Bead> both;
    if (of_source.empty()) {
      both = std::move(of_target);
    } else if (of_target.empty()) {
      both = std::move(of_source);
    } else {
      std::sort(of_target.begin(), of_target.end(), comes_before);
      for (Bead& bead : of_source) {
        if (std::binary_search(of_target.begin(), of_target.end(), bead, comes_before)) {
          both.push_back(std::move(bead));
        }
      }
    }
    std::stable_sort(both.begin(), both.end(), comes_before);
    return both;
  }

  // Between the joined texts of a bead's two sides.
  double score(const Bead& bead) const {
    if (bead.label == Label::bleu && !desk_.scored.empty()) {
      const Desk::Scored& known = desk_.scored[bead.source[0]];
      if (known.target == bead.target[0]) return known.score;
    }
    const bool translated = !args_.translations.empty();
    const Sentences& h = translated ? args_.translations[0].text.sentences : args_.source.sentences;
    join(h, source_begin_, bead.source, desk_.source);
    join(args_.target.sentences, target_begin_, bead.target, desk_.target);
    const Words source{desk_.source.data(), static_cast<std::int32_t>(desk_.source.size())};
    const Words target{desk_.target.data(), static_cast<std::int32_t>(desk_.target.size())};
    if (args_.forward != nullptr) {
      return soft_pair_score(source, target, args_.options.max_n, *args_.forward, args_.matching,
                             desk_.soft);
    }
    return std::max(0.0, pair_score(source, target, args_.options.max_n, desk_.common));
  }

 private:
  static void join(const Sentences& all, std::int64_t begin, const Ids& ids,
                   std::vector<std::int32_t>& out) {
    out.clear();
    for (std::int32_t id : ids) {
      const Words words = all[begin + id];
      out.insert(out.end(), words.ids, words.ids + words.size);
    }
  }

  // The beads, with their labels, that the runs of all translations of one side have in common; of
  // the target's, with the sides exchanged.
  std::vector<Bead> common(const std::vector<Translation>& translations, bool of_target) const {
    std::vector<Bead> beads;
    if (!of_target && translations.empty() && args_.back_translations.empty()) {
      beads = run({{args_.source, {}},
                   source_begin_,
                   source_end_,
                   args_.target,
                   target_begin_,
                   target_end_,
                   args_.forward});
    }
    for (std::size_t t = 0; t < translations.size(); ++t) {
      std::vector<Bead> found =
          of_target ? run({translations[t], target_begin_, target_end_, args_.source, source_begin_,
                           source_end_, args_.backward})
                    : run({translations[t], source_begin_, source_end_, args_.target, target_begin_,
                           target_end_, args_.forward});
      if (translations.size() > 1) {
        std::sort(found.begin(), found.end());
        found.erase(std::unique(found.begin(), found.end()), found.end());
      }
      if (t == 0) {
        beads = std::move(found);
        continue;
      }
      std::vector<Bead> kept;
      std::set_intersection(beads.begin(), beads.end(), found.begin(), found.end(),
                            std::back_inserter(kept));
      beads = std::move(kept);
    }
    if (of_target) {
      for (Bead& bead : beads) std::swap(bead.source, bead.target);
    }
    return beads;
  }

  std::vector<Bead> run(const Run& of) const {
    const BleualignOptions& options = args_.options;
    const Text& text = of.translation.text;
    const Sentences hypotheses = part(text.sentences, of.begin, of.end);
    const Sentences references = part(of.other.sentences, of.other_begin, of.other_end);
    desk_.gaps.begin(hypotheses, text.characters + of.begin, references,
                     of.other.characters + of.other_begin, options,
                     {options.max_n, of.similarities, args_.matching});
    std::vector<Bead> beads;
    if (options.length_only) {
      desk_.gaps.by_length(beads);
      return beads;
    }
    find_links(of, hypotheses, references);
    const Links links{desk_.source.data(), desk_.target.data(), desk_.score.data(),
                      static_cast<std::int64_t>(desk_.source.size())};
    best_path(links, static_cast<std::int32_t>(references.count), desk_.path);
    desk_.anchors.clear();
    const bool first = !args_.translations.empty() && &of.translation == &args_.translations[0] &&
                       args_.forward == nullptr;
    if (first) desk_.scored.assign(hypotheses.count, {});
    for (std::int64_t link : desk_.path) {
      desk_.anchors.emplace_back(links.source[link], links.target[link]);
      if (first && desk_.index.is_first(links.target[link])) {
        desk_.scored[links.source[link]] = {links.target[link], links.score[link]};
      }
    }
    desk_.gaps.fill(desk_.anchors, beads);
    return beads;
  }

  void find_links(const Run& of, const Sentences& hypotheses, const Sentences& references) const {
    desk_.source.clear();
    desk_.target.clear();
    desk_.score.clear();
    const auto add = [&](std::int64_t source, std::int32_t target, double score) {
      desk_.source.push_back(static_cast<std::int32_t>(source));
      desk_.target.push_back(target);
      desk_.score.push_back(score);
    };
    const GivenLinks& given = of.translation.links;
    if (given.offsets != nullptr) {
      for (std::int64_t i = 0; i < hypotheses.count; ++i) {
        for (std::int64_t at = given.offsets[of.begin + i]; at < given.offsets[of.begin + i + 1];
             ++at) {
          add(i, given.target[at], given.score[at]);
        }
      }
      return;
    }
    desk_.words.clear();
    for (std::int64_t j = 0; j < references.count; ++j) desk_.words.push_back(references[j]);
    desk_.index.build(desk_.words.data(), references.count, args_.options.max_n);
    for (std::int64_t i = 0; i < hypotheses.count; ++i) {
      desk_.index.look_up(hypotheses[i], args_.options.top_k, desk_.lookups, desk_.row);
      for (const PairScore& one : desk_.row) add(i, one.target, one.score);
    }
  }

  const BleualignArgs& args_;
  Desk& desk_;
  std::int64_t source_begin_, source_end_, target_begin_, target_end_;
};

void put(const std::vector<Bead>& beads, Beads& out) {
  for (const Bead& bead : beads) {
    out.source.insert(out.source.end(), bead.source.begin(), bead.source.end());
    out.target.insert(out.target.end(), bead.target.begin(), bead.target.end());
    out.source_offsets.push_back(static_cast<std::int64_t>(out.source.size()));
    out.target_offsets.push_back(static_cast<std::int64_t>(out.target.size()));
    out.labels.push_back(bead.label);
  }
}

}  // namespace

void bleualign(const BleualignArgs& args, std::vector<Beads>& out) {
  out.assign(args.documents, {});
  // Neighbours share a desk; many small pieces, as documents differ in size.
  const std::int64_t parts =
      std::min<std::int64_t>(args.documents, 16 * static_cast<std::int64_t>(get_num_threads()));
  Shared<Desk> desks;
  for_each_part(parts, [&](std::int64_t piece) {
    const auto borrowed = desks.borrow();
    Desk& desk = *borrowed;
    const std::int64_t end = args.documents * (piece + 1) / parts;
    for (std::int64_t d = args.documents * piece / parts; d < end; ++d) {
      const Document document(args, d, desk);
      const std::vector<Bead> beads = document.beads();
      put(beads, out[d]);
      for (const Bead& bead : beads) out[d].scores.push_back(document.score(bead));
    }
  });
}

}  // namespace polyad::align
