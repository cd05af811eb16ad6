#include "common/gemm.hpp"
#include "common/parallel.hpp"
#include "ntm/addressing_rows_cpu.hpp"
#include "ntm/layout_rows_cpu.hpp"
#include "ntm/memory_rows_cpu.hpp"
#include "ntm/scan_math.hpp"
#include "ntm/tables.hpp"

namespace polyad::ntm::POLYAD_ISA {
namespace {

// Sequences that go through time together: weights are read once for all of them.
constexpr std::int64_t kGroup = 8;
// Steps whose inputs are projected, and whose outputs are computed, in one product.
constexpr std::int64_t kChunk = 16;
// Rows that a weight gradient adds up before it goes back to memory.
constexpr std::int64_t kGradRows = 256;
// Rows of a weight gradient that one thread computes at a time.
constexpr std::int64_t kGradOutputs = 96;

POLYAD_INLINE std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

template <class T>
POLYAD_INLINE void copy(T* to, const T* from, std::int64_t count) {
  if (count > 0) std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}
template <class T>
POLYAD_INLINE void clear(T* p, std::int64_t count) {
  if (count > 0) std::memset(p, 0, static_cast<std::size_t>(count) * sizeof(T));
}
template <class T>
POLYAD_INLINE void copy_or_clear(T* to, const T* from, std::int64_t count) {
  from == nullptr ? clear(to, count) : copy(to, from, count);
}

// Calls body(j, count) for registers j, j + kLanes .. of `size` elements; the last may hold fewer.
template <class T, class Body>
POLYAD_INLINE void for_registers(std::int64_t size, const Body& body) {
  for (std::int64_t j = 0; j < size; j += kLanes<T>) body(j, size - j);
}

// Cuts scratch into pieces that begin at cache lines; without memory it only adds up their sizes.
template <class T>
struct Carver {
  T* memory;
  std::int64_t used = 0;

