// Backward pass of routing; the contract, with the equations, is routing.hpp.
#include "capsule/routing.hpp"
#include "capsule/routing_rows_cpu.hpp"
#include "capsule/tables.hpp"
#include "common/parallel.hpp"

namespace polyad::capsule::POLYAD_ISA {
namespace {

// What one thread works with.
template <class T>
struct Desk {
  T* u;        // [group K][W]
  T* grad_u;   // [group K][W]
  T* votes;    // [2][rows][W], then their gradients
  T* rows;     // [rows][W]
  T* factors;  // [2][vectors][J][W] of s'^t: c^t, of V^t: l'^(t+1)
  T* dots;     // [2 (vectors + 1)][J][W]
  T* lying;    // [group][rows / L][K][L] W'_i with rows across the lanes
  T* turned;   // [W][L] a tile of votes, samples before rows

  Desk(Pieces<T> pieces, const RoutingShape& shape, bool detach)
      : u(pieces.take(group_of<T>(shape) * shape.input_size * kBlock<T>)),
        grad_u(pieces.take(group_of<T>(shape) * shape.input_size * kBlock<T>)),
        votes(pieces.take(2 * shape.rows() * kBlock<T>)),
        rows(pieces.take(shape.rows() * kBlock<T>)),
        factors(pieces.take(2 * kept_vectors(shape, detach) * shape.outputs * kBlock<T>)),
        dots(pieces.take(2 * (kept_vectors(shape, detach) + 1) * shape.outputs * kBlock<T>)),
        lying(pieces.take(group_of<T>(shape) * lying_gradient<T>(shape))),
        turned(pieces.take(kBlock<T> * kBlock<T>)) {}
};

// The vectors of a block that the gradients of its votes are made of, [vectors][rows][W]: s' of
// every iteration, then V after every iteration but the last. With detach: of the last, and before
// it.
template <class T>
struct Kept {
  T* data;
  std::int64_t span, iterations;
  bool detach;

  POLYAD_INLINE std::int64_t place_of_grad(std::int64_t t) const { return detach ? 0 : t; }
  POLYAD_INLINE std::int64_t place_before(std::int64_t t) const {  // V^(t-1), t > 0
    return detach ? 1 : iterations + t - 1;
  }
  POLYAD_INLINE T* grad(std::int64_t t) const { return data + place_of_grad(t) * span; }
  POLYAD_INLINE T* before(std::int64_t t) const { return data + place_before(t) * span; }
};

// V of every iteration, and s' of the last.
template <class T>
void begin(const RoutingBackwardArgs<T>& args, const SampleBlock& block, const Kept<T>& kept,
           const Desk<T>& desk) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), r = shape.iterations, at = block.first * rows;
  const auto s_of = [&](std::int64_t t) {
    gather<T>(args.s + t * shape.batch * rows + at, rows, block.samples, rows, desk.rows);
  };
  const T* total = nullptr;
  for (std::int64_t t = 0; t + 1 < r; ++t) {
    s_of(t);
    squash_rows<T>(shape, desk.rows, desk.votes);
    T* next = kept.before(t + 1);
    for (std::int64_t n = 0; n < rows * kBlock<T>; ++n) {
      next[n] = (total != nullptr ? total[n] : T{0}) + desk.votes[n];
    }
    total = next;
  }
  s_of(r - 1);
  gather<T>(args.grad + at, rows, block.samples, rows, desk.votes);
  squash_rows_backward<T>(shape, desk.rows, desk.votes, kept.grad(r - 1));
}

// N inputs and what is known of them.
template <class T, int N>
struct Inputs {
  std::int64_t index[N];
  const T* u[N];  // [K][W]
  T* votes[N];    // [rows][W]
};

