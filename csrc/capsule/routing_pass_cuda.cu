#include <cuda_pipeline_primitives.h>

#include "capsule/routing_pass_cuda.hpp"
#include "capsule/routing_rows_cuda.cuh"
#include "common/cuda_check.hpp"

namespace polyad::capsule::cuda {
namespace {

using polyad::cuda::allow_all_shared_memory;
using polyad::cuda::dynamic_shared;
using polyad::cuda::kWarp;
using polyad::cuda::launch;

// Pairs of inputs after which the sum in registers goes to memory: 64 inputs, as on the CPU.
constexpr int kFold = 32;

// Vectors that a thread multiplies its votes with.
POLYAD_INLINE constexpr int vectors_of(Task task) {
  return task == Task::adjoint || task == Task::dots ? 2 : task == Task::route ? 1 : 0;
}

// Most threads of a block, of which two shall fit a processor's registers.
constexpr int threads_of(Task task) {
  return vectors_of(task) == 2 || task == Task::weigh ? 256 : 320;
}

// What a block works on.
struct Block {
  int chunk, first, last;  // inputs
  int sample;              // the first
  int capsule;             // the first

  template <class T>
  __device__ Block(const Pass<T>& pass, int item) {
    const Plan& plan = pass.plan;
    const int part = item / plan.sample_tiles;
    chunk = part / plan.tiles;
    first = chunk * plan.chunk;
    last = pass.extent.inputs - first < plan.chunk ? pass.extent.inputs : first + plan.chunk;
    sample = item % plan.sample_tiles * plan.groups() * kSamples<T>;
    capsule = part % plan.tiles * plan.capsules;
  }
};

// dst <- *src, or 0 where `there` is false, by the time of the next wait.
template <class T>
__device__ __forceinline__ void copy_later(T* dst, const T* src, bool there) {
  __pipeline_memcpy_async(dst, src, sizeof(T), there ? 0 : sizeof(T));
}

// Starts to load components k0 .. of u and of the weights of inputs i0 .. into a stage: weights as
// [input][k][row], inputs as [input][k][sample], so that neighbours in shared memory are
// neighbouring quads and samples. What lies outside becomes zero.
template <class T>
__device__ __forceinline__ void load_stage(const Pass<T>& pass, const Block& block, int i0, int k0,
                                           T* weights, T* inputs) {
  constexpr int kLoaded = kDepth<T>;
  const Extent& extent = pass.extent;
  const Plan& plan = pass.plan;
  const int K = extent.input_size, D = extent.output_size;
  const int here = static_cast<int>(threadIdx.x) % kLoaded;
  const int start = static_cast<int>(threadIdx.x) / kLoaded, step = plan.threads / kLoaded;
  const int k = k0 + here;
  const int width = plan.quads * kRows;
  const int rows = plan.capsules * width;
  const int left = (extent.outputs - block.capsule) * D;  // rows from the tile's first on
#pragma unroll 1
  for (int p = 0; p < kInputs; ++p) {
    const int i = block.first + i0 + p;
    const bool there = i < block.last && k < K;
    const std::int64_t type = there ? type_of(pass.type, pass.types, i) : 0;
    const T* weight = pass.weight + (type * extent.rows() + std::int64_t{block.capsule} * D) * K;
    T* to = weights + (p * kLoaded + here) * plan.row_stride;
    if (width == D) {
#pragma unroll 2
      for (int row = start; row < rows; row += step) {
        const bool real = there && row < left;
        copy_later(to + row, weight + (real ? std::int64_t{row} * K + k : 0), real);
      }
    } else {
#pragma unroll 2
      for (int row = start; row < rows; row += step) {
        const int capsule = row / width, d = plan.first + row % width;
        const bool real = there && block.capsule + capsule < extent.outputs && d < D;
        copy_later(to + row, weight + (real ? (std::int64_t{capsule} * D + d) * K + k : 0), real);
      }
    }
    T* column = inputs + (p * kLoaded + here) * plan.sample_stride;
#pragma unroll 1
    for (int s = start; s < plan.groups() * kSamples<T>; s += step) {
      const int b = block.sample + s;
      const bool real = there && b < extent.batch;
      copy_later(column + s, pass.u + (real ? (std::int64_t{b} * extent.inputs + i) * K + k : 0),
                 real);
    }
  }
}

// The quad of this thread.
template <class T>
struct Quad {
  bool there;  // not past the last capsule
  int index;   // in the tile
  int group;
  int local, capsule;  // in the tile, and of all
  bool leads;          // the first quad of its capsule
  int d, count;        // components d .. d + count - 1; none past the last capsule
  int sample;

