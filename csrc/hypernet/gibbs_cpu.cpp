#include <bit>
#include <cmath>

#include "common/bits.hpp"
#include "common/parallel.hpp"
#include "hypernet/gibbs_math.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

// AND of the edge's literals other than variable j; for spins the parity of their -1 values.
template <int W, bool Spins>
POLYAD_INLINE Row<W> others(const std::uint64_t* tile, const Edges& edges, std::int64_t e,
                            std::int32_t j, bool& positive) {
  const std::int64_t first = edges.offsets[e], end = edges.offsets[e + 1];
  const std::int64_t split = first + edges.positives[e];
  Row<W> all = Spins ? Row<W>::zeros() : Row<W>::ones();
  for (std::int64_t i = first; i < end; ++i) {
    const std::int32_t variable = edges.literals[i];
    if (variable == j) {
      positive = i < split;
      continue;
    }
    const Row<W> row = Row<W>::load(tile + static_cast<std::int64_t>(variable) * W);
    if constexpr (Spins) {
      all = all ^ ~row;
    } else {
      all = all & (i < split ? row : ~row);
    }
  }
  return all;
}

// exp(x) for |x| <= 80 to a relative error below 1e-4: 2^n times a polynomial in the remainder.
POLYAD_INLINE float approximate_exp(float x) {
  constexpr float kShift = 0x1.8p23f;  // adding it rounds to an integer, in the lowest bits
  const float y = x * 1.44269504f;
  const float shifted = y + kShift;
  const float r = y - (shifted - kShift);  // 2^r, |r| <= 1/2
  const float power =
      1.0f + r * (0.69314718f + r * (0.24022651f + r * (0.05550411f + r * 0.00961813f)));
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(power) + exponent);
}

// The draws of samples n0 .. n0 + 63 for one variable, wanted where a bit of `free` is set, as by
// gibbs_draw with the fields sum + field[s]. Few draws are close enough to their probability to
// need its precision: the others are decided by an approximation that the compiler vectorises.
template <class T>
std::uint64_t draw_64(const T* field, T sum, double scale, std::uint64_t seed, std::uint64_t n0,
                      std::uint32_t variable, std::uint32_t sweep, std::uint64_t free) {
  alignas(64) std::uint32_t word[64];
  alignas(64) float ratio[64];  // -h scale, then u / P, which is below 1 where the draw is 1
  alignas(64) std::uint8_t below[64], close[64];
  for (int s = 0; s < 64; ++s) word[s] = philox(seed, n0 + s, variable, sweep);
  for (int s = 0; s < 64; ++s) {
    const double h = static_cast<double>(sum) + static_cast<double>(field[s]);
    ratio[s] = static_cast<float>(-h * scale);
  }
  for (int s = 0; s < 64; ++s) ratio[s] = ratio[s] < 80.0f ? ratio[s] : 80.0f;
  for (int s = 0; s < 64; ++s) ratio[s] = ratio[s] > -80.0f ? ratio[s] : -80.0f;
  for (int s = 0; s < 64; ++s) {
    // In two halves, as only signed integers convert in one instruction everywhere.
    const auto high = static_cast<float>(static_cast<std::int32_t>(word[s] >> 8));
    const auto low = static_cast<float>(static_cast<std::int32_t>(word[s] & 0xFF));
    const float u = (high * 256.0f + (low + 0.5f)) * 0x1p-32f;
    ratio[s] = u * (1.0f + approximate_exp(ratio[s]));
  }
  for (int s = 0; s < 64; ++s) {
    below[s] = ratio[s] < 1.0f ? 1 : 0;
    close[s] = std::fabs(ratio[s] - 1.0f) < 0.001f ? 1 : 0;
  }
  bool above = false;
  std::uint64_t drawn = gather_64_bits(below, above) & free;
  for (std::uint64_t left = gather_64_bits(close, above) & free; left != 0; left &= left - 1) {
    const int s = std::countr_zero(left);
    const double h = static_cast<double>(sum) + static_cast<double>(field[s]);
    const auto bit = static_cast<std::uint64_t>(
        gibbs_draw(h, scale, seed, n0 + static_cast<std::uint64_t>(s), variable, sweep));
    drawn = (drawn & ~(std::uint64_t{1} << s)) | bit << s;
  }
  return drawn;
}

// free[w] <- the samples of word w of a tile that exist and whose variable j is not clamped; false
// if there is none.
template <int W, class T>
POLYAD_INLINE bool free_samples(const GibbsArgs<T>& args, std::int64_t t, std::int64_t j,
                                std::uint64_t (&free)[W]) {
  std::uint64_t any = 0;
  for (int w = 0; w < W; ++w) {
    const std::int64_t left = args.samples - 64 * (t * W + w);
    free[w] = left >= 64 ? ~std::uint64_t{0} : left <= 0 ? 0 : (std::uint64_t{1} << left) - 1;
    if (args.clamp != nullptr) free[w] &= ~args.clamp[(t * args.variables + j) * W + w];
    any |= free[w];
  }
  return any != 0;
}

template <int W, bool Spins, class T>
void gibbs_tile(const GibbsArgs<T>& args, std::int64_t t) {
  const Edges& edges = args.edges;
  std::uint64_t* tile = args.words + t * args.variables * W;
  const double scale = (Spins ? 2.0 : 1.0) / args.temperature;
  for (std::int64_t sweep = 0; sweep < args.sweeps; ++sweep) {
    for (std::int64_t j = 0; j < args.variables; ++j) {
      std::uint64_t free[W];
      if (!free_samples<W>(args, t, j, free)) continue;
      alignas(64) T field[64 * W] = {};
      T sum = 0;
      for (std::int64_t i = args.incidence_offsets[j]; i < args.incidence_offsets[j + 1]; ++i) {
        const std::int64_t e = args.incidence[i];
        const T weight = args.weights[edges.order[e]];
        bool positive = true;
        std::uint64_t words[W];
        others<W, Spins>(tile, edges, e, static_cast<std::int32_t>(j), positive).store(words);
        T step = positive ? weight : -weight;
        if constexpr (Spins) {  // w times (-1)^parity = w - 2 w parity
          sum += weight;
          step = -2 * weight;
        }
        for (int w = 0; w < W; ++w) {
          if ((words[w] & free[w]) != 0) add_where(field + 64 * w, words[w], step);
        }
      }
      std::uint64_t* row = tile + j * W;
      for (int w = 0; w < W; ++w) {
        if (free[w] == 0) continue;
        const std::uint64_t drawn = draw_64(
            field + 64 * w, sum, scale, args.seed, static_cast<std::uint64_t>(64 * (t * W + w)),
            static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(sweep), free[w]);
        row[w] = (row[w] & ~free[w]) | drawn;
      }
    }
  }
}

template <int W, class T>
void gibbs_width(const GibbsArgs<T>& args) {
  parallel_for(plane_tiles(args.samples, W), [&](std::int64_t t) {
    if (args.spins) {
      gibbs_tile<W, true>(args, t);
    } else {
      gibbs_tile<W, false>(args, t);
    }
  });
}

template <class T>
void gibbs(const GibbsArgs<T>& args) {
  switch (args.width) {
    case 1: return gibbs_width<1>(args);
    case 2: return gibbs_width<2>(args);
    case 4: return gibbs_width<4>(args);
    default: return gibbs_width<8>(args);
  }
}

}  // namespace

const GibbsTable gibbs_table{gibbs<float>, gibbs<double>};

}  // namespace polyad::hypernet::POLYAD_ISA