template <int N, class T>
POLYAD_INLINE Inputs<T, N> inputs_of(const RoutingShape& shape, const Desk<T>& desk,
                                     std::int64_t at) {
  Inputs<T, N> inputs;
  for (int n = 0; n < N; ++n) {
    inputs.u[n] = desk.u + (at + n) * shape.input_size * kBlock<T>;
    inputs.votes[n] = desk.votes + n * shape.rows() * kBlock<T>;
  }
  return inputs;
}

// adjoint [J][W] <- l' from couplings [J][W] and e [J][W], which may be adjoint.
template <class T>
POLYAD_INLINE void adjoint_of(const RoutingShape& shape, const T* couplings, const T* e,
                              T* adjoint) {
  softmax_backward<Vector<T>>(
      shape.outputs, [&](std::int64_t j) { return load(couplings + j * kBlock<T>); },
      [&](std::int64_t j) { return load(e + j * kBlock<T>); },
      [&](std::int64_t j, const auto& l) { store(adjoint + j * kBlock<T>, l); });
}

template <class T>
POLYAD_INLINE const T* logits_of(const RoutingBackwardArgs<T>& args, std::int64_t i) {
  return args.logits != nullptr ? args.logits + i * args.shape.outputs : nullptr;
}

// sums [rows][W] <- sum of l'^t_ij u_hat_ij over the inputs of a chunk; t > 0, counted from 0.
template <class T>
void add_chunk(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from,
               const SampleBlock& block, std::int64_t index, const Kept<T>& kept, std::int64_t t,
               const Desk<T>& desk, T* sums) {
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, D = shape.output_size;
  const T* x[2] = {kept.before(t), kept.grad(t)};
  const Chunk<T> chunk(shape, index, desk.rows, sums);
  chunk.for_each_group([&](std::int64_t first, std::int64_t count, T* piece) {
    gather_inputs<T>(from, block, first, count, desk.u);
    in_pairs<T>(count, [&](auto together, std::int64_t at) {
      constexpr int N = static_cast<int>(std::int64_t{decltype(together){}});
      Inputs<T, N> inputs = inputs_of<N, T>(shape, desk, at);
      for (int n = 0; n < N; ++n) inputs.index[n] = first + at + n;
      votes_and_dots<N, 2, T>(from, block, inputs.index, inputs.u, x, inputs.votes, desk.dots);
      for (int n = 0; n < N; ++n) {
        T* agreements = desk.dots + 2 * n * J * kBlock<T>;
        T* e = agreements + J * kBlock<T>;
        couplings_of<T>(shape, args.leaky, logits_of(args, inputs.index[n]), agreements,
                        agreements);
        adjoint_of<T>(shape, agreements, e, e);
      }
      add_scaled<N, T>(desk.dots + J * kBlock<T>, 2 * J * kBlock<T>, inputs.votes, J, D, piece);
    });
  });
}

// s' of the iteration before t, whose v' is R: the sum of the chunks of every iteration from t on.
template <class T>
void step_back(const RoutingBackwardArgs<T>& args, const SampleBlock& block, const Kept<T>& kept,
               std::int64_t t, const T* chunks, T* grad_total, const Desk<T>& desk) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), span = rows * kBlock<T>;
  for (std::int64_t n = 0; n < rows * kBlock<T>; ++n) {
    T sum = chunks[n];
    for (std::int64_t c = 1; c < shape.chunks(); ++c) sum += chunks[c * span + n];
    grad_total[n] = (t + 1 < shape.iterations ? grad_total[n] : T{0}) + sum;
  }
  gather<T>(args.s + (t - 1) * shape.batch * rows + block.first * rows, rows, block.samples, rows,
            desk.rows);
  squash_rows_backward<T>(shape, desk.rows, grad_total, kept.grad(t - 1));
}

