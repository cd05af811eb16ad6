#include "capsule/em_routing_rows_cpu.hpp"
#include "capsule/tables.hpp"

namespace polyad::capsule::POLYAD_ISA {
namespace {

// The Gaussians of one iteration and one block of samples, and what their M-step's adjoint is.
template <class T>
struct Adjoints {
  Densities<T> at;
  T* alpha;  // [J, P][L]; var until the adjoint is known
  T* nu;     // [J, P][L]; at the last iteration dL/dmu until then
  T* gamma;  // [J][L]; sum_h 1/2 log var until then

  Adjoints(const EmShape& shape, Pieces<T> space)
      : at{space.take(shape.rows() * kLanes<T>), space.take(shape.rows() * kLanes<T>),
           space.take(shape.outputs * kLanes<T>)},
        alpha(space.take(shape.rows() * kLanes<T>)),
        nu(space.take(shape.rows() * kLanes<T>)),
        gamma(space.take(shape.outputs * kLanes<T>)) {}

  static std::int64_t elements(const EmShape& shape) {
    return (4 * shape.rows() + 2 * shape.outputs) * kLanes<T>;
  }
};

// Sums over the inputs of a chunk: of l', l' d and l' d^2, with d of the iteration before, and of
// r d.
template <class T>
struct Sums {
  T* zeroth;    // [J][L]
  T* first;     // [J, P][L]
  T* second;    // [J, P][L]
  T* residual;  // [J, P][L]

  Sums(const EmShape& shape, Pieces<T> space)
      : zeroth(space.take(shape.outputs * kLanes<T>)),
        first(space.take(shape.rows() * kLanes<T>)),
        second(space.take(shape.rows() * kLanes<T>)),
        residual(space.take(shape.rows() * kLanes<T>)) {}

  static std::int64_t elements(const EmShape& shape) {
    return (3 * shape.rows() + shape.outputs) * kLanes<T>;
  }
};

// Where a backward pass keeps what.
template <class T>
struct Layout {
  const EmRoutingBackwardArgs<T>& args;
  std::int64_t blocks;
  T *adjoints, *betas, *sums, *working;

