#include "capsule/cuda.hpp"
#include "capsule/em_routing_math.hpp"
#include "common/check.hpp"
#include "common/cuda_check.hpp"

// One warp takes one sample and one chunk of inputs, or one sample and one output capsule; its
// lanes stride over the J P numbers of the votes of one input. What a warp works on stands in
// shared memory, or in the scratch where a capsule layer is too large for that.
namespace polyad::capsule::cuda {
namespace {

using polyad::cuda::dynamic_shared;
using polyad::cuda::kWarp;
using polyad::cuda::launch;

constexpr std::int64_t kMostWarps = 8;           // of a block
constexpr std::int64_t kSharedBytes = 48 << 10;  // on every device without asking
constexpr std::int64_t kGlobalTeams = 4096;      // warps with working space in the scratch

// Inputs of a chunk: at most 32 chunks, as many warps for every sample.
std::int64_t chunk_of(const EmShape& shape) { return (shape.inputs + 31) / 32; }
std::int64_t chunks_of(const EmShape& shape) {
  return (shape.inputs + chunk_of(shape) - 1) / chunk_of(shape);
}

// The P numbers of an output capsule in arrays that a lane sums: an odd stride, so that the lanes
// read different banks.
__host__ __device__ constexpr std::int64_t odd(std::int64_t pose) { return pose | 1; }

// Elements that a warp works on, whichever kernel it is.
std::int64_t space_of(const EmShape& shape) {
  return 4 * shape.rows() + 2 * shape.outputs * odd(shape.pose()) + 4 * shape.outputs +
         shape.pose();
}

// How many warps a block has, and where they work.
template <class T>
struct Teams {
  std::int64_t warps, space;
  T* scratch;  // null: shared memory

  Teams(const EmShape& shape, T* where) : warps(kMostWarps), space(space_of(shape)) {
    const auto bytes = static_cast<std::int64_t>(sizeof(T));
    while (warps > 1 && warps * space * bytes > kSharedBytes) warps /= 2;
    scratch = space * bytes > kSharedBytes ? where : nullptr;
    if (scratch != nullptr) warps = 4;
  }
  static std::int64_t elements(const EmShape& shape) {
    const std::int64_t space = space_of(shape);
    return space * static_cast<std::int64_t>(sizeof(T)) > kSharedBytes ? kGlobalTeams * space : 0;
  }
  polyad::cuda::Launch shape_for(std::int64_t blocks) const {
    const std::int64_t most = kGlobalTeams / warps;
    return {scratch != nullptr && blocks > most ? most : blocks, static_cast<int>(warps * kWarp),
            scratch != nullptr ? 0 : static_cast<std::size_t>(warps * space) * sizeof(T)};
  }
  __device__ T* of_block() const {
    return scratch == nullptr ? dynamic_shared<T>() : scratch + blockIdx.x * warps * space;
  }
};

__device__ __forceinline__ int lane_rank() { return static_cast<int>(threadIdx.x % kWarp); }
__device__ __forceinline__ int warp_rank() { return static_cast<int>(threadIdx.x / kWarp); }

template <class T>
__device__ __forceinline__ T warp_sum(T x) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

template <class T>
__device__ __forceinline__ T warp_max(T x) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const T other = __shfl_xor_sync(0xffffffffu, x, step);
    x = other > x ? other : x;
  }
  return x;
}

// Sizes of a layer; `side` is known when compiling where n > 0.
template <int n>
struct Sizes {
  int outputs, given_side;

  __device__ explicit Sizes(const EmShape& shape)
      : outputs(static_cast<int>(shape.outputs)), given_side(static_cast<int>(shape.side)) {}
  __device__ __forceinline__ int side() const { return n > 0 ? n : given_side; }
  __device__ __forceinline__ int pose() const { return side() * side(); }
  __device__ __forceinline__ int rows() const { return outputs * pose(); }
  __device__ __forceinline__ int terms() const { return outputs * static_cast<int>(odd(pose())); }
  // The place of number e = (j, h) of the votes among the terms that a lane sums over h.
  __device__ __forceinline__ int term(int e) const {
    return e / pose() * static_cast<int>(odd(pose())) + e % pose();
  }
};

