#include "capsule/em_routing_rows_cpu.hpp"
#include "capsule/tables.hpp"

namespace polyad::capsule::POLYAD_ISA {
namespace {

// What a chunk of inputs gives a block of samples: votes weighted by r.
template <class T>
struct Moments {
  T* mass;    // [J][L] S
  T* mean;    // [J, P][L]
  T* spread;  // [J, P][L] sum_i r (V - mean)^2

  Moments(const EmShape& shape, Pieces<T> space)
      : mass(space.take(shape.outputs * kLanes<T>)),
        mean(space.take(shape.rows() * kLanes<T>)),
        spread(space.take(shape.rows() * kLanes<T>)) {}

  static std::int64_t elements(const EmShape& shape) {
    return (2 * shape.rows() + shape.outputs) * kLanes<T>;
  }
  void clear(const EmShape& shape) const {
    std::memset(mass, 0, static_cast<std::size_t>(elements(shape)) * sizeof(T));
  }
};

// Adds the votes [N][J, P][L] of N inputs, one after the other, each with weight assigned(n, j).
template <int N, class T, class Assigned>
POLYAD_INLINE void add_votes(const Moments<T>& moments, std::int64_t J, std::int64_t P,
                             const T* votes, const Assigned& assigned) {
  constexpr int L = kLanes<T>;
  for (std::int64_t j = 0; j < J; ++j) {
    Share<Vector<T>> share[N];
    Vector<T> mass = load(moments.mass + j * L);
    for (int n = 0; n < N; ++n) {
      const Vector<T> added = assigned(n, j);
      share[n] = share_of(mass, added);
      mass += added;
    }
    store(moments.mass + j * L, mass);
    for (std::int64_t at = j * P * L; at < (j + 1) * P * L; at += L) {
      Vector<T> mean = load(moments.mean + at), spread = load(moments.spread + at);
      for (int n = 0; n < N; ++n) {
        const Vector<T> off = load(votes + n * J * P * L + at) - mean;
        mean += share[n].toward * off;
        spread += share[n].between * off * off;
      }
      store(moments.mean + at, mean);
      store(moments.spread + at, spread);
    }
  }
}

// One pass over the inputs of a chunk: the E-step of the Gaussians before (none at t = 1) and the
// sums of the M-step.
template <class T, class Side>
void gather_moments(const EmRoutingArgs<T>& args, const Side& side, const Block<T>& block,
                    std::int64_t chunk, const Densities<T>* before, const Moments<T>& moments,
                    Pieces<T> work) {
  constexpr int L = kLanes<T>;
  const std::int64_t I = args.shape.inputs, J = args.shape.outputs;
  const std::int64_t P = side * side, rows = J * P;
  T* poses = work.take(kInputs * P * L);
  T* activations = work.take(kInputs * L);
  T* couplings = work.take(kInputs * J * L);
  T* votes = work.take(kInputs * rows * L);
  moments.clear(args.shape);
  const std::int64_t first = chunk * args.shape.chunk();
  const std::int64_t end = first + args.shape.chunk() < I ? first + args.shape.chunk() : I;
  for_inputs<kInputs>(first, end, [&]<int N>(std::int64_t i, const Fixed<N>&) {
    load_votes<N>(args, block, i, side, poses, activations, votes);
    if (before == nullptr) {
      const T share = T{1} / static_cast<T>(J);
      return add_votes<N>(moments, J, P, votes,
                          [&](int n, std::int64_t) { return load(activations + n * L) * share; });
    }
    for (std::int64_t j = 0; j < J; ++j) {
      Vector<T> logit[N];
      for (int n = 0; n < N; ++n) logit[n] = load(before->offset + j * L);
      for (std::int64_t at = j * P * L; at < (j + 1) * P * L; at += L) {
        const Vector<T> mu = load(before->mu + at), sharp = load(before->sharp + at);
        for (int n = 0; n < N; ++n) {
          const Vector<T> d = load(votes + n * rows * L + at) - mu;
          logit[n] -= d * d * sharp;
        }
      }
      for (int n = 0; n < N; ++n) store(couplings + (n * J + j) * L, bounded_logit<T>(logit[n]));
    }
    for (int n = 0; n < N; ++n) couple(J, couplings + n * J * L);
    add_votes<N>(moments, J, P, votes, [&](int n, std::int64_t j) {
      return load(couplings + (n * J + j) * L) * load(activations + n * L);
    });
  });
}

// The moments of all chunks become those of the first, chunk by chunk.
template <class T>
void merge(const EmShape& shape, const Moments<T>& into, const Moments<T>& from) {
  constexpr int L = kLanes<T>;
  const std::int64_t P = shape.pose();
  for (std::int64_t j = 0; j < shape.outputs; ++j) {
    const Vector<T> mass = load(into.mass + j * L), added = load(from.mass + j * L);
    const Share<Vector<T>> share = share_of(mass, added);
    store(into.mass + j * L, mass + added);
    for (std::int64_t row = j * P; row < (j + 1) * P; ++row) {
      const Vector<T> mean = load(into.mean + row * L);
      const Vector<T> off = load(from.mean + row * L) - mean;
      store(into.mean + row * L, mean + share.toward * off);
      store(into.spread + row * L,
            load(into.spread + row * L) + load(from.spread + row * L) + share.between * off * off);
    }
  }
}

// The M-step of a block: `moments` become mu and var, written out and kept as densities.
template <class T>
void finish(const EmRoutingArgs<T>& args, const Block<T>& block, std::int64_t t,
            const Moments<T>& moments, const Densities<T>& to) {
  constexpr int L = kLanes<T>;
  const std::int64_t J = args.shape.outputs, P = args.shape.pose(), rows = J * P;
  const auto epsilon = static_cast<T>(args.epsilon);
  const auto lambda = static_cast<T>(args.inverse_temperature[t]);
  Vector<T> score = {};
  const std::int64_t of_block = t * args.shape.batch + block.first;
  for (std::int64_t j = 0; j < J; ++j) {
    const Vector<T> mass = load(moments.mass + j * L);
    Vector<T> logs = {}, relative_logs = {};
    for (std::int64_t h = 0, row = j * P; h < P; ++h, ++row) {
      const Gaussian<Vector<T>> gaussian =
          gaussian_of(mass, load(moments.mean + row * L), load(moments.spread + row * L), epsilon);
      store(to.mu + row * L, gaussian.mu);
      store(to.sharp + row * L, T(0.5) / gaussian.variance);
      store(moments.spread + row * L, gaussian.variance);
      logs += half_log(gaussian.variance);
      relative_logs += half_log_ratio(gaussian.variance, load(moments.spread + h * L));
    }
    score = score_of<T>(lambda, args.beta_u[j], args.beta_a[j], static_cast<T>(P), mass, logs);
    store(to.offset + j * L, log_sigmoid_of(score) - relative_logs);
    const Vector<T> activation = sigmoid_of(score);
    for (std::int64_t lane = 0; lane < block.samples; ++lane) {
      args.mass[(of_block + lane) * J + j] = mass[lane];
      args.score[(of_block + lane) * J + j] = score[lane];
      if (t + 1 == args.shape.iterations) {
        args.out_activations[(block.first + lane) * J + j] = activation[lane];
      }
    }
  }
  scatter<T>(to.mu, rows, block.samples, rows, args.mu + of_block * rows);
  scatter<T>(moments.spread, rows, block.samples, rows, args.variance + of_block * rows);
  if (t + 1 == args.shape.iterations) {
    scatter<T>(to.mu, rows, block.samples, rows, args.out_poses + block.first * rows);
  }
}

template <class T, class Side>
void forward(const EmRoutingArgs<T>& args, const Side& side) {
  constexpr int L = kLanes<T>;
  const EmShape& shape = args.shape;
  const std::int64_t J = shape.outputs, rows = shape.rows(), chunks = shape.chunks();
  const std::int64_t blocks = em_blocks<T>(shape);
  Pieces<T> scratch{args.scratch};
  T* densities = scratch.take(blocks * (2 * rows + J) * L);
  T* moments = scratch.take(blocks * chunks * Moments<T>::elements(shape));
  const auto densities_of = [&](std::int64_t block) {
    Pieces<T> space{densities + block * (2 * rows + J) * L};
    T* mu = space.take(rows * L);
    T* sharp = space.take(rows * L);
    return Densities<T>{mu, sharp, space.take(J * L)};
  };
  const auto moments_of = [&](std::int64_t block, std::int64_t chunk) {
    return Moments<T>(shape, {moments + (block * chunks + chunk) * Moments<T>::elements(shape)});
  };
  const std::int64_t working = kInputs * (rows + J + shape.pose() + 1) * L;
  for (std::int64_t t = 0; t < shape.iterations; ++t) {
    for_items(blocks * chunks, args.parts, scratch.next, working,
              [&](std::int64_t item, Pieces<T> work) {
                const std::int64_t block = item / chunks, chunk = item % chunks;
                const Densities<T> before = densities_of(block);
                gather_moments(args, side, Block<T>(shape, block), chunk,
                               t == 0 ? nullptr : &before, moments_of(block, chunk), work);
              });
    parallel_for(blocks, [&](std::int64_t block) {
      const Moments<T> whole = moments_of(block, 0);
      for (std::int64_t chunk = 1; chunk < chunks; ++chunk) {
        merge(shape, whole, moments_of(block, chunk));
      }
      finish(args, Block<T>(shape, block), t, whole, densities_of(block));
    });
  }
}

template <class T>
void em_routing(const EmRoutingArgs<T>& args) {
  if (args.shape.side == 4) return forward(args, Fixed<4>{});
  forward(args, args.shape.side);
}

}  // namespace

const EmRoutingTable em_routing_table{em_routing<float>, em_routing<double>};

}  // namespace polyad::capsule::POLYAD_ISA
