#include "common/bits.hpp"
#include "common/parallel.hpp"
#include "hypernet/match_math.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

constexpr std::int64_t kBlock = 64;      // edges whose matches are held at once
constexpr std::int64_t kFloatRun = 256;  // edges added in the weights' type before the double sum

template <int W>
struct Tile {
  const std::uint64_t* words;  // [I, W]

  POLYAD_INLINE Row<W> operator()(std::int32_t variable) const {
    return Row<W>::load(words + static_cast<std::int64_t>(variable) * W);
  }
};

template <int W>
Tile<W> tile_at(const Planes& x, std::int64_t t) {
  return {x.words + t * x.variables * W};
}

// The words of a tile's row that hold samples, and the bits of the last of them that do.
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

POLYAD_INLINE int tolerance_of(const Tolerance& tolerance, const Edges& edges, std::int64_t e) {
  return tolerance.each == nullptr ? tolerance.all : tolerance.each[edges.order[e]];
}

constexpr int kTogether = 4;  // edges of one shape that share the loop over their literals

// Whether edges e .. e + kTogether - 1 all have the shape of `edge`.
POLYAD_INLINE bool same_shape(const Edges& edges, std::int64_t e, const Literals& edge) {
  bool same = true;
  for (int i = 1; i < kTogether; ++i) {
    same &= edges.positives[e + i] == edge.positives &&
            edges.offsets[e + i + 1] - edges.offsets[e + i] == edge.count;
  }
  return same;
}

// rows[i] <- the samples that match edge first + i, for i < count.
template <int W>
void match_rows(const Tile<W>& tile, const Edges& edges, const Tolerance& tolerance,
                std::int64_t first, int count, std::uint64_t (&rows)[kBlock][W]) {
  const Row<W> zeros = Row<W>::zeros();
  const bool exact = tolerance.each == nullptr && tolerance.all == 0;
  for (int i = 0; i < count;) {
    const Literals edge = literals(edges, first + i);
    if (exact && i + kTogether <= count && same_shape(edges, first + i, edge)) {
      Row<W> matched[kTogether];
      match_exact_together(tile, edge, zeros, matched);
      for (const Row<W>& row : matched) row.store(rows[i++]);
    } else {
      const int t = tolerance_of(tolerance, edges, first + i);
      match_literals(tile, edge, t, zeros).store(rows[i++]);
    }
  }
}

