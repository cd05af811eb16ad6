#include "capsule/routing_gradients_cuda.hpp"
#include "capsule/routing_rows_cuda.cuh"
#include "capsule/routing_terms_cuda.cuh"
#include "common/cuda_check.hpp"

namespace polyad::capsule::cuda {
namespace {

using polyad::cuda::allow_all_shared_memory;
using polyad::cuda::dynamic_shared;
using polyad::cuda::kWarp;
using polyad::cuda::launch;

// A block of the main kernel holds `slots` items at a time. An item is a piece of the inputs of one
// type, and what it adds to that type's gradient stays in registers while the block walks over the
// piece and all samples: a thread has kRows rows times kColumns columns of one slot. For every tile
// of samples, u_hat' goes to shared memory once, where both products read it.
constexpr int kGradientThreads = 256;
constexpr int kGroups = 4;  // of kSamples samples in a tile
constexpr int kColumns = 4;
constexpr int kWide = 2 * kColumns;  // components of u at a time
constexpr int kMostSlots = 16;
constexpr int kGradientQuads = 64;  // most quads at a time
constexpr std::int64_t kPartialBytes = std::int64_t{64} << 20;
constexpr std::int64_t kEnoughItems = 1024;

template <class T>
constexpr int kTile = kGroups * kSamples<T>;

struct GradientPlan {
  int slots;  // even
  int quads;  // at a time
  int parts;  // of the quads, each with its own sum for grad_u
  int threads;
  int pieces;
  int items;
  int quad_stride;  // odd, so that rows of quads begin in different banks
  std::size_t bytes;

  POLYAD_INLINE int slot_stride() const { return kRows * kGroups * quad_stride + kRows; }
  POLYAD_INLINE int weight_stride() const { return kWide * quad_stride + 1; }
};

// What stands where in shared memory.
template <class T>
struct GradientShared {
  using Column = Pack<T, kSamples<T>>;  // of neighbouring samples
  using Quad = Pack<T, kRows>;
  static constexpr int kInputStride = kTile<T> + 16 / static_cast<int>(sizeof(T));

  Column* votes;  // u_hat' [slot][component of a quad][group][quad]
  Quad* weights;  // [slot][k][quad]
  T* inputs;      // [slot][k][sample]
  T* sums;        // [part][slot][k][sample]
  int* items;     // [slot] type, first position, number of inputs

