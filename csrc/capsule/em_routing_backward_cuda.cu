#include "capsule/em_routing_rows_cuda.cuh"

namespace polyad::capsule::cuda {
namespace {

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
void em_routing_backward_any(const EmRoutingBackwardArgs<T>& args, cudaStream_t stream) {
  if (args.shape.side == 4) return backward<T, 4>(args, stream);
  backward<T, 0>(args, stream);
}

}  // namespace

std::int64_t em_routing_backward_scratch(const EmShape& shape, bool is_double) {
  const std::int64_t J = shape.outputs, rows = shape.rows();
  return shape.batch * (shape.iterations * (3 * rows + 5 * J) + chunks_of(shape) * (3 * rows + J)) +
         (is_double ? Teams<double>::elements(shape) : Teams<float>::elements(shape));
}

void em_routing_backward(const EmRoutingBackwardArgs<float>& args, cudaStream_t stream) {
  em_routing_backward_any(args, stream);
}
void em_routing_backward(const EmRoutingBackwardArgs<double>& args, cudaStream_t stream) {
  em_routing_backward_any(args, stream);
}

}  // namespace polyad::capsule::cuda
