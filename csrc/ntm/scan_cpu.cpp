#include "common/parallel.hpp"
#include "ntm/scan_steps_cpu.hpp"
#include "ntm/tables.hpp"

namespace polyad::ntm::POLYAD_ISA {
namespace {

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

template <class T>
bool all_finite(const T* p, std::int64_t size) {
  Vector<T> sum = {};
  for_registers<T>(size,
                   [&](std::int64_t j, std::int64_t n) { sum += load_up_to(p + j, n) * T{0}; });
  return sum_of_lanes<T>(sum) == T{0};
}

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
      if (!(all_finite(reads, RM) && all_finite(top + s * H, H) && all_finite(row, P))) mark(b, t);
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

}  // namespace

const ScanTable scan_table{scan_scratch<float>, scan_scratch<double>, scan<float>, scan<double>};

}  // namespace polyad::ntm::POLYAD_ISA