  POLYAD_INLINE explicit GradientShared(const GradientPlan& plan, void* base) {
    votes = static_cast<Column*>(base);
    weights = reinterpret_cast<Quad*>(votes + plan.slots * plan.slot_stride());
    inputs = reinterpret_cast<T*>(weights + plan.slots * plan.weight_stride());
    sums = inputs + plan.slots * kWide * kInputStride;
    items = reinterpret_cast<int*>(sums + plan.parts * plan.slots * kWide * kTile<T>);
  }
};

constexpr int kItemInts = 3;

// A slot's item: positions begin .. begin + count - 1 of the inputs in order of type.
struct Item {
  int type, begin, count;
};

template <class T>
__device__ __forceinline__ Item item_at(const Gradients<T>& args, const GradientPlan& plan,
                                        int index) {
  if (index >= plan.items) return {0, 0, 0};
  if (args.types.type == nullptr) return {index, index, 1};
  // Offsets that nobody has checked may be anything; they are kept within the inputs.
  const auto bounded = [&](std::int64_t x) {
    const std::int64_t most = args.extent.inputs;
    return x < 0 ? std::int64_t{0} : x < most ? x : most;
  };
  const int type = index / plan.pieces, piece = index % plan.pieces;
  const std::int64_t begin = bounded(args.types.begin[type]);
  const std::int64_t end = bounded(args.types.begin[type + 1]);
  const std::int64_t count = end > begin ? end - begin : 0;
  const auto from = begin + count * piece / plan.pieces;
  const auto to = begin + count * (piece + 1) / plan.pieces;
  return {type, static_cast<int>(from), static_cast<int>(to - from)};
}

// The input that slot `slot` has at `step`, or -1.
template <class T>
__device__ __forceinline__ int input_at(const Gradients<T>& args, const int* items, int slot,
                                        int step) {
  const int* item = items + slot * kItemInts;
  if (step >= item[2]) return -1;
  if (args.types.type == nullptr) return item[1];
  const int i = args.types.order[item[1] + step];
  return i < 0 ? 0 : i < args.extent.inputs ? i : args.extent.inputs - 1;
}

// What is fixed while a block walks over samples.
struct Part {
  int first_quad, quads;  // quads from the first on; fewer at the end
  int k0;
};

template <class T>
__device__ __forceinline__ void load_weights(const Gradients<T>& args, const GradientPlan& plan,
                                             const Part& part, const GradientShared<T>& shared) {
  const Extent& extent = args.extent;
  const int width = extent.quads(), K = extent.input_size;
  for (int e = static_cast<int>(threadIdx.x); e < plan.slots * plan.quads * kWide;
       e += plan.threads) {
    const int k = e % kWide, quad = e / kWide % plan.quads, slot = e / kWide / plan.quads;
    const int index = part.first_quad + quad;
    const int j = index / width, d = index % width * kRows;
    const std::int64_t type = shared.items[slot * kItemInts];
    const T* from = args.weight +
                    (type * extent.rows() + std::int64_t{j} * extent.output_size + d) * K +
                    part.k0 + k;
    Pack<T, kRows> packed;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const bool there = quad < part.quads && part.k0 + k < K && d + r < extent.output_size;
      packed.value[r] = there ? from[std::int64_t{r} * K] : T{0};
    }
    shared.weights[slot * plan.weight_stride() + k * plan.quad_stride + quad] = packed;
  }
}

// Inputs and u_hat' of the samples b0 .. for all slots.
template <class T>
__device__ __forceinline__ void load_tile(const Gradients<T>& args, const GradientPlan& plan,
                                          const Part& part, int step, int b0,
                                          const GradientShared<T>& shared) {
  const Extent& extent = args.extent;
  const int K = extent.input_size, thread = static_cast<int>(threadIdx.x);
  for (int e = thread; e < plan.slots * kTile<T> * kWide; e += plan.threads) {
    const int k = e % kWide, s = e / kWide % kTile<T>, slot = e / kWide / kTile<T>;
    const int i = input_at(args, shared.items, slot, step);
    const bool there = i >= 0 && part.k0 + k < K && b0 + s < extent.batch;
    shared.inputs[(slot * kWide + k) * GradientShared<T>::kInputStride + s] =
        there ? args.u[(std::int64_t{b0 + s} * extent.inputs + i) * K + part.k0 + k] : T{0};
  }
  const int group = thread % kGroups, quad = thread / kGroups % plan.quads;
  const int slot = thread / kGroups / plan.quads * 2;
  if (slot >= plan.slots) return;
  const int index = part.first_quad + quad;
  const int j = index / extent.quads(), d = index % extent.quads() * kRows;
  const int left = extent.output_size - d;
  const int count = quad >= part.quads ? 0 : left < kRows ? left : kRows;
  const int inputs[2] = {input_at(args, shared.items, slot, step),
                         input_at(args, shared.items, slot + 1, step)};
  Patch<T> x[2];
  x[0].clear();
  x[1].clear();
  if (count > 0) {
    add_terms<T, 2>(extent, args.terms, inputs, j, d, count, b0 + group * kSamples<T>, x);
  }
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    auto* to = shared.votes + (slot + n) * plan.slot_stride() + group * plan.quad_stride + quad;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      Pack<T, kSamples<T>> column;
#pragma unroll
      for (int s = 0; s < kSamples<T>; ++s) column.value[s] = x[n].at[s][r];
      to[r * kGroups * plan.quad_stride] = column;
    }
  }
}

// sum [row][column] += u_hat' u^T over the samples of a tile.
template <class T>
__device__ __forceinline__ void add_to_weight(const GradientPlan& plan,
                                              const GradientShared<T>& shared, int slot, int quad,
                                              int column, T (&sum)[kRows][kColumns]) {
  using Column = Pack<T, kSamples<T>>;
  const Column* votes = shared.votes + slot * plan.slot_stride() + quad;
  const T* inputs = shared.inputs + (slot * kWide + column) * GradientShared<T>::kInputStride;
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    Column x[kColumns];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      x[c] = *reinterpret_cast<const Column*>(inputs + c * GradientShared<T>::kInputStride +
                                              group * kSamples<T>);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const Column vote = votes[(r * kGroups + group) * plan.quad_stride];
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
#pragma unroll
        for (int s = 0; s < kSamples<T>; ++s) sum[r][c] += vote.value[s] * x[c].value[s];
      }
    }
  }
}