// Number e of the votes of an input: a row of its pose by a column of the weight.
template <int n, class T>
__device__ __forceinline__ T vote(const Sizes<n>& sizes, const T* pose, const T* weight, int e) {
  const int side = sizes.side(), h = e % sizes.pose();
  const T* row = pose + h / side * side;
  const T* column = weight + (e - h) + h % side;
  T sum = 0;
  for (int k = 0; k < side; ++k) sum += row[k] * column[k * side];
  return sum;
}

// couplings [J] <- their softmax.
template <class T>
__device__ __forceinline__ void couple(int outputs, T* couplings) {
  T most = couplings[0];
  for (int j = lane_rank(); j < outputs; j += kWarp) {
    most = couplings[j] > most ? couplings[j] : most;
  }
  most = warp_max(most);
  T sum = 0;
  __syncwarp();
  for (int j = lane_rank(); j < outputs; j += kWarp) {
    const T x = exp_of(couplings[j] - most);
    couplings[j] = x;
    sum += x;
  }
  const T scale = 1 / warp_sum(sum);
  for (int j = lane_rank(); j < outputs; j += kWarp) couplings[j] *= scale;
  __syncwarp();
}

template <class T>
struct Inputs {
  EmShape shape;
  std::int64_t chunk, chunks;
  const T *poses, *activations, *weight;
};

// The Gaussians of an iteration, of all samples: [B, J, P], [B, J, P], [B, J].
template <class T>
struct Gaussians {
  const T *mu, *sharp, *offset;  // null: there is none before
};

template <class T>
__device__ __forceinline__ void load_pose(const Inputs<T>& in, std::int64_t b, std::int64_t i,
                                          int pose, T* to) {
  __syncwarp();
  const T* from = in.poses + (b * in.shape.inputs + i) * pose;
  for (int h = lane_rank(); h < pose; h += kWarp) to[h] = from[h];
  __syncwarp();
}

// Calls body(b, chunk, space) for the pairs of this warp; neighbouring warps share a chunk.
template <class T, class Body>
__device__ __forceinline__ void for_chunks(const Inputs<T>& in, const Teams<T>& teams,
                                           const Body& body) {
  const std::int64_t items = in.shape.batch * in.chunks, step = gridDim.x * teams.warps;
  T* space = teams.of_block() + warp_rank() * teams.space;
  for (std::int64_t item = blockIdx.x * teams.warps + warp_rank(); item < items; item += step) {
    body(item % in.shape.batch, item / in.shape.batch, space);
    __syncwarp();
  }
}

// moments [chunks, B]: of J masses, J P means, J P spreads
template <class T, int n>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    moments_kernel(const Inputs<T> in, const Gaussians<T> before, T* moments,
                   const Teams<T> teams) {
  const Sizes<n> sizes(in.shape);
  const int J = sizes.outputs, P = sizes.pose(), rows = sizes.rows(), lane = lane_rank();
  for_chunks(in, teams, [&](std::int64_t b, std::int64_t chunk, T* space) {
    T* pose = space;
    T* votes = pose + P;
    T* terms = votes + rows;
    T* couplings = terms + sizes.terms();
    T* toward = couplings + J;
    T* between = toward + J;
    T* mass = between + J;
    T* mean = mass + J;
    T* spread = mean + rows;
    for (int e = lane; e < J + 2 * rows; e += kWarp) mass[e] = 0;
    const std::int64_t end =
        (chunk + 1) * in.chunk < in.shape.inputs ? (chunk + 1) * in.chunk : in.shape.inputs;
    for (std::int64_t i = chunk * in.chunk; i < end; ++i) {
      load_pose(in, b, i, P, pose);
      const T activation = in.activations[b * in.shape.inputs + i];
      for (int e = lane; e < rows; e += kWarp) {
        const T v = vote(sizes, pose, in.weight + i * rows, e);
        votes[e] = v;
        if (before.mu != nullptr) {
          const T d = v - before.mu[b * rows + e];
          terms[sizes.term(e)] = d * d * before.sharp[b * rows + e];
        }
      }
      __syncwarp();
      if (before.mu != nullptr) {
        for (int j = lane; j < J; j += kWarp) {
          T logit = before.offset[b * J + j];
          for (int h = 0; h < P; ++h) logit -= terms[j * odd(P) + h];
          couplings[j] = bounded_logit<T>(logit);
        }
        __syncwarp();
        couple(J, couplings);
      }
      for (int j = lane; j < J; j += kWarp) {
        const T coupling = before.mu != nullptr ? couplings[j] : T{1} / static_cast<T>(J);
        const T assigned = coupling * activation;
        const Share<T> share = share_of(mass[j], assigned);
        mass[j] += assigned;
        toward[j] = share.toward;
        between[j] = share.between;
      }
      __syncwarp();
      for (int e = lane; e < rows; e += kWarp) {
        const T off = votes[e] - mean[e];
        mean[e] += toward[e / P] * off;
        spread[e] += between[e / P] * off * off;
      }
    }
    __syncwarp();
    T* to = moments + (chunk * in.shape.batch + b) * (J + 2 * rows);
    for (int e = lane; e < J + 2 * rows; e += kWarp) to[e] = mass[e];
  });
}