template <int W>
void match_width(const MatchArgs& args) {
  const Edges& edges = args.edges;
  const std::int64_t blocks = (edges.count + kBlock - 1) / kBlock;
  parallel_for(args.x.tiles() * blocks, [&](std::int64_t item) {
    const std::int64_t t = item / blocks, first = item % blocks * kBlock;
    const Tile<W> tile = tile_at<W>(args.x, t);
    const int count = static_cast<int>(first + kBlock < edges.count ? kBlock : edges.count - first);
    alignas(64) std::uint64_t rows[kBlock][W];
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
    alignas(64) std::uint64_t rows[kBlock][W];
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
    alignas(64) std::uint64_t rows[kBlock][W];
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

// Bit-sliced sums. Level l of `sum` is bit l of every sample's total; `held` are the carry-save
// digits (ones, twos, fours) that wait at each weight bit.
template <int W>
struct BitSum {
  Row<W> sum[63];
  Row<W> held[62][3];
  int levels;

  void start(int bits, int sum_levels) {
    levels = sum_levels;
    for (int l = 0; l < levels; ++l) sum[l] = Row<W>::zeros();
    for (int b = 0; b < bits; ++b) {
      for (Row<W>& row : held[b]) row = Row<W>::zeros();
    }
  }

  // total += 2^level carry
  POLYAD_INLINE void ripple(Row<W> carry, int level) {
    for (int l = level; l < levels && carry.any(); ++l) carry = half_add(sum[l], carry);
  }

  // total += 2^bit * (sum of the rows that `members` names)
  POLYAD_INLINE void add(const std::uint64_t (&rows)[kBlock][W], std::uint64_t members, int bit) {
    Row<W> ones = held[bit][0], twos = held[bit][1], fours = held[bit][2];
    while (members != 0) {
      Row<W> a[8];
      for (Row<W>& row : a) {
        if (members == 0) {
          row = Row<W>::zeros();
        } else {
          row = Row<W>::load(rows[__builtin_ctzll(members)]);
          members &= members - 1;
        }
      }
      const Row<W> c0 = full_add(ones, a[0], a[1]);
      const Row<W> c1 = full_add(ones, a[2], a[3]);
      const Row<W> c2 = full_add(ones, a[4], a[5]);
      const Row<W> c3 = full_add(ones, a[6], a[7]);
      const Row<W> d0 = full_add(twos, c0, c1);
      const Row<W> d1 = full_add(twos, c2, c3);
      ripple(full_add(fours, d0, d1), bit + 3);
    }
    held[bit][0] = ones;
    held[bit][1] = twos;
    held[bit][2] = fours;
  }

  void finish(int bits) {
    for (int b = 0; b < bits; ++b) {
      for (int i = 0; i < 3; ++i) ripple(held[b][i], b + i);
    }
  }

  // out[s * stride] += sign * total of sample s
  void add_to(std::int64_t* out, std::int64_t stride, int sign, std::int64_t samples) const {
    for (int w = 0; w < W && 64 * w < samples; ++w) {
      std::int64_t total[64] = {};
      for (int l = 0; l < levels; ++l) {
        std::uint64_t words[W];
        sum[l].store(words);
        const std::uint64_t word = words[w];
        if (word == 0) continue;
        for (int s = 0; s < 64; ++s) total[s] += static_cast<std::int64_t>(word >> s & 1) << l;
      }
      const int count = static_cast<int>(samples - 64 * w < 64 ? samples - 64 * w : 64);
      for (int s = 0; s < count; ++s) out[(64 * w + s) * stride] += sign * total[s];
    }
  }
};

int bit_length(std::uint64_t value) { return value == 0 ? 0 : 64 - __builtin_clzll(value); }

template <int W>
void votes_int_width(const VotesArgs<std::int64_t>& args) {
  const Edges& edges = args.edges;
  const int bits = args.bits;

  // scratch[block, sign, bit]: which of the block's 64 edges have that bit in |w|
  parallel_for(args.classes, [&](std::int64_t c) {
    const std::int64_t begin = args.class_offsets[c], end = args.class_offsets[c + 1];
    std::uint64_t* block = args.scratch + (begin / 64 + c) * 2 * bits;
    for (std::int64_t first = begin; first < end; first += kBlock, block += 2 * bits) {
      for (int i = 0; i < 2 * bits; ++i) block[i] = 0;
      for (std::int64_t e = first; e < end && e < first + kBlock; ++e) {
        const std::int64_t weight = args.weights[edges.order[e]];
        std::uint64_t* signed_bits = block + (weight < 0 ? bits : 0);
        std::uint64_t magnitude = weight < 0 ? 0 - static_cast<std::uint64_t>(weight) : weight;
        for (; magnitude != 0; magnitude &= magnitude - 1) {
          signed_bits[__builtin_ctzll(magnitude)] |= std::uint64_t{1} << (e - first);
        }
      }
    }
  });

  parallel_for(args.x.tiles() * args.classes, [&](std::int64_t item) {
    const std::int64_t t = item / args.classes, c = item % args.classes;
    const std::int64_t begin = args.class_offsets[c], end = args.class_offsets[c + 1];
    const Tile<W> tile = tile_at<W>(args.x, t);

    std::uint64_t total[2] = {0, 0};
    for (std::int64_t e = begin; e < end; ++e) {
      const std::int64_t weight = args.weights[edges.order[e]];
      total[weight < 0] += weight < 0 ? 0 - static_cast<std::uint64_t>(weight) : weight;
    }
    BitSum<W> sums[2];
    for (int sign = 0; sign < 2; ++sign) sums[sign].start(bits, bit_length(total[sign]));

    const std::uint64_t* block = args.scratch + (begin / 64 + c) * 2 * bits;
    for (std::int64_t first = begin; first < end; first += kBlock, block += 2 * bits) {
      alignas(64) std::uint64_t rows[kBlock][W];
      const int count = static_cast<int>(first + kBlock < end ? kBlock : end - first);
      match_rows<W>(tile, edges, args.tolerance, first, count, rows);
      for (int sign = 0; sign < 2; ++sign) {
        if (total[sign] == 0) continue;
        for (int b = 0; b < bits; ++b) sums[sign].add(rows, block[sign * bits + b], b);
      }
    }

    const std::int64_t n0 = t * 64 * W;
    const std::int64_t samples = args.x.samples - n0 < 64 * W ? args.x.samples - n0 : 64 * W;
    std::int64_t* out = args.out + n0 * args.classes + c;
    for (std::int64_t s = 0; s < samples; ++s) out[s * args.classes] = 0;
    for (int sign = 0; sign < 2; ++sign) {
      sums[sign].finish(bits);
      sums[sign].add_to(out, args.classes, sign == 0 ? 1 : -1, samples);
    }
  });
}

template <int W, class Weight>
void votes_float_width(const VotesArgs<Weight>& args) {
  const Edges& edges = args.edges;
  parallel_for(args.x.tiles() * args.classes, [&](std::int64_t item) {
    const std::int64_t t = item / args.classes, c = item % args.classes;
    const std::int64_t end = args.class_offsets[c + 1];
    const Tile<W> tile = tile_at<W>(args.x, t);
    alignas(64) double total[64 * W] = {};
    for (std::int64_t first = args.class_offsets[c]; first < end; first += kFloatRun) {
      alignas(64) Weight run[64 * W] = {};
      for (std::int64_t e = first; e < end && e < first + kFloatRun; e += kBlock) {
        alignas(64) std::uint64_t rows[kBlock][W];
        const int count = static_cast<int>(e + kBlock < end ? kBlock : end - e);
        match_rows<W>(tile, edges, args.tolerance, e, count, rows);
        for (int i = 0; i < count; ++i) {
          const Weight weight = args.weights[edges.order[e + i]];
          for (int w = 0; w < W; ++w) {
            if (rows[i][w] != 0) add_where(run + 64 * w, rows[i][w], weight);
          }
        }
      }
      for (int s = 0; s < 64 * W; ++s) total[s] += run[s];
    }
    const std::int64_t n0 = t * 64 * W;
    for (std::int64_t s = 0; s < 64 * W && n0 + s < args.x.samples; ++s) {
      args.out[(n0 + s) * args.classes + c] = static_cast<Weight>(total[s]);
    }
  });
}

// Calls body.operator()<W>() for the width of the planes.
template <class Body>
void for_width(int width, const Body& body) {
  switch (width) {
    case 1: return body.template operator()<1>();
    case 2: return body.template operator()<2>();
    case 4: return body.template operator()<4>();
    default: return body.template operator()<8>();
  }
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
void votes_int(const VotesArgs<std::int64_t>& args) {
  for_width(args.x.width, [&]<int W>() { votes_int_width<W>(args); });
}
template <class Weight>
void votes_float(const VotesArgs<Weight>& args) {
  for_width(args.x.width, [&]<int W>() { votes_float_width<W>(args); });
}

}  // namespace

const MatchTable match_table{match,        votes_int, votes_float<float>, votes_float<double>,
                             match_counts, feedback};

}  // namespace polyad::hypernet::POLYAD_ISA