// R rows of out [N][D][W] <- sum over vectors of factor x vector, of one output capsule and N
// inputs.
template <int N, int R, class T>
POLYAD_INLINE void combine_tile(const T* factors, std::int64_t input_span, std::int64_t factor_span,
                                const T* vectors, std::int64_t span, std::int64_t count,
                                std::int64_t at, T* const (&out)[N]) {
  Vector<T> sum[N][R] = {};
  for (std::int64_t m = 0; m < count; ++m) {
    Vector<T> factor[N];
    for (int n = 0; n < N; ++n) {
      factor[n] = load(factors + n * input_span + m * factor_span);
    }
    for (int d = 0; d < R; ++d) {
      const Vector<T> x = load(vectors + m * span + at + d * kBlock<T>);
      for (int n = 0; n < N; ++n) sum[n][d] += factor[n] * x;
    }
  }
  for (int n = 0; n < N; ++n) {
    for (int d = 0; d < R; ++d) store(out[n] + at + d * kBlock<T>, sum[n][d]);
  }
}

template <int N, int R, class T>
POLYAD_INLINE void combine(const T* factors, std::int64_t input_span, std::int64_t factor_span,
                           const T* vectors, std::int64_t span, std::int64_t count,
                           std::int64_t row, std::int64_t end, T* const (&out)[N]) {
  for (; row + R <= end; row += R) {
    combine_tile<N, R, T>(factors, input_span, factor_span, vectors, span, count, row * kBlock<T>,
                          out);
  }
  if constexpr (R > 1) {
    if (row < end) {
      combine<N, R / 2, T>(factors, input_span, factor_span, vectors, span, count, row, end, out);
    }
  }
}

// Which vectors the votes are multiplied with, V^(t-1) and s'^t of every iteration that counts, and
// where the products of N inputs are found: four vectors at a time, since they take registers.
template <int N>
struct Products {
  static constexpr int kAtOnce = kVectorBytes == 64 ? 4 : 2;
  std::int64_t iterations;
  bool detach, with_logits;  // with_logits: s' of the first iteration, or with detach s' at all

  std::int64_t count() const {
    const std::int64_t extra = with_logits ? 1 : 0;
    return (detach ? (iterations > 1 ? 1 : 0) : 2 * (iterations - 1)) + extra;
  }
  std::int64_t of_before(std::int64_t t) const {
    return detach ? 0 : (with_logits ? 1 : 0) + 2 * (t - 1);
  }
  std::int64_t of_grad(std::int64_t t) const {
    return detach ? (iterations > 1 ? 1 : 0) : t == 0 ? 0 : of_before(t) + 1;
  }
  template <class T>
  const T* vector(const Kept<T>& kept, std::int64_t q) const {
    if (detach)
      return q == 0 && iterations > 1 ? kept.before(iterations - 1) : kept.grad(iterations - 1);
    const std::int64_t pair = q - (with_logits ? 1 : 0);
    if (pair < 0) return kept.grad(0);
    return pair % 2 == 0 ? kept.before(1 + pair / 2) : kept.grad(1 + pair / 2);
  }
  // The place of input n's product with vector q, in arrays [J][W].
  std::int64_t place(std::int64_t n, std::int64_t q) const {
    const std::int64_t first = q / kAtOnce * kAtOnce, left = count() - first;
    return N * first + n * (left < kAtOnce ? left : kAtOnce) + q - first;
  }
};

// The votes of N inputs, and their products with all vectors that there are.
template <int N, class T>
POLYAD_INLINE void multiply(const VoteSource<T>& from, const SampleBlock& block,
                            const Kept<T>& kept, const Products<N>& products,
                            const Inputs<T, N>& inputs, T* out) {
  const std::int64_t J = from.shape.outputs, D = from.shape.output_size;
  const std::int64_t count = products.count();
  if (count == 0) return votes_of<N, T>(from, block, inputs.index, inputs.u, inputs.votes);
  for (std::int64_t q = 0; q < count; q += Products<N>::kAtOnce) {
    const auto take = [&](auto together) {
      constexpr int M = static_cast<int>(std::int64_t{decltype(together){}});
      const T* x[M];
      for (int m = 0; m < M; ++m) x[m] = products.vector(kept, q + m);
      T* to = out + products.place(0, q) * J * kBlock<T>;
      if (q == 0) {
        return votes_and_dots<N, M, T>(from, block, inputs.index, inputs.u, x, inputs.votes, to);
      }
      dots<N, M, T>(inputs.votes, J, D, x, to);
    };
    switch (count - q) {
      case 1: take(Fixed<1>{}); break;
      case 2: take(Fixed<2>{}); break;
      case 3: take(Fixed < Products<N>::kAtOnce<3 ? Products<N>::kAtOnce : 3>{}); break;
      default: take(Fixed<Products<N>::kAtOnce>{}); break;
    }
  }
}

