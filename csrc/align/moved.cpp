#include "align/moved.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "align/bead_features.hpp"

namespace polyad::align {
namespace {

// s of any bead, from products of sentences that are kept.
class Similarities {
 public:
  Similarities(const BeadArgs& args, const std::vector<Weighted>& views,
               const std::vector<double>& scales)
      : args_(args), views_(views), scales_(scales), sizes_(args.groups, 0), kept_(views.size()) {
    for (std::int64_t v = 0; v < args.view_count; ++v) ++sizes_[args.views[v].group];
  }

  double of(int group, std::int64_t i, std::int64_t k, std::int64_t j, std::int64_t l) {
    double sum = 0;
    for (std::size_t v = 0; v < views_.size(); ++v) {
      if (args_.views[v].group != group) continue;
      double both = 0;
      for (std::int64_t x = i; x < k; ++x) {
        for (std::int64_t y = j; y < l; ++y) both += product(v, 0, x, y);
      }
      const double norms = square(v, 1, i, k) * square(v, 2, j, l);
      if (norms > 0) sum += both / (std::sqrt(norms) * scales_[v]);
    }
    return sum / sizes_[group];
  }

 private:
  static constexpr std::size_t kMostKept = 200000;
  // side 0: source and target, 1: source and source, 2: target and target
  double product(std::size_t v, int side, std::int64_t x, std::int64_t y) {
    const auto key = static_cast<std::uint64_t>(x) << 33 | static_cast<std::uint64_t>(y) << 2 |
                     static_cast<std::uint64_t>(side);
    if (kept_[v].size() > kMostKept) kept_[v].clear();
    const auto [found, fresh] = kept_[v].try_emplace(key, 0.0);
    if (fresh) {
      const SparseTable& source = views_[v].source;
      const SparseTable& target = views_[v].target;
      found->second = dot(side == 2 ? target : source, x, side == 1 ? source : target, y);
    }
    return found->second;
  }
  double square(std::size_t v, int side, std::int64_t begin, std::int64_t end) {
    double sum = 0;
    for (std::int64_t x = begin; x < end; ++x) {
      for (std::int64_t y = begin; y < end; ++y) {
        sum += product(v, side, std::min(x, y), std::max(x, y));
      }
    }
    return sum;
  }

  const BeadArgs& args_;
  const std::vector<Weighted>& views_;
  const std::vector<double>& scales_;
  std::vector<int> sizes_;
  std::vector<std::unordered_map<std::uint64_t, double>> kept_;
};

struct Anywhere {
  Similarities& similarities;
  std::int64_t i, k, j, l;

  double of(int group) const { return similarities.of(group, i, k, j, l); }
  double changed(int c, int d, int e, int g) const {
    return similarities.of(0, i + c, k + d, j + e, l + g);
  }
};

struct Found {
  Span span;
  double gain;
};

}  // namespace

void moved_beads(const BeadArgs& args, const std::vector<Weighted>& views,
                 const std::vector<double>& scales, std::vector<Span>& spans,
                 std::vector<double>& scores) {
  const std::int64_t n = args.source.count, m = args.target.count;
  std::vector<std::uint8_t> used_source(n, 0), used_target(m, 0);
  std::vector<std::int64_t> place(n, 0);  // the target sentence beside which a source one stands
  std::int64_t at = 0, beside = 0;
  for (const Span& bead : spans) {
    for (; at < bead.source_begin; ++at) place[at] = beside;
    for (; at < bead.source_end; ++at) {
      place[at] = bead.target_begin;
      used_source[at] = 1;
    }
    for (std::int32_t j = bead.target_begin; j < bead.target_end; ++j) used_target[j] = 1;
    beside = bead.target_end;
  }
  for (; at < n; ++at) place[at] = beside;

  const BeadFeatures features(args);
  Similarities similarities(args, views, scales);
  std::vector<double> f(features.count());
  const auto score = [&](const auto& similar, std::int64_t i, std::int64_t j, int a, int b) {
    std::fill(f.begin(), f.end(), 0.0);
    features(similar, i, j, a, b, f.data());
    return std::inner_product(f.begin(), f.end(), args.weights, 0.0);
  };
  const auto types = bead_types(args.max_sentences);
  const auto is_free = [](const std::vector<std::uint8_t>& used, std::int64_t begin,
                          std::int64_t end) {
    return std::find(used.begin() + begin, used.begin() + end, 1) == used.begin() + end;
  };
  std::vector<Found> found;
  std::vector<std::pair<double, std::int64_t>> like;  // s, target sentence
  for (std::int64_t i = 0; i < n; ++i) {
    if (used_source[i]) continue;
    const std::int64_t first = std::max<std::int64_t>(0, place[i] - kMovedReach);
    like.clear();
    for (std::int64_t j = first; j < std::min(m, place[i] + kMovedReach); ++j) {
      if (used_target[j]) continue;
      const double s = similarities.of(0, i, i + 1, j, j + 1);
      if (s >= kMovedLeast) like.emplace_back(s, j);
    }
    const auto tried = like.begin() + std::min<std::ptrdiff_t>(
                                          kMovedTried, static_cast<std::ptrdiff_t>(like.size()));
    std::partial_sort(like.begin(), tried, like.end(), [](const auto& x, const auto& y) {
      return x.first != y.first ? x.first > y.first : x.second < y.second;
    });
    like.erase(tried, like.end());
    std::sort(like.begin(), like.end(),
              [](const auto& x, const auto& y) { return x.second < y.second; });
    for (const auto& [s, j] : like) {
      for (const auto& [a, b] : types) {
        if (a == 0 || b == 0) continue;
        // every place of the bead that holds this pair
        for (std::int64_t k = std::max<std::int64_t>(0, i - a + 1); k <= i && k + a <= n; ++k) {
          for (std::int64_t l = std::max<std::int64_t>(0, j - b + 1); l <= j && l + b <= m; ++l) {
            if (!is_free(used_source, k, k + a) || !is_free(used_target, l, l + b)) continue;
            const Anywhere bead = {similarities, k, k + a, l, l + b};
            double gain = score(bead, k + a, l + b, a, b) - args.moved_cost;
            for (int x = 1; x <= a; ++x) gain -= score(bead, k + x, l, 1, 0);
            for (int y = 1; y <= b; ++y) gain -= score(bead, k, l + y, 0, 1);
            if (gain > 0) {
              found.push_back({{static_cast<std::int32_t>(k), static_cast<std::int32_t>(k + a),
                                static_cast<std::int32_t>(l), static_cast<std::int32_t>(l + b)},
                               gain});
            }
          }
        }
      }
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& x, const Found& y) { return x.gain > y.gain; });
  for (const auto& [span, gain] : found) {
    if (!is_free(used_source, span.source_begin, span.source_end) ||
        !is_free(used_target, span.target_begin, span.target_end)) {
      continue;
    }
    std::fill(used_source.begin() + span.source_begin, used_source.begin() + span.source_end, 1);
    std::fill(used_target.begin() + span.target_begin, used_target.begin() + span.target_end, 1);
    const auto next = std::lower_bound(
        spans.begin(), spans.end(), span,
        [](const Span& x, const Span& y) { return x.source_begin < y.source_begin; });
    scores.insert(scores.begin() + (next - spans.begin()), 1 / (1 + std::exp(-gain)));
    spans.insert(next, span);
  }
}

}  // namespace polyad::align