  T* take(std::int64_t count) {
    constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
    T* piece = memory == nullptr ? nullptr : memory + used;
    used += (count + line - 1) / line * line;
    return piece;
  }
};

// How the batch is cut: sequences in order of falling length, groups of `size`, and `parts` that
// take every parts-th group with scratch of their own.
struct Cut {
  std::int64_t size, groups, parts;
};

POLYAD_INLINE Cut cut(std::int64_t batch, std::int64_t threads) {
  const std::int64_t each = (batch + threads - 1) / threads;
  const std::int64_t size = each < 1 ? 1 : least(kGroup, each);
  const std::int64_t groups = (batch + size - 1) / size;
  return {size, groups, least(groups, threads)};
}

struct Sequence {
  std::int64_t index, steps;
};

// Words of T that hold n integers.
template <class T>
POLYAD_INLINE std::int64_t words(std::int64_t n) {
  return n * static_cast<std::int64_t>(sizeof(std::int64_t) / sizeof(T));
}

// sorted [B] by falling length, equal lengths in their order; counts [T + 1] is scratch.
void sort_by_length(const ScanShape& shape, const std::int64_t* lengths, std::int64_t* counts,
                    Sequence* sorted) {
  const auto steps = [&](std::int64_t b) { return lengths == nullptr ? shape.steps : lengths[b]; };
  clear(counts, shape.steps + 1);
  for (std::int64_t b = 0; b < shape.batch; ++b) ++counts[steps(b)];
  std::int64_t first = 0;
  for (std::int64_t n = shape.steps; n >= 0; --n) {
    const std::int64_t count = counts[n];
    counts[n] = first;
    first += count;
  }
  for (std::int64_t b = 0; b < shape.batch; ++b) sorted[counts[steps(b)]++] = {b, steps(b)};
}

template <class T>
Sequence* take_order(Carver<T>& carver, const ScanShape& shape, const std::int64_t* lengths) {
  auto* counts = reinterpret_cast<std::int64_t*>(carver.take(words<T>(shape.steps + 1)));
  auto* sorted = reinterpret_cast<Sequence*>(carver.take(words<T>(2 * shape.batch)));
  if (sorted != nullptr) sort_by_length(shape, lengths, counts, sorted);
  return sorted;
}

template <class T>
POLYAD_INLINE AddressingShape<T> addressing_shape(const ScanShape& shape) {
  return {shape.rows,   whole_lines<T>(shape.rows), shape.width,
          shape.shifts, shape.similarity,           static_cast<T>(shape.epsilon)};
}

// Head k (read heads first) of a row of parameters [P].
template <class T>
POLYAD_INLINE T* head_row(const ScanShape& shape, T* row, std::int64_t k) {
  return k < shape.reads
             ? row + k * shape.basic()
             : row + shape.reads * shape.basic() + (k - shape.reads) * shape.write_basic();
}

template <class T>
void point_heads(const ScanShape& shape, T* row, Head<T>* heads) {
  const HeadLayout at = head_layout(shape.width, shape.shifts);
  for (std::int64_t k = 0; k < shape.heads(); ++k) {
    T* p = head_row(shape, row, k);
    heads[k] = {p + at.key, p + at.kernel, p + at.beta, p + at.gate, p + at.gamma};
  }
}

template <class T>
POLYAD_INLINE WriteHeads<T> write_heads(const ScanShape& shape, T* row) {
  const HeadLayout at = head_layout(shape.width, shape.shifts);
  T* p = head_row(shape, row, shape.reads);
  return {shape.writes, shape.write_basic(), p + at.erase, p + at.add};
}

template <class T>
POLYAD_INLINE void load_memory(const AddressingShape<T>& shape, const T* from, T* to) {
  transposed_rows(from, shape.rows, shape.width, shape.stride, to);
}

template <class T>
POLYAD_INLINE void store_memory(const AddressingShape<T>& shape, const T* from, T* to) {
  rows_transposed(from, shape.rows, shape.width, shape.stride, to);
}

// to [K, stride] <- from [K, N], zeros past the N-th row; and back.
template <class T>
void load_weights(const AddressingShape<T>& shape, std::int64_t heads, const T* from, T* to) {
  for (std::int64_t k = 0; k < heads; ++k) {
    padded_row(from + k * shape.rows, shape.rows, shape.stride, to + k * shape.stride);
  }
}

template <class T>
void store_weights(const AddressingShape<T>& shape, std::int64_t heads, const T* from, T* to) {
  for (std::int64_t k = 0; k < heads; ++k) {
    copied_row(from + k * shape.stride, shape.rows, to + k * shape.rows);
  }
}

// --- activations ---------------------------------------------------------------------------------

template <class T, class Function>
POLYAD_INLINE void apply(T* p, std::int64_t size, const Function& function) {
  for_registers<T>(size, [&](std::int64_t j, std::int64_t count) {
    store_first(p + j, function(load_up_to(p + j, count)), count);
  });
}

// An LSTM layer of one sequence: gates [4 H] are activated in place, c [H] moves on, h [H] is set.
template <class T>
void lstm_forward(std::int64_t H, T* gates, T* c, T* h) {
  for_registers<T>(H, [&](std::int64_t j, std::int64_t n) {
    LstmGates<Vector<T>> unit{load_up_to(gates + j, n), load_up_to(gates + H + j, n),
                              load_up_to(gates + 2 * H + j, n), load_up_to(gates + 3 * H + j, n)};
    Vector<T> cell = load_up_to(c + j, n);
    store_first(h + j, lstm_unit(unit, cell), n);
    store_first(c + j, cell, n);
    store_first(gates + j, unit.i, n);
    store_first(gates + H + j, unit.f, n);
    store_first(gates + 2 * H + j, unit.g, n);
    store_first(gates + 3 * H + j, unit.o, n);
  });
}

// grads [4 H] <- dL/d(sums); grad_c [H] moves to the step before.
template <class T>
void lstm_backward(std::int64_t H, const T* gates, const T* c_before, const T* c, const T* grad_h,
                   T* grad_c, T* grads) {
  for_registers<T>(H, [&](std::int64_t j, std::int64_t n) {
    const LstmGates<Vector<T>> unit{load_up_to(gates + j, n), load_up_to(gates + H + j, n),
                                    load_up_to(gates + 2 * H + j, n),
                                    load_up_to(gates + 3 * H + j, n)};
    Vector<T> to_cell = load_up_to(grad_c + j, n);
    const LstmGates<Vector<T>> grad =
        lstm_unit_backward(unit, load_up_to(c_before + j, n), load_up_to(c + j, n),
                           load_up_to(grad_h + j, n), to_cell);
    store_first(grad_c + j, to_cell, n);
    store_first(grads + j, grad.i, n);
    store_first(grads + H + j, grad.f, n);
    store_first(grads + 2 * H + j, grad.g, n);
    store_first(grads + 3 * H + j, grad.o, n);
  });
}

// The parameters [P] of all heads, in place.
template <class T>
void activate_heads(const ScanShape& shape, T* row) {
  const HeadLayout at = head_layout(shape.width, shape.shifts);
  const auto squash = [](const Vector<T>& x) { return tanh_of(x); };
  const auto gate = [](const Vector<T>& x) { return sigmoid_of(x); };
  for (std::int64_t k = 0; k < shape.heads(); ++k) {
    T* p = head_row(shape, row, k);
    if (shape.tanh_heads) apply(p + at.key, shape.width, squash);
    p[at.beta] = softplus_of(p[at.beta]);
    p[at.gate] = sigmoid_of(p[at.gate]);
    p[at.gamma] = 1 + softplus_of(p[at.gamma]);
    T* kernel = p + at.kernel;
    T most = kernel[0];
    for (std::int64_t j = 1; j < shape.shifts; ++j) most = most < kernel[j] ? kernel[j] : most;
    T sum = 0;
    for (std::int64_t j = 0; j < shape.shifts; ++j) {
      kernel[j] = exp_of(kernel[j] - most);
      sum += kernel[j];
    }
    for (std::int64_t j = 0; j < shape.shifts; ++j) kernel[j] /= sum;
    if (k < shape.reads) continue;
    apply(p + at.erase, shape.width, gate);
    if (shape.tanh_heads) apply(p + at.add, shape.width, squash);
  }
}

// grads [P], gradients of the activated parameters `row` [P], become those of the sums before.
template <class T>
void activate_heads_backward(const ScanShape& shape, const T* row, T* grads) {
  const HeadLayout at = head_layout(shape.width, shape.shifts);
  const auto through = [](const T* y, T* grad, std::int64_t size, const auto& slope) {
    for_registers<T>(size, [&](std::int64_t j, std::int64_t n) {
      store_first(grad + j, load_up_to(grad + j, n) * slope(load_up_to(y + j, n)), n);
    });
  };
  const auto of_tanh = [](const Vector<T>& y) { return tanh_slope(y); };
  const auto of_sigmoid = [](const Vector<T>& y) { return sigmoid_slope(y); };
  for (std::int64_t k = 0; k < shape.heads(); ++k) {
    const T* p = head_row(shape, row, k);
    T* grad = head_row(shape, grads, k);
    if (shape.tanh_heads) through(p + at.key, grad + at.key, shape.width, of_tanh);
    grad[at.beta] *= softplus_slope(p[at.beta]);
    grad[at.gate] *= sigmoid_slope(p[at.gate]);
    grad[at.gamma] *= softplus_slope(p[at.gamma] - 1);
    T mean = 0;
    for (std::int64_t j = 0; j < shape.shifts; ++j) mean += grad[at.kernel + j] * p[at.kernel + j];
    for (std::int64_t j = 0; j < shape.shifts; ++j) {
      grad[at.kernel + j] = p[at.kernel + j] * (grad[at.kernel + j] - mean);
    }
    if (k < shape.reads) continue;
    through(p + at.erase, grad + at.erase, shape.width, of_sigmoid);
    if (shape.tanh_heads) through(p + at.add, grad + at.add, shape.width, of_tanh);
  }
}

template <class T>
bool all_finite(const T* p, std::int64_t size) {
  Vector<T> sum = {};
  for_registers<T>(size,
                   [&](std::int64_t j, std::int64_t n) { sum += load_up_to(p + j, n) * T{0}; });
  return sum_of_lanes<T>(sum) == T{0};
}

// --- forward -------------------------------------------------------------------------------------

// Weights as x W^T reads them, and the biases of a layer added up.
template <class T>
struct ForwardWeights {
  T *input, *reads, *head, *out_h, *out_r;
  T *ih[kMaxLayers], *hh[kMaxLayers], *bias[kMaxLayers];

  ForwardWeights(Carver<T>& carver, const ScanShape& shape) {
    const std::int64_t H = shape.hidden, G = shape.gates(), O = shape.outputs;
    input = carver.take(packed_size<T>(shape.inputs, G));
    reads = carver.take(packed_size<T>(shape.read_size(), G));
    head = carver.take(packed_size<T>(H, shape.head_outputs()));
    out_h = carver.take(packed_size<T>(H, O));
    out_r = carver.take(packed_size<T>(shape.read_size(), O));
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      ih[l] = l == 0 ? nullptr : carver.take(packed_size<T>(H, G));
      hh[l] = shape.lstm ? carver.take(packed_size<T>(H, G)) : nullptr;
      bias[l] = carver.take(G);
    }
  }