  explicit Layout(const EmRoutingBackwardArgs<T>& of) : args(of), blocks(em_blocks<T>(of.shape)) {
    const EmShape& shape = args.shape;
    Pieces<T> scratch{args.scratch};
    adjoints = scratch.take(blocks * shape.iterations * Adjoints<T>::elements(shape));
    betas = scratch.take(blocks * 2 * shape.outputs * kLanes<T>);
    sums = scratch.take(blocks * shape.chunks() * Sums<T>::elements(shape));
    working = scratch.next;
  }
  Adjoints<T> adjoints_of(std::int64_t block, std::int64_t t) const {
    const std::int64_t place = block * args.shape.iterations + t;
    return {args.shape, Pieces<T>{adjoints + place * Adjoints<T>::elements(args.shape)}};
  }
  Sums<T> sums_of(std::int64_t block, std::int64_t chunk) const {
    const std::int64_t place = block * args.shape.chunks() + chunk;
    return {args.shape, Pieces<T>{sums + place * Sums<T>::elements(args.shape)}};
  }
  // [J][L] the block's part of beta_u', then of beta_a'
  T* betas_of(std::int64_t block) const {
    return betas + block * 2 * args.shape.outputs * kLanes<T>;
  }
};

// One number of every sample, which lie `stride` apart.
template <class T>
POLYAD_INLINE Vector<T> lanes_at(const T* from, std::int64_t stride, std::int64_t samples) {
  Vector<T> x = {};
  for (std::int64_t lane = 0; lane < samples; ++lane) x[lane] = from[lane * stride];
  return x;
}

// The Gaussians of iteration t, across the lanes.
template <class T>
void load_densities(const EmRoutingBackwardArgs<T>& args, const Block<T>& block, std::int64_t t,
                    const Adjoints<T>& to) {
  constexpr int L = kLanes<T>;
  const std::int64_t J = args.shape.outputs, P = args.shape.pose(), rows = J * P;
  const std::int64_t of_block = t * args.shape.batch + block.first;
  gather<T>(args.mu + of_block * rows, rows, block.samples, rows, to.at.mu);
  gather<T>(args.variance + of_block * rows, rows, block.samples, rows, to.alpha);
  for (std::int64_t j = 0; j < J; ++j) {
    Vector<T> logs = {}, relative_logs = {};
    for (std::int64_t h = 0, row = j * P; h < P; ++h, ++row) {
      // lanes beyond the samples hold zeros; a variance of 1 keeps them finite
      const Vector<T> given = load(to.alpha + row * L);
      const Vector<T> variance = given == Vector<T>{} ? splat(T{1}) : given;
      store(to.alpha + row * L, variance);
      store(to.at.sharp + row * L, T(0.5) / variance);
      logs += half_log(variance);
      relative_logs += half_log_ratio(variance, load(to.alpha + h * L));
    }
    const Vector<T> score = lanes_at(args.score + of_block * J + j, J, block.samples);
    store(to.at.offset + j * L, log_sigmoid_of(score) - relative_logs);
    store(to.gamma + j * L, logs);
  }
  if (t + 1 == args.shape.iterations) {
    gather<T>(args.grad_out_poses + block.first * rows, rows, block.samples, rows, to.nu);
  }
}

// The adjoint of the M-step of iteration t, from `sums` over the E-step after it, or, at the last
// iteration, from the gradients of the outputs.
template <class T>
void m_step_adjoint(const EmRoutingBackwardArgs<T>& args, const Block<T>& block, std::int64_t t,
                    const Sums<T>& sums, const Adjoints<T>& of, T* betas) {
  using V = Vector<T>;
  constexpr int L = kLanes<T>;
  const std::int64_t J = args.shape.outputs, P = args.shape.pose();
  const std::int64_t of_block = t * args.shape.batch + block.first;
  const bool last = t + 1 == args.shape.iterations;
  const auto epsilon = static_cast<T>(args.epsilon);
  const auto lambda = static_cast<T>(args.inverse_temperature[t]);
  for (std::int64_t j = 0; j < J; ++j) {
    const V mass = lanes_at(args.mass + of_block * J + j, J, block.samples);
    const V score = lanes_at(args.score + of_block * J + j, J, block.samples);
    const V closed = sigmoid_of(-score);
    const V sum = last ? V{} : load(sums.zeroth + j * L);
    V grad_score = closed * sum;
    if (last) {
      const T* grad = args.grad_out_activations + block.first * J + j;
      grad_score = closed * sigmoid_of(score) * lanes_at(grad, J, block.samples);
    }
    const MStep<V> step = m_step_backward(lambda, args.beta_u[j], static_cast<T>(P), mass,
                                          load(of.gamma + j * L), grad_score);
    V gamma = step.of_mass;
    for (std::int64_t row = j * P; row < (j + 1) * P; ++row) {
      const V sharp = load(of.at.sharp + row * L), variance = load(of.alpha + row * L);
      const Gaussian<V> grad = last ? Gaussian<V>{load(of.nu + row * L), V{}}
                                    : e_step_backward(sharp, sum, load(sums.first + row * L),
                                                      load(sums.second + row * L));
      const Slopes<V> slopes = slopes_of(mass, load(of.at.mu + row * L), grad.mu,
                                         grad.variance + step.by_log * 2 * sharp, epsilon);
      gamma -= slopes.alpha * (variance - epsilon);
      store(of.alpha + row * L, slopes.alpha);
      store(of.nu + row * L, slopes.nu);
    }
    store(of.gamma + j * L, gamma);
    T *to_u = betas + j * L, *to_a = betas + (J + j) * L;
    store(to_u, (last ? V{} : load(to_u)) + step.beta_u);
    store(to_a, (last ? V{} : load(to_a)) + step.beta_a);
  }
}

// Working arrays of N inputs: N times [J][L] and N times [J, P][L], one input after the other.
template <class T>
struct Desk {
  T* activations;  // [N][L]
  T* couplings;    // [N][J][L] R
  T* slopes;       // [N][J][L] r'
  T* votes;        // [N][J, P][L]