// Calls body(b, j) for the output capsules of this warp.
template <class Body>
__device__ __forceinline__ void for_capsules(std::int64_t items, std::int64_t outputs,
                                             const Body& body) {
  const std::int64_t warps = blockDim.x / kWarp;
  for (std::int64_t item = blockIdx.x * warps + warp_rank(); item < items;
       item += gridDim.x * warps) {
    body(item / outputs, item % outputs);
  }
}

// The M-step from the moments of all chunks; lambda is that of iteration t.
template <class T>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    m_step_kernel(const EmRoutingArgs<T> args, std::int64_t t, T lambda, std::int64_t chunks,
                  const T* moments) {
  const std::int64_t B = args.shape.batch, J = args.shape.outputs, P = args.shape.pose();
  const bool last = t + 1 == args.shape.iterations;
  const auto epsilon = static_cast<T>(args.epsilon);
  for_capsules(B * J, J, [&](std::int64_t b, std::int64_t j) {
    T logs = 0, mass = 0;
    for (std::int64_t c = 0; c < chunks; ++c) {
      mass += moments[(c * B + b) * (J + 2 * J * P) + j];
    }
    for (std::int64_t h = lane_rank(); h < P; h += kWarp) {
      T so_far = 0, mean = 0, spread = 0;
      for (std::int64_t c = 0; c < chunks; ++c) {
        const T* of = moments + (c * B + b) * (J + 2 * J * P);
        const T added = of[j], off = of[J + j * P + h] - mean;
        const Share<T> share = share_of(so_far, added);
        so_far += added;
        mean += share.toward * off;
        spread += of[J + J * P + j * P + h] + share.between * off * off;
      }
      const Gaussian<T> gaussian = gaussian_of(mass, mean, spread, epsilon);
      const std::int64_t at = ((t * B + b) * J + j) * P + h;
      args.mu[at] = gaussian.mu;
      args.variance[at] = gaussian.variance;
      if (last) args.out_poses[(b * J + j) * P + h] = gaussian.mu;
      logs += half_log(gaussian.variance);
    }
    logs = warp_sum(logs);
    const T score =
        score_of<T>(lambda, args.beta_u[j], args.beta_a[j], static_cast<T>(P), mass, logs);
    if (lane_rank() == 0) {
      args.mass[(t * B + b) * J + j] = mass;
      args.score[(t * B + b) * J + j] = score;
      if (last) args.out_activations[b * J + j] = sigmoid_of(score);
    }
  });
}

