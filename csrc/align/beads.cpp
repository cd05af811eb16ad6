#include "align/beads.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "align/bead_features.hpp"
#include "align/bead_rows.hpp"
#include "align/moved.hpp"
#include "common/check.hpp"

namespace polyad::align {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

void check(const BeadArgs& args) {
  require(args.max_sentences >= 2 && args.max_sentences <= kBeadLargest,
          "best_beads: max_sentences out of range");
  require(args.margin >= 1 && args.groups >= 1, "best_beads: margin and groups must be at least 1");
  require(args.source.count < std::numeric_limits<std::int32_t>::max() &&
              args.target.count < std::numeric_limits<std::int32_t>::max(),
          "best_beads: sizes out of range");
}

// Similarities of a bead that ends at target j of the row at hand.
struct InBand {
  const BeadRows& rows;
  int a, b;
  std::int64_t j;

  double of(int group) const { return rows.here(group).at(a, b, j); }
  double changed(int c, int d, int e, int g) const {
    const SimilarityRow& row = d == 0 ? rows.here(0) : d < 0 ? rows.before() : rows.after();
    return row.at(a - c + d, b - e + g, j + g);
  }
};

std::vector<Weighted> weighted(const BeadArgs& args) {
  std::vector<Weighted> views;
  views.reserve(args.view_count);
  for (std::int64_t v = 0; v < args.view_count; ++v) views.emplace_back(args.views[v]);
  return views;
}

// Calls body(cell, type, f) for every bead inside the band, cells in order; f [features].
template <class Body>
void each_bead(const BeadArgs& args, const std::vector<Weighted>& views,
               std::vector<double>& scales, BeadBand& band, const Body& body) {
  bead_band(args, views, band, scales);
  BeadRows rows(args, views, band, scales);
  const BeadFeatures features(args);
  const auto types = bead_types(args.max_sentences);
  std::vector<double> f(features.count());
  for (std::int64_t i = 0; i <= args.source.count; ++i) {
    rows.advance(i);
    for (std::int64_t j = band.first[i]; j < band.end(i); ++j) {
      const std::int64_t cell = band.cell(i, j);
      for (std::size_t k = 0; k < types.size(); ++k) {
        const auto [a, b] = types[k];
        if (band.cell(i - a, j - b) < 0) continue;
        std::fill(f.begin(), f.end(), 0.0);
        features(InBand{rows, a, b, j}, i, j, a, b, f.data());
        body(cell, k, f.data());
      }
    }
  }
}

// The best path by gains [cells, types]; -infinity is outside. Calls found(cell, i, j, type) from
// the end.
template <class Found>
void best_gains(const BeadBand& band, std::int64_t n, std::int64_t m,
                const std::vector<std::pair<int, int>>& types, const std::vector<float>& gains,
                std::vector<double>& best, const Found& found) {
  std::vector<std::uint8_t> moves(band.cells());
  for (std::int64_t i = 0; i <= n; ++i) {
    for (std::int64_t j = band.first[i]; j < band.end(i); ++j) {
      const std::int64_t cell = band.cell(i, j);
      double top = i == 0 && j == 0 ? 0 : kNever;
      for (std::size_t k = 0; k < types.size(); ++k) {
        const std::int64_t from = band.cell(i - types[k].first, j - types[k].second);
        if (from < 0) continue;
        const double value = best[from] + gains[cell * types.size() + k];
        if (value > top) {
          top = value;
          moves[cell] = static_cast<std::uint8_t>(k);
        }
      }
      best[cell] = top;
    }
  }
  std::int64_t i = n, j = m;
  while (i > 0 || j > 0) {
    const std::int64_t cell = band.cell(i, j);
    const std::size_t k = moves[cell];
    found(cell, i, j, k);
    i -= types[k].first;
    j -= types[k].second;
  }
}

// scores [cells, types] -> probabilities of the beads, in place. Returns the logarithm of the sum
// over all paths.
template <class T>
double probabilities(const BeadBand& band, std::int64_t n, std::int64_t m,
                     const std::vector<std::pair<int, int>>& types, T* scores,
                     std::vector<double>& forward) {
  const std::size_t count = types.size();
  std::vector<std::int64_t> from(count);
  std::vector<double> terms(count);
  const auto sources = [&](std::int64_t i, std::int64_t j) {
    for (std::size_t k = 0; k < count; ++k) {
      from[k] = band.cell(i - types[k].first, j - types[k].second);
    }
  };
  for (std::int64_t i = 0; i <= n; ++i) {
    for (std::int64_t j = band.first[i]; j < band.end(i); ++j) {
      const std::int64_t cell = band.cell(i, j);
      if (i == 0 && j == 0) {
        forward[cell] = 0;
        continue;
      }
      sources(i, j);
      double most = kNever;
      for (std::size_t k = 0; k < count; ++k) {
        terms[k] = from[k] < 0 ? kNever : forward[from[k]] + scores[cell * count + k];
        most = std::max(most, terms[k]);
      }
      double sum = 0;
      if (most > kNever) {
        for (std::size_t k = 0; k < count; ++k) {
          if (terms[k] - most > -40) sum += std::exp(terms[k] - most);
        }
      }
      forward[cell] = most > kNever ? most + std::log(sum) : kNever;
    }
  }
  // the share of all paths that goes through a cell, from the end
  std::vector<double> share(band.cells(), 0.0);
  share[band.cell(n, m)] = 1;
  for (std::int64_t i = n; i >= 0; --i) {
    for (std::int64_t j = band.end(i) - 1; j >= band.first[i]; --j) {
      const std::int64_t cell = band.cell(i, j);
      const double here = forward[cell] > kNever ? share[cell] : 0;
      sources(i, j);
      for (std::size_t k = 0; k < count; ++k) {
        T& score = scores[cell * count + k];
        double part = 0;
        if (here > 1e-15 && from[k] >= 0 && forward[from[k]] > kNever) {
          part = here * std::exp(forward[from[k]] + score - forward[cell]);
          share[from[k]] += part;
        }
        score = static_cast<T>(part);
      }
    }
  }
  return forward[band.cell(n, m)];
}

}  // namespace