  void fill(const ScanShape& shape, const ScanParameters<const T>& from) const {
    const std::int64_t I = shape.inputs, H = shape.hidden, G = shape.gates(), O = shape.outputs;
    const std::int64_t RM = shape.read_size();
    pack_transposed(from.weight_ih[0], I, G, I + RM, input);
    pack_transposed(from.weight_ih[0] + I, RM, G, I + RM, reads);
    pack_transposed(from.head_weight, H, shape.head_outputs(), H, head);
    pack_transposed(from.output_weight, H, O, H + RM, out_h);
    pack_transposed(from.output_weight + H, RM, O, H + RM, out_r);
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      if (l > 0) pack_transposed(from.weight_ih[l], H, G, H, ih[l]);
      if (shape.lstm) pack_transposed(from.weight_hh[l], H, G, H, hh[l]);
      for (std::int64_t j = 0; j < G; ++j) {
        bias[l][j] = from.bias_ih[l][j] + (shape.lstm ? from.bias_hh[l][j] : T{0});
      }
    }
  }
};

// What a group of sequences works in. Sequence s of the group has row s of everything.
template <class T>
struct ForwardScratch {
  T* memory;      // [S, M, Np]
  T* weights[2];  // [S, K, Np] before and after the step
  T* reads;       // [S, R M]
  T* sums;        // [S, kChunk, G] layer 0
  T* upper;       // [S, G] the other layers
  T* h[kMaxLayers];
  T* c[kMaxLayers];  // [S, H]
  T* heads;          // [S, P]
  T* past_h;         // [S, kChunk, H] the top layer
  T* past_reads;     // [S, kChunk, R M]
  T* squares;        // [Np]
  T* trails;         // [K, trail_size]
  AddressingTrail<T>* trail;
  Head<T>* head;

  ForwardScratch(Carver<T>& carver, const ScanShape& shape, std::int64_t S) {
    const std::int64_t n = whole_lines<T>(shape.rows), K = shape.heads(), H = shape.hidden;
    memory = carver.take(S * shape.width * n);
    for (T*& w : weights) w = carver.take(S * K * n);
    reads = carver.take(S * shape.read_size());
    sums = carver.take(S * kChunk * shape.gates());
    upper = carver.take(S * shape.gates());
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      h[l] = carver.take(S * H);
      c[l] = carver.take(S * H);
    }
    heads = carver.take(S * shape.head_outputs());
    past_h = carver.take(S * kChunk * H);
    past_reads = carver.take(S * kChunk * shape.read_size());
    squares = carver.take(n);
    trails = carver.take(K * trail_size<T>(n, shape.shifts));
    constexpr auto each = static_cast<std::int64_t>(sizeof(AddressingTrail<T>) / sizeof(T));
    trail = reinterpret_cast<AddressingTrail<T>*>(carver.take(K * each));
    constexpr auto of_head = static_cast<std::int64_t>(sizeof(Head<T>) / sizeof(T));
    head = reinterpret_cast<Head<T>*>(carver.take(K * of_head));
  }
};

template <class T>
void point_trails(const AddressingShape<T>& shape, std::int64_t heads, T* from,
                  AddressingTrail<T>* trails) {
  for (std::int64_t k = 0; k < heads; ++k) {
    trails[k] = trail_at(from + k * trail_size<T>(shape.stride, shape.shifts), shape);
  }
}

// The forward pass of one group of sequences, which are in order of falling length.
template <class T>
struct ForwardGroup {
  const ScanArgs<T>& args;
  const ForwardWeights<T>& weights;
  const ForwardScratch<T>& own;
  const Sequence* sequences;
  std::int64_t count;
  const ScanShape& shape = args.shape;
  const AddressingShape<T> addressing = addressing_shape<T>(shape);
  const std::int64_t T_ = shape.steps, H = shape.hidden, G = shape.gates(), K = shape.heads(),
                     P = shape.head_outputs(), RM = shape.read_size(),
                     of_memory = shape.width * addressing.stride,
                     of_weights = K * addressing.stride;

  // Row `t` of sequence b in a record of `rows` rows a sequence, each of `size` elements.
  T* recorded(T* record, std::int64_t rows, std::int64_t size, std::int64_t b,
              std::int64_t t) const {
    return record + (b * rows + t) * size;
  }
  T* recorded_layer(T* record, std::int64_t rows, std::int64_t size, std::int64_t layer,
                    std::int64_t b, std::int64_t t) const {
    return record + ((layer * shape.batch + b) * rows + t) * size;
  }

  // Marks step t of sequence b as the first whose numbers are not finite, if it is.
  void mark(std::int64_t b, std::int64_t t) const {
    const auto step = static_cast<std::int32_t>(t + 1);
    if (args.status[b] == 0 || args.status[b] > step) args.status[b] = step;
  }

  // Gates saturate at infinity: its outputs are finite, its gradients are not.
  bool starts_finite(std::int64_t s) const {
    bool finite = all_finite(own.memory + s * of_memory, of_memory) &&
                  all_finite(own.weights[0] + s * of_weights, of_weights) &&
                  all_finite(own.reads + s * RM, RM);
    for (std::int64_t l = 0; l < shape.layers && shape.lstm; ++l) {
      finite = finite && all_finite(own.h[l] + s * H, H) && all_finite(own.c[l] + s * H, H);
    }
    return finite;
  }

