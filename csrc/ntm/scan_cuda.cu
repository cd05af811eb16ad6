#include <atomic>
#include <climits>

#include "common/check.hpp"
#include "ntm/scan_cuda.cuh"

namespace polyad::ntm::cuda {
namespace {

using polyad::cuda::Columns;
using polyad::cuda::rows_product;
using polyad::cuda::RowsProduct;
using polyad::cuda::Sequences;

std::atomic<int> chosen_placement{0};

// What a block works on in one step: where the arrays begin among its vectors.
template <class T>
struct Work {
  std::int64_t x;      // [r, h of layer 0, h of layer 1 ..]: a product's vector is one piece of it
  std::int64_t cells;  // [L, H]
  std::int64_t partial;  // [partial_size]
  std::int64_t heads;    // [P]
  std::int64_t weights;  // [K, N]
  std::int64_t cosine;   // [K, N], then logs
  std::int64_t mixed;    // [K, N]
  std::int64_t size;

  explicit Work(const ScanShape& shape) {
    Cutter<T> cutter;
    x = cutter.take(shape.read_size() + shape.layers * shape.hidden);
    cells = cutter.take(shape.lstm ? shape.layers * shape.hidden : 0);
    partial = cutter.take(partial_size<T, false>(shape));
    heads = cutter.take(shape.head_outputs());
    weights = cutter.take(shape.heads() * shape.rows);
    cosine = cutter.take(shape.heads() * shape.rows);
    mixed = cutter.take(shape.heads() * shape.rows);
    size = cutter.used;
  }
};

template <class T>
std::int64_t memories_size(const ScanShape& shape) {
  return vectors<T>(shape.width * memory_stride(shape.rows));
}

// Where the pieces of ScanArgs::scratch begin. What the record holds is not kept twice.
template <class T>
struct Scratch {
  std::int64_t packed;
  std::int64_t projected;  // [B, T, G]
  std::int64_t hidden;     // [B, T + 1, H] of the top layer
  std::int64_t reads;      // [B, T + 1, R M]
  std::int64_t workspace;  // [scan_blocks, work and memory]
  std::int64_t size;

