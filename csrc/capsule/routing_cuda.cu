#include "capsule/cuda.hpp"
#include "capsule/routing_pass_cuda.hpp"
#include "capsule/routing_rows_cuda.cuh"
#include "capsule/routing_slices_cuda.hpp"
#include "capsule/squash_math.hpp"

namespace polyad::capsule::cuda {
namespace {

// The last kernel of an iteration: s from the sums of the chunks, v, and the sum of the outputs.
template <class T>
struct Outputs {
  Extent extent;
  int chunks;
  const T* partial;  // [chunks, B, J, D]
  const T* bias;     // [J, D] or null
  const T* before;   // [B, J, D] the sum of the outputs so far, or null: none
  T* s;              // [B, J, D]
  T* v;              // [B, J, D] or null
  T* after;          // [B, J, D] the sum with this output, or null; may be `before`
};

// A warp takes a capsule: the lanes its components and, where these are few, parts of the chunks.
template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    outputs_kernel(const __grid_constant__ Outputs<T> to) {
  const std::int64_t D = to.extent.output_size, rows = to.extent.rows();
  for_capsules(to.extent, [&](std::int64_t b, std::int64_t j, int lane) {
    const std::int64_t begin = b * rows + j * D;
    T* s = to.s + begin;
    T most = 0;
    for_components(to.extent, lane, [&](std::int64_t d, int part, int parts, bool leads) {
      T sum = 0;
      if (d < D) sum = sum_of_chunks(to.partial + begin + d, part, parts, to.chunks, to.extent);
      sum = over_parts(sum, parts);
      if (to.bias != nullptr && d < D) sum += to.bias[j * D + d];
      if (d < D && leads) s[d] = sum;
      most = larger_size(most, sum);
    });
    __syncwarp();
    const Length<T> length = length_over_warp<T>(s, D, most, lane);
    for (std::int64_t d = lane; d < D; d += polyad::cuda::kWarp) {
      const T v = length.phi * s[d];
      if (to.v != nullptr) to.v[begin + d] = v;
      if (to.after != nullptr) {
        to.after[begin + d] = to.before == nullptr ? v : to.before[begin + d] + v;
      }
    }
  });
}

// Couplings of capsules that no block can hold together: [I, J, pitch] logits become couplings.
template <class T>
struct Couplings {
  Extent extent;
  bool leaky;
  int pitch;
  T* kept;       // [I, J, pitch]
  T* couplings;  // [B, I, J] or null
};

template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    couplings_kernel(const __grid_constant__ Couplings<T> args) {
  for_connections(args.extent, args.pitch, [&](std::int64_t i, std::int64_t b) {
    const std::int64_t J = args.extent.outputs, pitch = args.pitch;
    T* c = args.kept + i * J * pitch + b;
    const auto get = [&](std::int64_t j) { return c[j * pitch]; };
    softmax<T>(J, args.leaky, get, get, [&](std::int64_t j, T x) { c[j * pitch] = x; });
    if (args.couplings == nullptr || b >= args.extent.batch) return;
    T* to = args.couplings + (b * args.extent.inputs + i) * J;
    for (std::int64_t j = 0; j < J; ++j) to[j] = c[j * pitch];
  });
}

// Couplings that are the same for all inputs, and do not come from a kernel.
template <class T>
struct Same {
  std::int64_t count;
  T value;
  T* to;
};

template <class T>
__global__ void __launch_bounds__(kVectorThreads) fill_kernel(const Same<T> same) {
  for_numbers(same.count, [&](std::int64_t e) { same.to[e] = same.value; });
}

template <class T>
void route_slice(const RoutingArgs<T>& args, const Slice& slice, cudaStream_t stream) {
  const RoutingShape& shape = args.shape;
  const Extent extent = extent_of(shape, slice.count);
  const bool given = shape.input_size == 0;
  const bool in_block = fits_block<T>(extent, given);
  const std::int64_t rows = extent.rows(), first = slice.first;
  Shelf<T> shelf{args.scratch};
  Pass<T> pass{};
  pass.extent = extent;
  pass.types = args.types.types;
  pass.type = args.types.type;
  pass.leaky = args.leaky;
  pass.u = given ? nullptr : args.u + first * shape.inputs * shape.input_size;
  pass.weight = args.weight;
  pass.votes = given ? args.votes + first * shape.inputs * rows : nullptr;
  pass.logits = args.logits;
  pass.factor = even_coupling<T>(shape, args.leaky);
  pass.partial = shelf.take(chunks_of(extent.inputs) * slice.count * rows);
  T* total = shelf.take(slice.count * rows);
  pass.pitch = pitch_of<T>(slice.count);
  pass.kept = in_block ? nullptr : shelf.take(kept_elements<T>(extent));
  T* couplings =
      args.couplings == nullptr ? nullptr : args.couplings + first * shape.inputs * shape.outputs;

  for (std::int64_t t = 0; t < shape.iterations; ++t) {
    const bool last = t + 1 == shape.iterations;
    pass.first = t == 0 ? nullptr : total;
    pass.couplings = last ? couplings : nullptr;
    if (t == 0 && args.logits == nullptr) {
      run_pass(pass, Task::sum, stream);
      if (pass.couplings != nullptr) {
        const std::int64_t count = slice.count * shape.inputs * shape.outputs;
        launch_numbers("capsule_routing_even", fill_kernel<T>, count, stream,
                       Same<T>{count, pass.factor, couplings});
      }
    } else if (in_block) {
      run_pass(pass, Task::route, stream);
    } else {
      run_pass(pass, Task::dots, stream);
      launch_numbers("capsule_routing_couplings", couplings_kernel<T>, shape.inputs * pass.pitch,
                     stream,
                     Couplings<T>{extent, args.leaky, pass.pitch, pass.kept, pass.couplings});
      run_pass(pass, Task::weigh, stream);
    }
    const std::int64_t after = t * shape.batch * rows + first * rows;
    launch_capsules(
        "capsule_routing_outputs", outputs_kernel<T>, extent, stream,
        Outputs<T>{extent, chunks_of(extent.inputs), pass.partial, args.bias, pass.first,
                   args.s + after, last ? args.v + first * rows : nullptr, last ? nullptr : total});
  }
}

template <class T>
void route(const RoutingArgs<T>& args, cudaStream_t stream) {
  const std::int64_t most = forward_slice<T>(args.shape);
  for (std::int64_t b = 0; b < args.shape.batch; b += most) {
    route_slice(args, slice_at(args.shape, b, most), stream);
  }
}

}  // namespace

template <class T>
std::int64_t routing_scratch(const RoutingShape& shape) {
  const std::int64_t count = slice_at(shape, 0, forward_slice<T>(shape)).count;
  const Extent extent = extent_of(shape, count);
  Shelf<T> shelf{nullptr};
  shelf.skip(chunks_of(extent.inputs) * count * extent.rows());
  shelf.skip(count * extent.rows());
  if (!fits_block<T>(extent, false) || !fits_block<T>(extent, true)) {
    shelf.skip(kept_elements<T>(extent));
  }
  return shelf.used;
}

template std::int64_t routing_scratch<float>(const RoutingShape&);
template std::int64_t routing_scratch<double>(const RoutingShape&);

void routing(const RoutingArgs<float>& args, cudaStream_t stream) { route(args, stream); }
void routing(const RoutingArgs<double>& args, cudaStream_t stream) { route(args, stream); }

}  // namespace polyad::capsule::cuda