// The votes of N inputs <- their gradients; adds to grad_logits of the inputs, if there are any.
template <int N, class T>
void grad_of_votes(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from,
                   const SampleBlock& block, const Kept<T>& kept, const Inputs<T, N>& inputs,
                   const Desk<T>& desk) {
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, D = shape.output_size, r = shape.iterations;
  const std::int64_t span = J * kBlock<T>, vectors = kept_vectors(shape, args.detach);
  const bool with_logits = args.grad_logits != nullptr;
  const Products<N> products{r, args.detach, with_logits};
  multiply<N, T>(from, block, kept, products, inputs, desk.dots);
  for (int n = 0; n < N; ++n) {
    T* factors = desk.factors + n * vectors * span;
    for (std::int64_t t = args.detach ? r - 1 : 0; t < r; ++t) {
      T* couplings = factors + kept.place_of_grad(t) * span;
      if (t == 0 && args.logits == nullptr) {
        const T c = first_coupling<T>(shape, args.leaky);
        for (std::int64_t j = 0; j < span; ++j) couplings[j] = c;
        continue;
      }
      const T* agreements =
          t > 0 ? desk.dots + products.place(n, products.of_before(t)) * span : nullptr;
      couplings_of<T>(shape, args.leaky, logits_of(args, inputs.index[n]), agreements, couplings);
      const bool through = t > 0 && !args.detach;
      if (!through && !with_logits) continue;
      T* e = desk.dots + products.place(n, products.of_grad(t)) * span;
      T* adjoint = through ? factors + kept.place_before(t) * span : e;
      adjoint_of<T>(shape, couplings, e, adjoint);
      for (std::int64_t j = 0; with_logits && j < J; ++j) {
        T sum = T{0};
        for (int s = 0; s < kBlock<T>; ++s) sum += adjoint[j * kBlock<T> + s];
        args.grad_logits[inputs.index[n] * J + j] += sum;
      }
    }
  }
  const std::int64_t count = args.detach ? 1 : vectors;
  constexpr int R = 8;
  for (std::int64_t j = 0; j < J; ++j) {
    combine<N, R, T>(desk.factors + j * kBlock<T>, vectors * span, span, kept.data, kept.span,
                     count, j * D, (j + 1) * D, inputs.votes);
  }
}

// C columns of lying [K][L] += sum over samples of turned [W][L] u [K][W]
template <int C, class T>
POLYAD_INLINE void outer_tile(const T* turned, const T* u, T* lying) {
  constexpr int L = kLanes<T>;
  Vector<T> sum[C];
  for (int c = 0; c < C; ++c) sum[c] = load(lying + c * L);
  for (int s = 0; s < kBlock<T>; ++s) {
    const Vector<T> x = load(turned + s * L);
    for (int c = 0; c < C; ++c) sum[c] += splat(u[c * kBlock<T> + s]) * x;
  }
  for (int c = 0; c < C; ++c) store(lying + c * L, sum[c]);
}

template <int C, class T>
POLYAD_INLINE void outer_columns(const T* turned, const T* u, std::int64_t K, T* lying) {
  std::int64_t k = 0;
  for (; k + C <= K; k += C) outer_tile<C, T>(turned, u + k * kBlock<T>, lying + k * kLanes<T>);
  if constexpr (C > 1) {
    if (k < K) outer_columns<C / 2, T>(turned, u + k * kBlock<T>, K - k, lying + k * kLanes<T>);
  }
}