  void begin() const {
    const ScanRecord<T>& record = args.record;
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int64_t b = sequences[s].index;
      load_memory(addressing, args.state.memory + b * shape.rows * shape.width,
                  own.memory + s * of_memory);
      load_weights(addressing, K, args.state.weights + b * K * shape.rows,
                   own.weights[0] + s * of_weights);
      copy(own.reads + s * RM, args.state.reads + b * RM, RM);
      for (std::int64_t l = 0; l < shape.layers && shape.lstm; ++l) {
        copy(own.h[l] + s * H, args.state.h + (l * shape.batch + b) * H, H);
        copy(own.c[l] + s * H, args.state.c + (l * shape.batch + b) * H, H);
      }
      args.status[b] = starts_finite(s) ? 0 : 1;
      if (record.reads == nullptr) continue;
      copy(recorded(record.reads, T_ + 1, RM, b, 0), own.reads + s * RM, RM);
      copy(recorded(record.weights, T_ + 1, K * shape.rows, b, 0),
           args.state.weights + b * K * shape.rows, K * shape.rows);
      for (std::int64_t l = 0; l < shape.layers; ++l) {
        T* h = recorded_layer(record.hidden, T_ + 1, H, l, b, 0);
        if (!shape.lstm) {
          clear(h, H);
          continue;
        }
        copy(h, own.h[l] + s * H, H);
        copy(recorded_layer(record.cells, T_ + 1, H, l, b, 0), own.c[l] + s * H, H);
      }
    }
  }

  void controller(std::int64_t t, std::int64_t active) const {
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      T* sums = l == 0 ? own.sums + t % kChunk * G : own.upper;
      const std::int64_t row = l == 0 ? kChunk * G : G;
      if (l == 0) {
        gemm(Rows<T>{own.reads, RM}, active, RM, weights.reads, G, sums, row);
      } else {
        for (std::int64_t s = 0; s < active; ++s) copy(sums + s * row, weights.bias[l], G);
        gemm(Rows<T>{own.h[l - 1], H}, active, H, weights.ih[l], G, sums, row);
      }
      if (shape.lstm) gemm(Rows<T>{own.h[l], H}, active, H, weights.hh[l], G, sums, row);
      for (std::int64_t s = 0; s < active; ++s) {
        T *gates = sums + s * row, *h = own.h[l] + s * H, *c = own.c[l] + s * H;
        if (shape.lstm) {
          lstm_forward(H, gates, c, h);
        } else {
          copy(h, gates, H);
          apply(h, H, [](const Vector<T>& x) { return tanh_of(x); });
        }
        if (args.record.reads == nullptr) continue;
        const std::int64_t b = sequences[s].index;
        copy(recorded_layer(args.record.hidden, T_ + 1, H, l, b, t + 1), h, H);
        if (!shape.lstm) continue;
        copy(recorded_layer(args.record.gates, T_, G, l, b, t), gates, G);
        copy(recorded_layer(args.record.cells, T_ + 1, H, l, b, t + 1), c, H);
      }
    }
  }

  void heads(std::int64_t t, std::int64_t active) const {
    const ScanRecord<T>& record = args.record;
    const T* top = own.h[shape.layers - 1];
    for (std::int64_t s = 0; s < active; ++s) copy(own.heads + s * P, args.parameters.head_bias, P);
    gemm(Rows<T>{top, H}, active, H, weights.head, P, own.heads, P);
    for (std::int64_t s = 0; s < active; ++s) {
      const std::int64_t b = sequences[s].index;
      T *row = own.heads + s * P, *memory = own.memory + s * of_memory, *reads = own.reads + s * RM;
      const T* before = own.weights[t % 2] + s * of_weights;
      T* after = own.weights[(t + 1) % 2] + s * of_weights;
      if (record.reads != nullptr && t % record.stride == 0) {
        const std::int64_t checkpoints = scan_checkpoints(T_, record.stride);
        copy(recorded(record.memory, checkpoints, of_memory, b, t / record.stride), memory,
             of_memory);
      }
      activate_heads(shape, row);
      point_heads(shape, row, own.head);
      address(memory, addressing, own.head, K, before, own.squares, own.trail, after);
      if (shape.read_first) {
        read_of(memory, addressing.stride, shape.width, after, shape.reads, reads);
      }
      write_of(memory, addressing.stride, shape.width, after + shape.reads * addressing.stride,
               write_heads(shape, row), memory);
      if (!shape.read_first) {
        read_of(memory, addressing.stride, shape.width, after, shape.reads, reads);
      }
      if (!(all_finite(reads, RM) && all_finite(top + s * H, H))) mark(b, t);
      copy(own.past_h + (s * kChunk + t % kChunk) * H, top + s * H, H);
      copy(own.past_reads + (s * kChunk + t % kChunk) * RM, reads, RM);
      if (record.reads == nullptr) continue;
      copy(recorded(record.heads, T_, P, b, t), row, P);
      copy(recorded(record.reads, T_ + 1, RM, b, t + 1), reads, RM);
      store_weights(addressing, K, after,
                    recorded(record.weights, T_ + 1, K * shape.rows, b, t + 1));
    }
  }

  // Steps first .. first + kChunk - 1 of sequence s that exist.
  std::int64_t chunk_of(std::int64_t s, std::int64_t first) const {
    const std::int64_t left = sequences[s].steps - first;
    return left < 0 ? 0 : least(left, kChunk);
  }

  void project_inputs(std::int64_t first) const {
    const std::int64_t I = shape.inputs;
    for (std::int64_t s = 0; s < count; ++s) {
      T* sums = own.sums + s * kChunk * G;
      const std::int64_t steps = chunk_of(s, first);
      for (std::int64_t t = 0; t < steps; ++t) copy(sums + t * G, weights.bias[0], G);
      const T* x = args.inputs + (sequences[s].index * T_ + first) * I;
      for (std::int64_t t = 0; t < steps; ++t) {
        if (!all_finite(x + t * I, I)) mark(sequences[s].index, first + t);
      }
      gemm(Rows<T>{x, I}, steps, I, weights.input, G, sums, G);
    }
  }

  void write_outputs(std::int64_t first) const {
    const std::int64_t O = shape.outputs;
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int64_t steps = chunk_of(s, first);
      T* y = args.outputs + (sequences[s].index * T_ + first) * O;
      for (std::int64_t t = 0; t < steps; ++t) copy(y + t * O, args.parameters.output_bias, O);
      gemm(Rows<T>{own.past_h + s * kChunk * H, H}, steps, H, weights.out_h, O, y, O);
      gemm(Rows<T>{own.past_reads + s * kChunk * RM, RM}, steps, RM, weights.out_r, O, y, O);
      for (std::int64_t t = 0; t < steps; ++t) {
        if (!all_finite(y + t * O, O)) mark(sequences[s].index, first + t);
      }
    }
  }

  void finish() const {
    const ScanRecord<T>& record = args.record;
    for (std::int64_t s = 0; s < count; ++s) {
      const auto [b, steps] = sequences[s];
      const std::int64_t rest = T_ - steps;
      store_memory(addressing, own.memory + s * of_memory,
                   args.last.memory + b * shape.rows * shape.width);
      store_weights(addressing, K, own.weights[steps % 2] + s * of_weights,
                    args.last.weights + b * K * shape.rows);
      copy(args.last.reads + b * RM, own.reads + s * RM, RM);
      for (std::int64_t l = 0; l < shape.layers && shape.lstm; ++l) {
        copy(args.last.h + (l * shape.batch + b) * H, own.h[l] + s * H, H);
        copy(args.last.c + (l * shape.batch + b) * H, own.c[l] + s * H, H);
      }
      clear(args.outputs + (b * T_ + steps) * shape.outputs, rest * shape.outputs);
      if (record.reads == nullptr || rest == 0) continue;
      clear(recorded(record.heads, T_, P, b, steps), rest * P);
      clear(recorded(record.reads, T_ + 1, RM, b, steps + 1), rest * RM);
      const std::int64_t KN = K * shape.rows;
      clear(recorded(record.weights, T_ + 1, KN, b, steps + 1), rest * KN);
      const std::int64_t checkpoints = scan_checkpoints(T_, record.stride);
      const std::int64_t used = scan_checkpoints(steps, record.stride);
      clear(recorded(record.memory, checkpoints, of_memory, b, used),
            (checkpoints - used) * of_memory);
      for (std::int64_t l = 0; l < shape.layers; ++l) {
        clear(recorded_layer(record.hidden, T_ + 1, H, l, b, steps + 1), rest * H);
        if (!shape.lstm) continue;
        clear(recorded_layer(record.cells, T_ + 1, H, l, b, steps + 1), rest * H);
        clear(recorded_layer(record.gates, T_, G, l, b, steps), rest * G);
      }
    }
  }

  void run() const {
    point_trails(addressing, K, own.trails, own.trail);
    begin();
    std::int64_t active = count;
    for (std::int64_t t = 0; t < sequences[0].steps; ++t) {
      if (t % kChunk == 0) project_inputs(t);
      while (sequences[active - 1].steps <= t) --active;
      controller(t, active);
      heads(t, active);
      if (t % kChunk == kChunk - 1 || t == sequences[0].steps - 1) {
        write_outputs(t / kChunk * kChunk);
      }
    }
    finish();
  }
};

