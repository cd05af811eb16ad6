#include "common/check.hpp"
#include "ntm/scan_cuda.cuh"

namespace polyad::ntm::cuda {
namespace {

using polyad::cuda::Columns;
using polyad::cuda::kMostProducts;
using polyad::cuda::rows_product;
using polyad::cuda::RowsProduct;
using polyad::cuda::Sequences;
using polyad::cuda::steps_parts;
using polyad::cuda::steps_products;
using polyad::cuda::StepsProduct;
using polyad::cuda::StepsProducts;
using polyad::cuda::Target;

static_assert(kMaxLayers + 2 <= kMostProducts);

// What a block works on in one step: where the arrays begin among its vectors.
template <class T>
struct Work {
  std::int64_t grad_reads;  // [R M]
  std::int64_t grad_h;      // [L, H]
  std::int64_t grad_c;      // [L, H]
  std::int64_t sums;        // [G] dL/d(sums) of the layer at work
  std::int64_t partial;     // [partial_size]
  std::int64_t heads;       // [P]
  std::int64_t grads;       // [P] dL/d(sums) of the heads' parameters
  std::int64_t weights;  // [2, K, N] rows t and t + 1 of the record, in the place of their parity
  std::int64_t grad_weights;                  // [K, N]
  std::int64_t cosine, content, mixed, logs;  // [K, N] as in Trails
  std::int64_t squares, sizes, log_sums;      // [N], [K], [K]
  std::int64_t to_dots, pull, key_pull;       // [K, N], [K, N], [K] as in DotsGrads
  std::int64_t size;

  explicit Work(const ScanShape& shape) {
    Cutter<T> cutter;
    const std::int64_t KN = shape.heads() * shape.rows, K = shape.heads();
    grad_reads = cutter.take(shape.read_size());
    grad_h = cutter.take(shape.layers * shape.hidden);
    grad_c = cutter.take(shape.lstm ? shape.layers * shape.hidden : 0);
    sums = cutter.take(shape.gates());
    partial = cutter.take(partial_size<T, true>(shape));
    heads = cutter.take(shape.head_outputs());
    grads = cutter.take(shape.head_outputs());
    weights = cutter.take(2 * KN);
    for (std::int64_t* each : {&grad_weights, &cosine, &content, &mixed, &logs, &to_dots, &pull}) {
      *each = cutter.take(KN);
    }
    squares = cutter.take(shape.rows);
    for (std::int64_t* each : {&sizes, &log_sums, &key_pull}) *each = cutter.take(K);
    size = cutter.used;
  }
};

template <class T>
POLYAD_INLINE std::int64_t memory_size(const ScanShape& shape) {
  return vectors<T>(shape.width * memory_stride(shape.rows));
}

// Where the pieces of ScanBackwardArgs::scratch begin.
template <class T>
struct Scratch {
  std::int64_t packed;
  std::int64_t from_outputs;  // [B, T, H + R M] what the outputs say to [h, r]
  std::int64_t sums;          // [L, B, T, G]
  std::int64_t grads;         // [B, T, P]
  std::int64_t partial;       // of the weights' gradients
  std::int64_t workspace;     // [scan_blocks, work, memory and its gradient]
  std::int64_t memories;      // [scan_blocks, stride, memory], if stride > 1
  std::int64_t size;