  Desk(const EmShape& shape, Pieces<T>& space)
      : activations(space.take(kInputs * kLanes<T>)),
        couplings(space.take(kInputs * shape.outputs * kLanes<T>)),
        slopes(space.take(kInputs * shape.outputs * kLanes<T>)),
        votes(space.take(kInputs * shape.rows() * kLanes<T>)) {}
};

// R and r' of N inputs from their votes; `before` is null at t = 1. means[n] = sum_j R_j r'_j.
template <int N, class T, class Size>
POLYAD_INLINE void e_step(std::int64_t J, const Size& P, const Densities<T>* before,
                          const Adjoints<T>& of, const Desk<T>& desk, Vector<T> (&means)[N]) {
  constexpr int L = kLanes<T>;
  const std::int64_t rows = J * P;
  for (std::int64_t j = 0; j < J; ++j) {
    Vector<T> logit[N], slope[N];
    for (int n = 0; n < N; ++n) {
      slope[n] = load(of.gamma + j * L);
      logit[n] = before != nullptr ? load(before->offset + j * L) : Vector<T>{};
    }
    for (std::int64_t at = j * P * L; at < (j + 1) * P * L; at += L) {
      const Vector<T> mu = load(of.at.mu + at), alpha = load(of.alpha + at), nu = load(of.nu + at);
      for (int n = 0; n < N; ++n) {
        slope[n] += assigned_slope(load(desk.votes + n * rows * L + at) - mu, alpha, nu);
      }
      if (before != nullptr) {
        const Vector<T> last = load(before->mu + at), sharp = load(before->sharp + at);
        for (int n = 0; n < N; ++n) {
          const Vector<T> d = load(desk.votes + n * rows * L + at) - last;
          logit[n] -= d * d * sharp;
        }
      }
    }
    for (int n = 0; n < N; ++n) {
      store(desk.couplings + (n * J + j) * L,
            before != nullptr ? bounded_logit<T>(logit[n]) : splat(T{1} / static_cast<T>(J)));
      store(desk.slopes + (n * J + j) * L, slope[n]);
    }
  }
  for (int n = 0; n < N; ++n) {
    if (before != nullptr) couple(J, desk.couplings + n * J * L);
    means[n] = Vector<T>{};
    for (std::int64_t at = n * J * L; at < (n + 1) * J * L; at += L) {
      means[n] += load(desk.couplings + at) * load(desk.slopes + at);
    }
  }
}

// nu of iteration t once sum_i r d is known as it came out in T, where the rounding of mu shows.
template <class T>
void correct_nu(const EmRoutingBackwardArgs<T>& args, const Block<T>& block, std::int64_t t,
                const Sums<T>& sums, const Adjoints<T>& of) {
  constexpr int L = kLanes<T>;
  const std::int64_t J = args.shape.outputs, P = args.shape.pose();
  const std::int64_t of_block = t * args.shape.batch + block.first;
  const auto epsilon = static_cast<T>(args.epsilon);
  for (std::int64_t j = 0; j < J; ++j) {
    const Vector<T> mass = lanes_at(args.mass + of_block * J + j, J, block.samples);
    for (std::int64_t at = j * P * L; at < (j + 1) * P * L; at += L) {
      store(of.nu + at, corrected_nu(mass, load(of.at.mu + at), load(of.alpha + at),
                                     load(of.nu + at), load(sums.residual + at), epsilon));
    }
  }
}

// One pass over the inputs of a chunk: sum_i r d of iteration t, and the sums by which its adjoint
// reaches t - 1, whose Gaussians are `before`; null at t = 1.
template <class T, class Side>
void gather_sums(const EmRoutingBackwardArgs<T>& args, const Side& side, const Block<T>& block,
                 std::int64_t chunk, const Densities<T>* before, const Adjoints<T>& of,
                 const Sums<T>& sums, Pieces<T> work) {
  using V = Vector<T>;
  constexpr int L = kLanes<T>;
  const std::int64_t I = args.shape.inputs, J = args.shape.outputs;
  const std::int64_t P = side * side, rows = J * P;
  T* poses = work.take(kInputs * P * L);
  const Desk<T> desk(args.shape, work);
  std::memset(sums.zeroth, 0, static_cast<std::size_t>(Sums<T>::elements(args.shape)) * sizeof(T));
  const std::int64_t start = chunk * args.shape.chunk();
  const std::int64_t stop = start + args.shape.chunk() < I ? start + args.shape.chunk() : I;
  for_inputs<kInputs>(start, stop, [&]<int N>(std::int64_t i, const Fixed<N>&) {
    load_votes<N>(args, block, i, side, poses, desk.activations, desk.votes);
    if (before == nullptr) {
      V assigned[N];
      for (int n = 0; n < N; ++n) {
        assigned[n] = load(desk.activations + n * L) * (T{1} / static_cast<T>(J));
      }
      for (std::int64_t at = 0; at < rows * L; at += L) {
        const V mu = load(of.at.mu + at);
        V residual = load(sums.residual + at);
        for (int n = 0; n < N; ++n) {
          residual += assigned[n] * (load(desk.votes + n * rows * L + at) - mu);
        }
        store(sums.residual + at, residual);
      }
      return;
    }
    V means[N];
    e_step(J, P, before, of, desk, means);
    for (std::int64_t j = 0; j < J; ++j) {
      V assigned[N], grad[N], zeroth = load(sums.zeroth + j * L);
      for (int n = 0; n < N; ++n) {
        assigned[n] = load(desk.couplings + (n * J + j) * L) * load(desk.activations + n * L);
        grad[n] = assigned[n] * (load(desk.slopes + (n * J + j) * L) - means[n]);
        zeroth += grad[n];
      }
      store(sums.zeroth + j * L, zeroth);
      for (std::int64_t at = j * P * L; at < (j + 1) * P * L; at += L) {
        const V mu = load(of.at.mu + at), last = load(before->mu + at);
        V first = load(sums.first + at), second = load(sums.second + at);
        V residual = load(sums.residual + at);
        for (int n = 0; n < N; ++n) {
          const V vote = load(desk.votes + n * rows * L + at), d = vote - last;
          const V scaled = grad[n] * d;
          first += scaled;
          second += scaled * d;
          residual += assigned[n] * (vote - mu);
        }
        store(sums.first + at, first);
        store(sums.second + at, second);
        store(sums.residual + at, residual);
      }
    }
  });
}

// to [N][J, P][L] <- (t > 1: +=) what iteration t gives the votes' gradient.
template <int N, class T, class Size>
POLYAD_INLINE void add_to_votes(std::int64_t J, const Size& P, const Densities<T>* before,
                                const Adjoints<T>& of, const Desk<T>& desk,
                                const Vector<T> (&means)[N], T* to) {
  using V = Vector<T>;
  constexpr int L = kLanes<T>;
  const std::int64_t rows = J * P;
  for (std::int64_t j = 0; j < J; ++j) {
    V assigned[N], grad[N];
    for (int n = 0; n < N; ++n) {
      assigned[n] = load(desk.couplings + (n * J + j) * L) * load(desk.activations + n * L);
      grad[n] = 2 * assigned[n] * (load(desk.slopes + (n * J + j) * L) - means[n]);
    }
    for (std::int64_t at = j * P * L; at < (j + 1) * P * L; at += L) {
      const V mu = load(of.at.mu + at), alpha = 2 * load(of.alpha + at), nu = load(of.nu + at);
      if (before == nullptr) {
        for (int n = 0; n < N; ++n) {
          const V d = load(desk.votes + n * rows * L + at) - mu;
          store(to + n * rows * L + at, assigned[n] * (alpha * d + nu));
        }
        continue;
      }
      const V last = load(before->mu + at), sharp = load(before->sharp + at);
      for (int n = 0; n < N; ++n) {
        const V vote = load(desk.votes + n * rows * L + at);
        T* sum = to + n * rows * L + at;
        const V here = assigned[n] * (alpha * (vote - mu) + nu);
        store(sum, load(sum) + (here - grad[n] * ((vote - last) * sharp)));
      }
    }
  }
}

// grad_pose [P][L] <- sum_j V' W^T, and grad_weight [J, P][L] += M^T V'.
template <class T, class Side>
POLYAD_INLINE void votes_backward(const Pose<T, Side>& pose, const T* weight, std::int64_t J,
                                  const Side& side, const T* grad_votes, T* grad_pose,
                                  T* grad_weight) {
  constexpr int L = kLanes<T>;
  const std::int64_t P = side * side;
  for (std::int64_t row = 0; row < side; ++row) {
    for (std::int64_t k = 0; k < side; ++k) {
      Vector<T> sum = {};
      for (std::int64_t j = 0; j < J; ++j) {
        for (std::int64_t q = 0; q < side; ++q) {
          sum += load(grad_votes + (j * P + row * side + q) * L) * weight[j * P + k * side + q];
        }
      }
      store(grad_pose + (row * side + k) * L, sum);
    }
  }
  for (std::int64_t j = 0; j < J; ++j) {
    for (std::int64_t q = 0; q < side; ++q) {
      for (std::int64_t k = 0; k < side; ++k) {
        T* to = grad_weight + (j * P + k * side + q) * L;
        Vector<T> sum = load(to);
        for (std::int64_t row = 0; row < side; ++row) {
          sum += pose(row, k) * load(grad_votes + (j * P + row * side + q) * L);
        }
        store(to, sum);
      }
    }
  }
}

// All gradients of inputs i .. i + N - 1: of their poses and activations, sample by sample, and of
// their weights.
template <int N, class T, class Side>
void inputs_backward(const Layout<T>& layout, const Side& side, std::int64_t i, Pieces<T> work) {
  constexpr int L = kLanes<T>;
  const EmRoutingBackwardArgs<T>& args = layout.args;
  const std::int64_t I = args.shape.inputs, J = args.shape.outputs;
  const std::int64_t P = side * side, rows = J * P;
  T* poses = work.take(kInputs * P * L);
  T* grad_pose = work.take(P * L);
  const Desk<T> desk(args.shape, work);
  T* grad_votes = work.take(kInputs * rows * L);
  T* grad_weight = work.take(kInputs * rows * L);
  std::memset(grad_weight, 0, static_cast<std::size_t>(N * rows * L) * sizeof(T));
  for (std::int64_t b = 0; b < layout.blocks; ++b) {
    const Block<T> block(args.shape, b);
    load_votes<N>(args, block, i, side, poses, desk.activations, desk.votes);
    Vector<T> grad_activations[N] = {};
    for (std::int64_t t = 0; t < args.shape.iterations; ++t) {
      const Adjoints<T> of = layout.adjoints_of(b, t);
      const Densities<T> at_before = layout.adjoints_of(b, t > 0 ? t - 1 : 0).at;
      const Densities<T>* before = t > 0 ? &at_before : nullptr;
      Vector<T> means[N];
      e_step(J, P, before, of, desk, means);
      for (int n = 0; n < N; ++n) grad_activations[n] += means[n];
      add_to_votes(J, P, before, of, desk, means, grad_votes);
    }
    for (int n = 0; n < N; ++n) {
      votes_backward(Pose<T, Side>(poses + n * P * L, side), args.weight + (i + n) * rows, J, side,
                     grad_votes + n * rows * L, grad_pose, grad_weight + n * rows * L);
      scatter<T>(grad_pose, P, block.samples, I * P,
                 args.grad_poses + (block.first * I + i + n) * P);
      for (std::int64_t lane = 0; lane < block.samples; ++lane) {
        args.grad_activations[(block.first + lane) * I + i + n] = grad_activations[n][lane];
      }
    }
  }
  for (std::int64_t row = 0; row < N * rows; ++row) {
    args.grad_weight[i * rows + row] = sum_of_lanes<T>(load(grad_weight + row * L));
  }
}

template <class T>
void betas_backward(const Layout<T>& layout) {
  const EmRoutingBackwardArgs<T>& args = layout.args;
  const std::int64_t J = args.shape.outputs;
  for (std::int64_t j = 0; j < 2 * J; ++j) {
    Vector<T> sum = {};
    for (std::int64_t b = 0; b < layout.blocks; ++b) {
      sum += load(layout.betas_of(b) + j * kLanes<T>);
    }
    (j < J ? args.grad_beta_u : args.grad_beta_a - J)[j] = sum_of_lanes<T>(sum);
  }
}

template <class T, class Side>
void backward(const EmRoutingBackwardArgs<T>& args, const Side& side) {
  constexpr int L = kLanes<T>;
  const EmShape& shape = args.shape;
  const std::int64_t J = shape.outputs, P = shape.pose(), rows = J * P, chunks = shape.chunks();
  const Layout<T> layout(args);
  const std::int64_t last = shape.iterations - 1;
  parallel_for(layout.blocks, [&](std::int64_t b) {
    const Block<T> block(shape, b);
    for (std::int64_t t = 0; t <= last; ++t) {
      load_densities(args, block, t, layout.adjoints_of(b, t));
    }
    m_step_adjoint(args, block, last, layout.sums_of(b, 0), layout.adjoints_of(b, last),
                   layout.betas_of(b));
  });
  for (std::int64_t t = last; t >= 0; --t) {
    for_items(layout.blocks * chunks, args.parts, layout.working,
              kInputs * (rows + 2 * J + P + 1) * L, [&](std::int64_t item, Pieces<T> work) {
                const std::int64_t b = item / chunks, chunk = item % chunks;
                const Densities<T> before = layout.adjoints_of(b, t > 0 ? t - 1 : 0).at;
                gather_sums(args, side, Block<T>(shape, b), chunk, t > 0 ? &before : nullptr,
                            layout.adjoints_of(b, t), layout.sums_of(b, chunk), work);
              });
    parallel_for(layout.blocks, [&](std::int64_t b) {
      const Sums<T> sums = layout.sums_of(b, 0);
      for (std::int64_t chunk = 1; chunk < chunks; ++chunk) {
        const Sums<T> more = layout.sums_of(b, chunk);
        for (std::int64_t e = 0; e < Sums<T>::elements(shape); e += L) {
          store(sums.zeroth + e, load(sums.zeroth + e) + load(more.zeroth + e));
        }
      }
      const Block<T> block(shape, b);
      correct_nu(args, block, t, sums, layout.adjoints_of(b, t));
      if (t == 0) return;
      m_step_adjoint(args, block, t - 1, sums, layout.adjoints_of(b, t - 1), layout.betas_of(b));
    });
  }
  const std::int64_t groups = (shape.inputs + kInputs - 1) / kInputs;
  for_items(groups, args.parts, layout.working, (kInputs * (3 * rows + 2 * J + P + 1) + P) * L,
            [&](std::int64_t group, Pieces<T> work) {
              const std::int64_t i = group * kInputs;
              const std::int64_t end = i + kInputs < shape.inputs ? i + kInputs : shape.inputs;
              for_inputs<kInputs>(i, end, [&]<int N>(std::int64_t first, const Fixed<N>&) {
                inputs_backward<N>(layout, side, first, work);
              });
            });
  betas_backward(layout);
}

template <class T>
void em_routing_backward(const EmRoutingBackwardArgs<T>& args) {
  if (args.shape.side == 4) return backward(args, Fixed<4>{});
  backward(args, args.shape.side);
}

}  // namespace

const EmRoutingBackwardTable em_routing_backward_table{em_routing_backward<float>,
                                                       em_routing_backward<double>};

}  // namespace polyad::capsule::POLYAD_ISA