template <class T>
std::int64_t scan_scratch(const ScanShape& shape, std::int64_t threads) {
  const Cut by = cut(shape.batch, threads);
  Carver<T> carver{nullptr};
  take_order(carver, shape, nullptr);
  ForwardWeights<T>{carver, shape};
  for (std::int64_t p = 0; p < by.parts; ++p) ForwardScratch<T>{carver, shape, by.size};
  return carver.used;
}

template <class T>
void scan(const ScanArgs<T>& args) {
  const ScanShape& shape = args.shape;
  const Cut by = cut(shape.batch, args.threads);
  Carver<T> carver{args.scratch};
  const Sequence* sorted = take_order(carver, shape, args.lengths);
  const ForwardWeights<T> weights{carver, shape};
  weights.fill(shape, args.parameters);
  const std::int64_t shared = carver.used;
  Carver<T> one{nullptr};
  ForwardScratch<T>{one, shape, by.size};
  parallel_for(by.parts, [&](std::int64_t part) {
    Carver<T> own{args.scratch, shared + part * one.used};
    const ForwardScratch<T> scratch{own, shape, by.size};
    for (std::int64_t g = part; g < by.groups; g += by.parts) {
      const std::int64_t first = g * by.size;
      ForwardGroup<T>{args, weights, scratch, sorted + first, least(by.size, shape.batch - first)}
          .run();
    }
  });
}

// --- backward ------------------------------------------------------------------------------------

// Weights as g W reads them.
template <class T>
struct BackwardWeights {
  T *input, *reads, *head, *out_h, *out_r;
  T *ih[kMaxLayers], *hh[kMaxLayers];

  BackwardWeights(Carver<T>& carver, const ScanShape& shape) {
    const std::int64_t H = shape.hidden, G = shape.gates(), O = shape.outputs;
    input = carver.take(packed_size<T>(G, shape.inputs));
    reads = carver.take(packed_size<T>(G, shape.read_size()));
    head = carver.take(packed_size<T>(shape.head_outputs(), H));
    out_h = carver.take(packed_size<T>(O, H));
    out_r = carver.take(packed_size<T>(O, shape.read_size()));
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      ih[l] = l == 0 ? nullptr : carver.take(packed_size<T>(G, H));
      hh[l] = shape.lstm ? carver.take(packed_size<T>(G, H)) : nullptr;
    }
  }

  void fill(const ScanShape& shape, const ScanParameters<const T>& from) const {
    const std::int64_t I = shape.inputs, H = shape.hidden, G = shape.gates(), O = shape.outputs;
    const std::int64_t RM = shape.read_size();
    pack(from.weight_ih[0], G, I, I + RM, input);
    pack(from.weight_ih[0] + I, G, RM, I + RM, reads);
    pack(from.head_weight, shape.head_outputs(), H, H, head);
    pack(from.output_weight, O, H, H + RM, out_h);
    pack(from.output_weight + H, O, RM, H + RM, out_r);
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      if (l > 0) pack(from.weight_ih[l], G, H, H, ih[l]);
      if (shape.lstm) pack(from.weight_hh[l], G, H, H, hh[l]);
    }
  }
};

// Gradients of sums before activations, for all steps: what the weight gradients are made of.
template <class T>
struct SumGradients {
  T* layer[kMaxLayers];  // [B, T, G]
  T* heads;              // [B, T, P]
  T* outputs;            // [B, T, O], zeros past a sequence's end

  SumGradients(Carver<T>& carver, const ScanShape& shape) {
    const std::int64_t rows = shape.batch * shape.steps;
    for (std::int64_t l = 0; l < shape.layers; ++l) layer[l] = carver.take(rows * shape.gates());
    heads = carver.take(rows * shape.head_outputs());
    outputs = carver.take(rows * shape.outputs);
  }
};

template <class T>
struct BackwardScratch {
  T* memories;      // [S, stride, M, Np] memories after the steps of a stretch
  T* grad_memory;   // [S, M, Np]
  T* grad_weights;  // [S, K, Np]
  T* grad_reads;    // [S, R M]
  T* grad_h[kMaxLayers];
  T* grad_c[kMaxLayers];  // [S, H]
  T* of_outputs_h;        // [S, kChunk, H]
  T* of_outputs_r;        // [S, kChunk, R M]
  T* to_h;                // [S, H] all of dL/dh of the layer at work
  T* sums;                // [S, G]
  T* heads;               // [S, P]
  T* parameters;          // [P]
  T* before;              // [K, Np]
  T* after;               // [K, Np]
  T* squares;             // [Np]
  T* trails;              // [K, trail_size]
  T* adjoint;             // [address_backward_scratch]
  AddressingTrail<T>* trail;
  Head<T>*head, *grad_head;