// lying [rows / L][K][L] += sum over the samples of a block of grad [rows][W] u [K][W]
template <class T>
void add_outer(const T* grad, std::int64_t rows, const T* u, std::int64_t K, T* turned, T* lying) {
  constexpr int L = kLanes<T>;
  for (std::int64_t row = 0; row < rows; row += L, lying += K * L) {
    Vector<T> tile[L];
    for (int i = 0; i < L; ++i) {
      tile[i] = row + i < rows ? load(grad + (row + i) * L) : Vector<T>{};
    }
    transpose<1, T>(tile);
    for (int i = 0; i < L; ++i) store(turned + i * L, tile[i]);
    outer_columns<8, T>(turned, u, K, lying);
  }
}

// grad_weight [rows, K] <- lying [rows / L][K][L]
template <class T>
void stand_up(const T* lying, std::int64_t rows, std::int64_t K, T* grad_weight) {
  constexpr int L = kLanes<T>;
  for (std::int64_t row = 0; row < rows; row += L, lying += K * L) {
    for (std::int64_t k = 0; k < K; k += L) {
      Vector<T> tile[L];
      for (int i = 0; i < L; ++i) tile[i] = k + i < K ? load(lying + (k + i) * L) : Vector<T>{};
      transpose<1, T>(tile);
      for (int i = 0; i < L; ++i) {
        if (row + i < rows) store_first(grad_weight + (row + i) * K + k, tile[i], K - k);
      }
    }
  }
}

// The gradients of `count` inputs, over all samples: of their numbers, logits and weights. They are
// the inputs from `first` on, each with weights of its own, and lying holds a gradient for each;
// or, where `order` is given, those that it names, which have one type, and lying holds one sum.
template <class T>
void finish_inputs(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from, T* kept_data,
                   const std::int32_t* order, std::int64_t first, std::int64_t count,
                   const Desk<T>& desk, T* lying) {
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, K = shape.input_size, rows = shape.rows();
  const std::int64_t span = rows * kBlock<T>, vectors = kept_vectors(shape, args.detach);
  const std::int64_t group = group_of<T>(shape), lying_size = lying_gradient<T>(shape);
  const std::int64_t stride = shape.inputs * K;
  const auto input = [&](std::int64_t n) { return order != nullptr ? order[n] : n; };
  std::memset(lying, 0,
              static_cast<std::size_t>(lying_size * (order != nullptr ? 1 : count)) * sizeof(T));
  for (std::int64_t n = first; args.grad_logits != nullptr && n < first + count; ++n) {
    std::memset(args.grad_logits + input(n) * J, 0, static_cast<std::size_t>(J) * sizeof(T));
  }
  for (std::int64_t index = 0; index < blocks_of<T>(shape.batch); ++index) {
    const SampleBlock block = sample_block<T>(shape.batch, index);
    const Kept<T> kept{kept_data + index * vectors * span, span, shape.iterations, args.detach};
    for (std::int64_t at = first; at < first + count; at += group) {
      const std::int64_t members = at + group < first + count ? group : first + count - at;
      // runs of inputs that lie side by side
      const std::int64_t run = order != nullptr ? 1 : members;
      for (std::int64_t m = 0; m < members; m += run) {
        gather_inputs<T>(from, block, input(at + m), run, desk.u + m * K * kBlock<T>);
      }
      std::memset(desk.grad_u, 0, static_cast<std::size_t>(members * K * kBlock<T>) * sizeof(T));
      in_pairs<T>(members, [&](auto together, std::int64_t m) {
        constexpr int N = static_cast<int>(std::int64_t{decltype(together){}});
        Inputs<T, N> inputs = inputs_of<N, T>(shape, desk, m);
        for (int n = 0; n < N; ++n) inputs.index[n] = input(at + m + n);
        grad_of_votes<N, T>(args, from, block, kept, inputs, desk);
        for (int n = 0; n < N; ++n) {
          const std::int64_t i = inputs.index[n];
          if (from.given()) {
            scatter<T>(inputs.votes[n], rows, block.samples, shape.inputs * rows,
                       args.grad_votes + (block.first * shape.inputs + i) * rows);
            continue;
          }
          transposed_product<T>(from.weights_of(i), rows, K, inputs.votes[n],
                                desk.grad_u + (m + n) * K * kBlock<T>);
          T* to = order != nullptr ? lying : lying + (at - first + m + n) * lying_size;
          add_outer<T>(inputs.votes[n], rows, inputs.u[n], K, desk.turned, to);
        }
      });
      for (std::int64_t m = 0; !from.given() && m < members; m += run) {
        scatter<T>(desk.grad_u + m * K * kBlock<T>, run * K, block.samples, stride,
                   args.grad_u + block.first * stride + input(at + m) * K);
      }
    }
  }
}

