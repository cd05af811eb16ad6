#include "capsule/cuda.hpp"
#include "capsule/routing_gradients_cuda.hpp"
#include "capsule/routing_pass_cuda.hpp"
#include "capsule/routing_rows_cuda.cuh"
#include "capsule/routing_slices_cuda.hpp"
#include "capsule/squash_math.hpp"

namespace polyad::capsule::cuda {
namespace {

using polyad::cuda::kWarp;

// The sums of the outputs that the iterations began with, from s.
template <class T>
struct Totals {
  Extent extent;
  std::int64_t count;     // iterations
  const T* s;             // [count, stride]
  std::int64_t s_stride;  // from one iteration to the next
  T* totals;              // [count, B, J, D]
};

template <class T>
__device__ __forceinline__ T most_over_lane(const T* s, std::int64_t D, int lane) {
  T most = 0;
  for (std::int64_t d = lane; d < D; d += kWarp) most = larger_size(most, s[d]);
  return most;
}

template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    totals_kernel(const __grid_constant__ Totals<T> args) {
  const std::int64_t D = args.extent.output_size, rows = args.extent.rows();
  const std::int64_t set = args.extent.batch * rows;
  for_capsules(args.extent, [&](std::int64_t b, std::int64_t j, int lane) {
    const std::int64_t begin = b * rows + j * D;
    for (std::int64_t t = 0; t < args.count; ++t) {
      const T* s = args.s + t * args.s_stride + begin;
      T* total = args.totals + t * set + begin;
      const Length<T> length = length_over_warp<T>(s, D, most_over_lane(s, D, lane), lane);
      for (std::int64_t d = lane; d < D; d += kWarp) {
        const T v = length.phi * s[d];
        total[d] = t == 0 ? v : total[d - set] + v;
      }
    }
  });
}

// s' of an iteration, from the output's gradient: dL/dv of the last one, before it R, to which the
// sums of the chunks are added first.
template <class T>
struct Adjoint {
  Extent extent;
  int chunks;
  const T* grad;     // [B, J, D] or null
  const T* partial;  // [chunks, B, J, D], where grad is null
  bool begins;       // R is zero so far
  T* pull;           // [B, J, D] R
  const T* s;        // [B, J, D]
  T* to_s;           // [B, J, D]
};

template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    adjoint_kernel(const __grid_constant__ Adjoint<T> args) {
  const std::int64_t D = args.extent.output_size, rows = args.extent.rows();
  for_capsules(args.extent, [&](std::int64_t b, std::int64_t j, int lane) {
    const std::int64_t begin = b * rows + j * D;
    const T* s = args.s + begin;
    const T* to_v = args.grad == nullptr ? args.pull + begin : args.grad + begin;
    if (args.grad == nullptr) {
      for_components(args.extent, lane, [&](std::int64_t d, int part, int parts, bool leads) {
        T sum = 0;
        if (d < D) {
          sum = sum_of_chunks(args.partial + begin + d, part, parts, args.chunks, args.extent);
        }
        sum = over_parts(sum, parts);
        if (d >= D || !leads) return;
        args.pull[begin + d] = args.begins ? sum : args.pull[begin + d] + sum;
      });
      __syncwarp();
    }
    const Length<T> length = length_over_warp<T>(s, D, most_over_lane(s, D, lane), lane);
    T along = 0;
    for (std::int64_t d = lane; d < D; d += kWarp) along += s[d] * length.inverse * to_v[d];
    along = sum_over_lanes(along, kWarp) * length.radial;
    for (std::int64_t d = lane; d < D; d += kWarp) {
      const T unit = s[d] * length.inverse;
      args.to_s[begin + d] = length.phi * (to_v[d] + along * unit);
    }
  });
}

// Capsules that no block can hold together: logits and u_hat . s' become c and l'.
template <class T>
struct CouplingsBackward {
  Extent extent;
  bool leaky;
  int pitch;
  T* c;  // [I, J, pitch]
  T* l;  // [I, J, pitch]
};

template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    couplings_backward_kernel(const __grid_constant__ CouplingsBackward<T> args) {
  for_connections(args.extent, args.pitch, [&](std::int64_t i, std::int64_t b) {
    const std::int64_t J = args.extent.outputs, pitch = args.pitch;
    T* c = args.c + i * J * pitch + b;
    T* l = args.l + i * J * pitch + b;
    const auto coupling = [&](std::int64_t j) { return c[j * pitch]; };
    softmax<T>(J, args.leaky, coupling, coupling, [&](std::int64_t j, T x) { c[j * pitch] = x; });
    softmax_backward<T>(
        J, coupling, [&](std::int64_t j) { return l[j * pitch]; },
        [&](std::int64_t j, T x) { l[j * pitch] = x; });
  });
}

// Couplings before anything is known but the logits: the same for all samples.
template <class T>
struct Even {
  Extent extent;
  bool leaky;
  const T* logits;  // [I, J]
  T* even;          // [I, J]
};

template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    even_kernel(const __grid_constant__ Even<T> args) {
  for_numbers(args.extent.inputs, [&](std::int64_t i) {
    const std::int64_t J = args.extent.outputs;
    const T* logits = args.logits + i * J;
    T* even = args.even + i * J;
    softmax<T>(
        J, args.leaky, [&](std::int64_t j) { return logits[j]; },
        [&](std::int64_t j) { return even[j]; }, [&](std::int64_t j, T x) { even[j] = x; });
  });
}

// The iterations whose couplings are kept, and those whose s' is needed.
inline std::int64_t kept_iterations(const RoutingShape& shape, bool detach) {
  return detach && shape.iterations > 1 ? 1 : shape.iterations - 1;
}
inline std::int64_t used_iterations(const RoutingShape& shape, bool detach) {
  return detach ? 1 : shape.iterations;
}
// One set at least: the first iteration's, for the gradient of the logits.
inline std::int64_t kept_sets(const RoutingShape& shape, bool detach) {
  const std::int64_t kept = kept_iterations(shape, detach);
  return kept < 1 ? 1 : kept;
}

template <class T>
std::int64_t backward_slice(const RoutingShape& shape, bool detach) {
  const Extent one = extent_of(shape, 1);
  const std::int64_t sums = samples_within<T>(kSumBytes, chunks_of(one.inputs) * one.rows());
  const std::int64_t kept =
      samples_within<T>(kKeptBytes, 2 * kept_sets(shape, detach) * shape.inputs * shape.outputs);
  return sums < kept ? sums : kept;
}

// The arrays of a slice.
template <class T>
struct Workspace {
  T *even, *weights, *partial, *pull, *to_s, *totals, *kept_c, *kept_l;

