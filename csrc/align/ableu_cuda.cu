#include "align/ableu_math.hpp"
#include "align/cuda.hpp"
#include "common/cuda_check.hpp"

namespace polyad::align::cuda {
namespace {

using polyad::cuda::launch;

constexpr int kThreads = polyad::cuda::kWarp;  // sentences have some twenty words

// What a block keeps of a pair with sentences of up to Most words.
template <int Most>
struct Desk {
  std::int32_t words[2][Most];
  // how often the n-gram that begins here occurs, at its first place; 0 at the others
  std::int32_t counts[2][Most];
  double best[Most];         // of the candidate's n-gram that begins here
  std::int32_t which[Most];  // its n-gram of the reference; one_to_one
  bool same[Most];           // whether it is the same one
};

__device__ __forceinline__ std::int32_t less(std::int32_t a, std::int32_t b) {
  return a < b ? a : b;
}

__device__ __forceinline__ bool equal(const std::int32_t* a, const std::int32_t* b, int order) {
  for (int k = 0; k < order; ++k) {
    if (a[k] != b[k]) return false;
  }
  return true;
}

__device__ __forceinline__ double similarity_of(const std::int32_t* g, const std::int32_t* h,
                                                int order, const Similarity& similarity) {
  double product = 1.0;
  for (int k = 0; k < order && product > 0.0; ++k) product *= similarity(g[k], h[k]);
  return product > 0.0 ? geometric_mean(product, order) : 0.0;
}

template <int Most>
__device__ void count_grams(Desk<Most>& desk, int side, int grams, int order) {
  const std::int32_t* words = desk.words[side];
  for (int i = static_cast<int>(threadIdx.x); i < grams; i += kThreads) {
    int count = 0;
    for (int other = 0; other < grams; ++other) {
      if (!equal(words + i, words + other, order)) continue;
      if (other < i) {
        count = 0;
        break;
      }
      ++count;
    }
    desk.counts[side][i] = count;
  }
}

// desk.best, and with `left` (one_to_one) which and same, of the n-gram that begins at i.
template <int Most>
__device__ void find_best(Desk<Most>& desk, int from, int i, int grams, int order,
                          const Similarity& similarity, bool one_to_one) {
  double best = 0.0;
  std::int32_t which = -1;
  bool same = false;
  const std::int32_t* g = desk.words[from] + i;
  for (int j = 0; j < grams; ++j) {
    const std::int32_t count = desk.counts[1 - from][j];
    if (count == 0) continue;
    const std::int32_t* h = desk.words[1 - from] + j;
    double score = similarity_of(g, h, order, similarity);
    if (!(score > 0.0)) continue;
    if (!one_to_one) {
      score *= less(desk.counts[from][i], count);
      if (score > best) best = score;
      continue;
    }
    const bool is_same = equal(g, h, order);
    if (score > best || (score == best && is_same && !same)) {
      best = score;
      which = j;
      same = is_same;
    }
  }
  desk.best[i] = best;
  desk.which[i] = which;
  desk.same[i] = same;
}

// The matches of one order, the same number in every thread.
template <int Most>
__device__ double matches_of(Desk<Most>& desk, int from, int candidate_grams, int reference_grams,
                             int order, const Similarity& similarity, bool one_to_one) {
  const int thread = static_cast<int>(threadIdx.x);
  __syncthreads();
  count_grams(desk, from, candidate_grams, order);
  count_grams(desk, 1 - from, reference_grams, order);
  __syncthreads();
  for (int i = thread; i < candidate_grams; i += kThreads) {
    if (desk.counts[from][i] > 0) {
      find_best(desk, from, i, reference_grams, order, similarity, one_to_one);
    } else {
      desk.best[i] = 0.0;
    }
  }
  __syncthreads();
  double sum = 0.0;
  if (!one_to_one) {
    for (int i = 0; i < candidate_grams; ++i) sum += desk.best[i];
    return sum;
  }
  for (;;) {  // the best pair that is left, until none is
    int at = -1;
    for (int i = 0; i < candidate_grams; ++i) {
      if (!(desk.best[i] > 0.0)) continue;
      if (at < 0 || desk.best[i] > desk.best[at] ||
          (desk.best[i] == desk.best[at] && desk.same[i] && !desk.same[at])) {
        at = i;
      }
    }
    if (at < 0) return sum;
    const int which = desk.which[at];
    const std::int32_t of_candidate = desk.counts[from][at];
    const std::int32_t of_reference = desk.counts[1 - from][which];
    const std::int32_t taken = less(of_candidate, of_reference);
    sum += desk.best[at] * taken;
    __syncthreads();
    if (thread == 0) {
      desk.counts[from][at] = of_candidate - taken;
      desk.counts[1 - from][which] = of_reference - taken;
      if (of_candidate == taken) desk.best[at] = 0.0;
    }
    __syncthreads();
    if (of_reference == taken) {  // those that had it look for another one
      for (int i = thread; i < candidate_grams; i += kThreads) {
        if (desk.best[i] > 0.0 && desk.which[i] == which) {
          find_best(desk, from, i, reference_grams, order, similarity, true);
        }
      }
      __syncthreads();
    }
  }
}

template <int Most>
__device__ double one_way(Desk<Most>& desk, int from, const std::int32_t (&lengths)[2],
                          const Similarity& similarity, const AbleuPairsArgs& args) {
  double matches[kMostOrders];
  for (int order = args.last_order; order >= args.first_order; --order) {
    const int grams = lengths[from] - order + 1, others = lengths[1 - from] - order + 1;
    if (grams <= 0 || others <= 0) return 0.0;
    const double sum = matches_of(desk, from, grams, others, order, similarity,
                                  args.matching == Matching::one_to_one);
    if (!(sum > 0.0)) return 0.0;
    matches[order - args.first_order] = sum;
  }
  return bleu_of_matches(matches, args.first_order, args.last_order, lengths[from],
                         lengths[1 - from]);
}

// One block a pair. `longer`: whether this launch serves the pairs of more than kShort words.
constexpr int kShort = 128;

template <int Most>
__global__ void __launch_bounds__(kThreads)
    ableu_pairs_kernel(const __grid_constant__ AbleuPairsArgs args) {
  __shared__ Desk<Most> desk;
  for (std::int64_t pair = blockIdx.x; pair < args.count; pair += gridDim.x) {
    const std::int32_t places[2] = {args.source[pair], args.target[pair]};
    const bool there = places[0] >= 0 && places[0] < args.sources.count && places[1] >= 0 &&
                       places[1] < args.targets.count;
    std::int32_t begins[2] = {0, 0}, lengths[2] = {0, 0};
    if (there) {
      for (int side = 0; side < 2; ++side) {
        const std::int32_t* offsets = side == 0 ? args.sources.offsets : args.targets.offsets;
        begins[side] = offsets[places[side]];
        lengths[side] = offsets[places[side] + 1] - begins[side];
      }
    }
    const int longest = lengths[0] > lengths[1] ? lengths[0] : lengths[1];
    if (!there || longest > kMostWords) {
      if (Most == kShort && threadIdx.x == 0) args.scores[pair] = nan("");
      continue;
    }
    if ((longest <= kShort) != (Most == kShort)) continue;
    __syncthreads();
    for (int side = 0; side < 2; ++side) {
      const std::int32_t* ids = (side == 0 ? args.sources.ids : args.targets.ids) + begins[side];
      for (int i = static_cast<int>(threadIdx.x); i < lengths[side]; i += kThreads) {
        desk.words[side][i] = ids[i];
      }
    }
    double score = one_way(desk, 0, lengths, args.similarities.forward, args);
    if (args.both_directions && score > 0.0) {
      score = harmonic_mean(score, one_way(desk, 1, lengths, args.similarities.backward, args));
    }
    if (threadIdx.x == 0) args.scores[pair] = score;
  }
}

}  // namespace

void ableu_pairs(const AbleuPairsArgs& args, cudaStream_t stream) {
  if (args.count == 0) return;
  launch("align_ableu_pairs", ableu_pairs_kernel<kShort>, {args.count, kThreads}, stream, args);
  launch("align_ableu_pairs", ableu_pairs_kernel<kMostWords>, {args.count, kThreads}, stream, args);
}

}  // namespace polyad::align::cuda
