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

template <int W, bool Spins, class T>
void gibbs_tile(const GibbsArgs<T>& args, std::int64_t t) {
  const Edges& edges = args.edges;
  std::uint64_t* tile = args.words + t * args.variables * W;
  const double scale = (Spins ? 2.0 : 1.0) / args.temperature;
  for (std::int64_t sweep = 0; sweep < args.sweeps; ++sweep) {
    for (std::int64_t j = 0; j < args.variables; ++j) {
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
          if (words[w] != 0) add_where(field + 64 * w, words[w], step);
        }
      }
      std::uint64_t* row = tile + j * W;
      for (int w = 0; w < W; ++w) {
        const std::int64_t n0 = 64 * (t * W + w);
        if (n0 >= args.samples) break;
        const std::uint64_t fixed =
            args.clamp == nullptr ? 0 : args.clamp[(t * args.variables + j) * W + w];
        const int count = static_cast<int>(args.samples - n0 < 64 ? args.samples - n0 : 64);
        std::uint64_t drawn = 0;
        for (int s = 0; s < count; ++s) {
          if (fixed >> s & 1) continue;
          const double h = static_cast<double>(sum) + static_cast<double>(field[64 * w + s]);
          drawn |= static_cast<std::uint64_t>(gibbs_draw(h, scale, args.seed, n0 + s,
                                                         static_cast<std::uint32_t>(j),
                                                         static_cast<std::uint32_t>(sweep)))
                   << s;
        }
        row[w] = (row[w] & fixed) | drawn;
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