  BackwardScratch(Carver<T>& carver, const ScanShape& shape, std::int64_t stride, std::int64_t S) {
    const std::int64_t n = whole_lines<T>(shape.rows), K = shape.heads(), H = shape.hidden;
    memories = carver.take(S * stride * shape.width * n);
    grad_memory = carver.take(S * shape.width * n);
    grad_weights = carver.take(S * K * n);
    grad_reads = carver.take(S * shape.read_size());
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      grad_h[l] = carver.take(S * H);
      grad_c[l] = carver.take(S * H);
    }
    of_outputs_h = carver.take(S * kChunk * H);
    of_outputs_r = carver.take(S * kChunk * shape.read_size());
    to_h = carver.take(S * H);
    sums = carver.take(S * shape.gates());
    heads = carver.take(S * shape.head_outputs());
    parameters = carver.take(shape.head_outputs());
    before = carver.take(K * n);
    after = carver.take(K * n);
    squares = carver.take(n);
    trails = carver.take(K * trail_size<T>(n, shape.shifts));
    adjoint = carver.take(address_backward_scratch<T>(n, shape.shifts, K));
    constexpr auto each = static_cast<std::int64_t>(sizeof(AddressingTrail<T>) / sizeof(T));
    trail = reinterpret_cast<AddressingTrail<T>*>(carver.take(K * each));
    constexpr auto of_head = static_cast<std::int64_t>(sizeof(Head<T>) / sizeof(T));
    head = reinterpret_cast<Head<T>*>(carver.take(K * of_head));
    grad_head = reinterpret_cast<Head<T>*>(carver.take(K * of_head));
  }
};

template <class T>
struct BackwardGroup {
  const ScanBackwardArgs<T>& args;
  const BackwardWeights<T>& weights;
  const SumGradients<T>& of_sums;
  const BackwardScratch<T>& own;
  const Sequence* sequences;
  std::int64_t count;
  const ScanShape& shape = args.shape;
  const AddressingShape<T> addressing = addressing_shape<T>(shape);
  const std::int64_t T_ = shape.steps, H = shape.hidden, G = shape.gates(), K = shape.heads(),
                     P = shape.head_outputs(), RM = shape.read_size(), KN = K * shape.rows,
                     stride = args.record.stride, of_memory = shape.width * addressing.stride,
                     of_weights = K * addressing.stride;

  const T* recorded(const T* record, std::int64_t rows, std::int64_t size, std::int64_t b,
                    std::int64_t t) const {
    return record + (b * rows + t) * size;
  }
  const T* recorded_layer(const T* record, std::int64_t rows, std::int64_t size, std::int64_t layer,
                          std::int64_t b, std::int64_t t) const {
    return record + ((layer * shape.batch + b) * rows + t) * size;
  }
  const T* checkpoint(std::int64_t b, std::int64_t t) const {
    return recorded(args.record.memory, scan_checkpoints(T_, stride), of_memory, b, t / stride);
  }
  T* memory_after(std::int64_t s, std::int64_t t) const {
    return own.memories + (s * stride + t % stride) * of_memory;
  }

  void begin() const {
    const ScanState<const T>& last = args.grad_last;
    for (std::int64_t s = 0; s < count; ++s) {
      const auto [b, steps] = sequences[s];
      const std::int64_t rest = T_ - steps;
      T *memory = own.grad_memory + s * of_memory, *w = own.grad_weights + s * of_weights;
      if (last.memory == nullptr) {
        clear(memory, of_memory);
      } else {
        load_memory(addressing, last.memory + b * shape.rows * shape.width, memory);
      }
      if (last.weights == nullptr) {
        clear(w, of_weights);
      } else {
        load_weights(addressing, K, last.weights + b * KN, w);
      }
      copy_or_clear(own.grad_reads + s * RM, last.reads == nullptr ? nullptr : last.reads + b * RM,
                    RM);
      for (std::int64_t l = 0; l < shape.layers; ++l) {
        const std::int64_t at = (l * shape.batch + b) * H;
        const bool h = shape.lstm && last.h != nullptr, c = shape.lstm && last.c != nullptr;
        copy_or_clear(own.grad_h[l] + s * H, h ? last.h + at : nullptr, H);
        copy_or_clear(own.grad_c[l] + s * H, c ? last.c + at : nullptr, H);
        clear(of_sums.layer[l] + (b * T_ + steps) * G, rest * G);
      }
      clear(of_sums.heads + (b * T_ + steps) * P, rest * P);
      T* outputs = of_sums.outputs + b * T_ * shape.outputs;
      copy(outputs, args.grad_outputs + b * T_ * shape.outputs, steps * shape.outputs);
      clear(outputs + steps * shape.outputs, rest * shape.outputs);
      if (args.grad_inputs != nullptr) {
        clear(args.grad_inputs + b * T_ * shape.inputs, T_ * shape.inputs);
      }
    }
  }

  std::int64_t chunk_of(std::int64_t s, std::int64_t first) const {
    const std::int64_t left = sequences[s].steps - first;
    return left < 0 ? 0 : least(left, kChunk);
  }

  void from_outputs(std::int64_t first) const {
    const std::int64_t O = shape.outputs;
    clear(own.of_outputs_h, count * kChunk * H);
    clear(own.of_outputs_r, count * kChunk * RM);
    for (std::int64_t s = 0; s < count; ++s) {
      const Rows<T> grad{of_sums.outputs + (sequences[s].index * T_ + first) * O, O};
      const std::int64_t steps = chunk_of(s, first);
      gemm(grad, steps, O, weights.out_h, H, own.of_outputs_h + s * kChunk * H, H);
      gemm(grad, steps, O, weights.out_r, RM, own.of_outputs_r + s * kChunk * RM, RM);
    }
  }

  // The memories after the steps of t's stretch, up to t.
  void recompute(std::int64_t s, std::int64_t t) const {
    const std::int64_t b = sequences[s].index;
    const T* memory = checkpoint(b, t);
    for (std::int64_t u = t / stride * stride; u <= t; ++u) {
      load_weights(addressing, shape.writes,
                   recorded(args.record.weights, T_ + 1, KN, b, u + 1) + shape.reads * shape.rows,
                   own.after);
      copy(own.parameters, recorded(args.record.heads, T_, P, b, u), P);
      T* after = memory_after(s, u);
      write_of(memory, addressing.stride, shape.width, own.after,
               write_heads(shape, own.parameters), after);
      memory = after;
    }
  }