// Inputs with weights of their own.
template <class T>
void finish_own(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from, T* kept, T* desks,
                std::int64_t parts) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), K = shape.input_size, group = group_of<T>(shape);
  const std::int64_t desk_size = routing_backward_desk<T>(shape, args.detach);
  const std::int64_t groups = (shape.inputs + group - 1) / group;
  for_items(groups, parts, desks, desk_size, [&](std::int64_t item, Pieces<T> own) {
    const Desk<T> desk(own, shape, args.detach);
    const std::int64_t first = item * group;
    const std::int64_t count = first + group < shape.inputs ? group : shape.inputs - first;
    finish_inputs<T>(args, from, kept, nullptr, first, count, desk, desk.lying);
    for (std::int64_t i = first; !from.given() && i < first + count; ++i) {
      stand_up(desk.lying + (i - first) * lying_gradient<T>(shape), rows, K,
               args.grad_weight + i * rows * K);
    }
  });
}

// Inputs that share the weights of their type: pieces of a type, then the sum of its pieces.
template <class T>
void finish_shared(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from, T* kept,
                   T* places, T* desks, std::int64_t parts) {
  const RoutingShape& shape = args.shape;
  const CapsuleTypes& types = args.types;
  const std::int64_t rows = shape.rows(), K = shape.input_size;
  const std::int64_t lying = lying_gradient<T>(shape);
  const std::int64_t desk_size = routing_backward_desk<T>(shape, args.detach);
  parallel_for(parts, [&](std::int64_t part) {
    const Desk<T> desk({desks + part * desk_size}, shape, args.detach);
    std::int64_t turn = 0;  // pieces go round the parts
    for (std::int64_t type = 0; type < types.types; ++type) {
      std::int64_t place = types.begin[type] / kPiece + type;
      for (std::int64_t at = types.begin[type]; at < types.begin[type + 1]; at += kPiece, ++place) {
        if (turn++ % parts != part) continue;
        const std::int64_t left = types.begin[type + 1] - at;
        finish_inputs<T>(args, from, kept, types.order, at, left < kPiece ? left : kPiece, desk,
                         places + place * lying);
      }
    }
  });
  for_items(types.types, parts, desks, desk_size, [&](std::int64_t type, Pieces<T>) {
    T* to = args.grad_weight + type * rows * K;
    const std::int64_t members = types.begin[type + 1] - types.begin[type];
    if (members == 0) {
      std::memset(to, 0, static_cast<std::size_t>(rows * K) * sizeof(T));
      return;
    }
    T* sum = places + (types.begin[type] / kPiece + type) * lying;
    for (std::int64_t piece = 1; piece < (members + kPiece - 1) / kPiece; ++piece) {
      for (std::int64_t n = 0; n < lying; ++n) sum[n] += sum[piece * lying + n];
    }
    stand_up(sum, rows, K, to);
  });
}

