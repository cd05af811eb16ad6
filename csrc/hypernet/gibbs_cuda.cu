#include "common/cuda_check.hpp"
#include "hypernet/cuda.hpp"
#include "hypernet/gibbs_math.hpp"

namespace polyad::hypernet::cuda {
namespace {

using polyad::cuda::kWarp;
using polyad::cuda::launch;

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// What one edge adds to the field of a variable in 32 samples.
template <class T>
struct Contribution {
  std::uint32_t where;  // bit s: sample s receives `step`
  T step;
  T everywhere;  // what all samples receive
};

// The edge without variable j. {0, 1}: the AND of the other literals; spins: the parity of the
// other -1 values, as w (-1)^parity = w - 2 w parity.
template <bool Spins, class T>
__device__ Contribution<T> contribution(const std::uint32_t* words, int stride, const Edges& edges,
                                        std::int64_t e, std::int64_t j, T weight) {
  const Literals edge = literals(edges, e);
  std::uint32_t where = Spins ? 0u : ~0u;
  bool positive = true;
  for (int i = 0; i < edge.count; ++i) {
    const std::int32_t variable = edge.variable[i];
    if (variable == j) {
      positive = i < edge.positives;
      continue;
    }
    const std::uint32_t plane = words[static_cast<std::int64_t>(variable) * stride];
    if constexpr (Spins) {
      where ^= ~plane;
    } else {
      where &= i < edge.positives ? plane : ~plane;
    }
  }
  if constexpr (Spins) {
    return {where, -2 * weight, weight};
  } else {
    return {where, positive ? weight : -weight, 0};
  }
}

// A block is one warp and owns 32 samples: half a word of every plane, which nobody else touches.
// To compute a field, the lanes first take 32 edges, one each; then every lane, now a sample, adds
// what the 32 edges contribute, in plan order.
template <class T, bool Spins>
__global__ void __launch_bounds__(kWarp) gibbs_kernel(GibbsArgs<T> args) {
  const Edges& edges = args.edges;
  const int lane = static_cast<int>(threadIdx.x);
  const int halves = 2 * args.width;
  const double scale = (Spins ? 2.0 : 1.0) / args.temperature;
  const std::int64_t columns = (args.samples + kWarp - 1) / kWarp;

  for (std::int64_t column = blockIdx.x; column < columns; column += gridDim.x) {
    const std::int64_t n = column * kWarp + lane;
    const std::int64_t base =
        column / halves * args.variables * halves + column % halves;  // of variable 0
    auto* words = reinterpret_cast<std::uint32_t*>(args.words) + base;
    const auto* clamp =
        args.clamp == nullptr ? nullptr : reinterpret_cast<const std::uint32_t*>(args.clamp) + base;
    for (std::int64_t sweep = 0; sweep < args.sweeps; ++sweep) {
      for (std::int64_t j = 0; j < args.variables; ++j) {
        const std::uint32_t fixed = clamp == nullptr ? 0u : clamp[j * halves];
        if (fixed == ~0u) continue;  // the same in all lanes
        T field = 0, everywhere = 0;
        const std::int64_t end = args.incidence_offsets[j + 1];
        for (std::int64_t first = args.incidence_offsets[j]; first < end; first += kWarp) {
          Contribution<T> mine{0u, 0, 0};
          if (first + lane < end) {
            const std::int64_t e = args.incidence[first + lane];
            mine = contribution<Spins>(words, halves, edges, e, j, args.weights[edges.order[e]]);
          }
          const int count = static_cast<int>(end - first < kWarp ? end - first : kWarp);
          for (int i = 0; i < count; ++i) {
            const std::uint32_t where = __shfl_sync(kAllLanes, mine.where, i);
            const T step = __shfl_sync(kAllLanes, mine.step, i);
            if ((where >> lane & 1u) != 0) field += step;
            if constexpr (Spins) everywhere += __shfl_sync(kAllLanes, mine.everywhere, i);
          }
        }
        bool drawn = false;
        if (n < args.samples && (fixed >> lane & 1u) == 0) {
          drawn = gibbs_draw(static_cast<double>(everywhere) + static_cast<double>(field), scale,
                             args.seed, static_cast<std::uint64_t>(n),
                             static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(sweep));
        }
        // every lane has read the planes that this update changes before the ballot lets lane 0 on
        const std::uint32_t ones = __ballot_sync(kAllLanes, drawn);
        if (lane == 0) words[j * halves] = (words[j * halves] & fixed) | ones;
        __syncwarp();  // all lanes see the new plane
      }
    }
  }
}

template <class T>
void gibbs_any(const GibbsArgs<T>& args, cudaStream_t stream) {
  const auto kernel = args.spins ? gibbs_kernel<T, true> : gibbs_kernel<T, false>;
  launch("hypernet_gibbs", kernel, {(args.samples + kWarp - 1) / kWarp, kWarp}, stream, args);
}

}  // namespace

void gibbs(const GibbsArgs<float>& args, cudaStream_t stream) { gibbs_any(args, stream); }
void gibbs(const GibbsArgs<double>& args, cudaStream_t stream) { gibbs_any(args, stream); }

}  // namespace polyad::hypernet::cuda