  __device__ Quad(const Pass<T>& pass, const Block& block) {
    const Plan& plan = pass.plan;
    group = static_cast<int>(threadIdx.x) & (plan.groups() - 1);
    index = static_cast<int>(threadIdx.x) >> plan.group_bits;
    local = index / plan.quads;
    capsule = block.capsule + local;
    leads = index % plan.quads == 0;
    d = plan.first + index % plan.quads * kRows;
    const int left = pass.extent.output_size - d;
    there = local < plan.capsules && capsule < pass.extent.outputs && left > 0;
    count = !there ? 0 : left < kRows ? left : kRows;
    sample = block.sample + group * kSamples<T>;
  }
};

// votes += what the components of a stage add to them.
template <class T>
__device__ __forceinline__ void multiply(const T* weights, const T* inputs, const Plan& plan,
                                         const Quad<T>& quad, Patch<T> (&votes)[kInputs]) {
  const T* row = weights + quad.index * kRows;
  const T* column = inputs + quad.group * kSamples<T>;
#pragma unroll
  for (int p = 0; p < kInputs; ++p) {
#pragma unroll
    for (int k = 0; k < kDepth<T>; ++k) {
      const int at = p * kDepth<T> + k;
      const auto w = *reinterpret_cast<const Pack<T, kRows>*>(row + at * plan.row_stride);
      const auto x =
          *reinterpret_cast<const Pack<T, kSamples<T>>*>(column + at * plan.sample_stride);
#pragma unroll
      for (int s = 0; s < kSamples<T>; ++s) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) votes[p].at[s][r] += x.value[s] * w.value[r];
      }
    }
  }
}

// The sum of the parts of a dot, which lie `stride` apart.
template <class T>
__device__ __forceinline__ T whole_dot(const T* parts, int quads, int stride) {
  T sum = parts[0];
#pragma unroll 1
  for (int q = 1; q < quads; ++q) sum += parts[q * stride];
  return sum;
}