// grad_bias: s' of all iterations and samples.
template <class T>
void add_up_bias(const RoutingBackwardArgs<T>& args, const T* kept) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), span = rows * kBlock<T>;
  const std::int64_t vectors = kept_vectors(shape, args.detach);
  const std::int64_t grads = args.detach ? 1 : shape.iterations;
  for (std::int64_t row = 0; row < rows; ++row) args.grad_bias[row] = T{0};
  for (std::int64_t index = 0; index < blocks_of<T>(shape.batch); ++index) {
    for (std::int64_t t = 0; t < grads; ++t) {
      const T* grad = kept + index * vectors * span + t * span;
      for (std::int64_t row = 0; row < rows; ++row) {
        T sum = T{0};
        for (int s = 0; s < kBlock<T>; ++s) sum += grad[row * kBlock<T> + s];
        args.grad_bias[row] += sum;
      }
    }
  }
}

template <class T>
void route_backward(const RoutingBackwardArgs<T>& args) {
  const RoutingShape& shape = args.shape;
  const std::int64_t blocks = blocks_of<T>(shape.batch), chunks = shape.chunks();
  const std::int64_t rows = shape.rows(), span = rows * kBlock<T>, items = blocks * chunks;
  const std::int64_t vectors = kept_vectors(shape, args.detach), parts = args.parts;
  const std::int64_t desk_size = routing_backward_desk<T>(shape, args.detach);
  const VoteSource<T> from{shape, args.u, args.weight, args.votes, args.types.type};
  Pieces<T> pieces{args.scratch};
  T* kept_data = pieces.take(blocks * vectors * span);
  T* grad_totals = args.detach ? nullptr : pieces.take(blocks * span);
  T* sums = args.detach ? nullptr : pieces.take(items * span);
  T* places = pieces.take(piece_places(shape, args.types) * lying_gradient<T>(shape));
  T* desks = pieces.next;

  // Calls body(block, kept, desk).
  const auto in_block = [&](Pieces<T> own, std::int64_t index, const auto& body) {
    const SampleBlock block = sample_block<T>(shape.batch, index);
    const Desk<T> desk(own, shape, args.detach);
    const Kept<T> kept{kept_data + index * vectors * span, span, shape.iterations, args.detach};
    body(block, kept, desk);
  };
  for_items(blocks, parts, desks, desk_size, [&](std::int64_t index, Pieces<T> own) {
    in_block(own, index, [&](const SampleBlock& block, const Kept<T>& kept, const Desk<T>& desk) {
      begin<T>(args, block, kept, desk);
    });
  });
  for (std::int64_t t = shape.iterations - 1; t > 0 && !args.detach; --t) {
    // Blocks side by side share the weights of a chunk while these are in the cache.
    for_items(items, parts, desks, desk_size, [&](std::int64_t item, Pieces<T> own) {
      const std::int64_t index = item % blocks, chunk = item / blocks;
      in_block(own, index, [&](const SampleBlock& block, const Kept<T>& kept, const Desk<T>& desk) {
        add_chunk<T>(args, from, block, chunk, kept, t, desk,
                     sums + (index * chunks + chunk) * span);
      });
    });
    for_items(blocks, parts, desks, desk_size, [&](std::int64_t index, Pieces<T> own) {
      in_block(own, index, [&](const SampleBlock& block, const Kept<T>& kept, const Desk<T>& desk) {
        step_back<T>(args, block, kept, t, sums + index * chunks * span, grad_totals + index * span,
                     desk);
      });
    });
  }
  if (args.grad_bias != nullptr) add_up_bias(args, kept_data);
  if (args.types.type == nullptr) return finish_own(args, from, kept_data, desks, parts);
  finish_shared(args, from, kept_data, places, desks, parts);
}

}  // namespace

const RoutingBackwardTable routing_backward_table = {route_backward<float>, route_backward<double>};

}  // namespace polyad::capsule::POLYAD_ISA
