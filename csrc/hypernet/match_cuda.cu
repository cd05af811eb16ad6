#include "common/cuda_check.hpp"
#include "hypernet/cuda.hpp"
#include "hypernet/match_math.hpp"

namespace polyad::hypernet::cuda {
namespace {

using polyad::cuda::allow_all_shared_memory;
using polyad::cuda::check;
using polyad::cuda::device_attribute;
using polyad::cuda::dynamic_shared;
using polyad::cuda::kWarp;
using polyad::cuda::launch;

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// 32 samples of one bit.
struct Bits {
  std::uint32_t word;

  __device__ Bits operator~() const { return {~word}; }
  __device__ Bits operator&(const Bits& other) const { return {word & other.word}; }
  __device__ Bits operator|(const Bits& other) const { return {word | other.word}; }
  __device__ Bits operator^(const Bits& other) const { return {word ^ other.word}; }
};

__device__ __forceinline__ Bits full_add(Bits& sum, const Bits& b, const Bits& c) {
  const Bits carry = (sum & b) | ((sum ^ b) & c);
  sum = sum ^ b ^ c;
  return carry;
}

__device__ __forceinline__ Bits half_add(Bits& sum, const Bits& b) {
  const Bits carry = sum & b;
  sum = sum ^ b;
  return carry;
}

// How the threads of a block share its samples: `lanes` neighbouring threads, a worker, hold 32
// samples each and take one edge at a time. A span is the samples of a worker: a tile of planes, or
// two tiles of width 8, so that a whole warp works on one edge.
struct Spans {
  int lanes;           // 2 W, or 32 for two tiles
  std::int64_t count;  // spans of the batch
  bool staged;         // the planes of a span fit in shared memory
  std::size_t shared_bytes;

  __host__ __device__ int workers() const { return kThreads / lanes; }
};

// Chooses the widest span that leaves room for two blocks on a multiprocessor. `extra`: bytes of
// shared memory that the kernel needs besides the planes.
Spans choose_spans(const Planes& x, std::size_t extra, bool may_pair) {
  const auto block =
      static_cast<std::size_t>(device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  const auto multiprocessor =
      static_cast<std::size_t>(device_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor));
  const std::size_t lane = static_cast<std::size_t>(x.variables) * sizeof(std::uint32_t);
  constexpr std::size_t kReserved = 1024;  // of each block, by the driver

  Spans spans{2 * x.width, x.tiles(), false, extra};
  const bool pairs = may_pair && x.width == kMaxWidth && spans.count > 1;
  spans.staged = spans.lanes * lane + extra <= block;
  if (pairs && (!spans.staged || 2 * (kWarp * lane + extra + kReserved) <= multiprocessor)) {
    spans.lanes = kWarp;
    spans.count = (spans.count + 1) / 2;
    spans.staged = spans.lanes * lane + extra <= block;
  }
  if (spans.staged) spans.shared_bytes += spans.lanes * lane;
  return spans;
}

// The place of a thread: its 32 samples and its worker.
struct Place {
  int lane;  // within the worker
  int worker;
  std::int64_t tile;  // of planes; the last one where the span has no second tile
  int half;           // the 32-bit word of a tile's row
  std::int64_t first_sample;

  // The bits that stand for samples of the batch.
  __device__ std::uint32_t valid(std::int64_t samples) const {
    const std::int64_t left = samples - first_sample;
    return left >= 32 ? ~0u : left <= 0 ? 0u : (1u << left) - 1u;
  }
};

__device__ Place place(const Planes& x, const Spans& spans, std::int64_t span) {
  const int halves = 2 * x.width;
  Place p;
  p.lane = static_cast<int>(threadIdx.x) & (spans.lanes - 1);
  p.worker = static_cast<int>(threadIdx.x) / spans.lanes;
  const int second = p.lane >= halves ? 1 : 0;
  p.tile = spans.lanes > halves ? 2 * span + second : span;
  p.half = p.lane - second * halves;
  p.first_sample = (span * spans.lanes + p.lane) * 32;
  if (p.tile >= x.tiles()) p.tile = x.tiles() - 1;
  return p;
}

// Copies the planes of a span: staged[j, lane] <- 32 samples of variable j. Every thread calls it.
__device__ void stage(const Planes& x, const Spans& spans, std::int64_t span,
                      std::uint64_t* staged) {
  const int row_words = spans.lanes / 2;
  const int row_shift = __ffs(row_words) - 1;
  const int count = static_cast<int>(x.variables) << row_shift;  // it fits in shared memory
  const std::int64_t first_tile = row_words > x.width ? 2 * span : span;
  const std::int64_t last_tile = x.tiles() - 1;
  __syncthreads();  // the planes of the span before have been read
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    const int row = i >> row_shift, word = i & (row_words - 1);
    const int second = word >= x.width ? 1 : 0;
    const std::int64_t tile = first_tile + second < last_tile ? first_tile + second : last_tile;
    staged[i] = x.words[(tile * x.variables + row) * x.width + word - second * x.width];
  }
  __syncthreads();
}

// plane(j) in shared memory.
struct StagedPlanes {
  const std::uint32_t* words;  // of this lane
  int stride;