// Couplings of the inputs i .. of a stage for all samples, from the parts of dots; adjoint: behind
// them l'. Each softmax belongs to a few neighbouring lanes, which share its capsules.
template <class T, Task task>
__device__ __forceinline__ void couple(const Pass<T>& pass, const Block& block, int i0, T* shared) {
  constexpr int kVectors = vectors_of(task);
  const Plan& plan = pass.plan;
  const int J = pass.extent.outputs, quads = plan.quads, stride = plan.sample_stride;
  const int samples = plan.groups() * kSamples<T>, lanes = plan.lanes();
  const int lane = static_cast<int>(threadIdx.x) & (lanes - 1);
  const int per_round = plan.threads >> plan.lane_bits;
  for (int round = 0; round < kInputs * samples; round += per_round) {
    // a warp goes on as one, past the last sample too
    const int own = round + (static_cast<int>(threadIdx.x) >> plan.lane_bits);
    const int s = own & (samples - 1), p = own < samples ? 0 : own < 2 * samples ? 1 : kInputs;
    const int i = block.first + i0 + p, b = block.sample + s;
    const bool there = p < kInputs && i < block.last;
    const int begin = there ? lane : J;
    const T* dots = shared + plan.dots_at + p * kVectors * J * quads * stride + s;
    T* c = shared + plan.couplings_at + p * kVectors * J * stride + s;
    T most = pass.leaky || !there ? T{0} : kLowest<T>;
#pragma unroll 1
    for (int j = begin; j < J; j += lanes) {
      T l = whole_dot(dots + j * quads * stride, quads, stride);
      if (pass.logits != nullptr) l += pass.logits[std::int64_t{i} * J + j];
      c[j * stride] = l;
      most = l > most ? l : most;
    }
    most = over_lanes(most, lanes, [](T a, T b) { return a > b ? a : b; });
    T sum = pass.leaky && lane == 0 ? exp_of(T{0} - most) : T{0};
#pragma unroll 1
    for (int j = begin; j < J; j += lanes) {
      const T x = exp_of(c[j * stride] - most);
      c[j * stride] = x;
      sum += x;
    }
    const T scale = 1 / sum_over_lanes(sum, lanes);
#pragma unroll 1
    for (int j = begin; j < J; j += lanes) {
      const T x = c[j * stride] * scale;
      c[j * stride] = x;
      if (pass.couplings != nullptr && b < pass.extent.batch) {
        pass.couplings[(std::int64_t{b} * pass.extent.inputs + i) * J + j] = x;
      }
    }
    if constexpr (task == Task::adjoint) {
      const T* edges = dots + J * quads * stride;
      T* l = c + J * stride;
      T mean = 0;
#pragma unroll 1
      for (int j = begin; j < J; j += lanes) {
        const T e = whole_dot(edges + j * quads * stride, quads, stride);
        l[j * stride] = e;
        mean += c[j * stride] * e;
      }
      mean = sum_over_lanes(mean, lanes);
#pragma unroll 1
      for (int j = begin; j < J; j += lanes) {
        l[j * stride] = c[j * stride] * (l[j * stride] - mean);
      }
    }
  }
}

// Dots of the inputs i0 .. of a stage, whole at last, with the prior logits or with what an earlier
// tile of the same capsule has left.
template <class T>
__device__ __forceinline__ void keep_dots(const Pass<T>& pass, const Quad<T>& quad,
                                          const Block& block, int i0, int vectors, const T* parts) {
  using Factors = Pack<T, kSamples<T>>;
  if (!quad.there || !quad.leads || quad.sample >= pass.extent.batch) return;
  const Plan& plan = pass.plan;
  const int of_vector = plan.capsules * plan.quads * plan.sample_stride;
  for (int n = 0; n < kInputs * vectors; ++n) {
    const int i = block.first + i0 + n / vectors;
    if (i >= block.last) continue;
    const bool is_first = n % vectors == 0;
    const std::int64_t connection = std::int64_t{i} * pass.extent.outputs + quad.capsule;
    T* to = (is_first ? pass.kept : pass.kept_second) + connection * pass.pitch + quad.sample;
    const T* from = parts + n * of_vector;
    const T prior = is_first && pass.logits != nullptr ? pass.logits[connection] : T{0};
    Factors dot;
#pragma unroll
    for (int s = 0; s < kSamples<T>; ++s) {
      const T before = plan.first == 0 ? prior : to[s];
      dot.value[s] = before + whole_dot(from + s, plan.quads, plan.sample_stride);
    }
    *reinterpret_cast<Factors*>(to) = dot;
  }
}