// What E-steps read, for `samples` Gaussians of J capsules (a batch of one iteration or of all):
// sharp [samples, J, P], offset [samples, J], and, unless null, logs [samples, J].
template <class T>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    densities_kernel(std::int64_t samples, std::int64_t J, std::int64_t P, const T* variance,
                     const T* score, T* sharp, T* offset, T* logs) {
  for_capsules(samples * J, J, [&](std::int64_t b, std::int64_t j) {
    T sum = 0, relative = 0;
    for (std::int64_t h = lane_rank(); h < P; h += kWarp) {
      const T of = variance[(b * J + j) * P + h];
      sharp[(b * J + j) * P + h] = T(0.5) / of;
      sum += half_log(of);
      relative += half_log_ratio(of, variance[b * J * P + h]);
    }
    sum = warp_sum(sum);
    relative = warp_sum(relative);
    if (lane_rank() == 0) {
      offset[b * J + j] = log_sigmoid_of(score[b * J + j]) - relative;
      if (logs != nullptr) logs[b * J + j] = sum;
    }
  });
}

// Adjoints of all iterations: [r, B, J, P] and [r, B, J].
template <class T>
struct Adjoints {
  T *sharp, *alpha, *nu, *offset, *logs, *gamma, *to_beta_u, *to_beta_a;
};

// Sums of a pass over the inputs [chunks, B]: of J numbers and three times J P.
template <class T>
struct Sums {
  const T* sums;  // null: the gradients of the outputs take their place
  std::int64_t chunks, batch, outputs, pose;

  // Which: -1 for the J numbers, else 0, 1 or 2.
  __device__ __forceinline__ T total(std::int64_t b, int which, std::int64_t place) const {
    const std::int64_t rows = outputs * pose, begin = which < 0 ? 0 : outputs + which * rows;
    T sum = 0;
    for (std::int64_t c = 0; c < chunks; ++c) {
      sum += sums[(c * batch + b) * (outputs + 3 * rows) + begin + place];
    }
    return sum;
  }
};

// The adjoint of the M-step of iteration t; `sums` are those of the pass of t + 1.
template <class T>
__device__ __forceinline__ void m_step_adjoint(const EmRoutingBackwardArgs<T>& args,
                                               const Adjoints<T>& to, std::int64_t t, T lambda,
                                               const Sums<T>& sums, std::int64_t b,
                                               std::int64_t j) {
  const std::int64_t B = args.shape.batch, J = args.shape.outputs, P = args.shape.pose();
  const std::int64_t at = (t * B + b) * J + j;
  const bool last = sums.sums == nullptr;
  const auto epsilon = static_cast<T>(args.epsilon);
  const T mass = args.mass[at], score = args.score[at];
  const T closed = sigmoid_of(-score), sum = last ? T{0} : sums.total(b, -1, j);
  const T grad_score =
      last ? closed * sigmoid_of(score) * args.grad_out_activations[b * J + j] : closed * sum;
  const MStep<T> step =
      m_step_backward(lambda, args.beta_u[j], static_cast<T>(P), mass, to.logs[at], grad_score);
  T gamma = 0;
  for (std::int64_t h = lane_rank(); h < P; h += kWarp) {
    const std::int64_t row = at * P + h, place = j * P + h;
    const T sharp = to.sharp[row];
    const Gaussian<T> grad =
        last ? Gaussian<T>{args.grad_out_poses[b * J * P + place], T{0}}
             : e_step_backward(sharp, sum, sums.total(b, 0, place), sums.total(b, 1, place));
    const Slopes<T> slopes =
        slopes_of(mass, args.mu[row], grad.mu, grad.variance + step.by_log * 2 * sharp, epsilon);
    gamma -= slopes.alpha * (args.variance[row] - epsilon);
    to.alpha[row] = slopes.alpha;
    to.nu[row] = slopes.nu;
  }
  gamma = warp_sum(gamma) + step.of_mass;
  if (lane_rank() == 0) {
    to.gamma[at] = gamma;
    to.to_beta_u[at] = step.beta_u;
    to.to_beta_a[at] = step.beta_a;
  }
}

template <class T>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    last_adjoint_kernel(const EmRoutingBackwardArgs<T> args, const Adjoints<T> to, T lambda) {
  for_capsules(args.shape.batch * args.shape.outputs, args.shape.outputs,
               [&](std::int64_t b, std::int64_t j) {
                 m_step_adjoint(args, to, args.shape.iterations - 1, lambda, Sums<T>{}, b, j);
               });
}