// This thread's part of W^T u_hat': some samples, some components of u, every parts-th quad.
template <class T>
__device__ __forceinline__ void pull_to_inputs(const GradientPlan& plan,
                                               const GradientShared<T>& shared) {
  using Column = Pack<T, kSamples<T>>;
  const int thread = static_cast<int>(threadIdx.x);
  const int group = thread % kGroups, column = thread / kGroups % 2 * kColumns;
  const int slot = thread / (2 * kGroups) % plan.slots, part = thread / (2 * kGroups) / plan.slots;
  if (part >= plan.parts) return;
  const Column* votes = shared.votes + slot * plan.slot_stride() + group * plan.quad_stride;
  const auto* weights = shared.weights + slot * plan.weight_stride() + column * plan.quad_stride;
  Column sum[kColumns] = {};
#pragma unroll 2
  for (int quad = part; quad < plan.quads; quad += plan.parts) {
    Column vote[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) vote[r] = votes[r * kGroups * plan.quad_stride + quad];
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const Pack<T, kRows> w = weights[c * plan.quad_stride + quad];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int s = 0; s < kSamples<T>; ++s) sum[c].value[s] += w.value[r] * vote[r].value[s];
      }
    }
  }
  T* to =
      shared.sums + ((part * plan.slots + slot) * kWide + column) * kTile<T> + group * kSamples<T>;
#pragma unroll
  for (int c = 0; c < kColumns; ++c) *reinterpret_cast<Column*>(to + c * kTile<T>) = sum[c];
}

// grad_u of a tile: the first quads set it, those that follow add.
template <class T>
__device__ __forceinline__ void store_inputs(const Gradients<T>& args, const GradientPlan& plan,
                                             const Part& part, int step, int b0,
                                             const GradientShared<T>& shared) {
  const Extent& extent = args.extent;
  const int each = plan.slots * kWide * kTile<T>;
  for (int e = static_cast<int>(threadIdx.x); e < each; e += plan.threads) {
    const int k = e % kWide, s = e / kWide % kTile<T>, slot = e / kWide / kTile<T>;
    const int i = input_at(args, shared.items, slot, step);
    if (i < 0 || part.k0 + k >= extent.input_size || b0 + s >= extent.batch) continue;
    const T* from = shared.sums + (slot * kWide + k) * kTile<T> + s;
    T sum = 0;
    for (int p = 0; p < plan.parts; ++p) sum += from[p * each];
    T* to =
        args.grad_u + (std::int64_t{b0 + s} * extent.inputs + i) * extent.input_size + part.k0 + k;
    *to = part.first_quad == 0 ? sum : *to + sum;
  }
}

template <class T>
__device__ __forceinline__ void store_weight(const Gradients<T>& args, const GradientPlan& plan,
                                             const Part& part, int item, int type, int quad,
                                             int column, const T (&sum)[kRows][kColumns]) {
  const Extent& extent = args.extent;
  const int index = part.first_quad + quad, K = extent.input_size;
  const int j = index / extent.quads(), d = index % extent.quads() * kRows;
  const std::int64_t each = extent.rows() * K;
  const bool whole = plan.pieces == 1;
  T* base = whole ? args.grad_weight : args.partial + item % plan.pieces * args.types.types * each;
  T* to = base + type * each + (std::int64_t{j} * extent.output_size + d) * K + part.k0 + column;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (d + r >= extent.output_size) continue;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      if (part.k0 + column + c >= K) continue;
      T* element = to + std::int64_t{r} * K + c;
      *element = args.add && whole ? *element + sum[r][c] : sum[r][c];
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kGradientThreads, 2)
    gradients_kernel(const __grid_constant__ Gradients<T> args,
                     const __grid_constant__ GradientPlan plan) {
  const Extent& extent = args.extent;
  const GradientShared<T> shared(plan, dynamic_shared<T>());
  const int thread = static_cast<int>(threadIdx.x);
  const int first_item = static_cast<int>(blockIdx.x) * plan.slots;
  if (thread < plan.slots) {
    const Item item = item_at(args, plan, first_item + thread);
    int* to = shared.items + thread * kItemInts;
    to[0] = item.type;
    to[1] = item.begin;
    to[2] = item.count;
  }
  __syncthreads();
  int steps = 0;
  for (int slot = 0; slot < plan.slots; ++slot) {
    const int count = shared.items[slot * kItemInts + 2];
    steps = count > steps ? count : steps;
  }
  const int column = thread % 2 * kColumns, quad = thread / 2 % plan.quads;
  const int slot = thread / 2 / plan.quads;
  const int all = extent.outputs * extent.quads();
  for (int k0 = 0; k0 < extent.input_size; k0 += kWide) {
    for (int first = 0; first < all; first += plan.quads) {
      const Part part{first, all - first < plan.quads ? all - first : plan.quads, k0};
      load_weights(args, plan, part, shared);
      T sum[kRows][kColumns] = {};
      for (int step = 0; step < steps; ++step) {
        for (int b0 = 0; b0 < extent.batch; b0 += kTile<T>) {
          load_tile(args, plan, part, step, b0, shared);
          __syncthreads();
          if (slot < plan.slots) add_to_weight(plan, shared, slot, quad, column, sum);
          pull_to_inputs(plan, shared);
          __syncthreads();
          store_inputs(args, plan, part, step, b0, shared);
        }
      }
      if (slot < plan.slots && first_item + slot < plan.items && quad < part.quads) {
        store_weight(args, plan, part, first_item + slot, shared.items[slot * kItemInts], quad,
                     column, sum);
      }
      __syncthreads();
    }
  }
}