  __device__ Bits operator()(std::int32_t variable) const { return {words[variable * stride]}; }
};

// plane(j) where the batch lies.
struct StoredPlanes {
  const std::uint32_t* words;
  int stride;

  __device__ Bits operator()(std::int32_t variable) const {
    return {words[static_cast<std::int64_t>(variable) * stride]};
  }
};

template <bool Staged>
__device__ auto planes_of(const Planes& x, const Spans& spans, const Place& p,
                          const std::uint32_t* staged) {
  if constexpr (Staged) {
    return StagedPlanes{staged + p.lane, spans.lanes};
  } else {
    const auto* words = reinterpret_cast<const std::uint32_t*>(x.words);
    return StoredPlanes{words + p.tile * x.variables * 2 * x.width + p.half, 2 * x.width};
  }
}

// Exact: no edge tolerates a mismatch. A kernel of its own, as it needs far fewer registers.
template <bool Exact, class Plane>
__device__ __forceinline__ std::uint32_t match_edge(const Plane& plane, const Edges& edges,
                                                    const Tolerance& tolerance, std::int64_t e) {
  if constexpr (Exact) {
    return match_exact(plane, literals(edges, e), Bits{0}).word;
  } else {
    const int t = tolerance.each == nullptr ? tolerance.all : tolerance.each[edges.order[e]];
    return match_literals(plane, literals(edges, e), t, Bits{0}).word;
  }
}

bool is_exact(const Tolerance& tolerance) {
  return tolerance.each == nullptr && tolerance.all == 0;
}

// The items of a grid: every span with each of `shares` shares of the edges.
struct Work {
  std::int64_t items;
  std::int64_t shares;
};

constexpr std::int64_t kBlocksWanted = 1024;  // a few for each multiprocessor of a large device

// Shares of `pieces` pieces of work, so that there are about kBlocksWanted blocks.
Work divide(const Spans& spans, std::int64_t pieces) {
  if (spans.count == 0 || pieces == 0) return {0, 1};
  std::int64_t shares = kBlocksWanted / spans.count;
  if (shares > pieces) shares = pieces;
  if (shares < 1) shares = 1;
  return {spans.count * shares, shares};
}

// ---- match -------------------------------------------------------------------------------------

// Words of a warp's corner-turn buffer: 32 edges, one row of 2 W half-words each and one of
// padding.
constexpr int kTurnRow = 2 * kMaxWidth + 1;

template <bool Exact, bool Staged>
__global__ void __launch_bounds__(kThreads, 1)
    match_kernel(MatchArgs args, Spans spans, Work work) {
  auto* turn_all = dynamic_shared<std::uint32_t>();  // [kWarps, 32, kTurnRow], then the planes
  auto* staged = turn_all + kWarps * kWarp * kTurnRow;
  const Edges& edges = args.edges;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int thread = static_cast<int>(threadIdx.x) % kWarp;
  const int together = kWarp / spans.lanes;  // edges that a warp matches at once
  std::uint32_t* turn = turn_all + warp * kWarp * kTurnRow;

  for (std::int64_t item = blockIdx.x; item < work.items; item += gridDim.x) {
    const std::int64_t span = item / work.shares, share = item % work.shares;
    if constexpr (Staged) {
      stage(args.x, spans, span, reinterpret_cast<std::uint64_t*>(staged));
    }
    const Place p = place(args.x, spans, span);
    const auto plane = planes_of<Staged>(args.x, spans, p, staged);
    const std::int64_t end = edges.count * (share + 1) / work.shares;
    // 32 edges at a time: first a lane holds samples, then, after the turn, an edge
    for (std::int64_t first = edges.count * share / work.shares + warp * kWarp; first < end;
         first += kWarps * kWarp) {
      for (int i = thread / spans.lanes; i < kWarp; i += together) {
        const bool inside = first + i < end;
        turn[i * kTurnRow + p.lane] =
            inside ? match_edge<Exact>(plane, edges, args.tolerance, first + i) : 0u;
      }
      __syncwarp();
      if (first + thread < end) {
        std::uint8_t* out = args.out + edges.order[first + thread];
        for (int l = 0; l < spans.lanes; ++l) {
          const std::uint32_t bits = turn[thread * kTurnRow + l];
          const std::int64_t n0 = (span * spans.lanes + l) * 32;
          for (int s = 0; s < 32 && n0 + s < args.x.samples; ++s) {
            out[(n0 + s) * edges.count] = static_cast<std::uint8_t>(bits >> s & 1u);
          }
        }
      }
      __syncwarp();  // the buffer has been read
    }
  }
}

// ---- counts ------------------------------------------------------------------------------------

struct CountArgs {
  Planes x;
  Edges edges;
  Tolerance tolerance;
  const std::uint64_t* masks;  // [tiles, 2, W] with `second`, else every sample counts
  std::int64_t* first;         // [E], zeros before the kernel
  std::int64_t* second;        // [E] likewise, or null
};

// Integer atomics: their order does not change the sums.
__device__ void add_count(std::int64_t* out, std::uint32_t count) {
  if (count != 0) {
    atomicAdd(reinterpret_cast<unsigned long long*>(out), static_cast<unsigned long long>(count));
  }
}

template <bool Exact, bool Staged>
__global__ void __launch_bounds__(kThreads, 1)
    count_kernel(CountArgs args, Spans spans, Work work) {
  auto* staged = dynamic_shared<std::uint32_t>();
  const Edges& edges = args.edges;
  for (std::int64_t item = blockIdx.x; item < work.items; item += gridDim.x) {
    const std::int64_t span = item / work.shares, share = item % work.shares;
    if constexpr (Staged) {
      stage(args.x, spans, span, reinterpret_cast<std::uint64_t*>(staged));
    }
    const Place p = place(args.x, spans, span);
    const auto plane = planes_of<Staged>(args.x, spans, p, staged);
    const std::uint32_t valid = p.valid(args.x.samples);
    std::uint32_t first_mask = valid, second_mask = 0;
    if (args.second != nullptr) {
      const int halves = 2 * args.x.width;
      const auto* masks = reinterpret_cast<const std::uint32_t*>(args.masks) + p.tile * 2 * halves;
      first_mask = masks[p.half] & valid;  // p.tile may be a stand-in where valid is 0
      second_mask = masks[halves + p.half] & valid;
    }
    const std::int64_t end = edges.count * (share + 1) / work.shares;
    // the bound is the same in every thread, as the shuffles need all lanes of a warp
    for (std::int64_t base = edges.count * share / work.shares; base < end;
         base += spans.workers()) {
      const std::int64_t e = base + p.worker;
      std::uint32_t counts = 0;  // two halves of 16 bits: a span has at most 1,024 samples
      if (e < end) {
        const std::uint32_t bits = match_edge<Exact>(plane, edges, args.tolerance, e);
        counts = static_cast<std::uint32_t>(__popc(bits & first_mask)) |
                 static_cast<std::uint32_t>(__popc(bits & second_mask)) << 16;
      }
      for (int d = spans.lanes / 2; d > 0; d /= 2) counts += __shfl_xor_sync(kAllLanes, counts, d);
      if (p.lane == 0 && e < end) {
        add_count(args.first + edges.order[e], counts & 0xFFFFu);
        if (args.second != nullptr) add_count(args.second + edges.order[e], counts >> 16);
      }
    }
  }
}

void count(const char* name, const CountArgs& args, cudaStream_t stream) {
  const std::size_t bytes = sizeof(std::int64_t) * static_cast<std::size_t>(args.edges.count);
  if (bytes == 0) return;
  check(cudaMemsetAsync(args.first, 0, bytes, stream), name);
  if (args.second != nullptr) check(cudaMemsetAsync(args.second, 0, bytes, stream), name);
  const Spans spans = choose_spans(args.x, 0, true);
  // at least 8 edges for each worker, so that staging the planes pays
  const Work work =
      divide(spans, (args.edges.count + 8 * spans.workers() - 1) / (8 * spans.workers()));
  const auto kernel = is_exact(args.tolerance)
                          ? (spans.staged ? count_kernel<true, true> : count_kernel<true, false>)
                          : (spans.staged ? count_kernel<false, true> : count_kernel<false, false>);
  allow_all_shared_memory(kernel);
  launch(name, kernel, {work.items, kThreads, spans.shared_bytes}, stream, args, spans, work);
}

// ---- votes -------------------------------------------------------------------------------------

template <class Weight>
struct TotalOf {
  using type = double;
};
template <>
struct TotalOf<std::int64_t> {
  using type = std::int64_t;
};
template <class Weight>
using Total = typename TotalOf<Weight>::type;

constexpr int kRun = 256;      // edges added in the weights' type before the double sum
constexpr int kExchanged = 4;  // samples of a lane that the workers add up at once

// total[s] += weight for every set bit s.
template <class T>
__device__ __forceinline__ void add_where(T (&total)[32], std::uint32_t bits, T weight) {
#pragma unroll
  for (int s = 0; s < 32; ++s) {
    if ((bits >> s & 1u) != 0) total[s] += weight;
  }
}

struct VotesWork {
  std::int64_t items;   // spans x shares
  std::int64_t shares;  // of the classes x parts
  std::int64_t parts;   // of a class
};

// A unit is one part of one class. In every round each worker adds up a run of its edges; then the
// runs are added in the order of the workers, by the threads that own the samples: thread (i, lane)
// owns samples i, i + kExchanged, .. of that lane. Part p of several goes to args.scratch[p].
template <class Weight, bool Exact, bool Staged>
__global__ void __launch_bounds__(kThreads, sizeof(Weight) == 4 && (Exact || Staged) ? 2 : 1)
    votes_kernel(VotesArgs<Weight> args, Spans spans, VotesWork work) {
  auto* exchange = dynamic_shared<Weight>();  // [kExchanged, kThreads], then the planes
  auto* staged = reinterpret_cast<std::uint32_t*>(exchange + kExchanged * kThreads);
  const std::int64_t units = args.classes * work.parts;
  const int workers = spans.workers();
  const int owner = static_cast<int>(threadIdx.x) / spans.lanes;  // i, if below kExchanged

  for (std::int64_t item = blockIdx.x; item < work.items; item += gridDim.x) {
    const std::int64_t span = item / work.shares, share = item % work.shares;
    if constexpr (Staged) {
      stage(args.x, spans, span, reinterpret_cast<std::uint64_t*>(staged));
    }
    const Place p = place(args.x, spans, span);
    const auto plane = planes_of<Staged>(args.x, spans, p, staged);

    for (std::int64_t unit = units * share / work.shares; unit < units * (share + 1) / work.shares;
         ++unit) {
      const std::int64_t c = unit / work.parts, part = unit % work.parts;
      const std::int64_t class_begin = args.class_offsets[c];
      const std::int64_t class_edges = args.class_offsets[c + 1] - class_begin;
      const std::int64_t begin = class_begin + class_edges * part / work.parts;
      const std::int64_t edges = class_begin + class_edges * (part + 1) / work.parts - begin;
      const std::int64_t last = begin + edges * (p.worker + 1) / workers;  // of this worker
      std::int64_t e = begin + edges * p.worker / workers;

      Total<Weight> total[32 / kExchanged] = {};
      const std::int64_t longest = (edges + workers - 1) / workers;  // of any worker
      for (std::int64_t round = 0; round < longest; round += kRun) {
        Weight run[32] = {};
        const std::int64_t end = e + kRun < last ? e + kRun : last;
        for (; e < end; ++e) {
          const std::uint32_t bits = match_edge<Exact>(plane, args.edges, args.tolerance, e);
          if (bits != 0) add_where(run, bits, args.weights[args.edges.order[e]]);
        }
#pragma unroll
        for (int s = 0; s < 32 / kExchanged; ++s) {
          __syncthreads();  // the runs before have been read
#pragma unroll
          for (int i = 0; i < kExchanged; ++i) {
            exchange[i * kThreads + threadIdx.x] = run[s * kExchanged + i];
          }
          __syncthreads();
          if (owner < kExchanged) {
            for (int w = 0; w < workers; ++w) {
              total[s] += exchange[owner * kThreads + w * spans.lanes + p.lane];
            }
          }
        }
      }

      if (owner >= kExchanged) continue;
#pragma unroll
      for (int s = 0; s < 32 / kExchanged; ++s) {
        const std::int64_t n = (span * spans.lanes + p.lane) * 32 + s * kExchanged + owner;
        if (n >= args.x.samples) continue;
        if (work.parts == 1) {
          args.out[n * args.classes + c] = static_cast<Weight>(total[s]);
        } else {
          reinterpret_cast<Total<Weight>*>(
              args.scratch)[(part * args.x.samples + n) * args.classes + c] = total[s];
        }
      }
    }
  }
}

// out [N, C] <- the sum of the parts, in order.
template <class Weight>
__global__ void __launch_bounds__(kThreads)
    add_parts_kernel(VotesArgs<Weight> args, std::int64_t parts) {
  const std::int64_t size = args.x.samples * args.classes;
  const auto* part = reinterpret_cast<const Total<Weight>*>(args.scratch);
  for (std::int64_t i = blockIdx.x * static_cast<std::int64_t>(kThreads) + threadIdx.x; i < size;
       i += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    Total<Weight> sum = 0;
    for (std::int64_t p = 0; p < parts; ++p) sum += part[p * size + i];
    args.out[i] = static_cast<Weight>(sum);
  }
}

template <class Weight>
void votes_any(const char* name, const VotesArgs<Weight>& args, cudaStream_t stream) {
  const Spans spans = choose_spans(args.x, sizeof(Weight) * kExchanged * kThreads, true);
  const std::int64_t parts = args.scratch == nullptr || args.classes == 0
                                 ? 1
                                 : votes_parts(args.x.samples, args.edges.count, args.classes);
  const Work divided = divide(spans, args.classes * parts);
  const auto kernel =
      is_exact(args.tolerance)
          ? (spans.staged ? votes_kernel<Weight, true, true> : votes_kernel<Weight, true, false>)
          : (spans.staged ? votes_kernel<Weight, false, true> : votes_kernel<Weight, false, false>);
  allow_all_shared_memory(kernel);
  launch(name, kernel, {divided.items, kThreads, spans.shared_bytes}, stream, args, spans,
         VotesWork{divided.items, divided.shares, parts});
  if (parts > 1) {
    launch(name, add_parts_kernel<Weight>,
           {(args.x.samples * args.classes + kThreads - 1) / kThreads, kThreads}, stream, args,
           parts);
  }
}

}  // namespace

