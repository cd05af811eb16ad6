#include <bit>

#include "common/parallel.hpp"
#include "hypernet/match_rows_cpu.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

constexpr std::int64_t kFloatRun = 256;  // edges added in the weights' type before the double sum
constexpr std::int64_t kFewSamples = 8;  // up to here, integer votes are counted one by one

// Bit-sliced sums of one sign. Level l of `sum` is bit l of every sample's total; `held` are the
// carry-save digits (ones, twos, fours) that wait at each weight bit.
template <int W>
struct BitSum {
  Row<W> sum[63];
  Row<W> held[62][3];
  int levels;

  // For weights of `bits` bits and totals of at most `sum_levels` bits.
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

  // total += 2^bit * (sum of the rows that `members` names). The row at kBlock is zero: it is what
  // counting the trailing zeros of an exhausted `members` names, which rounds the rows up to
  // eights.
  __attribute__((noinline)) void add(const BlockRows<W>& rows, std::uint64_t members, int bit) {
    Row<W> ones = held[bit][0], twos = held[bit][1], fours = held[bit][2];
    while (members != 0) {
      Row<W> a[8];
      for (Row<W>& row : a) {
        row = Row<W>::load(rows[std::countr_zero(members)]);
        members &= members - 1;
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

  // out[s] = totals of samples 64 word .. 64 word + 63
  POLYAD_INLINE void totals(int word, std::uint64_t (&out)[64]) const {
    for (int l = 0; l < levels; ++l) {
      std::uint64_t words[W];
      sum[l].store(words);
      out[l] = words[word];
    }
    for (int l = levels; l < 64; ++l) out[l] = 0;
    if (levels != 0) transpose64(out);
  }
};

// scratch[block, sign, bit]: which of a block's 64 edges have that bit in |w|. Blocks do not cross
// classes; class c begins at block begin / 64 + c.
void slice_weights(const VotesArgs<std::int64_t>& args, std::int64_t c) {
  const int bits = args.bits;
  const std::int64_t begin = args.class_offsets[c], end = args.class_offsets[c + 1];
  std::uint64_t* block = args.scratch + (begin / kBlock + c) * 2 * bits;
  for (std::int64_t first = begin; first < end; first += kBlock, block += 2 * bits) {
    std::uint64_t magnitude[kBlock] = {};
    std::uint64_t negative = 0;
    for (std::int64_t e = first; e < end && e < first + kBlock; ++e) {
      const std::int64_t weight = args.weights[args.edges.order[e]];
      magnitude[e - first] = static_cast<std::uint64_t>(weight < 0 ? -weight : weight);
      negative |= static_cast<std::uint64_t>(weight < 0) << (e - first);
    }
    transpose64(magnitude);
    for (int b = 0; b < bits; ++b) {
      block[b] = magnitude[b] & ~negative;
      block[bits + b] = magnitude[b] & negative;
    }
  }
}

// One class over one tile.
template <int W>
void votes_int_tile(const VotesArgs<std::int64_t>& args, std::int64_t t, std::int64_t c) {
  const int bits = args.bits;
  const std::int64_t begin = args.class_offsets[c], end = args.class_offsets[c + 1];
  const std::uint64_t* const slices = args.scratch + (begin / kBlock + c) * 2 * bits;
  const std::int64_t blocks = (end - begin + kBlock - 1) / kBlock;

  BitSum<W> sums[2];
  std::uint64_t total[2] = {0, 0};  // sum |w| of either sign
  for (std::int64_t i = 0; i < blocks; ++i) {
    for (int b = 0; b < 2 * bits; ++b) {
      const auto members = static_cast<std::uint64_t>(std::popcount(slices[i * 2 * bits + b]));
      total[b >= bits] += members << (b % bits);
    }
  }
  for (int sign = 0; sign < 2; ++sign) sums[sign].start(bits, std::bit_width(total[sign]));

  BlockRows<W> rows;
  Row<W>::zeros().store(rows[kBlock]);
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t first = begin + i * kBlock;
    const int count = static_cast<int>(first + kBlock < end ? kBlock : end - first);
    match_tile<W>(args.x, t, args.edges, args.tolerance, first, count, rows);
    for (int b = 0; b < 2 * bits; ++b) {
      const std::uint64_t members = slices[i * 2 * bits + b];
      if (members != 0) sums[b >= bits].add(rows, members, b % bits);
    }
  }

  for (BitSum<W>& sum : sums) sum.finish(bits);
  for (int w = 0; w < W; ++w) {
    const std::int64_t n0 = (t * W + w) * 64;
    std::uint64_t plus[64], minus[64];
    sums[0].totals(w, plus);
    sums[1].totals(w, minus);
    std::int64_t* out = args.out + n0 * args.classes + c;
    for (std::int64_t s = 0; s < 64 && n0 + s < args.x.samples; ++s) {
      out[s * args.classes] = static_cast<std::int64_t>(plus[s] - minus[s]);
    }
  }
}

// run[s] += w_e for every edge e of a block and every sample s that matches it.
//
// Most words of the rows are zero when edges are long, in no pattern that a branch could learn. So
// the rows that a word has are first listed as bits, eight rows to a list, and the lists walked.
template <int W, class Weight>
POLYAD_INLINE void add_weights(const BlockRows<W>& rows, const Weight* weights,
                               const std::int32_t* order, int count, Weight* run) {
  for (int first = 0; first < count; first += 8) {
    const int end = first + 8 < count ? first + 8 : count;
    std::uint64_t live = 0;
    for (int i = first; i < end; ++i) {
      live |= static_cast<std::uint64_t>(nonzero_words<W>(rows[i])) << (8 * (i - first));
    }
    for (; live != 0; live &= live - 1) {
      const int at = std::countr_zero(live), i = first + at / 8, w = at % 8;
      add_where(run + 64 * w, rows[i][w], weights[order[i]]);
    }
  }
}

template <int W, class Weight>
void votes_float_tile(const VotesArgs<Weight>& args, std::int64_t t, std::int64_t c) {
  const Edges& edges = args.edges;
  const std::int64_t end = args.class_offsets[c + 1];
  alignas(64) double total[64 * W] = {};
  BlockRows<W> rows;
  for (std::int64_t first = args.class_offsets[c]; first < end; first += kFloatRun) {
    alignas(64) Weight run[64 * W] = {};
    for (std::int64_t e = first; e < end && e < first + kFloatRun; e += kBlock) {
      const int count = static_cast<int>(e + kBlock < end ? kBlock : end - e);
      match_tile<W>(args.x, t, edges, args.tolerance, e, count, rows);
      add_weights<W>(rows, args.weights, edges.order + e, count, run);
    }
    for (int s = 0; s < 64 * W; ++s) total[s] += run[s];
  }
  const std::int64_t n0 = t * 64 * W;
  for (std::int64_t s = 0; s < 64 * W && n0 + s < args.x.samples; ++s) {
    args.out[(n0 + s) * args.classes + c] = static_cast<Weight>(total[s]);
  }
}

// One class for at most kFewSamples samples, one by one: too few to pay for slices and bit sums.
void votes_int_few(const VotesArgs<std::int64_t>& args, std::int64_t c) {
  const std::int64_t end = args.class_offsets[c + 1];
  const std::uint64_t held = (std::uint64_t{1} << args.x.samples) - 1;
  std::int64_t total[kFewSamples] = {};
  BlockRows<1> rows;
  for (std::int64_t first = args.class_offsets[c]; first < end; first += kBlock) {
    const int count = static_cast<int>(first + kBlock < end ? kBlock : end - first);
    match_tile<1>(args.x, 0, args.edges, args.tolerance, first, count, rows);
    for (int i = 0; i < count; ++i) {
      for (std::uint64_t matched = rows[i][0] & held; matched != 0; matched &= matched - 1) {
        total[std::countr_zero(matched)] += args.weights[args.edges.order[first + i]];
      }
    }
  }
  for (std::int64_t s = 0; s < args.x.samples; ++s) args.out[s * args.classes + c] = total[s];
}

// All tiles of a class come before the next class: its edges stay in the cache meanwhile, which
// those of all classes would leave.
void votes_int(const VotesArgs<std::int64_t>& args) {
  if (args.x.samples == 0) return;
  if (args.x.samples <= kFewSamples) {
    parallel_for(args.classes, [&](std::int64_t c) { votes_int_few(args, c); });
    return;
  }
  parallel_for(args.classes, [&](std::int64_t c) { slice_weights(args, c); });
  const std::int64_t tiles = args.x.tiles();
  for_width(args.x.width, [&]<int W>() {
    parallel_for(tiles * args.classes,
                 [&](std::int64_t item) { votes_int_tile<W>(args, item % tiles, item / tiles); });
  });
}

template <class Weight>
void votes_float(const VotesArgs<Weight>& args) {
  const std::int64_t tiles = args.x.tiles();
  for_width(args.x.width, [&]<int W>() {
    parallel_for(tiles * args.classes,
                 [&](std::int64_t item) { votes_float_tile<W>(args, item % tiles, item / tiles); });
  });
}

}  // namespace

const VotesTable votes_table{votes_int, votes_float<float>, votes_float<double>};

}  // namespace polyad::hypernet::POLYAD_ISA
