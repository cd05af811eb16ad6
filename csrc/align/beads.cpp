#include "align/beads.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "align/bead_rows.hpp"
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

// What the features of a bead are made of, beside its similarities.
class Features {
 public:
  explicit Features(const BeadArgs& args) : args_(args) {
    double source = 0, target = 0;
    for (std::int64_t i = 0; i < args.source.count; ++i) source += args.source.lengths[i];
    for (std::int64_t j = 0; j < args.target.count; ++j) target += args.target.lengths[j];
    const double ratio = source > 0 && target > 0 ? target / source : 1;
    source_ = sums(args.source, ratio);
    target_ = sums(args.target, 1);
  }

  int count() const { return kBeadGeneral + kBeadPerGroup * args_.groups; }

  // The bead of a and b sentences that ends at (i, j); f is all 0.
  void operator()(const BeadRows& rows, std::int64_t i, std::int64_t j, int a, int b,
                  double* f) const {
    const double l = source_[i] - source_[i - a], t = target_[j] - target_[j - b];
    if (a == 0 || b == 0) {
      f[7] = 1;
      f[8] = std::log(l + t + 10) - 4.5;
      return;
    }
    f[shape(a, b)] = 1;
    const double r = std::log((l + 8) / (t + 8));
    f[9] = std::fabs(r);
    f[10] = std::min(r * r, 4.0);
    const double apart = std::fabs(l - t) / std::sqrt(l + t + 1);
    f[11] = apart;
    f[12] = std::min(apart * apart, 60.0) / 10;
    const BeadSide &source = args_.source, &target = args_.target;
    f[13] = (source.marks[i - 1] & 7) == (target.marks[j - 1] & 7);
    const bool low_source = source.marks[i - a] & 8, low_target = target.marks[j - b] & 8;
    f[14] = low_source == low_target;
    f[15] = static_cast<int>(low_source) + static_cast<int>(low_target);
    neighbours(rows, i, j, a, b, f);
    const double more = (a + b) / 2.0 - 1;
    for (int g = 0; g < args_.groups; ++g) {
      double* mine = f + kBeadGeneral + kBeadPerGroup * g;
      const double s = rows.here(g).at(a, b, j);
      mine[0] = s;
      mine[1] = s * more;
    }
  }

 private:
  static int shape(int a, int b) {
    const int most = std::max(a, b), least = std::min(a, b);
    if (least == 1) return most == 1 ? 0 : most == 2 ? 1 : most == 3 ? 3 : most == 4 ? 5 : 6;
    if (least == 2) return most == 2 ? 2 : most == 3 ? 4 : 6;
    return 6;
  }

  static std::vector<double> sums(const BeadSide& side, double factor) {
    std::vector<double> out(side.count + 1, 0.0);
    for (std::int64_t i = 0; i < side.count; ++i) out[i + 1] = out[i] + factor * side.lengths[i];
    return out;
  }

  // One sentence less, one sentence more.
  void neighbours(const BeadRows& rows, std::int64_t i, std::int64_t j, int a, int b,
                  double* f) const {
    const SimilarityRow &here = rows.here(0), &before = rows.before(), &after = rows.after();
    const double s = here.at(a, b, j);
    double drop = std::numeric_limits<double>::infinity();
    if (a > 1) drop = s - std::max(here.at(a - 1, b, j), before.at(a - 1, b, j));
    if (b > 1) {
      drop = std::min(drop, s - std::max(here.at(a, b - 1, j), here.at(a, b - 1, j - 1)));
    }
    f[16] = a > 1 || b > 1 ? drop : 0;
    const auto gain = [&](double other) {
      f[17] += std::max(other - s, 0.0);
      f[18] += std::min(other - s, 0.0);
    };
    if (i - a > 0) gain(here.at(a + 1, b, j));
    if (i < args_.source.count) gain(after.at(a + 1, b, j));
    if (j - b > 0) gain(here.at(a, b + 1, j));
    if (j < args_.target.count) gain(here.at(a, b + 1, j + 1));
  }

  const BeadArgs& args_;
  std::vector<double> source_, target_;
};

std::vector<Weighted> weighted(const BeadArgs& args) {
  std::vector<Weighted> views;
  views.reserve(args.view_count);
  for (std::int64_t v = 0; v < args.view_count; ++v) views.emplace_back(args.views[v]);
  return views;
}

// Calls body(cell, type, f) for every bead inside the band, cells in order; f [features].
template <class Body>
void each_bead(const BeadArgs& args, BeadBand& band, const Body& body) {
  const std::vector<Weighted> views = weighted(args);
  std::vector<double> scales;
  bead_band(args, views, band, scales);
  BeadRows rows(args, views, band, scales);
  const Features features(args);
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
        features(rows, i, j, a, b, f.data());
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
      const double here = share[cell];
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
  each_bead(args, band, [&](std::int64_t cell, std::size_t k, const double* f) {
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
  BeadBand band;
  std::vector<float> values;
  each_bead(args, band, [&](std::int64_t cell, std::size_t k, const double* f) {
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
}

}  // namespace polyad::align
