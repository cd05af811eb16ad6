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
  T* votes;    // [rows][W], then their gradient
  T* rows;     // [rows][W]
  T* factors;  // [vectors][J][W] of s'^t: c^t, of V^t: l'^(t+1)
  T* e;        // [J][W]
  T* lying;    // [group][rows / L][K][L] W'_i with rows across the lanes
  T* turned;   // [W][L] a tile of votes, samples before rows

  Desk(Shelf<T> shelf, const RoutingShape& shape, bool detach)
      : u(shelf.take(group_of<T>(shape) * shape.input_size * kBlock<T>)),
        grad_u(shelf.take(group_of<T>(shape) * shape.input_size * kBlock<T>)),
        votes(shelf.take(shape.rows() * kBlock<T>)),
        rows(shelf.take(shape.rows() * kBlock<T>)),
        factors(shelf.take(kept_vectors(shape, detach) * shape.outputs * kBlock<T>)),
        e(shelf.take(shape.outputs * kBlock<T>)),
        lying(shelf.take(group_of<T>(shape) * lying_gradient<T>(shape))),
        turned(shelf.take(kBlock<T> * kBlock<T>)) {}
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
template <class T, int W>
void begin(const RoutingBackwardArgs<T>& args, const SampleBlock& block, const Kept<T>& kept,
           const Desk<T>& desk) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), r = shape.iterations, at = block.first * rows;
  const auto s_of = [&](std::int64_t t) {
    gather<T, W>(args.s + t * shape.batch * rows + at, rows, block.samples, rows, desk.rows);
  };
  const T* total = nullptr;
  for (std::int64_t t = 0; t + 1 < r; ++t) {
    s_of(t);
    squash_rows<T, W>(shape, desk.rows, desk.votes);
    T* next = kept.before(t + 1);
    for (std::int64_t n = 0; n < rows * W; ++n) {
      next[n] = (total != nullptr ? total[n] : T{0}) + desk.votes[n];
    }
    total = next;
  }
  s_of(r - 1);
  gather<T, W>(args.grad + at, rows, block.samples, rows, desk.votes);
  squash_rows_backward<T, W>(shape, desk.rows, desk.votes, kept.grad(r - 1));
}

// c^t of an input in couplings [J][W]; with_adjoint: also l'^t in adjoint [J][W]. t counts from 0.
template <class T, int W>
POLYAD_INLINE void iteration_of(const RoutingBackwardArgs<T>& args, const Kept<T>& kept,
                                std::int64_t t, std::int64_t i, const T* votes, bool with_adjoint,
                                T* couplings, T* adjoint) {
  using L = Lanes<T, W>;
  using Part = typename L::Part;
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, D = shape.output_size;
  const T* logits = args.logits != nullptr ? args.logits + i * J : nullptr;
  const T* total = t > 0 ? kept.before(t) : nullptr;
  couplings_of<T, W>(shape, args.leaky, logits, votes, total, couplings);
  if (!with_adjoint) return;
  const T* grad = kept.grad(t);
  for (std::int64_t j = 0; j < J; ++j) {
    dots<T, W>(votes + j * D * W, grad + j * D * W, D, adjoint + j * W);
  }
  for (int p = 0; p < L::kParts; ++p) {
    const int at = p * L::kWidth;
    softmax_backward<Part>(
        J, [&](std::int64_t j) { return L::load(couplings + j * W + at); },
        [&](std::int64_t j) { return L::load(adjoint + j * W + at); },
        [&](std::int64_t j, const Part& l) { L::store(adjoint + j * W + at, l); });
  }
}

// sums [rows][W] <- sum of l'^t_ij u_hat_ij over the inputs of a chunk.
template <class T, int W>
void add_chunk(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from,
               const SampleBlock& block, std::int64_t chunk, const Kept<T>& kept, std::int64_t t,
               const Desk<T>& desk, T* sums) {
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, D = shape.output_size, K = shape.input_size;
  const std::int64_t rows = shape.rows(), group = group_of<T>(shape);
  const std::int64_t end = (chunk + 1) * shape.chunk();
  const std::int64_t stop = end < shape.inputs ? end : shape.inputs;
  T* piece = shape.chunk() > kPiece ? desk.rows : sums;
  std::memset(sums, 0, static_cast<std::size_t>(rows * W) * sizeof(T));
  if (piece != sums) std::memset(piece, 0, static_cast<std::size_t>(rows * W) * sizeof(T));
  for (std::int64_t first = chunk * shape.chunk(); first < stop; first += kPiece) {
    const std::int64_t after = first + kPiece < stop ? first + kPiece : stop;
    for (std::int64_t at = first; at < after; at += group) {
      const std::int64_t count = at + group < after ? group : after - at;
      gather_inputs<T, W>(from, block, at, count, desk.u);
      for (std::int64_t i = at; i < at + count; ++i) {
        votes_of<T, W>(from, block, i, desk.u + (i - at) * K * W, desk.votes);
        iteration_of<T, W>(args, kept, t, i, desk.votes, true, desk.factors, desk.e);
        for (std::int64_t j = 0; j < J; ++j) {
          add_scaled<T, W>(desk.e + j * W, desk.votes + j * D * W, D, piece + j * D * W);
        }
      }
    }
    if (piece != sums) move_into(piece, rows * W, sums);
  }
}

