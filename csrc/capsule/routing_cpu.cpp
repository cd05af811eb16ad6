// Forward pass of routing; the contract is routing.hpp.
#include "capsule/routing.hpp"
#include "capsule/routing_rows_cpu.hpp"
#include "capsule/tables.hpp"
#include "common/parallel.hpp"

namespace polyad::capsule::POLYAD_ISA {
namespace {

// What one thread works with.
template <class T>
struct Desk {
  T* u;          // [group K][W]
  T* votes;      // [2][rows][W]
  T* couplings;  // [2][J][W]
  T* piece;      // [rows][W]

  Desk(Pieces<T> pieces, const RoutingShape& shape)
      : u(pieces.take(group_of<T>(shape) * shape.input_size * kBlock<T>)),
        votes(pieces.take(2 * shape.rows() * kBlock<T>)),
        couplings(pieces.take(2 * shape.outputs * kBlock<T>)),
        piece(pieces.take(shape.rows() * kBlock<T>)) {}
};

// One iteration over the inputs of a chunk.
template <class T>
struct Pass {
  const RoutingArgs<T>& args;
  const VoteSource<T>& from;
  const SampleBlock& block;
  const T* total;  // [rows][W] sum of the outputs so far; null before the first
  bool last;
  const Desk<T>& desk;

  // Whether all couplings are the same number.
  bool equal() const { return total == nullptr && args.logits == nullptr; }

  // sums [rows][W] += sum of c_ij u_hat_ij over N inputs from `first` on, whose numbers are u; of
  // u_hat_ij alone where all couplings are equal.
  template <int N>
  void add(std::int64_t first, const T* u, T* sums) const {
    const RoutingShape& shape = args.shape;
    const std::int64_t J = shape.outputs, D = shape.output_size, K = shape.input_size;
    std::int64_t inputs[N];
    const T* numbers[N];
    T* votes[N];
    for (int n = 0; n < N; ++n) {
      inputs[n] = first + n;
      numbers[n] = u + n * K * kBlock<T>;
      votes[n] = desk.votes + n * shape.rows() * kBlock<T>;
      if (equal() && !from.given()) {
        product<true, T>(from.weights_of(inputs[n]), shape.rows(), K, numbers[n], sums);
      }
    }
    if (equal() && !from.given()) return;
    if (total != nullptr) {
      const T* x[1] = {total};
      votes_and_dots<N, 1, T>(from, block, inputs, numbers, x, votes, desk.couplings);
    } else {
      votes_of<N, T>(from, block, inputs, numbers, votes);
    }
    for (int n = 0; n < N; ++n) {
      T* couplings = desk.couplings + n * J * kBlock<T>;
      if (equal()) {
        for (std::int64_t j = 0; j < J * kBlock<T>; ++j) couplings[j] = T{1};
        continue;
      }
      couplings_of<T>(shape, args.leaky,
                      args.logits != nullptr ? args.logits + inputs[n] * J : nullptr,
                      total != nullptr ? couplings : nullptr, couplings);
      if (last && args.couplings != nullptr) {
        scatter<T>(couplings, J, block.samples, shape.inputs * J,
                   args.couplings + (block.first * shape.inputs + inputs[n]) * J);
      }
    }
    add_scaled<N, T>(desk.couplings, J * kBlock<T>, votes, J, D, sums);
  }

  // sums [rows][W] <- the sum over a chunk.
  void over_chunk(std::int64_t chunk, T* sums) const {
    const RoutingShape& shape = args.shape;
    const Chunk<T> of(shape, chunk, desk.piece, sums);
    of.for_each_group([&](std::int64_t first, std::int64_t count, T* piece) {
      gather_inputs<T>(from, block, first, count, desk.u);
      in_pairs<T>(count, [&](auto together, std::int64_t at) {
        constexpr int N = static_cast<int>(std::int64_t{decltype(together){}});
        this->template add<N>(first + at, desk.u + at * shape.input_size * kBlock<T>, piece);
      });
    });
    if (equal() && last && args.couplings != nullptr) {
      const std::int64_t J = shape.outputs;
      const T c = first_coupling<T>(shape, args.leaky);
      for (std::int64_t b = block.first; b < block.first + block.samples; ++b) {
        T* to = args.couplings + b * shape.inputs * J;
        for (std::int64_t n = of.begin * J; n < of.end * J; ++n) to[n] = c;
      }
    }
  }
};

// s and v of a block from the sums of its chunks; total += v.
template <class T>
void finish(const RoutingArgs<T>& args, const SampleBlock& block, std::int64_t iteration,
            const T* chunks, T* s, T* v, T* total) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), span = rows * kBlock<T>;
  const bool equal = iteration == 0 && args.logits == nullptr;
  const T scale = equal ? first_coupling<T>(shape, args.leaky) : T{1};
  for (std::int64_t row = 0; row < rows; ++row) {
    const T beta = args.bias != nullptr ? args.bias[row] : T{0};
    for (int i = 0; i < kBlock<T>; ++i) {
      T sum = chunks[row * kBlock<T> + i];
      for (std::int64_t c = 1; c < shape.chunks(); ++c)
        sum += chunks[c * span + row * kBlock<T> + i];
      s[row * kBlock<T> + i] = sum * scale + beta;
    }
  }
  squash_rows<T>(shape, s, v);
  const std::int64_t at = block.first * rows;
  scatter<T>(s, rows, block.samples, rows, args.s + iteration * shape.batch * rows + at);
  if (iteration + 1 == shape.iterations) {
    scatter<T>(v, rows, block.samples, rows, args.v + at);
    return;
  }
  for (std::int64_t n = 0; n < rows * kBlock<T>; ++n)
    total[n] = (iteration > 0 ? total[n] : T{0}) + v[n];
}

template <class T>
void route(const RoutingArgs<T>& args) {
  const RoutingShape& shape = args.shape;
  const std::int64_t blocks = blocks_of<T>(shape.batch), chunks = shape.chunks();
  const std::int64_t span = shape.rows() * kBlock<T>, items = blocks * chunks;
  const std::int64_t desk_size = routing_desk<T>(shape);
  const VoteSource<T> from{shape, args.u, args.weight, args.votes, args.types.type};
  Pieces<T> pieces{args.scratch};
  T* totals = pieces.take(blocks * span);
  T* sums = pieces.take(items * span);  // [blocks][chunks][rows][W]
  T* desks = pieces.next;
  for (std::int64_t t = 0; t < shape.iterations; ++t) {
    // Blocks side by side share the weights of a chunk while these are in the cache.
    for_items(items, args.parts, desks, desk_size, [&](std::int64_t item, Pieces<T> own) {
      const SampleBlock block = sample_block<T>(shape.batch, item % blocks);
      const std::int64_t chunk = item / blocks;
      const Desk<T> desk(own, shape);
      const T* total = t > 0 ? totals + block.index * span : nullptr;
      const Pass<T> pass{args, from, block, total, t + 1 == shape.iterations, desk};
      pass.over_chunk(chunk, sums + (block.index * chunks + chunk) * span);
    });
    for_items(blocks, args.parts, desks, desk_size, [&](std::int64_t index, Pieces<T> own) {
      const SampleBlock block = sample_block<T>(shape.batch, index);
      const Desk<T> desk(own, shape);
      finish<T>(args, block, t, sums + index * chunks * span, desk.votes, desk.piece,
                totals + index * span);
    });
  }
}

}  // namespace

const RoutingTable routing_table = {route<float>, route<double>};

}  // namespace polyad::capsule::POLYAD_ISA