  Workspace(const RoutingShape& shape, const CapsuleTypes& types, bool detach, Shelf<T>& shelf) {
    const std::int64_t pieces = pieces_of<T>(shape, types);
    even = shelf.take(shape.inputs * shape.outputs);
    weights = shelf.take(pieces == 1 ? 0 : pieces * types.types * shape.rows() * shape.input_size);
    const std::int64_t count = slice_at(shape, 0, backward_slice<T>(shape, detach)).count;
    const Extent extent = extent_of(shape, count);
    const std::int64_t vector = count * extent.rows();
    partial = shelf.take(detach ? 0 : chunks_of(extent.inputs) * vector);
    pull = shelf.take(detach ? 0 : vector);
    to_s = shelf.take(used_iterations(shape, detach) * vector);
    totals = shelf.take((shape.iterations - 1) * vector);
    kept_c = shelf.take(kept_sets(shape, detach) * kept_elements<T>(extent));
    kept_l = shelf.take(kept_sets(shape, detach) * kept_elements<T>(extent));
  }
};

// c and l' of one iteration, and the sums that R takes up, where pass.partial is set.
template <class T>
void adjoint_pass(Pass<T> pass, cudaStream_t stream) {
  if (fits_block<T>(pass.extent, pass.votes != nullptr)) {
    run_pass(pass, Task::adjoint, stream);
    return;
  }
  run_pass(pass, Task::dots, stream);
  launch_numbers(
      "capsule_routing_couplings", couplings_backward_kernel<T>,
      std::int64_t{pass.extent.inputs} * pass.pitch, stream,
      CouplingsBackward<T>{pass.extent, pass.leaky, pass.pitch, pass.kept, pass.kept_second});
  if (pass.partial == nullptr) return;
  pass.kept = pass.kept_second;
  run_pass(pass, Task::weigh, stream);
}

template <class T>
void back_slice(const RoutingBackwardArgs<T>& args, const Workspace<T>& work, const Slice& slice,
                cudaStream_t stream) {
  const RoutingShape& shape = args.shape;
  const Extent extent = extent_of(shape, slice.count);
  const bool given = shape.input_size == 0, later = slice.first > 0;
  const std::int64_t rows = extent.rows(), vector = slice.count * rows, r = shape.iterations;
  const std::int64_t used = used_iterations(shape, args.detach);
  const std::int64_t kept = kept_iterations(shape, args.detach);
  const T* s = args.s + slice.first * rows;
  const std::int64_t s_stride = shape.batch * rows;

  Pass<T> pass{};
  pass.extent = extent;
  pass.types = args.types.types;
  pass.type = args.types.type;
  pass.leaky = args.leaky;
  pass.u = given ? nullptr : args.u + slice.first * shape.inputs * shape.input_size;
  pass.weight = args.weight;
  pass.votes = given ? args.votes + slice.first * shape.inputs * rows : nullptr;
  pass.logits = args.logits;
  pass.pitch = pitch_of<T>(slice.count);
  const std::int64_t set = kept_elements<T>(extent);

  if (r > 1) {
    launch_capsules("capsule_routing_totals", totals_kernel<T>, extent, stream,
                    Totals<T>{extent, r - 1, s, s_stride, work.totals});
  }
  for (std::int64_t n = used - 1; n >= 0; --n) {
    const std::int64_t t = r - used + n;
    const bool last = t == r - 1;
    T* to_s = work.to_s + n * vector;
    launch_capsules("capsule_routing_adjoint", adjoint_kernel<T>, extent, stream,
                    Adjoint<T>{extent, chunks_of(extent.inputs),
                               last ? args.grad + slice.first * rows : nullptr, work.partial,
                               t == r - 2, work.pull, s + t * s_stride, to_s});
    if (t == 0) break;
    const std::int64_t at = n - (used - kept);
    pass.first = work.totals + (t - 1) * vector;
    pass.second = to_s;
    pass.kept = work.kept_c + at * set;
    pass.kept_second = work.kept_l + at * set;
    pass.partial = args.detach ? nullptr : work.partial;
    adjoint_pass(pass, stream);
  }

  const bool has_even = used > kept;  // the first iteration counts
  if (has_even && args.logits != nullptr) {
    launch_numbers("capsule_routing_even", even_kernel<T>, shape.inputs, stream,
                   Even<T>{extent, args.leaky, args.logits, work.even});
  }
  const Terms<T> terms{has_even ? work.to_s : nullptr,
                       args.logits == nullptr ? nullptr : work.even,
                       even_coupling<T>(shape, args.leaky),
                       static_cast<int>(kept),
                       work.to_s + (used - kept) * vector,
                       args.detach ? nullptr : work.totals,
                       work.kept_c,
                       work.kept_l,
                       pass.pitch};
  if (given) {
    gradient_of_votes(extent, terms, args.grad_votes + slice.first * shape.inputs * rows, stream);
  } else {
    gradients(Gradients<T>{extent, args.types, terms, later, pass.u, args.weight,
                           args.grad_u + slice.first * shape.inputs * shape.input_size,
                           args.grad_weight, work.weights},
              pieces_of<T>(shape, args.types), stream);
  }
  if (args.grad_bias != nullptr) {
    sum_vectors(extent, used, work.to_s, later, args.grad_bias, stream);
  }
  if (args.grad_logits == nullptr) return;
  sum_connections(extent, kept, work.kept_l, pass.pitch, later, args.grad_logits, stream);
  if (!has_even) return;
  pass.first = nullptr;
  pass.second = work.to_s;
  pass.kept = work.kept_c;
  pass.kept_second = work.kept_l;
  pass.partial = nullptr;
  adjoint_pass(pass, stream);
  sum_connections(extent, 1, work.kept_l, pass.pitch, true, args.grad_logits, stream);
}

template <class T>
void back(const RoutingBackwardArgs<T>& args, cudaStream_t stream) {
  Shelf<T> shelf{args.scratch};
  const Workspace<T> work(args.shape, args.types, args.detach, shelf);
  const std::int64_t most = backward_slice<T>(args.shape, args.detach);
  std::int64_t first = 0;
  do {  // once without samples too: sums over them are zero then
    back_slice(args, work, slice_at(args.shape, first, most), stream);
    first += most;
  } while (first < args.shape.batch);
}

}  // namespace

template <class T>
std::int64_t routing_backward_scratch(const RoutingShape& shape, const CapsuleTypes& types,
                                      bool detach) {
  Shelf<T> shelf{nullptr};
  (void)Workspace<T>(shape, types, detach, shelf);
  return shelf.used;
}

template std::int64_t routing_backward_scratch<float>(const RoutingShape&, const CapsuleTypes&,
                                                      bool);
template std::int64_t routing_backward_scratch<double>(const RoutingShape&, const CapsuleTypes&,
                                                       bool);

void routing_backward(const RoutingBackwardArgs<float>& args, cudaStream_t stream) {
  back(args, stream);
}
void routing_backward(const RoutingBackwardArgs<double>& args, cudaStream_t stream) {
  back(args, stream);
}

}  // namespace polyad::capsule::cuda