// What pieces have left, summed in order.
template <class T>
struct Pieces {
  std::int64_t pieces, count;
  const T* partial;  // [pieces, count]
  bool add;
  T* to;  // [count]
};

template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    pieces_kernel(const __grid_constant__ Pieces<T> args) {
  for_numbers(args.count, [&](std::int64_t e) {
    T sum = args.add ? args.to[e] : T{0};
#pragma unroll 8
    for (std::int64_t p = 0; p < args.pieces; ++p) sum += args.partial[p * args.count + e];
    args.to[e] = sum;
  });
}

template <class T>
GradientPlan gradient_plan(const Extent& extent, std::int64_t types, std::int64_t pieces) {
  GradientPlan plan{};
  const std::int64_t all = std::int64_t{extent.outputs} * extent.quads();
  plan.quads = all < kGradientQuads ? static_cast<int>(all) : kGradientQuads;
  plan.parts = plan.quads < 4 ? 1 : plan.quads / 4;
  const int of_slot = 2 * (plan.quads < 4 ? 4 : plan.quads);  // threads
  plan.slots = 2;
  while (2 * plan.slots <= kMostSlots && 2 * plan.slots * of_slot <= kGradientThreads) {
    plan.slots *= 2;
  }
  plan.threads = (plan.slots * of_slot + kWarp - 1) / kWarp * kWarp;
  plan.pieces = static_cast<int>(pieces);
  plan.items = static_cast<int>(types * pieces);
  plan.quad_stride = plan.quads | 1;
  const GradientShared<T> ends(plan, nullptr);
  plan.bytes = reinterpret_cast<std::uintptr_t>(ends.items + plan.slots * kItemInts);
  return plan;
}

}  // namespace

template <class T>
std::int64_t pieces_of(const RoutingShape& shape, const CapsuleTypes& types) {
  if (types.type == nullptr || types.types == 0) return 1;
  const std::int64_t each = types.types * shape.rows() * shape.input_size;
  const std::int64_t room = kPartialBytes / static_cast<std::int64_t>(sizeof(T)) / each;
  const std::int64_t wanted = (kEnoughItems + types.types - 1) / types.types;
  const std::int64_t most = (shape.inputs + types.types - 1) / types.types;
  std::int64_t pieces = wanted < most ? wanted : most;
  pieces = pieces < room ? pieces : room;
  return pieces < 1 ? 1 : pieces;
}

template <class T>
void gradients(const Gradients<T>& args, std::int64_t pieces, cudaStream_t stream) {
  const GradientPlan plan = gradient_plan<T>(args.extent, args.types.types, pieces);
  allow_all_shared_memory(gradients_kernel<T>);
  launch("capsule_routing_gradients", gradients_kernel<T>,
         {(plan.items + plan.slots - 1) / plan.slots, plan.threads, plan.bytes}, stream, args,
         plan);
  if (pieces == 1) return;
  const std::int64_t count = args.types.types * args.extent.rows() * args.extent.input_size;
  launch_numbers("capsule_routing_pieces", pieces_kernel<T>, count, stream,
                 Pieces<T>{pieces, count, args.partial, args.add, args.grad_weight});
}

template std::int64_t pieces_of<float>(const RoutingShape&, const CapsuleTypes&);
template std::int64_t pieces_of<double>(const RoutingShape&, const CapsuleTypes&);
template void gradients<float>(const Gradients<float>&, std::int64_t, cudaStream_t);
template void gradients<double>(const Gradients<double>&, std::int64_t, cudaStream_t);

}  // namespace polyad::capsule::cuda