template <class T, Task task, bool given>
__device__ __forceinline__ void run_block(const Pass<T>& pass, const Block& block, T* shared) {
  constexpr int kVectors = vectors_of(task);
  constexpr bool kDots = kVectors > 0;
  using Factors = Pack<T, kSamples<T>>;
  const Extent& extent = pass.extent;
  const Plan& plan = pass.plan;
  const std::int64_t rows = extent.rows();
  const int B = extent.batch;
  const bool whole = extent.output_size % kRows == 0;
  const Quad<T> quad(pass, block);
  const std::int64_t row = std::int64_t{quad.capsule} * extent.output_size + quad.d;
  const int stride = plan.sample_stride, capsules = plan.capsules;
  const int vectors = task == Task::dots && pass.second == nullptr ? 1 : kVectors;

  Patch<T> first, second, votes[kInputs], sum;
  if constexpr (kDots) {
    first.clear();
    if (pass.first != nullptr) {
      first.load(pass.first + row, rows, quad.sample, B, quad.count, whole);
    }
  }
  if constexpr (kVectors == 2) {
    second.clear();
    if (pass.second != nullptr) {
      second.load(pass.second + row, rows, quad.sample, B, quad.count, whole);
    }
  }
  // What would not fit the registers.
  if constexpr (task == Task::route) first.keep(shared + plan.own_at);
  if constexpr (task == Task::adjoint) second.keep(shared + plan.own_at);
  sum.clear();
  votes[0].clear();
  votes[1].clear();

  const int slices = given ? 1 : (extent.input_size + kDepth<T> - 1) / kDepth<T>;
  const int pairs = (block.last - block.first + kInputs - 1) / kInputs;
  int stage = 1;
  // One round before the first only loads.
  for (int pair = given ? 0 : -1; pair < pairs; ++pair) {
    const int i0 = pair * kInputs;
    Factors factors[kInputs];
    if constexpr (task == Task::weigh) {
#pragma unroll
      for (int p = 0; p < kInputs; ++p) {
        const int i = block.first + i0 + p;
        const bool there = quad.there && pair >= 0 && i < block.last && quad.sample < B;
        factors[p] =
            there ? *reinterpret_cast<const Factors*>(
                        pass.kept + (std::int64_t{i} * extent.outputs + quad.capsule) * pass.pitch +
                        quad.sample)
                  : Factors{};
      }
    }
    if constexpr (task != Task::sum) {
      votes[0].clear();
      votes[1].clear();
    }
    if constexpr (given) {
#pragma unroll
      for (int p = 0; p < kInputs; ++p) {
        const int i = block.first + i0 + p;
        if (i >= block.last) continue;
        const T* from = pass.votes + std::int64_t{i} * rows + row;
        const std::int64_t of_sample = extent.inputs * rows;
        if constexpr (task == Task::sum) {
          Patch<T> loaded;
          loaded.load(from, of_sample, quad.sample, B, quad.count, pass.aligned);
          votes[p].add(loaded);
        } else {
          votes[p].load(from, of_sample, quad.sample, B, quad.count, pass.aligned);
        }
      }
    }
    for (int slice = pair < 0 ? slices - 1 : 0; slice < slices && !given; ++slice, stage ^= 1) {
      __pipeline_wait_prior(0);
      __syncthreads();
      const bool next_pair = slice + 1 == slices;
      if (!next_pair || pair + 1 < pairs) {
        load_stage(pass, block, next_pair ? i0 + kInputs : i0,
                   next_pair ? 0 : (slice + 1) * kDepth<T>, shared + (stage ^ 1) * plan.of_weights,
                   shared + plan.inputs_at + (stage ^ 1) * plan.of_inputs);
        __pipeline_commit();
      }
      if (quad.there && pair >= 0) {
        multiply(shared + stage * plan.of_weights, shared + plan.inputs_at + stage * plan.of_inputs,
                 plan, quad, votes);
      }
    }
    if (pair < 0) continue;
    if constexpr (kDots) {
      T* parts = shared + plan.dots_at + quad.index * stride + quad.group * kSamples<T>;
      const int of_vector = capsules * plan.quads * stride;
      if (quad.local < plan.capsules) {  // also where a tile is wider than what is left
#pragma unroll
        for (int p = 0; p < kInputs; ++p) {
          T* to = parts + p * vectors * of_vector;
          if constexpr (task == Task::route) {
            *reinterpret_cast<Factors*>(to) = votes[p].dot(shared + plan.own_at);
          } else {
            *reinterpret_cast<Factors*>(to) = votes[p].dot(first);
          }
          if constexpr (kVectors == 2) {
            if constexpr (task == Task::adjoint) {
              *reinterpret_cast<Factors*>(to + of_vector) = votes[p].dot(shared + plan.own_at);
            } else if (vectors == 2) {
              *reinterpret_cast<Factors*>(to + of_vector) = votes[p].dot(second);
            }
          }
        }
      }
      __syncthreads();
      if constexpr (task == Task::dots) {
        keep_dots(pass, quad, block, i0, vectors, parts);
      } else {
        couple<T, task>(pass, block, i0, shared);
      }
      __syncthreads();
    }
    if constexpr (task == Task::route || task == Task::adjoint) {
      if (quad.there) {
        const T* couplings =
            shared + plan.couplings_at + quad.local * stride + quad.group * kSamples<T>;
#pragma unroll
        for (int p = 0; p < kInputs; ++p) {
          const T* c = couplings + p * kVectors * capsules * stride;
          factors[p] = *reinterpret_cast<const Factors*>(c + (kVectors - 1) * capsules * stride);
          const int i = block.first + i0 + p;
          if (i >= block.last) {
            factors[p] = Factors{};
          } else if (task == Task::adjoint && quad.leads && quad.sample < B) {
            const std::int64_t at =
                (std::int64_t{i} * extent.outputs + quad.capsule) * pass.pitch + quad.sample;
            *reinterpret_cast<Factors*>(pass.kept + at) = *reinterpret_cast<const Factors*>(c);
            *reinterpret_cast<Factors*>(pass.kept_second + at) = factors[p];
          }
        }
      }
    }
    if constexpr (task != Task::dots) {
      if constexpr (task != Task::sum) {
        if (quad.there) {
          sum.add(factors[0], votes[0]);
          sum.add(factors[1], votes[1]);
        }
      }
      const bool last = pair + 1 == pairs;
      if (pass.partial != nullptr && (last || pair % kFold == kFold - 1)) {
        if constexpr (task == Task::sum) {
          Factors factor;
#pragma unroll
          for (int s = 0; s < kSamples<T>; ++s) factor.value[s] = pass.factor;
#pragma unroll
          for (int p = 0; p < kInputs; ++p) {
            sum.add(factor, votes[p]);
            votes[p].clear();
          }
        }
        T* to = pass.partial + std::int64_t{block.chunk} * B * rows + row;
        if (pair >= kFold) {
          Patch<T> before;
          before.load(to, rows, quad.sample, B, quad.count, whole);
          sum.add(before);
        }
        if (quad.there) sum.store(to, rows, quad.sample, B, quad.count, whole);
        sum.clear();
      }
    }
  }
}