// After the pass of iteration t: nu of t with the sum of r d as it came out, then the adjoint of
// t - 1, whose lambda this is.
template <class T>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    adjoint_kernel(const EmRoutingBackwardArgs<T> args, const Adjoints<T> to, std::int64_t t,
                   T lambda, const Sums<T> sums) {
  const std::int64_t B = args.shape.batch, J = args.shape.outputs, P = args.shape.pose();
  const auto epsilon = static_cast<T>(args.epsilon);
  for_capsules(B * J, J, [&](std::int64_t b, std::int64_t j) {
    const std::int64_t at = (t * B + b) * J + j;
    for (std::int64_t h = lane_rank(); h < P; h += kWarp) {
      const std::int64_t row = at * P + h;
      to.nu[row] = corrected_nu(args.mass[at], args.mu[row], to.alpha[row], to.nu[row],
                                sums.total(b, 2, j * P + h), epsilon);
    }
    if (t > 0) m_step_adjoint(args, to, t - 1, lambda, sums, b, j);
  });
}

// Where the working space of a warp has what, in the passes backward.
template <class T>
struct Desk {
  T *pose, *votes, *terms, *slope_terms, *couplings, *slopes, *rest;

  template <int n>
  __device__ Desk(const Sizes<n>& sizes, T* space)
      : pose(space),
        votes(pose + sizes.pose()),
        terms(votes + sizes.rows()),
        slope_terms(terms + sizes.terms()),
        couplings(slope_terms + sizes.terms()),
        slopes(couplings + sizes.outputs),
        rest(slopes + sizes.outputs) {}
};

// couplings and slopes of an input from its votes; gives sum_j R_j r'_j. `t` and `b` say which
// Gaussians, `before` is null at t = 1.
template <int n, class T>
__device__ __forceinline__ T e_step(const EmRoutingBackwardArgs<T>& args, const Sizes<n>& sizes,
                                    const Adjoints<T>& of, std::int64_t t, std::int64_t b,
                                    const Desk<T>& desk) {
  const int J = sizes.outputs, P = sizes.pose(), rows = sizes.rows(), lane = lane_rank();
  const std::int64_t here = t * args.shape.batch + b, before = here - args.shape.batch;
  __syncwarp();
  for (int e = lane; e < rows; e += kWarp) {
    const T v = desk.votes[e];
    const std::int64_t row = here * rows + e;
    desk.slope_terms[sizes.term(e)] = assigned_slope(v - args.mu[row], of.alpha[row], of.nu[row]);
    if (t > 0) {
      const T d = v - args.mu[before * rows + e];
      desk.terms[sizes.term(e)] = d * d * of.sharp[before * rows + e];
    }
  }
  __syncwarp();
  for (int j = lane; j < J; j += kWarp) {
    T slope = of.gamma[here * J + j];
    for (int h = 0; h < P; ++h) slope += desk.slope_terms[j * odd(P) + h];
    desk.slopes[j] = slope;
    if (t > 0) {
      T logit = of.offset[before * J + j];
      for (int h = 0; h < P; ++h) logit -= desk.terms[j * odd(P) + h];
      desk.couplings[j] = bounded_logit<T>(logit);
    } else {
      desk.couplings[j] = T{1} / static_cast<T>(J);
    }
  }
  __syncwarp();
  if (t > 0) couple(J, desk.couplings);
  T mean = 0;
  for (int j = lane; j < J; j += kWarp) mean += desk.couplings[j] * desk.slopes[j];
  return warp_sum(mean);
}

