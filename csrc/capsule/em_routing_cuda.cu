#include "capsule/em_routing_rows_cuda.cuh"

namespace polyad::capsule::cuda {
namespace {

// The Gaussians of an iteration, of all samples: [B, J, P], [B, J, P], [B, J].
template <class T>
struct Gaussians {
  const T *mu, *sharp, *offset;  // null: there is none before
};

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

template <class T>
void em_routing_any(const EmRoutingArgs<T>& args, cudaStream_t stream) {
  if (args.shape.side == 4) return forward<T, 4>(args, stream);
  forward<T, 0>(args, stream);
}

}  // namespace

std::int64_t em_routing_scratch(const EmShape& shape, bool is_double) {
  const std::int64_t J = shape.outputs, rows = shape.rows();
  return shape.batch * (rows + J + chunks_of(shape) * (2 * rows + J)) +
         (is_double ? Teams<double>::elements(shape) : Teams<float>::elements(shape));
}

void em_routing(const EmRoutingArgs<float>& args, cudaStream_t stream) {
  em_routing_any(args, stream);
}
void em_routing(const EmRoutingArgs<double>& args, cudaStream_t stream) {
  em_routing_any(args, stream);
}
}  // namespace polyad::capsule::cuda
