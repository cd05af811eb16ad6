#include "align/path.hpp"

#include <algorithm>

namespace polyad::align {
namespace {

constexpr std::int64_t kNone = -1;

}  // namespace

void best_path(const Links& links, std::int32_t targets, std::vector<std::int64_t>& path) {
  std::vector<double> sums(links.count);
  std::vector<std::int64_t> before(links.count, kNone);
  std::vector<std::int64_t> tree(std::int64_t{targets} + 1, kNone);

  // Whether the chain that ends with `one` comes before that of `other`; kNone is the empty chain.
  const auto better = [&](std::int64_t one, std::int64_t other) {
    if (one == kNone || other == kNone) return other == kNone && one != kNone;
    if (sums[one] != sums[other]) return sums[one] > sums[other];
    if (links.source[one] != links.source[other]) return links.source[one] < links.source[other];
    return links.target[one] < links.target[other];
  };
  const auto best_below = [&](std::int32_t target) {
    std::int64_t best = kNone;
    for (std::int64_t at = target; at > 0; at -= at & -at) {
      if (better(tree[at], best)) best = tree[at];
    }
    return best;
  };
  for (std::int64_t begin = 0, end; begin < links.count; begin = end) {
    // Links of one source do not follow each other: all look before any is put into the tree.
    for (end = begin; end < links.count && links.source[end] == links.source[begin]; ++end) {
      before[end] = best_below(links.target[end]);
      sums[end] = before[end] == kNone ? links.score[end] : sums[before[end]] + links.score[end];
    }
    for (std::int64_t link = begin; link < end; ++link) {
      const double gained = before[link] == kNone ? 0.0 : sums[before[link]];
      if (!(sums[link] > gained)) continue;
      for (std::int64_t at = std::int64_t{links.target[link]} + 1; at <= targets; at += at & -at) {
        if (better(link, tree[at])) tree[at] = link;
      }
    }
  }
  path.clear();
  for (std::int64_t link = best_below(targets); link != kNone; link = before[link]) {
    path.push_back(link);
  }
  std::reverse(path.begin(), path.end());
}

}  // namespace polyad::align
