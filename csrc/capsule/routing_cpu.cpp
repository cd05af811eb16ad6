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
  T* votes;      // [rows][W]
  T* couplings;  // [J][W]
  T* piece;      // [rows][W]

  Desk(Shelf<T> shelf, const RoutingShape& shape)
      : u(shelf.take(group_of<T>(shape) * shape.input_size * kBlock<T>)),
        votes(shelf.take(shape.rows() * kBlock<T>)),
        couplings(shelf.take(shape.outputs * kBlock<T>)),
        piece(shelf.take(shape.rows() * kBlock<T>)) {}
};

// sums [rows][W] <- sum of c_ij u_hat_ij over the inputs of a chunk; of u_hat_ij alone where all
// couplings are equal, which is so when total and the logits are null.
template <class T, int W>
void add_chunk(const RoutingArgs<T>& args, const VoteSource<T>& from, const SampleBlock& block,
               std::int64_t chunk, const T* total, bool last, const Desk<T>& desk, T* sums) {
  const RoutingShape& shape = args.shape;
  const std::int64_t J = shape.outputs, D = shape.output_size, K = shape.input_size;
  const std::int64_t rows = shape.rows(), group = group_of<T>(shape);
  const std::int64_t end = (chunk + 1) * shape.chunk();
  const std::int64_t stop = end < shape.inputs ? end : shape.inputs;
  const bool equal = total == nullptr && args.logits == nullptr;
  T* piece = shape.chunk() > kPiece ? desk.piece : sums;
  std::memset(sums, 0, static_cast<std::size_t>(rows * W) * sizeof(T));
  if (piece != sums) std::memset(piece, 0, static_cast<std::size_t>(rows * W) * sizeof(T));
  for (std::int64_t first = chunk * shape.chunk(); first < stop; first += kPiece) {
    const std::int64_t after = first + kPiece < stop ? first + kPiece : stop;
    for (std::int64_t at = first; at < after; at += group) {
      const std::int64_t count = at + group < after ? group : after - at;
      gather_inputs<T, W>(from, block, at, count, desk.u);
      for (std::int64_t i = at; i < at + count; ++i) {
        const T* u = desk.u + (i - at) * K * W;
        if (equal && from.u != nullptr) {
          product<true, T, W>(from.weights_of(i), rows, K, u, piece);
          continue;
        }
        votes_of<T, W>(from, block, i, u, desk.votes);
        if (equal) {
          for (std::int64_t n = 0; n < rows * W; ++n) piece[n] += desk.votes[n];
          continue;
        }
        const T* logits = args.logits != nullptr ? args.logits + i * J : nullptr;
        couplings_of<T, W>(shape, args.leaky, logits, desk.votes, total, desk.couplings);
        for (std::int64_t j = 0; j < J; ++j) {
          add_scaled<T, W>(desk.couplings + j * W, desk.votes + j * D * W, D, piece + j * D * W);
        }
        if (last && args.couplings != nullptr) {
          scatter<T, W>(desk.couplings, J, block.samples, shape.inputs * J,
                        args.couplings + (block.first * shape.inputs + i) * J);
        }
      }
    }
    if (piece != sums) move_into(piece, rows * W, sums);
  }
  if (equal && last && args.couplings != nullptr) {
    const T c = first_coupling<T>(shape, args.leaky);
    for (std::int64_t b = block.first; b < block.first + block.samples; ++b) {
      T* to = args.couplings + b * shape.inputs * J;
      for (std::int64_t n = chunk * shape.chunk() * J; n < stop * J; ++n) to[n] = c;
    }
  }
}

// s and v of a block from the sums of its chunks; total += v.
template <class T, int W>
void finish(const RoutingArgs<T>& args, const SampleBlock& block, std::int64_t iteration,
            const T* chunks, T* s, T* v, T* total) {
  const RoutingShape& shape = args.shape;
  const std::int64_t rows = shape.rows(), span = rows * kBlock<T>;
  const bool equal = iteration == 0 && args.logits == nullptr;
  const T scale = equal ? first_coupling<T>(shape, args.leaky) : T{1};
  for (std::int64_t row = 0; row < rows; ++row) {
    const T beta = args.bias != nullptr ? args.bias[row] : T{0};
    for (int i = 0; i < W; ++i) {
      T sum = chunks[row * W + i];
      for (std::int64_t c = 1; c < shape.chunks(); ++c) sum += chunks[c * span + row * W + i];
      s[row * W + i] = sum * scale + beta;
    }
  }
  squash_rows<T, W>(shape, s, v);
  const std::int64_t at = block.first * rows;
  scatter<T, W>(s, rows, block.samples, rows, args.s + iteration * shape.batch * rows + at);
  if (iteration + 1 == shape.iterations) {
    scatter<T, W>(v, rows, block.samples, rows, args.v + at);
    return;
  }
  for (std::int64_t n = 0; n < rows * W; ++n) total[n] = (iteration > 0 ? total[n] : T{0}) + v[n];
}

template <class T>
void route(const RoutingArgs<T>& args) {
  const RoutingShape& shape = args.shape;
  const std::int64_t blocks = blocks_of<T>(shape.batch), chunks = shape.chunks();
  const std::int64_t span = shape.rows() * kBlock<T>, items = blocks * chunks;
  const std::int64_t parts = items < args.parts ? items : args.parts;
  const VoteSource<T> from{shape, args.u, args.weight, args.votes, args.types.type};
  Shelf<T> shelf{args.scratch};
  T* totals = shelf.take(blocks * span);
  T* sums = shelf.take(items * span);  // [blocks][chunks][rows][W]
  T* desks = shelf.next;
  for (std::int64_t t = 0; t < shape.iterations; ++t) {
    // Blocks side by side share the weights of a chunk while these are in the cache.
    in_parts(items, parts, [&](std::int64_t part, std::int64_t item) {
      const SampleBlock block = sample_block<T>(shape.batch, item % blocks);
      const std::int64_t chunk = item / blocks;
      const Desk<T> desk({desks + part * routing_desk<T>(shape)}, shape);
      with_width<T>(block.width, [&](auto width) {
        constexpr int W = static_cast<int>(std::int64_t{decltype(width){}});
        add_chunk<T, W>(args, from, block, chunk, t > 0 ? totals + block.index * span : nullptr,
                        t + 1 == shape.iterations, desk,
                        sums + (block.index * chunks + chunk) * span);
      });
    });
    const std::int64_t finishing = blocks < parts ? blocks : parts;
    in_parts(blocks, finishing, [&](std::int64_t part, std::int64_t index) {
      const SampleBlock block = sample_block<T>(shape.batch, index);
      const Desk<T> desk({desks + part * routing_desk<T>(shape)}, shape);
      with_width<T>(block.width, [&](auto width) {
        constexpr int W = static_cast<int>(std::int64_t{decltype(width){}});
        finish<T, W>(args, block, t, sums + index * chunks * span, desk.votes, desk.piece,
                     totals + index * span);
      });
    });
  }
}

}  // namespace

const RoutingTable routing_table = {route<float>, route<double>};

}  // namespace polyad::capsule::POLYAD_ISA