  // From all gradients that reach the heads of sequence s at step t: own.heads, and the gradients
  // of the memory and the weightings before the step.
  void heads(std::int64_t s, std::int64_t t) const {
    const std::int64_t b = sequences[s].index, n = addressing.stride, M = shape.width;
    const std::int64_t R = shape.reads;
    T *grad_memory = own.grad_memory + s * of_memory,
      *grad_weights = own.grad_weights + s * of_weights;
    T *grad_reads = own.grad_reads + s * RM, *grads = own.heads + s * P;
    if (t == sequences[s].steps - 1 || t % stride == stride - 1) recompute(s, t);
    const T* memory = t % stride == 0 ? checkpoint(b, t) : memory_after(s, t - 1);
    copy(own.parameters, recorded(args.record.heads, T_, P, b, t), P);
    load_weights(addressing, K, recorded(args.record.weights, T_ + 1, KN, b, t), own.before);
    point_heads(shape, own.parameters, own.head);
    point_heads(shape, grads, own.grad_head);
    address(memory, addressing, own.head, K, own.before, own.squares, own.trail, own.after);

    const T* from_outputs = own.of_outputs_r + (s * kChunk + t % kChunk) * RM;
    for (std::int64_t j = 0; j < RM; ++j) grad_reads[j] += from_outputs[j];
    if (!shape.read_first) {
      read_backward_of(memory_after(s, t), n, M, own.after, R, grad_reads, grad_weights,
                       grad_memory);
    }
    write_backward_of(memory, n, M, own.after + R * n, write_heads(shape, own.parameters),
                      grad_memory, grad_weights + R * n, write_heads(shape, grads));
    if (shape.read_first) {
      read_backward_of(memory, n, M, own.after, R, grad_reads, grad_weights, grad_memory);
    }
    address_backward(memory, addressing, own.head, K, own.before, own.squares, own.trail, own.after,
                     grad_weights, own.grad_head, grad_memory, own.adjoint);
    activate_heads_backward(shape, own.parameters, grads);
    copy(of_sums.heads + (b * T_ + t) * P, grads, P);
  }

  void controller(std::int64_t t, std::int64_t active) const {
    const ScanRecord<const T>& record = args.record;
    const std::int64_t top = shape.layers - 1;
    for (std::int64_t s = 0; s < active; ++s) {
      const T* from_outputs = own.of_outputs_h + (s * kChunk + t % kChunk) * H;
      for (std::int64_t j = 0; j < H; ++j) {
        own.to_h[s * H + j] = own.grad_h[top][s * H + j] + from_outputs[j];
      }
    }
    gemm(Rows<T>{own.heads, P}, active, P, weights.head, H, own.to_h, H);
    for (std::int64_t l = top; l >= 0; --l) {
      for (std::int64_t s = 0; s < active; ++s) {
        const std::int64_t b = sequences[s].index;
        T *to_h = own.to_h + s * H, *sums = own.sums + s * G;
        if (shape.lstm) {
          lstm_backward(H, recorded_layer(record.gates, T_, G, l, b, t),
                        recorded_layer(record.cells, T_ + 1, H, l, b, t),
                        recorded_layer(record.cells, T_ + 1, H, l, b, t + 1), to_h,
                        own.grad_c[l] + s * H, sums);
        } else {
          const T* h = recorded_layer(record.hidden, T_ + 1, H, l, b, t + 1);
          for (std::int64_t j = 0; j < H; ++j) sums[j] = to_h[j] * tanh_slope(h[j]);
        }
        copy(of_sums.layer[l] + (b * T_ + t) * G, sums, G);
      }
      if (shape.lstm) {
        clear(own.grad_h[l], active * H);
        gemm(Rows<T>{own.sums, G}, active, G, weights.hh[l], H, own.grad_h[l], H);
      }
      if (l > 0) {
        copy(own.to_h, own.grad_h[l - 1], active * H);
        gemm(Rows<T>{own.sums, G}, active, G, weights.ih[l], H, own.to_h, H);
      } else {
        clear(own.grad_reads, active * RM);
        gemm(Rows<T>{own.sums, G}, active, G, weights.reads, RM, own.grad_reads, RM);
      }
    }
  }

  void to_inputs(std::int64_t first) const {
    const std::int64_t I = shape.inputs;
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int64_t at = sequences[s].index * T_ + first;
      gemm(Rows<T>{of_sums.layer[0] + at * G, G}, chunk_of(s, first), G, weights.input, I,
           args.grad_inputs + at * I, I);
    }
  }

  void finish() const {
    const ScanState<T>& state = args.grad_state;
    for (std::int64_t s = 0; s < count; ++s) {
      const std::int64_t b = sequences[s].index;
      if (state.memory != nullptr) {
        store_memory(addressing, own.grad_memory + s * of_memory,
                     state.memory + b * shape.rows * shape.width);
      }
      if (state.weights != nullptr) {
        store_weights(addressing, K, own.grad_weights + s * of_weights, state.weights + b * KN);
      }
      if (state.reads != nullptr) copy(state.reads + b * RM, own.grad_reads + s * RM, RM);
      for (std::int64_t l = 0; l < shape.layers && shape.lstm; ++l) {
        const std::int64_t at = (l * shape.batch + b) * H;
        if (state.h != nullptr) copy(state.h + at, own.grad_h[l] + s * H, H);
        if (state.c != nullptr) copy(state.c + at, own.grad_c[l] + s * H, H);
      }
    }
  }

  void run() const {
    point_trails(addressing, K, own.trails, own.trail);
    begin();
    std::int64_t active = 0;
    for (std::int64_t t = sequences[0].steps - 1; t >= 0; --t) {
      if (t % kChunk == kChunk - 1 || t == sequences[0].steps - 1) {
        from_outputs(t / kChunk * kChunk);
      }
      while (active < count && sequences[active].steps > t) ++active;
      for (std::int64_t s = 0; s < active; ++s) heads(s, t);
      controller(t, active);
      if (t % kChunk == 0 && args.grad_inputs != nullptr) to_inputs(t);
    }
    finish();
  }
};

// One weight gradient: out [outputs, inputs] = sum over rows (b, t) of grads[b, t]^T x[b, t].
template <class T>
struct WeightGradient {
  const T* grads;  // [B, T, outputs]
  std::int64_t outputs;
  const T* x;  // row (b, t) at b * x_batch + t * x_step
  std::int64_t x_batch, x_step, inputs;
  T* out;  // null: not wanted
  std::int64_t out_row;
  T* bias;        // also sum over rows of grads; null: not wanted
  T* other_bias;  // a copy of it
};

