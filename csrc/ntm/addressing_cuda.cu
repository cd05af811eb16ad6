#include "ntm/pieces_cuda.cuh"

namespace polyad::ntm::cuda {
namespace {

// The ops of addressing are runs of these stages; `addressing` is all four.
enum Stage : int { kContent = 0, kInterpolate = 1, kShift = 2, kSharpen = 3 };

// The arguments of a run of stages; what its stages do not take is null. `start` is the weighting
// that a run begins with unless it begins with content.
template <class X>
struct Stages {
  Stage first, last;
  HeadsShape shape;
  Similarity similarity;
  double epsilon;
  const X *memory, *key, *beta, *start, *previous, *gate, *kernel, *gamma;

  __device__ bool has(Stage stage) const { return first <= stage && stage <= last; }
};

template <class X>
struct StagesOut {
  X* out;
  // backward
  const X* grad;
  X *grad_memory, *grad_key, *grad_beta, *grad_start, *grad_previous, *grad_gate, *grad_kernel,
      *grad_gamma;
};

// Where a block's arrays begin.
struct StagesWork {
  std::int64_t parameters;  // [H, basic] as head_layout orders them
  std::int64_t start;       // [H, N]; becomes w^c
  std::int64_t previous;    // [H, N]
  std::int64_t cosine;      // [H, N]
  std::int64_t mixed;       // [H, N]
  std::int64_t logs;        // [H, N]
  std::int64_t weights;     // [H, N]
  std::int64_t memory;      // [M, stride]
  // backward
  std::int64_t squares, sizes, log_sums, grad, to_dots, pull, key_pull, grads, grad_memory;
  std::int64_t size;