template <class T, Task task, bool given>
__global__ void __launch_bounds__(threads_of(task), 2)
    pass_kernel(const __grid_constant__ Pass<T> pass) {
  run_block<T, task, given>(pass, Block(pass, static_cast<int>(blockIdx.x)), dynamic_shared<T>());
}

// Strides that put what the lanes of a warp touch together into different banks.
template <class T>
void set_strides(const Extent& extent, bool given, Task task, Plan& plan) {
  constexpr int kBanks = 128 / static_cast<int>(sizeof(T));
  constexpr int kSkew = 16 / static_cast<int>(sizeof(T));
  const int quads = plan.capsules * plan.quads;
  plan.row_stride = (quads * kRows + kBanks - 1) / kBanks * kBanks + kSkew;
  plan.sample_stride = plan.groups() * kSamples<T> + kSkew;
  plan.of_weights = given ? 0 : kInputs * kDepth<T> * plan.row_stride;
  plan.of_inputs = given ? 0 : kInputs * kDepth<T> * plan.sample_stride;
  plan.inputs_at = 2 * plan.of_weights;
  plan.dots_at = plan.inputs_at + 2 * plan.of_inputs;
  const int vectors = kInputs * vectors_of(task) * plan.sample_stride;
  plan.couplings_at = plan.dots_at + vectors * quads;
  const bool couples = task == Task::route || task == Task::adjoint;
  plan.own_at = plan.couplings_at + (couples ? vectors * extent.outputs : 0);
  plan.bytes = sizeof(T) * (plan.own_at + (couples ? kRows * kSamples<T> * plan.threads : 0));
}

// Blocks to wish for: two on each of the processors of the largest devices.
constexpr std::int64_t kEnoughBlocks = 256;