void match(const MatchArgs& args, cudaStream_t stream) {
  const Spans spans =
      choose_spans(args.x, sizeof(std::uint32_t) * kWarps * kWarp * kTurnRow, false);
  const Work work = divide(spans, (args.edges.count + kThreads - 1) / kThreads);
  const auto kernel = is_exact(args.tolerance)
                          ? (spans.staged ? match_kernel<true, true> : match_kernel<true, false>)
                          : (spans.staged ? match_kernel<false, true> : match_kernel<false, false>);
  allow_all_shared_memory(kernel);
  launch("hypernet_match", kernel, {work.items, kThreads, spans.shared_bytes}, stream, args, spans,
         work);
}

void match_counts(const MatchCountsArgs& args, cudaStream_t stream) {
  count("hypernet_match_counts", {args.x, args.edges, args.tolerance, nullptr, args.out, nullptr},
        stream);
}

void feedback(const FeedbackArgs& args, cudaStream_t stream) {
  count("hypernet_feedback",
        {args.x, args.edges, args.tolerance, args.masks, args.right, args.wrong}, stream);
}

void votes(const VotesArgs<std::int64_t>& args, cudaStream_t stream) {
  votes_any("hypernet_votes_int64", args, stream);
}
void votes(const VotesArgs<float>& args, cudaStream_t stream) {
  votes_any("hypernet_votes_float32", args, stream);
}
void votes(const VotesArgs<double>& args, cudaStream_t stream) {
  votes_any("hypernet_votes_float64", args, stream);
}

}  // namespace polyad::hypernet::cuda