template <class T>
void weight_gradient(const ScanShape& shape, const std::int64_t* lengths,
                     const WeightGradient<T>& of, std::int64_t block, T* packed) {
  const std::int64_t rows = shape.batch * shape.steps;
  const std::int64_t first = block * kGradOutputs;
  const std::int64_t count = least(kGradOutputs, of.outputs - first);
  const auto x_row = [&](std::int64_t r) -> const T* {
    const std::int64_t b = r / shape.steps, t = r % shape.steps;
    if (lengths != nullptr && t >= lengths[b]) return nullptr;
    return of.x + b * of.x_batch + t * of.x_step;
  };
  if (of.out != nullptr) {
    T* out = of.out + first * of.out_row;
    for (std::int64_t j = 0; j < count; ++j) clear(out + j * of.out_row, of.inputs);
    for (std::int64_t r = 0; r < rows; r += kGradRows) {
      const std::int64_t depth = least(kGradRows, rows - r);
      pack_rows([&](std::int64_t k) { return x_row(r + k); }, depth, of.inputs, packed);
      gemm(Rows<T>{of.grads + r * of.outputs + first, 1, of.outputs}, count, depth, packed,
           of.inputs, out, of.out_row);
    }
  }
  if (of.bias == nullptr) return;
  clear(of.bias + first, count);
  for (std::int64_t r = 0; r < rows; r += kGradRows) {
    const std::int64_t depth = least(kGradRows, rows - r);
    for_registers<T>(count, [&](std::int64_t j, std::int64_t n) {
      Vector<T> sum = {};
      for (std::int64_t k = 0; k < depth; ++k) {
        sum += load_up_to(of.grads + (r + k) * of.outputs + first + j, n);
      }
      T* bias = of.bias + first + j;
      store_first(bias, load_up_to(bias, n) + sum, n);
    });
  }
  if (of.other_bias != nullptr) copy(of.other_bias + first, of.bias + first, count);
}

// Calls body(gradient) for every weight of the model.
template <class T, class Body>
void for_weights(const ScanBackwardArgs<T>& args, const SumGradients<T>& sums, const Body& body) {
  const ScanShape& shape = args.shape;
  const ScanRecord<const T>& record = args.record;
  const ScanParameters<T>& out = args.grad_parameters;
  const std::int64_t I = shape.inputs, H = shape.hidden, G = shape.gates(), O = shape.outputs;
  const std::int64_t RM = shape.read_size(), P = shape.head_outputs(), steps = shape.steps;
  const std::int64_t B = shape.batch;
  T* none = nullptr;
  const auto offset = [&](T* p, std::int64_t by) { return p == nullptr ? none : p + by; };
  const auto hidden = [&](std::int64_t l) { return record.hidden + l * B * (steps + 1) * H; };
  for (std::int64_t l = 0; l < shape.layers; ++l) {
    const T* grads = sums.layer[l];
    T *bias = out.bias_ih[l], *other = shape.lstm ? out.bias_hh[l] : none;
    if (bias == nullptr && other != nullptr) bias = other, other = none;
    if (l == 0) {
      body({grads, G, args.inputs, steps * I, I, I, out.weight_ih[0], I + RM, bias, other});
      body({grads, G, record.reads, (steps + 1) * RM, RM, RM, offset(out.weight_ih[0], I), I + RM,
            none, none});
    } else {  // the layer below at the same step
      body({grads, G, hidden(l - 1) + H, (steps + 1) * H, H, H, out.weight_ih[l], H, bias, other});
    }
    if (shape.lstm) {
      body({grads, G, hidden(l), (steps + 1) * H, H, H, out.weight_hh[l], H, none, none});
    }
  }
  const T* top = hidden(shape.layers - 1) + H;
  body({sums.heads, P, top, (steps + 1) * H, H, H, out.head_weight, H, out.head_bias, none});
  body({sums.outputs, O, top, (steps + 1) * H, H, H, out.output_weight, H + RM, out.output_bias,
        none});
  body({sums.outputs, O, record.reads + RM, (steps + 1) * RM, RM, RM, offset(out.output_weight, H),
        H + RM, none, none});
}

template <class T>
POLYAD_INLINE std::int64_t widest_input(const ScanShape& shape) {
  std::int64_t most = shape.hidden;
  if (shape.inputs > most) most = shape.inputs;
  if (shape.read_size() > most) most = shape.read_size();
  return packed_size<T>(kGradRows, most);
}

template <class T>
std::int64_t scan_backward_scratch(const ScanShape& shape, std::int64_t stride,
                                   std::int64_t threads) {
  const Cut by = cut(shape.batch, threads);
  Carver<T> carver{nullptr};
  take_order(carver, shape, nullptr);
  BackwardWeights<T>{carver, shape};
  SumGradients<T>{carver, shape};
  for (std::int64_t p = 0; p < by.parts; ++p) BackwardScratch<T>{carver, shape, stride, by.size};
  for (std::int64_t p = 0; p < threads; ++p) carver.take(widest_input<T>(shape));
  return carver.used;
}

template <class T>
void scan_backward(const ScanBackwardArgs<T>& args) {
  const ScanShape& shape = args.shape;
  const Cut by = cut(shape.batch, args.threads);
  Carver<T> carver{args.scratch};
  const Sequence* sorted = take_order(carver, shape, args.lengths);
  const BackwardWeights<T> weights{carver, shape};
  weights.fill(shape, args.parameters);
  const SumGradients<T> sums{carver, shape};
  const std::int64_t shared = carver.used;
  Carver<T> one{nullptr};
  BackwardScratch<T>{one, shape, args.record.stride, by.size};
  parallel_for(by.parts, [&](std::int64_t part) {
    Carver<T> own{args.scratch, shared + part * one.used};
    const BackwardScratch<T> scratch{own, shape, args.record.stride, by.size};
    for (std::int64_t g = part; g < by.groups; g += by.parts) {
      const std::int64_t first = g * by.size;
      BackwardGroup<T>{args,    weights,        sums,
                       scratch, sorted + first, least(by.size, shape.batch - first)}
          .run();
    }
  });

  std::int64_t blocks = 0;
  const auto blocks_of = [](const WeightGradient<T>& of) {
    return (of.outputs + kGradOutputs - 1) / kGradOutputs;
  };
  for_weights<T>(args, sums, [&](const WeightGradient<T>& of) { blocks += blocks_of(of); });
  const std::int64_t parts = least(blocks, args.threads);
  Carver<T> rest{args.scratch, shared + by.parts * one.used};
  T* packed = rest.take(0);
  const std::int64_t of_part = widest_input<T>(shape);
  parallel_for(parts, [&](std::int64_t part) {
    std::int64_t block = 0;
    for_weights<T>(args, sums, [&](const WeightGradient<T>& of) {
      for (std::int64_t i = 0; i < blocks_of(of); ++i, ++block) {
        if (block % parts == part) {
          weight_gradient(shape, args.lengths, of, i, packed + part * of_part);
        }
      }
    });
  });
}

}  // namespace

const ScanTable scan_table{
    scan_scratch<float>,           scan_scratch<double>, scan_backward_scratch<float>,
    scan_backward_scratch<double>, scan<float>,          scan<double>,
    scan_backward<float>,          scan_backward<double>};

}  // namespace polyad::ntm::POLYAD_ISA