  StagesWork(const HeadsShape& shape, bool backward) {
    const std::int64_t H = shape.heads, HN = H * shape.rows;
    const std::int64_t P = H * (shape.width + 3 + shape.shifts);
    const std::int64_t of_memory = shape.width * memory_stride(shape.rows);
    size = 0;
    const auto take = [&](std::int64_t count) {
      const std::int64_t begin = size;
      size += count;
      return begin;
    };
    parameters = take(P);
    for (std::int64_t* each : {&start, &previous, &cosine, &mixed, &logs, &weights}) {
      *each = take(HN);
    }
    memory = take(of_memory);
    squares = take(backward ? shape.rows : 0);
    for (std::int64_t* each : {&sizes, &log_sums, &key_pull}) *each = take(backward ? H : 0);
    for (std::int64_t* each : {&grad, &to_dots, &pull}) *each = take(backward ? HN : 0);
    grads = take(backward ? P : 0);
    grad_memory = take(backward ? of_memory : 0);
  }
};

template <class T, class X>
__device__ __forceinline__ Heads<T> heads_of(const Stages<X>& args) {
  const auto count = static_cast<int>(args.shape.heads);
  return {static_cast<int>(args.shape.rows),
          memory_stride(args.shape.rows),
          static_cast<int>(args.shape.width),
          static_cast<int>(args.shape.shifts),
          count,
          count,
          args.similarity,
          static_cast<T>(args.epsilon)};
}

// Calls body(from, part, count) for every kind of parameter: where it lies in the batch, where in a
// head's row, and how many there are.
template <class X, class Body>
__device__ __forceinline__ void for_parameters(const HeadsShape& shape, X* key, X* beta, X* gate,
                                               X* kernel, X* gamma, const Body& body) {
  const HeadLayout part = head_layout(shape.width, shape.shifts);
  body(key, part.key, shape.width);
  body(beta, part.beta, std::int64_t{1});
  body(gate, part.gate, std::int64_t{1});
  body(kernel, part.kernel, shape.shifts);
  body(gamma, part.gamma, std::int64_t{1});
}

// The inputs of item b; the block must wait afterwards.
template <class X, class T>
__device__ void load_stages(const Stages<X>& args, const StagesWork& work, std::int64_t b,
                            T* space) {
  const HeadsShape& shape = args.shape;
  const std::int64_t H = shape.heads, HN = H * shape.rows, basic = shape.width + 3 + shape.shifts;
  for_parameters(shape, args.key, args.beta, args.gate, args.kernel, args.gamma,
                 [&](const X* from, std::int64_t part, std::int64_t count) {
                   if (from == nullptr) return;
                   for (std::int64_t e = thread_rank(); e < H * count; e += block_threads()) {
                     space[work.parameters + e / count * basic + part + e % count] =
                         static_cast<T>(widen(from[b * H * count + e]));
                   }
                 });
  if (args.start != nullptr) load_array(args.start + b * HN, HN, space + work.start);
  if (args.previous != nullptr) load_array(args.previous + b * HN, HN, space + work.previous);
  if (args.memory != nullptr) {
    load_rows(args.memory + b * shape.rows * shape.width, static_cast<int>(shape.rows),
              static_cast<int>(shape.width), memory_stride(shape.rows), space + work.memory);
  }
}

// The stages of all heads, after the cosines. What the last stage gives stands in the array that
// `result_of` names. log_sums may be null.
template <class X, class T>
__device__ void run_stages(const Stages<X>& args, const StagesWork& work, const Heads<T>& heads,
                           T* space, T* log_sums, Team<T>& team) {
  const HeadLayout part = head_layout(heads.width, heads.shifts);
  for (int k = team.index; k < heads.count; k += team.count) {
    const T* head = space + work.parameters + heads.at(k);
    const std::int64_t first = static_cast<std::int64_t>(k) * heads.rows;
    T* content = space + work.start + first;
    T* mixed = space + work.mixed + first;
    T* logs = space + work.logs + first;
    const T* previous = space + work.previous + first;
    if (args.has(kContent)) {
      content_of(heads, head[part.beta], space + work.cosine + first, content, team);
    }
    for (int i = team.rank; i < heads.rows; i += team.size) {
      mixed[i] = args.has(kInterpolate) ? interpolated(content[i], previous[i], head[part.gate])
                                        : content[i];
    }
    team.wait();
    for (int i = team.rank; i < heads.rows; i += team.size) {
      const T shifted = args.has(kShift)
                            ? shifted_at(mixed, head + part.kernel, heads.shifts, i, heads.rows)
                            : mixed[i];
      logs[i] = args.has(kSharpen) ? bounded_log<T>(shifted) : shifted;
    }
    if (!args.has(kSharpen)) continue;
    const T log_sum =
        sharpen_of(heads.rows, head[part.gamma], logs, space + work.weights + first, team);
    if (log_sums != nullptr && team.rank == 0) log_sums[k] = log_sum;
  }
}

template <class X, class T>
__global__ void __launch_bounds__(kPieceThreads, 2)
    stages_kernel(const __grid_constant__ Stages<X> args, const StagesWork work, X* out,
                  const PiecePlan<T> plan) {
  T* space = plan.space();
  const Heads<T> heads = heads_of<T>(args);
  const std::int64_t HN = args.shape.heads * args.shape.rows;
  for (std::int64_t b = blockIdx.x; b < args.shape.batch; b += gridDim.x) {
    load_stages(args, work, b, space);
    __syncthreads();
    if (args.has(kContent)) {
      similarities<T>(space + work.memory, heads, space + work.parameters, space + work.cosine,
                      nullptr, nullptr);
      __syncthreads();
    }
    Team<T> team(heads.rows, heads.count, plan.slots());
    run_stages<X, T>(args, work, heads, space, nullptr, team);
    __syncthreads();
    const std::int64_t result = args.last == kContent ? work.start
                                : args.has(kSharpen)  ? work.weights
                                                      : work.logs;
    store_array(space + result, HN, out + b * HN);
    __syncthreads();
  }
}

template <class X, class T>
__global__ void __launch_bounds__(kPieceThreads, 2)
    stages_backward_kernel(const __grid_constant__ Stages<X> args, const StagesWork work,
                           const StagesOut<X> to, const PiecePlan<T> plan) {
  T* space = plan.space();
  const Heads<T> heads = heads_of<T>(args);
  const HeadLayout part = head_layout(heads.width, heads.shifts);
  const HeadsShape& shape = args.shape;
  const std::int64_t H = shape.heads, HN = H * shape.rows, basic = shape.width + 3 + shape.shifts;
  const Trails<T> trails{space + work.cosine,  space + work.start,   space + work.mixed,
                         space + work.logs,    space + work.squares, space + work.sizes,
                         space + work.log_sums};
  const DotsGrads<T> dots{space + work.to_dots, space + work.pull, space + work.key_pull};
  const T* parameters = space + work.parameters;
  T* grads = space + work.grads;
  for (std::int64_t b = blockIdx.x; b < shape.batch; b += gridDim.x) {
    load_stages(args, work, b, space);
    load_array(to.grad + b * HN, HN, space + work.grad);
    __syncthreads();
    if (args.has(kContent)) {
      similarities<T>(space + work.memory, heads, parameters, trails.cosine, trails.squares,
                      trails.sizes);
      clear_array(space + work.grad_memory, std::int64_t{heads.width} * heads.stride);
      __syncthreads();
    }
    Team<T> team(heads.rows, heads.count, plan.slots());
    run_stages(args, work, heads, space, trails.log_sums, team);
    team.wait();  // log_sums come from its first thread
    for (int k = team.index; k < heads.count; k += team.count) {
      const T* head = parameters + heads.at(k);
      T* to_head = grads + heads.at(k);
      const std::int64_t first = static_cast<std::int64_t>(k) * heads.rows;
      const T* content = trails.content + first;
      const T* previous = space + work.previous + first;
      T* grad = space + work.grad + first;  // of the output, then of w~, at last of w_prev
      T* to_content = dots.to_dots + first;
      T sums[3] = {};  // dL/dgamma, dL/dgate, mean of dL/dw^c under w^c
      if (args.has(kSharpen)) {
        sums[0] = sharpen_backward_of(heads.rows, head[part.gamma], trails.logs + first,
                                      trails.log_sums[k], space + work.weights + first, grad,
                                      trails.logs + first, team);
      } else {
        for (int i = team.rank; i < heads.rows; i += team.size) trails.logs[first + i] = grad[i];
      }
      if (args.has(kShift)) {
        kernel_backward_of(heads.rows, heads.shifts, trails.mixed + first, trails.logs + first,
                           team, [&](int j, T gradient) { to_head[part.kernel + j] = gradient; });
        team.wait();
      }
      for (int i = team.rank; i < heads.rows; i += team.size) {
        const T to_mixed = args.has(kShift)
                               ? shift_backward_at(trails.logs + first, head + part.kernel,
                                                   heads.shifts, i, heads.rows)
                               : trails.logs[first + i];
        const T gate = args.has(kInterpolate) ? head[part.gate] : T{1};
        if (args.has(kInterpolate)) sums[1] += to_mixed * (content[i] - previous[i]);
        sums[2] += to_mixed * gate * content[i];
        to_content[i] = to_mixed * gate;
        grad[i] = to_mixed * (1 - gate);
      }
      team.sum(sums);
      T to_beta = 0;
      if (args.has(kContent)) {
        to_beta =
            content_backward_of(heads, k, head[part.beta], trails, content, sums[2], dots, team);
      }
      if (team.rank == 0) {
        to_head[part.gamma] = sums[0];
        to_head[part.gate] = sums[1];
        to_head[part.beta] = to_beta;
      }
    }
    __syncthreads();
    if (args.has(kContent)) {
      dots_backward(space + work.memory, heads, parameters, dots, space + work.grad_memory,
                    [&](int k, int m, T gradient) { grads[heads.at(k) + m] = gradient; });
      __syncthreads();
      store_rows(space + work.grad_memory, heads.rows, heads.width, heads.stride,
                 to.grad_memory + b * heads.rows * heads.width);
    }
    for_parameters(shape, to.grad_key, to.grad_beta, to.grad_gate, to.grad_kernel, to.grad_gamma,
                   [&](X* out, std::int64_t from, std::int64_t count) {
                     if (out == nullptr) return;
                     for (std::int64_t e = thread_rank(); e < H * count; e += block_threads()) {
                       out[b * H * count + e] =
                           narrow<X>(grads[e / count * basic + from + e % count]);
                     }
                   });
    if (to.grad_start != nullptr) {
      store_array(dots.to_dots, HN, to.grad_start + b * HN);
    }
    if (to.grad_previous != nullptr) {
      store_array(space + work.grad, HN, to.grad_previous + b * HN);
    }
    __syncthreads();
  }
}

// Ops without a memory take every weighting by itself, those without a kernel no shifts.
HeadsShape stages_shape(HeadsShape shape, Stage first, Stage last) {
  if (first != kContent) shape.width = 0;
  if (last < kShift || first > kShift) shape.shifts = 1;
  return shape;
}

template <class X, class T>
void stages_any(const char* name, const Stages<X>& args, X* out, const PartedScratch<T>& scratch,
                cudaStream_t stream) {
  const StagesWork work(args.shape, false);
  const PiecePlan<T> plan = piece_plan(name, args.shape.batch, work.size, scratch);
  allow_all_shared_memory(stages_kernel<X, T>);
  launch(name, stages_kernel<X, T>, {plan.blocks, kPieceThreads, plan.shared_bytes}, stream, args,
         work, out, plan);
}

template <class X, class T>
void stages_backward_any(const char* name, const Stages<X>& args, const StagesOut<X>& out,
                         const PartedScratch<T>& scratch, cudaStream_t stream) {
  const StagesWork work(args.shape, true);
  const PiecePlan<T> plan = piece_plan(name, args.shape.batch, work.size, scratch);
  allow_all_shared_memory(stages_backward_kernel<X, T>);
  launch(name, stages_backward_kernel<X, T>, {plan.blocks, kPieceThreads, plan.shared_bytes},
         stream, args, work, out, plan);
}

}  // namespace

std::int64_t addressing_space(const HeadsShape& shape) { return StagesWork(shape, true).size; }

template <class X>
Stages<X> content_only(const HeadsShape& shape, Similarity similarity, double epsilon,
                       const X* memory, const X* key, const X* beta) {
  Stages<X> stages{};
  stages.first = stages.last = kContent;
  stages.shape = stages_shape(shape, kContent, kContent);
  stages.similarity = similarity;
  stages.epsilon = epsilon;
  stages.memory = memory;
  stages.key = key;
  stages.beta = beta;
  return stages;
}

template <class X, class T>
void content(const ContentArgs<X, T>& a, cudaStream_t stream) {
  stages_any("ntm_content", content_only(a.shape, a.similarity, a.epsilon, a.memory, a.key, a.beta),
             a.out, a.scratch, stream);
}

template <class X, class T>
void content_backward(const ContentBackwardArgs<X, T>& a, cudaStream_t stream) {
  StagesOut<X> out{};
  out.grad = a.grad;
  out.grad_memory = a.grad_memory;
  out.grad_key = a.grad_key;
  out.grad_beta = a.grad_beta;
  stages_backward_any("ntm_content_backward",
                      content_only(a.shape, a.similarity, a.epsilon, a.memory, a.key, a.beta), out,
                      a.scratch, stream);
}

template <class X>
Stages<X> without_memory(Stage stage, const HeadsShape& shape, const X* start) {
  Stages<X> stages{};
  stages.first = stages.last = stage;
  stages.shape = stages_shape(shape, stage, stage);
  stages.start = start;
  return stages;
}

template <class X, class T>
void interpolate(const InterpolateArgs<X, T>& a, cudaStream_t stream) {
  Stages<X> stages = without_memory(kInterpolate, a.shape, a.content);
  stages.previous = a.previous;
  stages.gate = a.gate;
  stages_any("ntm_interpolate", stages, a.out, a.scratch, stream);
}

template <class X, class T>
void interpolate_backward(const InterpolateBackwardArgs<X, T>& a, cudaStream_t stream) {
  Stages<X> stages = without_memory(kInterpolate, a.shape, a.content);
  stages.previous = a.previous;
  stages.gate = a.gate;
  StagesOut<X> out{};
  out.grad = a.grad;
  out.grad_start = a.grad_content;
  out.grad_previous = a.grad_previous;
  out.grad_gate = a.grad_gate;
  stages_backward_any("ntm_interpolate_backward", stages, out, a.scratch, stream);
}

template <class X, class T>
void shift(const ShiftArgs<X, T>& a, cudaStream_t stream) {
  Stages<X> stages = without_memory(kShift, a.shape, a.weights);
  stages.kernel = a.kernel;
  stages_any("ntm_shift", stages, a.out, a.scratch, stream);
}

template <class X, class T>
void shift_backward(const ShiftBackwardArgs<X, T>& a, cudaStream_t stream) {
  Stages<X> stages = without_memory(kShift, a.shape, a.weights);
  stages.kernel = a.kernel;
  StagesOut<X> out{};
  out.grad = a.grad;
  out.grad_start = a.grad_weights;
  out.grad_kernel = a.grad_kernel;
  stages_backward_any("ntm_shift_backward", stages, out, a.scratch, stream);
}

template <class X, class T>
void sharpen(const SharpenArgs<X, T>& a, cudaStream_t stream) {
  Stages<X> stages = without_memory(kSharpen, a.shape, a.weights);
  stages.gamma = a.gamma;
  stages_any("ntm_sharpen", stages, a.out, a.scratch, stream);
}

template <class X, class T>
void sharpen_backward(const SharpenBackwardArgs<X, T>& a, cudaStream_t stream) {
  Stages<X> stages = without_memory(kSharpen, a.shape, a.weights);
  stages.gamma = a.gamma;
  StagesOut<X> out{};
  out.grad = a.grad;
  out.grad_start = a.grad_weights;
  out.grad_gamma = a.grad_gamma;
  stages_backward_any("ntm_sharpen_backward", stages, out, a.scratch, stream);
}

template <class X, class T>
void addressing(const AddressingArgs<X, T>& a, cudaStream_t stream) {
  stages_any("ntm_addressing",
             Stages<X>{kContent, kSharpen, a.shape, a.similarity, a.epsilon, a.memory, a.key,
                       a.beta, nullptr, a.previous, a.gate, a.kernel, a.gamma},
             a.out, a.scratch, stream);
}

template <class X, class T>
void addressing_backward(const AddressingBackwardArgs<X, T>& a, cudaStream_t stream) {
  stages_backward_any("ntm_addressing_backward",
                      Stages<X>{kContent, kSharpen, a.shape, a.similarity, a.epsilon, a.memory,
                                a.key, a.beta, nullptr, a.previous, a.gate, a.kernel, a.gamma},
                      StagesOut<X>{nullptr, a.grad, a.grad_memory, a.grad_key, a.grad_beta, nullptr,
                                   a.grad_previous, a.grad_gate, a.grad_kernel, a.grad_gamma},
                      a.scratch, stream);
}

template void content(const ContentArgs<float>&, cudaStream_t);
template void content(const ContentArgs<double>&, cudaStream_t);
template void content(const ContentArgs<__half, float>&, cudaStream_t);
template void content(const ContentArgs<__nv_bfloat16, float>&, cudaStream_t);
template void content_backward(const ContentBackwardArgs<float>&, cudaStream_t);
template void content_backward(const ContentBackwardArgs<double>&, cudaStream_t);
template void content_backward(const ContentBackwardArgs<__half, float>&, cudaStream_t);
template void content_backward(const ContentBackwardArgs<__nv_bfloat16, float>&, cudaStream_t);
template void interpolate(const InterpolateArgs<float>&, cudaStream_t);
template void interpolate(const InterpolateArgs<double>&, cudaStream_t);
template void interpolate(const InterpolateArgs<__half, float>&, cudaStream_t);
template void interpolate(const InterpolateArgs<__nv_bfloat16, float>&, cudaStream_t);
template void interpolate_backward(const InterpolateBackwardArgs<float>&, cudaStream_t);
template void interpolate_backward(const InterpolateBackwardArgs<double>&, cudaStream_t);
template void interpolate_backward(const InterpolateBackwardArgs<__half, float>&, cudaStream_t);
template void interpolate_backward(const InterpolateBackwardArgs<__nv_bfloat16, float>&,
                                   cudaStream_t);
template void shift(const ShiftArgs<float>&, cudaStream_t);
template void shift(const ShiftArgs<double>&, cudaStream_t);
template void shift(const ShiftArgs<__half, float>&, cudaStream_t);
template void shift(const ShiftArgs<__nv_bfloat16, float>&, cudaStream_t);
template void shift_backward(const ShiftBackwardArgs<float>&, cudaStream_t);
template void shift_backward(const ShiftBackwardArgs<double>&, cudaStream_t);
template void shift_backward(const ShiftBackwardArgs<__half, float>&, cudaStream_t);
template void shift_backward(const ShiftBackwardArgs<__nv_bfloat16, float>&, cudaStream_t);
template void sharpen(const SharpenArgs<float>&, cudaStream_t);
template void sharpen(const SharpenArgs<double>&, cudaStream_t);
template void sharpen(const SharpenArgs<__half, float>&, cudaStream_t);
template void sharpen(const SharpenArgs<__nv_bfloat16, float>&, cudaStream_t);
template void sharpen_backward(const SharpenBackwardArgs<float>&, cudaStream_t);
template void sharpen_backward(const SharpenBackwardArgs<double>&, cudaStream_t);
template void sharpen_backward(const SharpenBackwardArgs<__half, float>&, cudaStream_t);
template void sharpen_backward(const SharpenBackwardArgs<__nv_bfloat16, float>&, cudaStream_t);
template void addressing(const AddressingArgs<float>&, cudaStream_t);
template void addressing(const AddressingArgs<double>&, cudaStream_t);
template void addressing(const AddressingArgs<__half, float>&, cudaStream_t);
template void addressing(const AddressingArgs<__nv_bfloat16, float>&, cudaStream_t);
template void addressing_backward(const AddressingBackwardArgs<float>&, cudaStream_t);
template void addressing_backward(const AddressingBackwardArgs<double>&, cudaStream_t);
template void addressing_backward(const AddressingBackwardArgs<__half, float>&, cudaStream_t);
template void addressing_backward(const AddressingBackwardArgs<__nv_bfloat16, float>&,
                                  cudaStream_t);

}  // namespace polyad::ntm::cuda