  Scratch(const ScanShape& shape, bool recorded) {
    Cutter<T> cutter;
    const std::int64_t rows = shape.batch * (shape.steps + 1);
    packed = cutter.take(StepMatrices<T, false>(shape).size);
    projected = cutter.take(recorded && shape.lstm ? 0 : rows * shape.gates());
    hidden = cutter.take(recorded ? 0 : rows * shape.hidden);
    reads = cutter.take(recorded ? 0 : rows * shape.read_size());
    workspace = cutter.take(scan_blocks(shape) * (Work<T>(shape).size + memories_size<T>(shape)));
    size = cutter.used;
  }
};

template <class T>
struct ScanKernel {
  ScanArgs<T> args;
  Work<T> work;
  Layout layout;
  StepMatrices<T, false> matrices;
  const T* packed;
  const T* projected;  // may be args.record.gates
  T* hidden;           // of the top layer
  T* reads;
  T* workspace;
};

template <class T>
__device__ __forceinline__ bool finite(T value) {
  return value - value == T{0};
}

// Whether this thread's share of an array holds a number that is not finite.
template <class T>
__device__ bool any_bad(const T* p, std::int64_t count) {
  bool bad = false;
  for (std::int64_t i = thread_rank(); i < count; i += block_threads()) bad = bad || !finite(p[i]);
  return bad;
}

// The activation of column c of the heads' parameters, from the sums of all columns.
template <class T>
__device__ __forceinline__ T activated(const ScanShape& shape, const StepMatrix& matrix,
                                       const T* partial, int c, int offset) {
  const HeadLayout part = head_layout(shape.width, shape.shifts);
  const auto sum = [&](int column) { return column_sum(matrix, partial, column); };
  const T value = sum(c);
  if (offset < part.beta || offset >= part.add) return shape.tanh_heads ? tanh_of(value) : value;
  if (offset == part.beta) return softplus_of(value);
  if (offset == part.gate || offset >= part.erase) return sigmoid_of(value);
  if (offset == part.gamma) return 1 + softplus_of(value);
  // a softmax: every column of the kernel takes all of them
  const int first = c - (offset - static_cast<int>(part.kernel));
  const int end = first + static_cast<int>(shape.shifts);
  T most = value;
  for (int j = first; j < end; ++j) {
    const T other = sum(j);
    most = most < other ? other : most;
  }
  T all = 0;
  for (int j = first; j < end; ++j) all += exp_of(sum(j) - most);
  return exp_of(value - most) / all;
}

template <bool Shared, class T>
__device__ void scan_sequence(const ScanKernel<T>& kernel, const Places<T>& place,
                              const PackedWeights<T>& packed, std::int64_t b) {
  const ScanArgs<T>& args = kernel.args;
  const ScanShape& shape = args.shape;
  const ScanRecord<T>& record = args.record;
  T* x = place.vectors + kernel.work.x;
  T* cells = place.vectors + kernel.work.cells;
  T* partial = place.vectors + kernel.work.partial;
  T* parameters = place.vectors + kernel.work.heads;
  T* weights = place.vectors + kernel.work.weights;
  T* cosine = place.vectors + kernel.work.cosine;
  T* mixed = place.vectors + kernel.work.mixed;
  T* memory = place.memories;
  const Heads<T> heads = heads_of<T>(shape);
  const MemoryShape memory_shape{heads.rows, heads.stride, heads.width};
  const std::int64_t steps = shape.steps, length = length_of(shape, args.lengths, b);
  const int H = static_cast<int>(shape.hidden), G = static_cast<int>(shape.gates());
  const int RM = static_cast<int>(shape.read_size()), P = static_cast<int>(shape.head_outputs());
  const int KN = heads.count * heads.rows, L = static_cast<int>(shape.layers);
  const auto layer_row = [&](int l, std::int64_t t) {
    return ((l * shape.batch + b) * (steps + 1) + t) * H;
  };

  load_memory(heads, args.state.memory + b * heads.rows * heads.width, memory);
  copy(x, args.state.reads + b * RM, RM);
  copy(weights, args.state.weights + b * KN, KN);
  for (int l = 0; l < L; ++l) {
    const std::int64_t at = (l * shape.batch + b) * H;
    copy(x + RM + l * H, shape.lstm ? args.state.h + at : nullptr, H);
    if (shape.lstm) copy(cells + l * H, args.state.c + at, H);
    if (record.hidden != nullptr) {
      copy(record.hidden + layer_row(l, 0), shape.lstm ? args.state.h + at : nullptr, H);
    }
    if (record.cells != nullptr) copy(record.cells + layer_row(l, 0), args.state.c + at, H);
  }
  copy(kernel.reads + b * (steps + 1) * RM, args.state.reads + b * RM, RM);
  if (record.weights != nullptr) {
    copy(record.weights + b * (steps + 1) * KN, args.state.weights + b * KN, KN);
  }
  Team<T> team(heads.rows, heads.count, place.slots);
  // Gates saturate at infinity: outputs are finite then, gradients are not.
  bool starts_bad = any_bad(args.state.memory + b * heads.rows * heads.width,
                            static_cast<std::int64_t>(heads.rows) * heads.width) ||
                    any_bad(args.state.reads + b * RM, RM) ||
                    any_bad(args.state.weights + b * KN, KN);
  for (int l = 0; shape.lstm && l < L; ++l) {
    const std::int64_t at = (l * shape.batch + b) * H;
    starts_bad = starts_bad || any_bad(args.state.h + at, H) || any_bad(args.state.c + at, H);
  }
  std::int32_t status = __syncthreads_or(starts_bad) ? 1 : 0;

  for (std::int64_t t = 0; t < length; ++t) {
    bool bad = false;
    if (record.memory != nullptr && t % record.stride == 0) {
      const int padded = static_cast<int>(whole_lines<T>(shape.rows));
      const std::int64_t row = b * scan_checkpoints(steps, record.stride) + t / record.stride;
      T* to = record.memory + row * heads.width * padded;
      for (int m = warp_rank(); m < heads.width; m += block_warps()) {
        for (int i = lane_rank(); i < padded; i += kWarp) {
          to[m * padded + i] = i < heads.rows ? memory[m * heads.stride + i] : T{0};
        }
      }
    }

    // controller
    const T* projected = kernel.projected + (b * steps + t) * G;
    for (int l = 0; l < L; ++l) {
      const StepMatrix& matrix = kernel.matrices.of[l];
      const T* bias = l == 0 ? projected : packed.global + kernel.matrices.bias[l];
      T* h = x + RM + l * H;
      multiply(matrix, packed, bias, l == 0 ? x : h - H, partial);
      __syncthreads();
      for (int j = thread_rank(); j < H; j += block_threads()) {
        const auto sum = [&](int c) { return column_sum(matrix, partial, c); };
        T value;
        if (shape.lstm) {
          LstmGates<T> gates{sum(j), sum(H + j), sum(2 * H + j), sum(3 * H + j)};
          T cell = cells[l * H + j];
          value = lstm_unit(gates, cell);
          cells[l * H + j] = cell;
          if (record.gates != nullptr) {
            T* to = record.gates + ((l * shape.batch + b) * steps + t) * G;
            to[j] = gates.i;
            to[H + j] = gates.f;
            to[2 * H + j] = gates.g;
            to[3 * H + j] = gates.o;
          }
          if (record.cells != nullptr) record.cells[layer_row(l, t + 1) + j] = cell;
        } else {
          value = tanh_of(sum(j));
        }
        h[j] = value;
        bad = bad || !finite(value);
        if (record.hidden != nullptr) record.hidden[layer_row(l, t + 1) + j] = value;
        if (l == L - 1) kernel.hidden[(b * (steps + 1) + t + 1) * H + j] = value;
      }
      __syncthreads();
    }

    // heads
    const StepMatrix& matrix = kernel.matrices.of[L];
    multiply(matrix, packed, packed.global + kernel.matrices.bias[L], x + RM + (L - 1) * H,
             partial);
    __syncthreads();
    for (int c = thread_rank(); c < P; c += block_threads()) {
      const T value = activated(shape, matrix, partial, c, part_of(shape, c));
      parameters[c] = value;
      bad = bad || !finite(value);
      if (record.heads != nullptr) record.heads[(b * steps + t) * P + c] = value;
    }
    __syncthreads();
    similarities<T>(memory, heads, parameters, cosine, nullptr, nullptr);
    __syncthreads();
    const Trails<T> trails{cosine, mixed, mixed, cosine, nullptr, nullptr, nullptr};
    weights_of<T>(heads, parameters, trails, weights, weights, team);
    __syncthreads();

    // memory
    if (record.weights != nullptr) {
      copy(record.weights + (b * (steps + 1) + t + 1) * KN, weights, KN);
    }
    T* reads = kernel.reads + (b * (steps + 1) + t + 1) * RM;
    write_and_read(memory, memory_shape, write_heads_of(shape, heads, parameters, weights), weights,
                   heads.reads, shape.read_first, [&](int r, int m, T value) {
                     const int at = r * heads.width + m;
                     x[at] = value;
                     reads[at] = value;
                     bad = bad || !finite(value);
                   });
    if (__syncthreads_or(bad) && status == 0) status = static_cast<std::int32_t>(t + 1);
  }

  // the last state; zeros in what is left of the record
  if (thread_rank() == 0) args.status[b] = status;
  store_memory(heads, memory, args.last.memory + b * heads.rows * heads.width);
  copy(args.last.reads + b * RM, x, RM);
  copy(args.last.weights + b * KN, weights, KN);
  const std::int64_t rest = steps - length;
  const auto clear = [](T* to, std::int64_t count) { copy<T>(to, nullptr, count); };
  for (int l = 0; l < L; ++l) {
    const std::int64_t at = (l * shape.batch + b) * H;
    if (shape.lstm) {
      copy(args.last.h + at, x + RM + l * H, H);
      copy(args.last.c + at, cells + l * H, H);
    }
    if (record.hidden != nullptr) clear(record.hidden + layer_row(l, length + 1), rest * H);
    if (record.cells != nullptr) clear(record.cells + layer_row(l, length + 1), rest * H);
    if (record.gates != nullptr) {
      clear(record.gates + ((l * shape.batch + b) * steps + length) * G, rest * G);
    }
  }
  if (record.heads != nullptr) clear(record.heads + (b * steps + length) * P, rest * P);
  if (record.weights != nullptr) {
    clear(record.weights + (b * (steps + 1) + length + 1) * KN, rest * KN);
  }
  if (record.reads != nullptr) {
    clear(record.reads + (b * (steps + 1) + length + 1) * RM, rest * RM);
  }
  if (record.memory != nullptr) {
    const std::int64_t all = scan_checkpoints(steps, record.stride);
    const std::int64_t taken = scan_checkpoints(length, record.stride);
    const std::int64_t each = heads.width * whole_lines<T>(shape.rows);
    clear(record.memory + (b * all + taken) * each, (all - taken) * each);
  }
  __syncthreads();
}

template <bool Shared, class T>
__global__ void __launch_bounds__(kScanThreads, 1)
    scan_kernel(const __grid_constant__ ScanKernel<T> kernel) {
  const Places<T> place = places<Shared>(kernel.layout, kernel.workspace);
  const PackedWeights<T> packed{kernel.packed, place.cache, kernel.layout.cached};
  fill_cache(packed, place.cache);
  for (std::int64_t b = blockIdx.x; b < kernel.args.shape.batch; b += gridDim.x) {
    scan_sequence<Shared>(kernel, place, packed, b);
  }
}

// status [B]: the first step whose inputs or outputs are not finite, if it comes before the one
// that is there. Apart from the time loop, which would wait for the inputs.
template <class T>
__global__ void __launch_bounds__(kScanThreads) ends_status_kernel(const ScanArgs<T> args) {
  __shared__ int first;
  const ScanShape& shape = args.shape;
  for (std::int64_t b = blockIdx.x; b < shape.batch; b += gridDim.x) {
    if (thread_rank() == 0) first = INT_MAX;
    __syncthreads();
    const std::int64_t length = length_of(shape, args.lengths, b);
    const auto look_at = [&](const T* p, std::int64_t columns) {
      for (std::int64_t i = thread_rank(); i < length * columns; i += block_threads()) {
        if (finite(p[i])) continue;
        atomicMin(&first, static_cast<int>(i / columns));  // of integers: the order is no matter
        break;  // the next ones of this thread come later
      }
    };
    look_at(args.inputs + b * shape.steps * shape.inputs, shape.inputs);
    look_at(args.outputs + b * shape.steps * shape.outputs, shape.outputs);
    __syncthreads();
    if (thread_rank() == 0 && first != INT_MAX) {
      const std::int32_t status = args.status[b];
      if (status == 0 || status > first + 1) args.status[b] = first + 1;
    }
    __syncthreads();
  }
}

template <class T>
void scan_any(const ScanArgs<T>& args, cudaStream_t stream) {
  constexpr const char* name = "ntm_scan";
  const ScanShape& shape = args.shape;
  const ScanRecord<T>& record = args.record;
  if (shape.batch == 0) return;
  const bool recorded = record.hidden != nullptr;
  const Scratch<T> scratch(shape, recorded);
  const Work<T> work(shape);
  require(args.scratch != nullptr, "ntm_scan: scratch: expected scan_scratch elements, got none");
  require(shape.batch * shape.steps < (std::int64_t{1} << 31),
          "ntm_scan: inputs: expected B T below 2^31");

  T* packed = args.scratch + scratch.packed;
  const StepMatrices<T, false> matrices(shape);
  ScanKernel<T> kernel{args,     work,    {},
                       matrices, packed,  nullptr,
                       nullptr,  nullptr, args.scratch + scratch.workspace};
  T* projected = record.gates != nullptr ? record.gates : args.scratch + scratch.projected;
  kernel.projected = projected;
  kernel.hidden =
      recorded ? record.hidden + (shape.layers - 1) * shape.batch * (shape.steps + 1) * shape.hidden
               : args.scratch + scratch.hidden;
  kernel.reads = recorded ? record.reads : args.scratch + scratch.reads;
  kernel.layout = layout_for<T>(work.size, memories_size<T>(shape), matrices.size);

  pack(name, shape, args.parameters, matrices, packed, stream);
  const Sequences sequences{shape.batch, shape.steps, args.lengths};
  const auto inputs = static_cast<int>(shape.inputs);
  rows_product(
      name,
      RowsProduct<T>{sequences,
                     {{{args.inputs, inputs, shape.steps * shape.inputs, shape.inputs}}, 1},
                     {args.parameters.weight_ih[0], 1, shape.layer_inputs(0)},
                     static_cast<int>(shape.gates()),
                     args.parameters.bias_ih[0],
                     args.parameters.bias_hh[0],
                     projected},
      stream);
  const auto run = [&](auto* scan_kernel_of) {
    allow_all_shared_memory(scan_kernel_of);
    launch(name, scan_kernel_of,
           {scan_blocks(shape), kScanThreads, static_cast<std::size_t>(kernel.layout.bytes)},
           stream, kernel);
  };
  kernel.layout.all_shared ? run(scan_kernel<true, T>) : run(scan_kernel<false, T>);

  const std::int64_t H = shape.hidden, RM = shape.read_size(), rows = shape.steps + 1;
  rows_product(name,
               RowsProduct<T>{sequences,
                              {{{kernel.hidden + H, static_cast<int>(H), rows * H, H},
                                {kernel.reads + RM, static_cast<int>(RM), rows * RM, RM}},
                               2},
                              {args.parameters.output_weight, 1, H + RM},
                              static_cast<int>(shape.outputs),
                              args.parameters.output_bias,
                              nullptr,
                              args.outputs},
               stream);
  launch(name, ends_status_kernel<T>, {shape.batch, kScanThreads}, stream, args);
}

}  // namespace

void set_placement(Placement placement) { chosen_placement = static_cast<int>(placement); }
Placement placement() { return static_cast<Placement>(chosen_placement.load()); }

std::int64_t scan_scratch(const ScanShape& shape, bool is_double) {
  // a record takes the place of some of it
  return is_double ? Scratch<double>(shape, false).size : Scratch<float>(shape, false).size;
}

void scan(const ScanArgs<float>& args, cudaStream_t stream) { scan_any(args, stream); }
void scan(const ScanArgs<double>& args, cudaStream_t stream) { scan_any(args, stream); }

}  // namespace polyad::ntm::cuda