// s' of the iteration before t, whose v' is R: the sum of the chunks of every iteration from t on.
template <class T, int W>
void step_back(const RoutingBackwardArgs<T>& args, const SampleBlock& block, const Kept<T>& kept,
               std::int64_t t, const T* chunks, T* grad_total, const Desk<T>& desk) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), span = rows * kBlock<T>;
  for (std::int64_t n = 0; n < rows * W; ++n) {
    T sum = chunks[n];
    for (std::int64_t c = 1; c < shape.chunks(); ++c) sum += chunks[c * span + n];
    grad_total[n] = (t + 1 < shape.iterations ? grad_total[n] : T{0}) + sum;
  }
  gather<T, W>(args.s + (t - 1) * shape.batch * rows + block.first * rows, rows, block.samples,
               rows, desk.rows);
  squash_rows_backward<T, W>(shape, desk.rows, grad_total, kept.grad(t - 1));
}

// out [n][W] <- sum over vectors of factor x vector, for D rows of one output capsule.
template <int R, class T, int W>
POLYAD_INLINE void combine_tile(const T* factors, std::int64_t factor_span, const T* vectors,
                                std::int64_t span, std::int64_t count, T* out) {
  using L = Lanes<T, W>;
  for (int p = 0; p < L::kParts; ++p) {
    const int at = p * L::kWidth;
    typename L::Part sum[R] = {};
    for (std::int64_t m = 0; m < count; ++m) {
      const typename L::Part factor = L::load(factors + m * factor_span + at);
      for (int d = 0; d < R; ++d) sum[d] += factor * L::load(vectors + m * span + d * W + at);
    }
    for (int d = 0; d < R; ++d) L::store(out + d * W + at, sum[d]);
  }
}

template <int R, class T, int W>
POLYAD_INLINE void combine(const T* factors, std::int64_t factor_span, const T* vectors,
                           std::int64_t span, std::int64_t count, std::int64_t D, T* out) {
  std::int64_t d = 0;
  for (; d + R <= D; d += R) {
    combine_tile<R, T, W>(factors, factor_span, vectors + d * W, span, count, out + d * W);
  }
  if constexpr (R > 1) {
    if (d < D) {
      combine<R / 2, T, W>(factors, factor_span, vectors + d * W, span, count, D - d, out + d * W);
    }
  }
}

// desk.votes <- the gradient of the votes of input i; adds to grad_logits [J] of the input, if any.
template <class T, int W>
void grad_of_votes(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from,
                   const SampleBlock& block, const Kept<T>& kept, std::int64_t i, const T* u,
                   const Desk<T>& desk, T* grad_logits) {
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, D = shape.output_size, r = shape.iterations;
  votes_of<T, W>(from, block, i, u, desk.votes);
  for (std::int64_t t = args.detach ? r - 1 : 0; t < r; ++t) {
    T* couplings = desk.factors + kept.place_of_grad(t) * J * W;
    const bool through = t > 0 && !args.detach;
    T* adjoint = through ? desk.factors + kept.place_before(t) * J * W : desk.e;
    if (t == 0 && args.logits == nullptr && grad_logits == nullptr) {
      const T c = first_coupling<T>(shape, args.leaky);
      for (std::int64_t n = 0; n < J * W; ++n) couplings[n] = c;
      continue;
    }
    iteration_of<T, W>(args, kept, t, i, desk.votes, through || grad_logits != nullptr, couplings,
                       adjoint);
    if (grad_logits != nullptr) {
      for (std::int64_t j = 0; j < J; ++j) {
        T sum = T{0};
        for (int s = 0; s < W; ++s) sum += adjoint[j * W + s];
        grad_logits[j] += sum;
      }
    }
  }
  const std::int64_t count = args.detach ? 1 : kept_vectors(shape, false);
  for (std::int64_t j = 0; j < J; ++j) {
    combine<8, T, W>(desk.factors + j * W, J * W, kept.data + j * D * W, kept.span, count, D,
                     desk.votes + j * D * W);
  }
}