template <class T>
Plan plan_of(const Extent& extent, bool given, Task task, bool in_block) {
  Plan plan{};
  plan.chunk = chunk_of(extent.inputs);
  plan.chunks = chunks_of(extent.inputs);
  const int width = extent.quads();
  plan.quads = in_block || width < kTileQuads ? width : kTileQuads;
  plan.capsules = in_block ? extent.outputs : kTileQuads / plan.quads;
  if (plan.capsules > extent.outputs) plan.capsules = extent.outputs;
  plan.tiles = (extent.outputs + plan.capsules - 1) / plan.capsules;
  const int quads = plan.capsules * plan.quads;
  const auto tiles_of = [&](int groups) {
    const int samples = groups * kSamples<T>;
    return (extent.batch + samples - 1) / samples;
  };
  while (plan.groups() < kWarp && 2 * plan.groups() * quads <= threads_of(task) &&
         tiles_of(2 * plan.groups()) < tiles_of(plan.groups()) &&
         (plan.groups() < 2 ||
          std::int64_t{plan.chunks} * plan.tiles * tiles_of(2 * plan.groups()) >= kEnoughBlocks)) {
    ++plan.group_bits;
  }
  plan.sample_tiles = tiles_of(plan.groups());
  plan.threads = (quads * plan.groups() + kWarp - 1) / kWarp * kWarp;
  // As many as make one round, which does not depend on the batch: a softmax sums in their order.
  while (plan.lanes() < kWarp && plan.lanes() < extent.outputs &&
         2 * plan.lanes() * kInputs * kSamples<T> <= quads) {
    ++plan.lane_bits;
  }
  set_strides<T>(extent, given, task, plan);
  return plan;
}

template <class T, Task task>
void launch_pass(const Pass<T>& pass, cudaStream_t stream) {
  const auto kernel =
      pass.votes != nullptr ? pass_kernel<T, task, true> : pass_kernel<T, task, false>;
  allow_all_shared_memory(kernel);
  launch("capsule_routing", kernel, {pass.plan.items(), pass.plan.threads, pass.plan.bytes}, stream,
         pass);
}

}  // namespace

template <class T>
bool fits_block(const Extent& extent, bool given) {
  // What every device since sm_80 gives a block.
  constexpr std::size_t kBytes = std::size_t{96} << 10;
  if (std::int64_t{extent.outputs} * extent.quads() > kMostQuads) return false;
  Extent full = extent;
  full.batch = 1 << 20;  // the widest block: whether it fits must not depend on B
  return plan_of<T>(full, given, Task::adjoint, true).bytes <= kBytes;
}

template <class T>
void run_pass(Pass<T> pass, Task task, cudaStream_t stream) {
  if (pass.extent.batch == 0) return;
  const bool given = pass.votes != nullptr;
  const bool in_block = fits_block<T>(pass.extent, given);
  pass.plan = plan_of<T>(pass.extent, given, task, in_block);
  constexpr std::uintptr_t kWhole = 16;
  pass.aligned = pass.extent.output_size % kRows == 0 &&
                 reinterpret_cast<std::uintptr_t>(pass.votes) % kWhole == 0;
  // A capsule wider than a tile: one launch after the other.
  const int width = pass.plan.quads * kRows;
  for (pass.plan.first = 0; pass.plan.first < pass.extent.output_size; pass.plan.first += width) {
    switch (task) {
      case Task::sum: launch_pass<T, Task::sum>(pass, stream); break;
      case Task::route: launch_pass<T, Task::route>(pass, stream); break;
      case Task::adjoint: launch_pass<T, Task::adjoint>(pass, stream); break;
      case Task::dots: launch_pass<T, Task::dots>(pass, stream); break;
      case Task::weigh: launch_pass<T, Task::weigh>(pass, stream); break;
    }
  }
}

template bool fits_block<float>(const Extent&, bool);
template bool fits_block<double>(const Extent&, bool);
template void run_pass<float>(Pass<float>, Task, cudaStream_t);
template void run_pass<double>(Pass<double>, Task, cudaStream_t);

}  // namespace polyad::capsule::cuda
