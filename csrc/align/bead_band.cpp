// Anchors, and the band around them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "align/beads.hpp"
#include "align/path.hpp"
#include "align/weighted.hpp"

namespace polyad::align {
namespace {

constexpr std::int64_t kRare = 64;  // pairs of sentences that share a feature, at most
constexpr int kKept = 3;            // links per source sentence
constexpr std::int64_t kAllCells = 40000;
constexpr std::int32_t kHalf = 64;
constexpr int kRows = 5;  // the band takes in the rows this near

// For every source sentence its best targets by the rare features they share, over all views.
struct Candidates {
  std::vector<std::int32_t> source, target;
  std::vector<double> score;
};

Candidates candidates(const std::vector<Weighted>& views, std::int64_t n, std::int64_t m) {
  Candidates out;
  std::vector<double> sums(m, 0.0);
  std::vector<std::int32_t> touched;
  for (std::int64_t i = 0; i < n; ++i) {
    touched.clear();
    for (const Weighted& view : views) {
      const double norm = view.source_norms[i];
      if (!(norm > 0)) continue;
      for (std::int64_t at = view.source.offsets[i]; at < view.source.offsets[i + 1]; ++at) {
        const std::int32_t f = view.source.features[at];
        const std::int64_t begin = view.posting_offsets[f], end = view.posting_offsets[f + 1];
        if ((end - begin) * view.source_frequency[f] > kRare) continue;
        for (std::int64_t p = begin; p < end; ++p) {
          const std::int32_t j = view.postings[p];
          if (sums[j] == 0) touched.push_back(j);
          sums[j] += view.source.values[at] * static_cast<double>(view.posting_values[p]) /
                     (norm * view.target_norms[j]);
        }
      }
    }
    const auto better = [&](std::int32_t x, std::int32_t y) {
      return sums[x] != sums[y] ? sums[x] > sums[y] : x < y;
    };
    const auto kept = std::min<std::ptrdiff_t>(kKept, static_cast<std::ptrdiff_t>(touched.size()));
    std::partial_sort(touched.begin(), touched.begin() + kept, touched.end(), better);
    for (std::ptrdiff_t k = 0; k < kept; ++k) {
      out.source.push_back(static_cast<std::int32_t>(i));
      out.target.push_back(touched[k]);
      out.score.push_back(sums[touched[k]]);
    }
    for (std::int32_t j : touched) sums[j] = 0;
  }
  return out;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Anchor {
  std::int32_t source, target;
};

// The chain through the candidates; only links that are each other's best and not much weaker than
// the others, so that a chance likeness does not bend the band.
std::vector<Anchor> anchors(const Candidates& links, std::int64_t m) {
  std::vector<double> best(m, 0.0);
  for (std::size_t k = 0; k < links.score.size(); ++k) {
    best[links.target[k]] = std::max(best[links.target[k]], links.score[k]);
  }
  std::vector<std::int64_t> path;
  best_path({links.source.data(), links.target.data(), links.score.data(),
             static_cast<std::int64_t>(links.score.size())},
            static_cast<std::int32_t>(m), path);
  std::vector<Anchor> out;
  if (path.empty()) return out;
  std::vector<double> scores;
  for (std::int64_t link : path) scores.push_back(links.score[link]);
  const double least = 0.5 * median(scores);
  for (std::int64_t link : path) {
    const std::size_t k = static_cast<std::size_t>(link);
    const bool first = k == 0 || links.source[k - 1] != links.source[k];
    if (first && links.score[k] >= least && links.score[k] == best[links.target[k]]) {
      out.push_back({links.source[k], links.target[k]});
    }
  }
  return out;
}

// Rows p.source .. q.source of the cells between two corners.
void between(Anchor p, Anchor q, std::vector<std::int32_t>& low, std::vector<std::int32_t>& high) {
  const std::int64_t rows = q.source - p.source, columns = q.target - p.target;
  const bool all = (rows + 1) * (columns + 1) <= kAllCells;
  for (std::int64_t row = 0; row <= rows; ++row) {
    std::int64_t begin = 0, end = columns;
    if (!all && rows > 0) {
      begin = std::max<std::int64_t>(0, row * columns / rows - kHalf);
      end = std::min(columns, (row + 1) * columns / rows + kHalf);
    }
    const std::int64_t i = p.source + row;
    low[i] = std::min(low[i], static_cast<std::int32_t>(p.target + begin));
    high[i] = std::max(high[i], static_cast<std::int32_t>(p.target + end));
  }
}

}  // namespace

void bead_band(const BeadArgs& args, const std::vector<Weighted>& views, BeadBand& band,
               std::vector<double>& scales) {
  const auto n = static_cast<std::int32_t>(args.source.count);
  const auto m = static_cast<std::int32_t>(args.target.count);
  const std::vector<Anchor> chain = anchors(candidates(views, n, m), m);
  scales.assign(views.size(), 1.0);
  for (std::size_t v = 0; v < views.size(); ++v) {
    std::vector<double> cosines;
    for (const Anchor& a : chain) {
      const double cosine = views[v].cosine(a.source, a.target);
      if (cosine > 0) cosines.push_back(cosine);
    }
    if (!cosines.empty()) scales[v] = median(std::move(cosines));
  }
  std::vector<std::int32_t> low(n + 1, m), high(n + 1, 0);
  Anchor before = {0, 0};
  for (const Anchor& anchor : chain) {
    between(before, anchor, low, high);
    between(anchor, {anchor.source + 1, anchor.target + 1}, low, high);
    before = {anchor.source + 1, anchor.target + 1};
  }
  between(before, {n, m}, low, high);
  band.first.resize(n + 1);
  band.offsets.assign(1, 0);
  for (std::int32_t i = 0; i <= n; ++i) {
    const std::int32_t begin = std::max(0, low[std::max(0, i - kRows)] - args.margin);
    const std::int32_t end = std::min(m, high[std::min(n, i + kRows)] + args.margin);
    band.first[i] = begin;
    band.offsets.push_back(band.offsets.back() + end - begin + 1);
  }
}

}  // namespace polyad::align