// C columns of lying [K][L] += sum over samples of turned [W][L] u [K][W]
template <int C, class T, int W>
POLYAD_INLINE void outer_tile(const T* turned, const T* u, T* lying) {
  constexpr int L = kLanes<T>;
  Vector<T> sum[C];
  for (int c = 0; c < C; ++c) sum[c] = load(lying + c * L);
  for (int s = 0; s < W; ++s) {
    const Vector<T> x = load(turned + s * L);
    for (int c = 0; c < C; ++c) sum[c] += splat(u[c * W + s]) * x;
  }
  for (int c = 0; c < C; ++c) store(lying + c * L, sum[c]);
}

template <int C, class T, int W>
POLYAD_INLINE void outer_columns(const T* turned, const T* u, std::int64_t K, T* lying) {
  std::int64_t k = 0;
  for (; k + C <= K; k += C) outer_tile<C, T, W>(turned, u + k * W, lying + k * kLanes<T>);
  if constexpr (C > 1) {
    if (k < K) outer_columns<C / 2, T, W>(turned, u + k * W, K - k, lying + k * kLanes<T>);
  }
}

// lying [rows / L][K][L] += sum over the samples of a block of grad [rows][W] u [K][W]
template <class T, int W>
void add_outer(const T* grad, std::int64_t rows, const T* u, std::int64_t K, T* turned, T* lying) {
  constexpr int L = kLanes<T>;
  for (std::int64_t row = 0; row < rows; row += L, lying += K * L) {
    if constexpr (W % L == 0) {
      for (int part = 0; part < W; part += L) {
        Vector<T> tile[L];
        for (int i = 0; i < L; ++i) {
          tile[i] = row + i < rows ? load(grad + (row + i) * W + part) : Vector<T>{};
        }
        transpose<1, T>(tile);
        for (int i = 0; i < L; ++i) store(turned + (part + i) * L, tile[i]);
      }
    } else {
      for (int s = 0; s < W; ++s) {
        for (int i = 0; i < L; ++i) {
          turned[s * L + i] = row + i < rows ? grad[(row + i) * W + s] : T{0};
        }
      }
    }
    outer_columns<8, T, W>(turned, u, K, lying);
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

// The gradients that belong to a group of inputs, over all samples. Inputs first .. first + count -
// 1 in their own order, or in that of their types (`order`), where all have the same type: their
// weight gradients are then one sum.
template <class T>
void finish_inputs(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from, T* kept_data,
                   const std::int32_t* order, std::int64_t first, std::int64_t count,
                   const Desk<T>& desk, T* lying) {
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, K = shape.input_size, rows = shape.rows();
  const std::int64_t span = rows * kBlock<T>, vectors = kept_vectors(shape, args.detach);
  const std::int64_t group = order != nullptr ? 1 : group_of<T>(shape);
  const std::int64_t lying_size = lying_gradient<T>(shape), stride = shape.inputs * K;
  std::memset(lying, 0,
              static_cast<std::size_t>(lying_size * (order != nullptr ? 1 : count)) * sizeof(T));
  if (args.grad_logits != nullptr) {
    for (std::int64_t n = first; n < first + count; ++n) {
      const std::int64_t i = order != nullptr ? order[n] : n;
      std::memset(args.grad_logits + i * J, 0, static_cast<std::size_t>(J) * sizeof(T));
    }
  }
  for (std::int64_t index = 0; index < blocks_of<T>(shape.batch); ++index) {
    const SampleBlock block = sample_block<T>(shape.batch, index);
    with_width<T>(block.width, [&](auto width) {
      constexpr int W = static_cast<int>(std::int64_t{decltype(width){}});
      const Kept<T> kept{kept_data + index * vectors * span, rows * W, shape.iterations,
                         args.detach};
      for (std::int64_t at = first; at < first + count; at += group) {
        const std::int64_t start = order != nullptr ? order[at] : at;
        const std::int64_t members = at + group < first + count ? group : first + count - at;
        gather_inputs<T, W>(from, block, start, members, desk.u);
        if (from.u != nullptr) {
          std::memset(desk.grad_u, 0, static_cast<std::size_t>(members * K * W) * sizeof(T));
        }
        for (std::int64_t m = 0; m < members; ++m) {
          const std::int64_t i = start + m;
          const T* u = desk.u + m * K * W;
          T* logits = args.grad_logits != nullptr ? args.grad_logits + i * J : nullptr;
          grad_of_votes<T, W>(args, from, block, kept, i, u, desk, logits);
          if (from.u == nullptr) {
            scatter<T, W>(desk.votes, rows, block.samples, shape.inputs * rows,
                          args.grad_votes + (block.first * shape.inputs + i) * rows);
            continue;
          }
          transposed_product<T, W>(from.weights_of(i), rows, K, desk.votes,
                                   desk.grad_u + m * K * W);
          T* to = order != nullptr ? lying : lying + (at - first + m) * lying_size;
          add_outer<T, W>(desk.votes, rows, u, K, desk.turned, to);
        }
        if (from.u != nullptr) {
          scatter<T, W>(desk.grad_u, members * K, block.samples, stride,
                        args.grad_u + block.first * stride + start * K);
        }
      }
    });
  }
}

// Inputs with weights of their own.
template <class T>
void finish_own(const RoutingBackwardArgs<T>& args, const VoteSource<T>& from, T* kept, T* desks,
                std::int64_t parts) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), K = shape.input_size, group = group_of<T>(shape);
  const std::int64_t desk_size = routing_backward_desk<T>(shape, args.detach);
  in_parts((shape.inputs + group - 1) / group, parts, [&](std::int64_t part, std::int64_t item) {
    const Desk<T> desk({desks + part * desk_size}, shape, args.detach);
    const std::int64_t first = item * group;
    const std::int64_t count = first + group < shape.inputs ? group : shape.inputs - first;
    finish_inputs<T>(args, from, kept, nullptr, first, count, desk, desk.lying);
    for (std::int64_t i = first; from.u != nullptr && i < first + count; ++i) {
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
  in_parts(types.types, parts, [&](std::int64_t, std::int64_t type) {
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
    const SampleBlock block = sample_block<T>(shape.batch, index);
    for (std::int64_t t = 0; t < grads; ++t) {
      const T* grad = kept + index * vectors * span + t * rows * block.width;
      for (std::int64_t row = 0; row < rows; ++row) {
        T sum = T{0};
        for (int s = 0; s < block.width; ++s) sum += grad[row * block.width + s];
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
  Shelf<T> shelf{args.scratch};
  T* kept_data = shelf.take(blocks * vectors * span);
  T* grad_totals = args.detach ? nullptr : shelf.take(blocks * span);
  T* sums = args.detach ? nullptr : shelf.take(items * span);
  T* places = shelf.take(piece_places(shape, args.types) * lying_gradient<T>(shape));
  T* desks = shelf.next;

  // Calls body(Fixed<W>, block, kept, desk).
  const auto in_block = [&](std::int64_t part, std::int64_t index, const auto& body) {
    const SampleBlock block = sample_block<T>(shape.batch, index);
    const Desk<T> desk({desks + part * desk_size}, shape, args.detach);
    with_width<T>(block.width, [&](auto width) {
      const Kept<T> kept{kept_data + index * vectors * span, rows * block.width, shape.iterations,
                         args.detach};
      body(width, block, kept, desk);
    });
  };
  in_parts(blocks, parts, [&](std::int64_t part, std::int64_t index) {
    in_block(part, index,
             [&](auto width, const SampleBlock& block, const Kept<T>& kept, const Desk<T>& desk) {
               constexpr int W = static_cast<int>(std::int64_t{decltype(width){}});
               begin<T, W>(args, block, kept, desk);
             });
  });
  for (std::int64_t t = shape.iterations - 1; t > 0 && !args.detach; --t) {
    // Blocks side by side share the weights of a chunk while these are in the cache.
    in_parts(items, parts, [&](std::int64_t part, std::int64_t item) {
      const std::int64_t index = item % blocks, chunk = item / blocks;
      in_block(part, index,
               [&](auto width, const SampleBlock& block, const Kept<T>& kept, const Desk<T>& desk) {
                 constexpr int W = static_cast<int>(std::int64_t{decltype(width){}});
                 add_chunk<T, W>(args, from, block, chunk, kept, t, desk,
                                 sums + (index * chunks + chunk) * span);
               });
    });
    in_parts(blocks, parts, [&](std::int64_t part, std::int64_t index) {
      in_block(part, index,
               [&](auto width, const SampleBlock& block, const Kept<T>& kept, const Desk<T>& desk) {
                 constexpr int W = static_cast<int>(std::int64_t{decltype(width){}});
                 step_back<T, W>(args, block, kept, t, sums + index * chunks * span,
                                 grad_totals + index * span, desk);
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
