#include <bit>

#include "common/parallel.hpp"
#include "hypernet/match_rows_cpu.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

// Edges that one item of work takes over a tile (or over all tiles in turn), enough to pay for
// bringing the tile into the cache.
constexpr int kMatchChunk = 512;
constexpr int kCountChunk = 1024;

// The number of edges of a chunk that starts at edge `first`.
int chunk_size(const Edges& edges, std::int64_t first, int chunk) {
  return static_cast<int>(first + chunk < edges.count ? chunk : edges.count - first);
}

// matched[b][n] bit i: sample n of the tile matches edge 64 b + i of the chunk
template <int W>
using MatchedSamples = std::uint64_t[kMatchChunk / kBlock][64 * W];

template <int W>
void match_samples(const MatchArgs& args, std::int64_t t, std::int64_t first, int count,
                   MatchedSamples<W>& matched) {
  BlockRows<W> rows;
  for (int b = 0; b * kBlock < count; ++b) {
    const int edges = count - b * kBlock < kBlock ? count - b * kBlock : kBlock;
    match_tile<W>(args.x, t, args.edges, args.tolerance, first + b * kBlock, edges, rows);
    for (int w = 0; w < W; ++w) {
      std::uint64_t m[64];
      for (int i = 0; i < edges; ++i) m[i] = rows[i][w];
      for (int i = edges; i < 64; ++i) m[i] = 0;
      transpose64(m);
      std::memcpy(matched[b] + 64 * w, m, sizeof(m));
    }
  }
}

template <int W>
void match_chunk(const MatchArgs& args, std::int64_t t, std::int64_t first) {
  const int count = chunk_size(args.edges, first, kMatchChunk);
  const std::int32_t* order = args.edges.order + first;
  MatchedSamples<W> matched;
  match_samples<W>(args, t, first, count, matched);
  bool in_order = true;
  for (int i = 0; i < count; ++i) in_order &= order[i] == order[0] + i;
  const std::int64_t n0 = t * 64 * W;
  for (int s = 0; s < 64 * W && n0 + s < args.x.samples; ++s) {
    std::uint8_t* out = args.out + (n0 + s) * args.edges.count;
    for (int b = 0; b * kBlock < count; ++b) {
      const int edges = count - b * kBlock < kBlock ? count - b * kBlock : kBlock;
      const std::uint64_t bits = matched[b][s];
      if (in_order) {
        spread_bits(bits, out + order[0] + b * kBlock, edges);
      } else {
        for (int i = 0; i < edges; ++i) {
          out[order[b * kBlock + i]] = static_cast<std::uint8_t>(bits >> i & 1);
        }
      }
    }
  }
}

// The number of samples in all of `row`, and in those of `mask`.
template <int W>
POLYAD_INLINE std::int64_t count_samples(const std::uint64_t* row) {
  std::int64_t sum = 0;
  for (int w = 0; w < W; ++w) sum += std::popcount(row[w]);
  return sum;
}
template <int W>
POLYAD_INLINE std::int64_t count_samples(const std::uint64_t* row, const std::uint64_t* mask) {
  std::int64_t sum = 0;
  for (int w = 0; w < W; ++w) sum += std::popcount(row[w] & mask[w]);
  return sum;
}

// Calls body(t, i, row) for every tile t and every edge i of the chunk, with its matches.
template <int W, class Body>
POLYAD_INLINE void for_matches(const Planes& x, const Edges& edges, const Tolerance& tolerance,
                               std::int64_t first, int count, const Body& body) {
  BlockRows<W> rows;
  for (std::int64_t t = 0; t < x.tiles(); ++t) {
    for (int begin = 0; begin < count; begin += kBlock) {
      const int size = count - begin < kBlock ? count - begin : kBlock;
      match_tile<W>(x, t, edges, tolerance, first + begin, size, rows);
      for (int i = 0; i < size; ++i) body(t, begin + i, rows[i]);
    }
  }
}

template <int W>
void count_chunk(const MatchCountsArgs& args, std::int64_t first) {
  const Planes& x = args.x;
  const int count = chunk_size(args.edges, first, kCountChunk);
  const std::int64_t whole = x.samples / (64 * W);  // tiles before one that is partly filled
  const std::int64_t rest = x.samples % (64 * W);
  std::uint64_t valid[W];  // the samples of that one
  for (int w = 0; w < W; ++w) {
    const std::int64_t bits = rest - 64 * w;
    valid[w] = bits >= 64 ? ~std::uint64_t{0} : bits <= 0 ? 0 : (std::uint64_t{1} << bits) - 1;
  }
  std::int64_t sums[kCountChunk] = {};
  for_matches<W>(x, args.edges, args.tolerance, first, count,
                 [&](std::int64_t t, int i, const std::uint64_t* row) {
                   sums[i] += t < whole ? count_samples<W>(row) : count_samples<W>(row, valid);
                 });
  for (int i = 0; i < count; ++i) args.out[args.edges.order[first + i]] = sums[i];
}

template <int W>
void feedback_chunk(const FeedbackArgs& args, std::int64_t first) {
  const int count = chunk_size(args.edges, first, kCountChunk);
  std::int64_t right[kCountChunk] = {}, wrong[kCountChunk] = {};
  for_matches<W>(args.x, args.edges, args.tolerance, first, count,
                 [&](std::int64_t t, int i, const std::uint64_t* row) {
                   const std::uint64_t* masks = args.masks + t * 2 * W;  // 0 past the last sample
                   right[i] += count_samples<W>(row, masks);
                   wrong[i] += count_samples<W>(row, masks + W);
                 });
  for (int i = 0; i < count; ++i) {
    args.right[args.edges.order[first + i]] = right[i];
    args.wrong[args.edges.order[first + i]] = wrong[i];
  }
}

void match(const MatchArgs& args) {
  const std::int64_t chunks = (args.edges.count + kMatchChunk - 1) / kMatchChunk;
  for_width(args.x.width, [&]<int W>() {
    parallel_for(args.x.tiles() * chunks, [&](std::int64_t item) {
      match_chunk<W>(args, item / chunks, item % chunks * kMatchChunk);
    });
  });
}
void match_counts(const MatchCountsArgs& args) {
  const std::int64_t chunks = (args.edges.count + kCountChunk - 1) / kCountChunk;
  for_width(args.x.width, [&]<int W>() {
    parallel_for(chunks, [&](std::int64_t item) { count_chunk<W>(args, item * kCountChunk); });
  });
}
void feedback(const FeedbackArgs& args) {
  const std::int64_t chunks = (args.edges.count + kCountChunk - 1) / kCountChunk;
  for_width(args.x.width, [&]<int W>() {
    parallel_for(chunks, [&](std::int64_t item) { feedback_chunk<W>(args, item * kCountChunk); });
  });
}

}  // namespace

const MatchTable match_table{match, match_counts, feedback};

}  // namespace polyad::hypernet::POLYAD_ISA