// sums [chunks, B] of the pass of iteration t
template <class T, int n>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    sums_kernel(const EmRoutingBackwardArgs<T> args, const Inputs<T> in, const Adjoints<T> of,
                std::int64_t t, T* sums, const Teams<T> teams) {
  const Sizes<n> sizes(in.shape);
  const int J = sizes.outputs, P = sizes.pose(), rows = sizes.rows(), lane = lane_rank();
  for_chunks(in, teams, [&](std::int64_t b, std::int64_t chunk, T* space) {
    const Desk<T> desk(sizes, space);
    T* zeroth = desk.rest;
    T* first = zeroth + J;
    T* second = first + rows;
    T* residual = second + rows;
    for (int e = lane; e < J + 3 * rows; e += kWarp) zeroth[e] = 0;
    const std::int64_t here = t * in.shape.batch + b, before = here - in.shape.batch;
    const std::int64_t end =
        (chunk + 1) * in.chunk < in.shape.inputs ? (chunk + 1) * in.chunk : in.shape.inputs;
    for (std::int64_t i = chunk * in.chunk; i < end; ++i) {
      load_pose(in, b, i, P, desk.pose);
      const T activation = in.activations[b * in.shape.inputs + i];
      for (int e = lane; e < rows; e += kWarp) {
        desk.votes[e] = vote(sizes, desk.pose, in.weight + i * rows, e);
      }
      if (t == 0) {
        const T assigned = activation * (T{1} / static_cast<T>(J));
        for (int e = lane; e < rows; e += kWarp) {
          residual[e] += assigned * (desk.votes[e] - args.mu[here * rows + e]);
        }
        continue;
      }
      const T mean = e_step(args, sizes, of, t, b, desk);
      for (int j = lane; j < J; j += kWarp) {
        zeroth[j] += desk.couplings[j] * activation * (desk.slopes[j] - mean);
      }
      for (int e = lane; e < rows; e += kWarp) {
        const int j = e / P;
        const T assigned = desk.couplings[j] * activation;
        const T d = desk.votes[e] - args.mu[before * rows + e];
        const T scaled = assigned * (desk.slopes[j] - mean) * d;
        first[e] += scaled;
        second[e] += scaled * d;
        residual[e] += assigned * (desk.votes[e] - args.mu[here * rows + e]);
      }
    }
    __syncwarp();
    T* to = sums + (chunk * in.shape.batch + b) * (J + 3 * rows);
    for (int e = lane; e < J + 3 * rows; e += kWarp) to[e] = zeroth[e];
  });
}

// What iteration t gives the gradient of vote e.
template <int n, class T>
__device__ __forceinline__ T vote_gradient(const EmRoutingBackwardArgs<T>& args,
                                           const Sizes<n>& sizes, const Adjoints<T>& of,
                                           std::int64_t t, std::int64_t b, T activation, T mean,
                                           const Desk<T>& desk, int e) {
  const int j = e / sizes.pose();
  const std::int64_t row = (t * args.shape.batch + b) * sizes.rows() + e;
  const T v = desk.votes[e], assigned = desk.couplings[j] * activation;
  const T here = assigned * (2 * of.alpha[row] * (v - args.mu[row]) + of.nu[row]);
  if (t == 0) return here;
  const std::int64_t before = row - args.shape.batch * sizes.rows();
  const T grad = 2 * assigned * (desk.slopes[j] - mean);
  return here - grad * ((v - args.mu[before]) * of.sharp[before]);
}