  Scratch(const ScanShape& shape, std::int64_t stride, std::int64_t partials) {
    Cutter<T> cutter;
    const std::int64_t rows = shape.batch * shape.steps, blocks = scan_blocks(shape);
    packed = cutter.take(StepMatrices<T, true>(shape).size);
    from_outputs = cutter.take(rows * (shape.hidden + shape.read_size()));
    sums = cutter.take(shape.layers * rows * shape.gates());
    grads = cutter.take(rows * shape.head_outputs());
    partial = cutter.take(partials);
    workspace = cutter.take(blocks * (Work<T>(shape).size + 2 * memory_size<T>(shape)));
    memories = cutter.take(stride == 1 ? 0 : blocks * stride * memory_size<T>(shape));
    size = cutter.used;
  }
};

template <class T>
struct BackwardKernel {
  ScanBackwardArgs<T> args;
  Work<T> work;
  Layout layout;
  StepMatrices<T, true> matrices;
  Scratch<T> scratch;
};

// memory [M, stride] <- the memory before step t: a checkpoint, or what was written again since
// one. The last step of a stretch writes all its memories again. Each thread has elements of its
// own all the way, so that nobody waits.
template <class T>
__device__ __forceinline__ void memory_before(const BackwardKernel<T>& kernel,
                                              const Heads<T>& heads, std::int64_t b, std::int64_t t,
                                              bool first, T* memory) {
  const ScanShape& shape = kernel.args.shape;
  const ScanRecord<const T>& record = kernel.args.record;
  const std::int64_t stride = record.stride, begin = t / stride * stride;
  const int padded = static_cast<int>(whole_lines<T>(shape.rows));
  const auto for_elements = [&](const auto& body) {
    for (int m = warp_rank(); m < heads.width; m += block_warps()) {
      for (int i = lane_rank(); i < heads.rows; i += kWarp) body(m, i, m * heads.stride + i);
    }
  };
  const std::int64_t each = memory_size<T>(shape);
  T* memories = kernel.args.scratch + kernel.scratch.memories + blockIdx.x * stride * each;
  if (t > begin && !first && t % stride != stride - 1) {
    const T* from = memories + (t - begin) * each;
    for_elements([&](int, int, int at) { memory[at] = from[at]; });
    return;
  }
  const T* checkpoint = record.memory + (b * scan_checkpoints(shape.steps, stride) + t / stride) *
                                            heads.width * padded;
  for_elements([&](int m, int i, int at) { memory[at] = checkpoint[m * padded + i]; });
  for (std::int64_t u = begin; u < t; ++u) {
    const T* parameters = record.heads + (b * shape.steps + u) * shape.head_outputs();
    const T* weights =
        record.weights + (b * (shape.steps + 1) + u + 1) * shape.heads() * shape.rows;
    const WriteHeads<T> writes = write_heads_of(shape, heads, parameters, weights);
    T* to = memories + (u - begin) * each;
    for_elements([&](int m, int i, int at) {
      const T before = memory[at];
      to[at] = before;
      memory[at] = written_at(writes, heads.rows, m, i, before);
    });
  }
}

// The slope of the activation of a part of a head other than the kernel, from its value.
template <class T>
__device__ __forceinline__ T head_slope(const ScanShape& shape, const HeadLayout& part, int offset,
                                        T value) {
  if (offset < part.beta || offset >= part.add) return shape.tanh_heads ? tanh_slope(value) : T{1};
  if (offset == part.beta) return softplus_slope(value);
  if (offset == part.gamma) return softplus_slope(value - 1);
  return sigmoid_slope(value);
}

// From matrix 0's product: the gradients of the reads and of the lowest h before the step.
template <class T>
__device__ __forceinline__ void collect(const ScanShape& shape, const StepMatrix& matrix,
                                        const T* partial, T* grad_reads, T* grad_h) {
  const int RM = static_cast<int>(shape.read_size()), H = static_cast<int>(shape.hidden);
  for (int c = thread_rank(); c < RM + H; c += block_threads()) {
    if (c < RM) {
      grad_reads[c] = column_sum(matrix, partial, c);
    } else {
      grad_h[c - RM] = shape.lstm ? column_sum(matrix, partial, c) : T{0};
    }
  }
}

template <bool Shared, class T>
__device__ void backward_sequence(const BackwardKernel<T>& kernel, const Places<T>& place,
                                  const PackedWeights<T>& packed, std::int64_t b) {
  const ScanBackwardArgs<T>& args = kernel.args;
  const ScanShape& shape = args.shape;
  const ScanRecord<const T>& record = args.record;
  const Work<T>& work = kernel.work;
  const auto at_vector = [&](std::int64_t offset) { return place.vectors + offset; };
  T* grad_reads = at_vector(work.grad_reads);
  T* grad_h = at_vector(work.grad_h);
  T* grad_c = at_vector(work.grad_c);
  T* sums = at_vector(work.sums);
  T* partial = at_vector(work.partial);
  T* parameters = at_vector(work.heads);
  T* grads = at_vector(work.grads);
  T* both_weights = at_vector(work.weights);
  T* grad_weights = at_vector(work.grad_weights);
  const Trails<T> trails{at_vector(work.cosine),  at_vector(work.content), at_vector(work.mixed),
                         at_vector(work.logs),    at_vector(work.squares), at_vector(work.sizes),
                         at_vector(work.log_sums)};
  const DotsGrads<T> dots{at_vector(work.to_dots), at_vector(work.pull), at_vector(work.key_pull)};
  T* memory = place.memories;
  T* grad_memory = memory + memory_size<T>(shape);
  const Heads<T> heads = heads_of<T>(shape);
  const MemoryShape memory_shape{heads.rows, heads.stride, heads.width};
  const HeadLayout part = head_layout(shape.width, shape.shifts);
  const std::int64_t steps = shape.steps, length = length_of(shape, args.lengths, b);
  const int H = static_cast<int>(shape.hidden), G = static_cast<int>(shape.gates());
  const int RM = static_cast<int>(shape.read_size()), P = static_cast<int>(shape.head_outputs());
  const int KN = heads.count * heads.rows, L = static_cast<int>(shape.layers);
  const auto layer_row = [&](int l, std::int64_t t) {
    return ((l * shape.batch + b) * (steps + 1) + t) * H;
  };
  const auto given = [](const T* p, std::int64_t offset) { return p == nullptr ? p : p + offset; };

  load_memory(heads, given(args.grad_last.memory, b * heads.rows * heads.width), grad_memory);
  copy(grad_reads, given(args.grad_last.reads, b * RM), RM);
  copy(grad_weights, given(args.grad_last.weights, b * KN), KN);
  for (int l = 0; l < L; ++l) {
    const std::int64_t at = (l * shape.batch + b) * H;
    copy(grad_h + l * H, shape.lstm ? given(args.grad_last.h, at) : nullptr, H);
    if (shape.lstm) copy(grad_c + l * H, given(args.grad_last.c, at), H);
  }
  const T* rows = record.weights + b * (steps + 1) * KN;
  copy(both_weights + length % 2 * KN, rows + length * KN, KN);
  Team<T> team(heads.rows, heads.count, place.slots);
  __syncthreads();

  const StepMatrix& lowest = kernel.matrices.of[0];
  for (std::int64_t t = length - 1; t >= 0; --t) {
    T* before = both_weights + t % 2 * KN;
    const T* weights = both_weights + (t + 1) % 2 * KN;

    // what the step had, and what the outputs and the step after say
    const bool first = t == length - 1;
    if (!first) collect(shape, lowest, partial, grad_reads, grad_h);
    memory_before(kernel, heads, b, t, first, memory);
    copy(parameters, record.heads + (b * steps + t) * P, P);
    copy(before, rows + t * KN, KN);
    __syncthreads();
    const T* from_outputs = args.scratch + kernel.scratch.from_outputs + (b * steps + t) * (H + RM);
    for (int c = thread_rank(); c < H + RM; c += block_threads()) {
      T& grad = c < H ? grad_h[(L - 1) * H + c] : grad_reads[c - H];
      grad += from_outputs[c];
    }
    similarities<T>(memory, heads, parameters, trails.cosine, trails.squares, trails.sizes);
    __syncthreads();

    // reads and writes
    if (!shape.read_first) {
      read_backward_memory(grad_memory, memory_shape, weights, grad_reads, heads.reads);
    }
    weights_of<T>(heads, parameters, trails, before, dots.to_dots, team);
    __syncthreads();
    const WriteHeads<T> writes = write_heads_of(shape, heads, parameters, weights);
    T* grad_writes = grad_weights + heads.reads * heads.rows;
    read_backward_weights(memory_shape, grad_reads, heads.reads, grad_weights, [&](int m, int i) {
      const T element = memory[m * heads.stride + i];
      return shape.read_first ? element : written_at(writes, heads.rows, m, i, element);
    });
    write_backward_weights(memory, memory_shape, writes, grad_memory, grad_writes);
    __syncthreads();
    const auto from_reads = [&](int m, int i) {
      T sum = 0;
      if (!shape.read_first) return sum;
      for (int r = 0; r < heads.reads; ++r) {
        sum += weights[r * heads.rows + i] * grad_reads[r * heads.width + m];
      }
      return sum;
    };
    const auto to_write = [&](int h, int m, T to_erase, T to_add) {
      const int at = heads.at(heads.reads + h), erase = at + static_cast<int>(part.erase) + m,
                add = at + static_cast<int>(part.add) + m;
      grads[erase] = to_erase * sigmoid_slope(parameters[erase]);
      grads[add] = to_add * (shape.tanh_heads ? tanh_slope(parameters[add]) : T{1});
    };
    write_backward_memory(memory, memory_shape, writes, grad_memory, from_reads, to_write);

    // addressing
    weights_backward_of<T>(
        heads, parameters, trails, before, weights, grad_weights, dots, team,
        [&](int k, std::int64_t offset, T grad) {
          const T* values = parameters + heads.at(k);
          T* to = grads + heads.at(k);
          if (offset >= part.kernel && offset < part.gamma) {
            to[offset] = grad;
            return;
          }
          to[offset] = grad * head_slope(shape, part, static_cast<int>(offset), values[offset]);
          if (offset != part.gamma) return;
          T mean = 0;  // the kernel's gradients are all there: through the softmax
          for (std::int64_t j = part.kernel; j < part.gamma; ++j) mean += to[j] * values[j];
          for (std::int64_t j = part.kernel; j < part.gamma; ++j) {
            to[j] = values[j] * (to[j] - mean);
          }
        });
    __syncthreads();
    dots_backward(memory, heads, parameters, dots, grad_memory, [&](int k, int m, T grad) {
      const int at = heads.at(k) + m;
      grads[at] = grad * (shape.tanh_heads ? tanh_slope(parameters[at]) : T{1});
    });
    __syncthreads();

    // controller
    copy(args.scratch + kernel.scratch.grads + (b * steps + t) * P, grads, P);
    multiply<T>(kernel.matrices.of[L], packed, nullptr, grads, partial);
    __syncthreads();
    for (int l = L - 1; l >= 0; --l) {
      const StepMatrix& above = kernel.matrices.of[l + 1];
      T* to = args.scratch + kernel.scratch.sums + ((l * shape.batch + b) * steps + t) * G;
      for (int j = thread_rank(); j < H; j += block_threads()) {
        const T to_h = grad_h[l * H + j] + column_sum(above, partial, j);
        if (l < L - 1) {
          grad_h[(l + 1) * H + j] = shape.lstm ? column_sum(above, partial, H + j) : T{0};
        }
        if (!shape.lstm) {
          const T sum = to_h * tanh_slope(record.hidden[layer_row(l, t + 1) + j]);
          sums[j] = sum;
          to[j] = sum;
          continue;
        }
        const T* gates = record.gates + ((l * shape.batch + b) * steps + t) * G;
        T to_c = grad_c[l * H + j];
        const LstmGates<T> unit = lstm_unit_backward<T>(
            {gates[j], gates[H + j], gates[2 * H + j], gates[3 * H + j]},
            record.cells[layer_row(l, t) + j], record.cells[layer_row(l, t + 1) + j], to_h, to_c);
        grad_c[l * H + j] = to_c;
        const T each[4] = {unit.i, unit.f, unit.g, unit.o};
#pragma unroll
        for (int gate = 0; gate < 4; ++gate) {
          sums[gate * H + j] = each[gate];
          to[gate * H + j] = each[gate];
        }
      }
      __syncthreads();
      multiply<T>(kernel.matrices.of[l], packed, nullptr, sums, partial);
      __syncthreads();
    }
  }

  if (length > 0) collect(shape, lowest, partial, grad_reads, grad_h);
  __syncthreads();
  const ScanState<T>& to = args.grad_state;
  if (to.memory != nullptr) {
    store_memory(heads, grad_memory, to.memory + b * heads.rows * heads.width);
  }
  if (to.reads != nullptr) copy(to.reads + b * RM, grad_reads, RM);
  if (to.weights != nullptr) copy(to.weights + b * KN, grad_weights, KN);
  for (int l = 0; shape.lstm && l < L; ++l) {
    const std::int64_t at = (l * shape.batch + b) * H;
    if (to.h != nullptr) copy(to.h + at, grad_h + l * H, H);
    if (to.c != nullptr) copy(to.c + at, grad_c + l * H, H);
  }
  __syncthreads();
}

template <bool Shared, class T>
__global__ void __launch_bounds__(kScanThreads, 1)
    backward_kernel(const __grid_constant__ BackwardKernel<T> kernel) {
  const Places<T> place =
      places<Shared>(kernel.layout, kernel.args.scratch + kernel.scratch.workspace);
  const PackedWeights<T> packed{kernel.args.scratch + kernel.scratch.packed, place.cache,
                                kernel.layout.cached};
  fill_cache(packed, place.cache);
  for (std::int64_t b = blockIdx.x; b < kernel.args.shape.batch; b += gridDim.x) {
    backward_sequence<Shared>(kernel, place, packed, b);
  }
}

// The products that give the weights' gradients, wanted or not; pointers may be null.
template <class T>
StepsProducts<T> weight_products(const ScanBackwardArgs<T>& args, const T* sums, const T* grads) {
  const ScanShape& shape = args.shape;
  const ScanParameters<T>& to = args.grad_parameters;
  const std::int64_t steps = shape.steps, H = shape.hidden, G = shape.gates();
  const std::int64_t RM = shape.read_size(), I = shape.inputs, O = shape.outputs;
  const auto steps_of = [&](const T* p, std::int64_t n) {
    return Columns<T>{p, static_cast<int>(n), steps * n, n};
  };
  // row t, or row t + 1, of an array of T + 1 rows
  const auto before = [&](const T* p, std::int64_t n) {
    return Columns<T>{p, static_cast<int>(n), (steps + 1) * n, n};
  };
  const auto after = [&](const T* p, std::int64_t n) { return before(p + n, n); };
  const auto hidden = [&](std::int64_t l) {
    return args.record.hidden + l * shape.batch * (steps + 1) * H;
  };
  const auto shifted = [](T* p, std::int64_t n) { return p == nullptr ? p : p + n; };
  const Columns<T> ones{nullptr, 1, 0, 0};
  StepsProducts<T> all{};
  all.sequences = {shape.batch, steps, args.lengths};
  for (std::int64_t l = 0; l < shape.layers; ++l) {
    StepsProduct<T>& product = all.products[all.count++];
    product.a = steps_of(sums + l * shape.batch * steps * G, G);
    int& parts = product.b.part_count;
    const auto add = [&](const Columns<T>& columns, const Target<T>& target) {
      product.b.parts[parts] = columns;
      product.targets[parts++] = target;
    };
    T* weight = to.weight_ih[l];
    if (l == 0) {
      add(steps_of(args.inputs, I), {weight, nullptr, I + RM});
      add(before(args.record.reads, RM), {shifted(weight, I), nullptr, I + RM});
    } else {
      add(after(hidden(l - 1), H), {weight, nullptr, H});
    }
    if (shape.lstm) add(before(hidden(l), H), {to.weight_hh[l], nullptr, H});
    add(ones, {to.bias_ih[l], to.bias_hh[l], 1});
  }
  const Columns<T> top = after(hidden(shape.layers - 1), H);
  all.products[all.count++] = {steps_of(grads, shape.head_outputs()),
                               {{top, ones}, 2},
                               {{to.head_weight, nullptr, H}, {to.head_bias, nullptr, 1}}};
  all.products[all.count++] = {steps_of(args.grad_outputs, O),
                               {{top, after(args.record.reads, RM), ones}, 3},
                               {{to.output_weight, nullptr, H + RM},
                                {shifted(to.output_weight, H), nullptr, H + RM},
                                {to.output_bias, nullptr, 1}}};
  return all;
}

template <class T>
std::int64_t parts_for(const StepsProducts<T>& all) {
  std::int64_t tiles = 0;
  for (int p = 0; p < all.count; ++p) tiles += all.tiles(p);
  return steps_parts(all.sequences.rows(), tiles);
}

template <class T>
std::int64_t partials_for(const StepsProducts<T>& all) {
  std::int64_t elements = 0;
  for (int p = 0; p < all.count; ++p) elements += all.elements(p);
  return elements * parts_for(all);
}

// The products of which some target is wanted.
template <class T>
StepsProducts<T> wanted(const StepsProducts<T>& all) {
  StepsProducts<T> some{};
  some.sequences = all.sequences;
  for (int p = 0; p < all.count; ++p) {
    bool any = false;
    for (int q = 0; q < all.products[p].b.part_count; ++q) {
      const Target<T>& target = all.products[p].targets[q];
      any = any || target.data != nullptr || target.twin != nullptr;
    }
    if (any) some.products[some.count++] = all.products[p];
  }
  return some;
}

template <class T>
void backward_any(const ScanBackwardArgs<T>& args, cudaStream_t stream) {
  constexpr const char* name = "ntm_scan_backward";
  const ScanShape& shape = args.shape;
  if (shape.batch == 0) return;
  require(args.scratch != nullptr,
          "ntm_scan_backward: scratch: expected scan_backward_scratch elements, got none");
  require(shape.batch * shape.steps < (std::int64_t{1} << 31),
          "ntm_scan_backward: inputs: expected B T below 2^31");
  const std::int64_t partials = partials_for(weight_products<T>(args, nullptr, nullptr));
  const Work<T> work(shape);
  const StepMatrices<T, true> matrices(shape);
  const BackwardKernel<T> kernel{args, work,
                                 layout_for<T>(work.size, 2 * memory_size<T>(shape), matrices.size),
                                 matrices, Scratch<T>(shape, args.record.stride, partials)};
  const Scratch<T>& scratch = kernel.scratch;
  const StepsProducts<T> products =
      weight_products<T>(args, args.scratch + scratch.sums, args.scratch + scratch.grads);

  pack(name, shape, args.parameters, matrices, args.scratch + scratch.packed, stream);
  const std::int64_t H = shape.hidden, RM = shape.read_size(), I = shape.inputs, O = shape.outputs;
  rows_product(name,
               RowsProduct<T>{products.sequences,
                              {{{args.grad_outputs, static_cast<int>(O), shape.steps * O, O}}, 1},
                              {args.parameters.output_weight, H + RM, 1},
                              static_cast<int>(H + RM),
                              nullptr,
                              nullptr,
                              args.scratch + scratch.from_outputs},
               stream);
  const auto run = [&](auto* backward) {
    allow_all_shared_memory(backward);
    launch(name, backward,
           {scan_blocks(shape), kScanThreads, static_cast<std::size_t>(kernel.layout.bytes)},
           stream, kernel);
  };
  kernel.layout.all_shared ? run(backward_kernel<true, T>) : run(backward_kernel<false, T>);

  const StepsProducts<T> some = wanted(products);
  if (some.count > 0)
    steps_products(name, some, parts_for(products), args.scratch + scratch.partial, stream);
  if (args.grad_inputs != nullptr) {
    rows_product(name,
                 RowsProduct<T>{products.sequences,
                                {{products.products[0].a}, 1},
                                {args.parameters.weight_ih[0], I + RM, 1},
                                static_cast<int>(I),
                                nullptr,
                                nullptr,
                                args.grad_inputs},
                 stream);
  }
}

template <class T>
std::int64_t scratch_size(const ScanShape& shape, std::int64_t stride) {
  ScanBackwardArgs<T> args{};
  args.shape = shape;
  return Scratch<T>(shape, stride, partials_for(weight_products<T>(args, nullptr, nullptr))).size;
}

}  // namespace

std::int64_t scan_backward_scratch(const ScanShape& shape, std::int64_t stride, bool is_double) {
  return is_double ? scratch_size<double>(shape, stride) : scratch_size<float>(shape, stride);
}

void scan_backward(const ScanBackwardArgs<float>& args, cudaStream_t stream) {
  backward_any(args, stream);
}
void scan_backward(const ScanBackwardArgs<double>& args, cudaStream_t stream) {
  backward_any(args, stream);
}

}  // namespace polyad::ntm::cuda