std::vector<std::pair<int, int>> bead_types(int max_sentences) {
  std::vector<std::pair<int, int>> types = {{1, 0}, {0, 1}};
  for (int a = 1; a < max_sentences; ++a) {
    for (int b = 1; a + b <= max_sentences; ++b) types.emplace_back(a, b);
  }
  return types;
}

void bead_features(const BeadArgs& args, BeadBand& band, std::vector<float>& features,
                   std::vector<std::uint8_t>& usable) {
  check(args);
  const std::size_t width = kBeadGeneral + kBeadPerGroup * static_cast<std::size_t>(args.groups);
  const std::size_t types = bead_types(args.max_sentences).size();
  const std::vector<Weighted> views = weighted(args);
  std::vector<double> scales;
  each_bead(args, views, scales, band, [&](std::int64_t cell, std::size_t k, const double* f) {
    if (usable.empty()) {  // the band is known from the first bead on
      usable.assign(band.cells() * types, 0);
      features.assign(band.cells() * types * width, 0.0f);
    }
    usable[cell * types + k] = 1;
    float* out = features.data() + (cell * types + k) * width;
    for (std::size_t x = 0; x < width; ++x) out[x] = static_cast<float>(f[x]);
  });
}

double bead_probabilities(const BeadBand& band, std::int64_t target_count, int max_sentences,
                          double* scores) {
  const auto n = static_cast<std::int64_t>(band.first.size()) - 1;
  require(band.cell(0, 0) >= 0 && band.cell(n, target_count) >= 0,
          "bead_probabilities: the band must hold both ends");
  std::vector<double> forward(band.cells());
  return probabilities(band, n, target_count, bead_types(max_sentences), scores, forward);
}

void best_beads(const BeadArgs& args, std::vector<Span>& spans, std::vector<double>& scores) {
  check(args);
  const std::int64_t n = args.source.count, m = args.target.count;
  if (n == 0 || m == 0) return;
  const auto types = bead_types(args.max_sentences);
  const std::size_t width = kBeadGeneral + kBeadPerGroup * static_cast<std::size_t>(args.groups);
  const std::vector<Weighted> views = weighted(args);
  std::vector<double> scales;
  BeadBand band;
  std::vector<float> values;
  each_bead(args, views, scales, band, [&](std::int64_t cell, std::size_t k, const double* f) {
    if (values.empty()) values.assign(band.cells() * types.size(), static_cast<float>(kNever));
    double sum = 0;
    for (std::size_t x = 0; x < width; ++x) sum += args.weights[x] * f[x];
    values[cell * types.size() + k] = static_cast<float>(sum);
  });
  std::vector<double> table(band.cells());
  probabilities(band, n, m, types, values.data(), table);
  const auto threshold = static_cast<float>(args.threshold);
  for (std::size_t at = 0; at < values.size(); at += types.size()) {
    for (std::size_t k = 0; k < types.size(); ++k)
      values[at + k] -= k < 2 ? values[at + k] : threshold;
  }
  const std::size_t first = spans.size();
  best_gains(band, n, m, types, values, table,
             [&](std::int64_t cell, std::int64_t i, std::int64_t j, std::size_t k) {
               const auto [a, b] = types[k];
               if (a == 0 || b == 0) return;
               spans.push_back({static_cast<std::int32_t>(i - a), static_cast<std::int32_t>(i),
                                static_cast<std::int32_t>(j - b), static_cast<std::int32_t>(j)});
               const double score = values[cell * types.size() + k] + args.threshold;
               scores.push_back(std::clamp(score, 0.0, 1.0));
             });
  std::reverse(spans.begin() + static_cast<std::ptrdiff_t>(first), spans.end());
  std::reverse(scores.end() - static_cast<std::ptrdiff_t>(spans.size() - first), scores.end());
  if (args.moved) moved_beads(args, views, scales, spans, scores);
}

}  // namespace polyad::align