// All gradients of an input: a block takes one input, its warps the samples in turn, and the weight
// gradients of the warps are added in their order.
template <class T, int n>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    inputs_kernel(const EmRoutingBackwardArgs<T> args, const Inputs<T> in, const Adjoints<T> of,
                  const Teams<T> teams) {
  const Sizes<n> sizes(in.shape);
  const int side = sizes.side(), P = sizes.pose(), rows = sizes.rows(), lane = lane_rank();
  T* block_space = teams.of_block();
  const Desk<T> desk(sizes, block_space + warp_rank() * teams.space);
  T* grad_votes = desk.rest;
  T* grad_weight = grad_votes + rows;
  const std::int64_t of_warp = grad_weight - (block_space + warp_rank() * teams.space);
  for (std::int64_t i = blockIdx.x; i < in.shape.inputs; i += gridDim.x) {
    const T* weight = in.weight + i * rows;
    for (int e = lane; e < rows; e += kWarp) grad_weight[e] = 0;
    for (std::int64_t b = warp_rank(); b < in.shape.batch; b += teams.warps) {
      load_pose(in, b, i, P, desk.pose);
      const T activation = in.activations[b * in.shape.inputs + i];
      for (int e = lane; e < rows; e += kWarp) {
        desk.votes[e] = vote(sizes, desk.pose, weight, e);
        grad_votes[e] = 0;
      }
      T grad_activation = 0;
      for (std::int64_t t = 0; t < in.shape.iterations; ++t) {
        const T mean = e_step(args, sizes, of, t, b, desk);
        grad_activation += mean;
        for (int e = lane; e < rows; e += kWarp) {
          grad_votes[e] += vote_gradient(args, sizes, of, t, b, activation, mean, desk, e);
        }
      }
      __syncwarp();
      if (lane == 0) args.grad_activations[b * in.shape.inputs + i] = grad_activation;
      for (int h = lane; h < P; h += kWarp) {  // V' W^T
        const int row = h / side, k = h % side;
        T sum = 0;
        for (int at = row * side; at < rows; at += P) {
          const T* column = weight + (at - row * side) + k * side;
          for (int q = 0; q < side; ++q) sum += grad_votes[at + q] * column[q];
        }
        args.grad_poses[(b * in.shape.inputs + i) * P + h] = sum;
      }
      for (int e = lane; e < rows; e += kWarp) {  // M^T V'
        const int h = e % P, k = h / side, q = h % side;
        T sum = grad_weight[e];
        for (int row = 0; row < side; ++row) {
          sum += desk.pose[row * side + k] * grad_votes[e - h + row * side + q];
        }
        grad_weight[e] = sum;
      }
    }
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < rows; e += static_cast<int>(blockDim.x)) {
      T sum = 0;
      for (std::int64_t warp = 0; warp < teams.warps; ++warp) {
        sum += block_space[warp * teams.space + of_warp + e];
      }
      args.grad_weight[i * rows + e] = sum;
    }
    __syncthreads();
  }
}

// beta_u' and beta_a': sums over iterations and samples.
template <class T>
__global__ void __launch_bounds__(kMostWarps* kWarp)
    betas_kernel(std::int64_t samples, std::int64_t J, const Adjoints<T> of, T* grad_beta_u,
                 T* grad_beta_a) {
  for_capsules(2 * J, J, [&](std::int64_t which, std::int64_t j) {
    const T* from = which == 0 ? of.to_beta_u : of.to_beta_a;
    T sum = 0;
    for (std::int64_t s = lane_rank(); s < samples; s += kWarp) sum += from[s * J + j];
    sum = warp_sum(sum);
    if (lane_rank() == 0) (which == 0 ? grad_beta_u : grad_beta_a)[j] = sum;
  });
}

polyad::cuda::Launch over_capsules(std::int64_t items) {
  return {(items + kMostWarps - 1) / kMostWarps, static_cast<int>(kMostWarps * kWarp)};
}

template <class T, int n>
void forward(const EmRoutingArgs<T>& args, cudaStream_t stream) {
  constexpr const char* name = "capsule_em_routing";
  const EmShape& shape = args.shape;
  const std::int64_t B = shape.batch, J = shape.outputs, rows = shape.rows();
  const Inputs<T> in{shape,      chunk_of(shape),  chunks_of(shape),
                     args.poses, args.activations, args.weight};
  T* sharp = args.scratch;
  T* offset = sharp + B * rows;
  T* moments = offset + B * J;
  const Teams<T> teams(shape, moments + in.chunks * B * (J + 2 * rows));
  for (std::int64_t t = 0; t < shape.iterations; ++t) {
    const Gaussians<T> before =
        t == 0 ? Gaussians<T>{} : Gaussians<T>{args.mu + (t - 1) * B * rows, sharp, offset};
    launch(name, moments_kernel<T, n>,
           teams.shape_for((B * in.chunks + teams.warps - 1) / teams.warps), stream, in, before,
           moments, teams);
    launch(name, m_step_kernel<T>, over_capsules(B * J), stream, args, t,
           static_cast<T>(args.inverse_temperature[t]), in.chunks, moments);
    if (t + 1 == shape.iterations) break;
    launch(name, densities_kernel<T>, over_capsules(B * J), stream, B, J, shape.pose(),
           args.variance + t * B * rows, args.score + t * B * J, sharp, offset, nullptr);
  }
}

