#include "ntm/memory_rows_cuda.cuh"
#include "ntm/pieces_cuda.cuh"

namespace polyad::ntm::cuda {
namespace {

// Reading and writing are one kernel, forward and backward: `erase` is null where nothing is
// written, and what is read goes to `reads`.
template <class X>
struct MemoryInputs {
  HeadsShape shape;
  const X *memory, *weights, *erase, *add;
};

template <class X>
struct MemoryGrads {
  const X* grad;  // [B, H, M] of the reads, or [B, N, M] of the memory after
  X *grad_memory, *grad_weights, *grad_erase, *grad_add;
};

// Where a block's arrays begin.
struct MemoryWork {
  std::int64_t memory;   // [M, stride]
  std::int64_t weights;  // [H, N]
  std::int64_t erase;    // [H, M]
  std::int64_t add;      // [H, M]
  std::int64_t reads;    // [H, M], or their gradient
  // backward
  std::int64_t grad_memory, grad_weights, grad_erase, grad_add;
  std::int64_t size;

  MemoryWork(const HeadsShape& shape, bool backward) {
    const std::int64_t HM = shape.heads * shape.width, HN = shape.heads * shape.rows;
    const std::int64_t of_memory = shape.width * memory_stride(shape.rows);
    size = 0;
    const auto take = [&](std::int64_t count) {
      const std::int64_t begin = size;
      size += count;
      return begin;
    };
    memory = take(of_memory);
    weights = take(HN);
    for (std::int64_t* each : {&erase, &add, &reads}) *each = take(HM);
    grad_memory = take(backward ? of_memory : 0);
    grad_weights = take(backward ? HN : 0);
    for (std::int64_t* each : {&grad_erase, &grad_add}) *each = take(backward ? HM : 0);
  }
};

template <class X>
__device__ __forceinline__ MemoryShape memory_shape(const MemoryInputs<X>& args) {
  return {static_cast<int>(args.shape.rows), memory_stride(args.shape.rows),
          static_cast<int>(args.shape.width)};
}

template <class X, class T>
__device__ __forceinline__ void load_inputs(const MemoryInputs<X>& args, const MemoryWork& work,
                                            std::int64_t b, T* space) {
  const MemoryShape shape = memory_shape(args);
  const std::int64_t HN = args.shape.heads * args.shape.rows, HM = args.shape.heads * shape.width;
  load_rows(args.memory + b * shape.rows * shape.width, shape.rows, shape.width, shape.stride,
            space + work.memory);
  load_array(args.weights + b * HN, HN, space + work.weights);
  if (args.erase == nullptr) return;
  load_array(args.erase + b * HM, HM, space + work.erase);
  load_array(args.add + b * HM, HM, space + work.add);
}

template <class X, class T>
__device__ __forceinline__ WriteHeads<T> write_heads(const MemoryInputs<X>& args,
                                                     const MemoryWork& work, const T* space) {
  return {args.erase == nullptr ? 0 : static_cast<int>(args.shape.heads),
          static_cast<int>(args.shape.width), space + work.erase, space + work.add,
          space + work.weights};
}

template <class X, class T>
__global__ void __launch_bounds__(kPieceThreads, 2)
    memory_kernel(const MemoryInputs<X> args, const MemoryWork work, X* out,
                  const PiecePlan<T> plan) {
  T* space = plan.space();
  const MemoryShape shape = memory_shape(args);
  const bool writes = args.erase != nullptr;
  const int reads = writes ? 0 : static_cast<int>(args.shape.heads);
  for (std::int64_t b = blockIdx.x; b < args.shape.batch; b += gridDim.x) {
    load_inputs(args, work, b, space);
    __syncthreads();
    write_and_read(space + work.memory, shape, write_heads(args, work, space), space + work.weights,
                   reads, true,
                   [&](int h, int m, T value) { space[work.reads + h * shape.width + m] = value; });
    __syncthreads();
    if (writes) {
      store_rows(space + work.memory, shape.rows, shape.width, shape.stride,
                 out + b * shape.rows * shape.width);
    } else {
      const std::int64_t HM = args.shape.heads * shape.width;
      store_array(space + work.reads, HM, out + b * HM);
    }
    __syncthreads();
  }
}

template <class X, class T>
__global__ void __launch_bounds__(kPieceThreads, 2)
    memory_backward_kernel(const MemoryInputs<X> args, const MemoryWork work,
                           const MemoryGrads<X> to, const PiecePlan<T> plan) {
  T* space = plan.space();
  const MemoryShape shape = memory_shape(args);
  const std::int64_t NM = std::int64_t{shape.rows} * shape.width;
  const std::int64_t HN = args.shape.heads * shape.rows, HM = args.shape.heads * shape.width;
  const bool writes = args.erase != nullptr;
  const int reads = writes ? 0 : static_cast<int>(args.shape.heads);
  T* memory = space + work.memory;
  T* grad_memory = space + work.grad_memory;
  T* grad_weights = space + work.grad_weights;
  for (std::int64_t b = blockIdx.x; b < args.shape.batch; b += gridDim.x) {
    load_inputs(args, work, b, space);
    clear_array(grad_weights, HN);
    if (writes) {
      load_rows(to.grad + b * NM, shape.rows, shape.width, shape.stride, grad_memory);
    } else {
      load_array(to.grad + b * HM, HM, space + work.reads);
      clear_array(grad_memory, std::int64_t{shape.width} * shape.stride);
    }
    __syncthreads();
    const WriteHeads<T> heads = write_heads(args, work, space);
    if (writes) {
      write_backward_weights(memory, shape, heads, grad_memory, grad_weights);
      __syncthreads();
      write_backward_memory(
          memory, shape, heads, grad_memory, [](int, int) { return T{0}; },
          [&](int h, int m, T to_erase, T to_add) {
            space[work.grad_erase + h * shape.width + m] = to_erase;
            space[work.grad_add + h * shape.width + m] = to_add;
          });
    } else {
      read_backward_memory(grad_memory, shape, space + work.weights, space + work.reads, reads);
      read_backward_weights(shape, space + work.reads, reads, grad_weights,
                            [&](int m, int i) { return memory[m * shape.stride + i]; });
    }
    __syncthreads();
    store_rows(grad_memory, shape.rows, shape.width, shape.stride, to.grad_memory + b * NM);
    store_array(grad_weights, HN, to.grad_weights + b * HN);
    if (writes) {
      store_array(space + work.grad_erase, HM, to.grad_erase + b * HM);
      store_array(space + work.grad_add, HM, to.grad_add + b * HM);
    }
    __syncthreads();
  }
}

template <class X, class T>
void memory_any(const char* name, const MemoryInputs<X>& args, X* out,
                const PartedScratch<T>& scratch, cudaStream_t stream) {
  const MemoryWork work(args.shape, false);
  const PiecePlan<T> plan = piece_plan(name, args.shape.batch, work.size, scratch);
  allow_all_shared_memory(memory_kernel<X, T>);
  launch(name, memory_kernel<X, T>, {plan.blocks, kPieceThreads, plan.shared_bytes}, stream, args,
         work, out, plan);
}

template <class X, class T>
void memory_backward_any(const char* name, const MemoryInputs<X>& args, const MemoryGrads<X>& to,
                         const PartedScratch<T>& scratch, cudaStream_t stream) {
  const MemoryWork work(args.shape, true);
  const PiecePlan<T> plan = piece_plan(name, args.shape.batch, work.size, scratch);
  allow_all_shared_memory(memory_backward_kernel<X, T>);
  launch(name, memory_backward_kernel<X, T>, {plan.blocks, kPieceThreads, plan.shared_bytes},
         stream, args, work, to, plan);
}

}  // namespace

std::int64_t memory_space(const HeadsShape& shape) { return MemoryWork(shape, true).size; }

Parts parts_for(std::int64_t batch, std::int64_t space, bool is_double) {
  constexpr std::int64_t kEverywhere = 48 << 10;  // bytes of shared memory on every device
  constexpr std::int64_t kBlocks = 1024;
  const std::int64_t bytes = (kPieceSlots + space) * std::int64_t{is_double ? 8 : 4};
  if (placement() == Placement::automatic && bytes <= kEverywhere) return {0, 0};
  return {batch < kBlocks ? batch : kBlocks, space};
}

template <class X, class T>
void read(const ReadArgs<X, T>& a, cudaStream_t stream) {
  memory_any("ntm_read", MemoryInputs<X>{a.shape, a.memory, a.weights, nullptr, nullptr}, a.out,
             a.scratch, stream);
}

template <class X, class T>
void read_backward(const ReadBackwardArgs<X, T>& a, cudaStream_t stream) {
  memory_backward_any(
      "ntm_read_backward", MemoryInputs<X>{a.shape, a.memory, a.weights, nullptr, nullptr},
      MemoryGrads<X>{a.grad, a.grad_memory, a.grad_weights, nullptr, nullptr}, a.scratch, stream);
}

template <class X, class T>
void write(const WriteArgs<X, T>& a, cudaStream_t stream) {
  memory_any("ntm_write", MemoryInputs<X>{a.shape, a.memory, a.weights, a.erase, a.add}, a.out,
             a.scratch, stream);
}

template <class X, class T>
void write_backward(const WriteBackwardArgs<X, T>& a, cudaStream_t stream) {
  memory_backward_any(
      "ntm_write_backward", MemoryInputs<X>{a.shape, a.memory, a.weights, a.erase, a.add},
      MemoryGrads<X>{a.grad, a.grad_memory, a.grad_weights, a.grad_erase, a.grad_add}, a.scratch,
      stream);
}

template void read(const ReadArgs<float>&, cudaStream_t);
template void read(const ReadArgs<double>&, cudaStream_t);
template void read(const ReadArgs<__half, float>&, cudaStream_t);
template void read(const ReadArgs<__nv_bfloat16, float>&, cudaStream_t);
template void read_backward(const ReadBackwardArgs<float>&, cudaStream_t);
template void read_backward(const ReadBackwardArgs<double>&, cudaStream_t);
template void read_backward(const ReadBackwardArgs<__half, float>&, cudaStream_t);
template void read_backward(const ReadBackwardArgs<__nv_bfloat16, float>&, cudaStream_t);
template void write(const WriteArgs<float>&, cudaStream_t);
template void write(const WriteArgs<double>&, cudaStream_t);
template void write(const WriteArgs<__half, float>&, cudaStream_t);
template void write(const WriteArgs<__nv_bfloat16, float>&, cudaStream_t);
template void write_backward(const WriteBackwardArgs<float>&, cudaStream_t);
template void write_backward(const WriteBackwardArgs<double>&, cudaStream_t);
template void write_backward(const WriteBackwardArgs<__half, float>&, cudaStream_t);
template void write_backward(const WriteBackwardArgs<__nv_bfloat16, float>&, cudaStream_t);

}  // namespace polyad::ntm::cuda
