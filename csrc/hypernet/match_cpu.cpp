#include "common/parallel.hpp"
#include "hypernet/match_rows_cpu.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

// The words of a tile's row that hold samples, and the bits of the last of them
// that do.
struct Valid {
  int words;
  std::uint64_t last;

  POLYAD_INLINE std::uint64_t mask(int word) const {
    return word + 1 < words ? ~std::uint64_t{0} : word + 1 == words ? last : 0;
  }
};

Valid valid_samples(const Planes& x, std::int64_t t) {
  const std::int64_t left = x.samples - t * 64 * x.width;
  if (left >= 64 * x.width) return {x.width, ~std::uint64_t{0}};
  const int words = static_cast<int>((left + 63) / 64);
  const int rest = static_cast<int>(left % 64);
  return {words, rest == 0 ? ~std::uint64_t{0} : (std::uint64_t{1} << rest) - 1};
}

template <int W>
void match_width(const MatchArgs& args) {
  const Edges& edges = args.edges;
  const std::int64_t blocks = (edges.count + kBlock - 1) / kBlock;
  parallel_for(args.x.tiles() * blocks, [&](std::int64_t item) {
    const std::int64_t t = item / blocks, first = item % blocks * kBlock;
    const Tile<W> tile = tile_at<W>(args.x, t);
    const int count = static_cast<int>(first + kBlock < edges.count ? kBlock : edges.count - first);
    BlockRows<W> rows;
    bool in_order = true;
    match_rows<W>(tile, edges, args.tolerance, first, count, rows);
    for (int i = 0; i < count; ++i) in_order &= edges.order[first + i] == edges.order[first] + i;
    for (int w = 0; w < W; ++w) {
      const std::int64_t n0 = (t * W + w) * 64;
      if (n0 >= args.x.samples) break;
      std::uint64_t m[64] = {};
      for (int i = 0; i < count; ++i) m[i] = rows[i][w];
      transpose64(m);
      const int samples = static_cast<int>(args.x.samples - n0 < 64 ? args.x.samples - n0 : 64);
      for (int s = 0; s < samples; ++s) {
        std::uint8_t* out = args.out + (n0 + s) * edges.count;
        if (in_order) {
          spread_bits(m[s], out + edges.order[first], count);
        } else {
          for (int i = 0; i < count; ++i) {
            out[edges.order[first + i]] = static_cast<std::uint8_t>(m[s] >> i & 1);
          }
        }
      }
    }
  });
}

template <int W>
void match_counts_width(const MatchCountsArgs& args) {
  const Edges& edges = args.edges;
  const std::int64_t tiles = args.x.tiles();
  const std::int64_t blocks = (edges.count + kBlock - 1) / kBlock;
  parallel_for(blocks, [&](std::int64_t block) {
    const std::int64_t first = block * kBlock;
    const int count = static_cast<int>(first + kBlock < edges.count ? kBlock : edges.count - first);
    BlockRows<W> rows;
    std::int64_t sums[kBlock] = {};
    for (std::int64_t t = 0; t < tiles; ++t) {
      const Tile<W> tile = tile_at<W>(args.x, t);
      const Valid valid = valid_samples(args.x, t);
      match_rows<W>(tile, edges, args.tolerance, first, count, rows);
      for (int i = 0; i < count; ++i) {
        for (int w = 0; w < W; ++w) sums[i] += __builtin_popcountll(rows[i][w] & valid.mask(w));
      }
    }
    for (int i = 0; i < count; ++i) args.out[edges.order[first + i]] = sums[i];
  });
}

template <int W>
void feedback_width(const FeedbackArgs& args) {
  const Edges& edges = args.edges;
  const std::int64_t tiles = args.x.tiles();
  const std::int64_t blocks = (edges.count + kBlock - 1) / kBlock;
  parallel_for(blocks, [&](std::int64_t block) {
    const std::int64_t first = block * kBlock;
    const int count = static_cast<int>(first + kBlock < edges.count ? kBlock : edges.count - first);
    BlockRows<W> rows;
    std::int64_t right[kBlock] = {}, wrong[kBlock] = {};
    for (std::int64_t t = 0; t < tiles; ++t) {
      const Tile<W> tile = tile_at<W>(args.x, t);
      const std::uint64_t* masks = args.masks + t * 2 * W;  // 0 past the last sample
      match_rows<W>(tile, edges, args.tolerance, first, count, rows);
      for (int i = 0; i < count; ++i) {
        for (int w = 0; w < W; ++w) {
          right[i] += __builtin_popcountll(rows[i][w] & masks[w]);
          wrong[i] += __builtin_popcountll(rows[i][w] & masks[W + w]);
        }
      }
    }
    for (int i = 0; i < count; ++i) {
      args.right[edges.order[first + i]] = right[i];
      args.wrong[edges.order[first + i]] = wrong[i];
    }
  });
}

void match(const MatchArgs& args) {
  for_width(args.x.width, [&]<int W>() { match_width<W>(args); });
}
void match_counts(const MatchCountsArgs& args) {
  for_width(args.x.width, [&]<int W>() { match_counts_width<W>(args); });
}
void feedback(const FeedbackArgs& args) {
  for_width(args.x.width, [&]<int W>() { feedback_width<W>(args); });
}

}  // namespace

const MatchTable match_table{match, match_counts, feedback};

}  // namespace polyad::hypernet::POLYAD_ISA