template <class T, int n>
void backward(const EmRoutingBackwardArgs<T>& args, cudaStream_t stream) {
  constexpr const char* name = "capsule_em_routing_backward";
  const EmShape& shape = args.shape;
  const std::int64_t B = shape.batch, J = shape.outputs, rows = shape.rows();
  const std::int64_t r = shape.iterations;
  const Inputs<T> in{shape,      chunk_of(shape),  chunks_of(shape),
                     args.poses, args.activations, args.weight};
  T* next = args.scratch;
  const auto take = [&](std::int64_t count) {
    T* piece = next;
    next += count;
    return piece;
  };
  Adjoints<T> of{};
  for (T** each : {&of.sharp, &of.alpha, &of.nu}) *each = take(r * B * rows);
  for (T** each : {&of.offset, &of.logs, &of.gamma, &of.to_beta_u, &of.to_beta_a}) {
    *each = take(r * B * J);
  }
  T* partial = take(in.chunks * B * (J + 3 * rows));
  const Teams<T> teams(shape, next);
  const Sums<T> sums{partial, in.chunks, B, J, shape.pose()};
  const auto lambda = [&](std::int64_t t) {
    return static_cast<T>(args.inverse_temperature[t > 0 ? t : 0]);
  };
  launch(name, densities_kernel<T>, over_capsules(r * B * J), stream, r * B, J, shape.pose(),
         args.variance, args.score, of.sharp, of.offset, of.logs);
  launch(name, last_adjoint_kernel<T>, over_capsules(B * J), stream, args, of, lambda(r - 1));
  for (std::int64_t t = r - 1; t >= 0; --t) {
    launch(name, sums_kernel<T, n>,
           teams.shape_for((B * in.chunks + teams.warps - 1) / teams.warps), stream, args, in, of,
           t, partial, teams);
    launch(name, adjoint_kernel<T>, over_capsules(B * J), stream, args, of, t, lambda(t - 1), sums);
  }
  launch(name, inputs_kernel<T, n>, teams.shape_for(shape.inputs), stream, args, in, of, teams);
  launch(name, betas_kernel<T>, over_capsules(2 * J), stream, r * B, J, of, args.grad_beta_u,
         args.grad_beta_a);
}

template <class T>
void em_routing_any(const EmRoutingArgs<T>& args, cudaStream_t stream) {
  if (args.shape.side == 4) return forward<T, 4>(args, stream);
  forward<T, 0>(args, stream);
}

template <class T>
void em_routing_backward_any(const EmRoutingBackwardArgs<T>& args, cudaStream_t stream) {
  if (args.shape.side == 4) return backward<T, 4>(args, stream);
  backward<T, 0>(args, stream);
}

}  // namespace

std::int64_t em_routing_scratch(const EmShape& shape, bool is_double) {
  const std::int64_t J = shape.outputs, rows = shape.rows();
  return shape.batch * (rows + J + chunks_of(shape) * (2 * rows + J)) +
         (is_double ? Teams<double>::elements(shape) : Teams<float>::elements(shape));
}

std::int64_t em_routing_backward_scratch(const EmShape& shape, bool is_double) {
  const std::int64_t J = shape.outputs, rows = shape.rows();
  return shape.batch * (shape.iterations * (3 * rows + 5 * J) + chunks_of(shape) * (3 * rows + J)) +
         (is_double ? Teams<double>::elements(shape) : Teams<float>::elements(shape));
}

void em_routing(const EmRoutingArgs<float>& args, cudaStream_t stream) {
  em_routing_any(args, stream);
}
void em_routing(const EmRoutingArgs<double>& args, cudaStream_t stream) {
  em_routing_any(args, stream);
}
void em_routing_backward(const EmRoutingBackwardArgs<float>& args, cudaStream_t stream) {
  em_routing_backward_any(args, stream);
}
void em_routing_backward(const EmRoutingBackwardArgs<double>& args, cudaStream_t stream) {
  em_routing_backward_any(args, stream);
}

}  // namespace polyad::capsule::cuda
