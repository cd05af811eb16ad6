#include "common/parallel.hpp"
#include "ntm/scan_steps_cpu.hpp"
#include "ntm/tables.hpp"

namespace polyad::ntm::POLYAD_ISA {
namespace {

// Rows that a weight gradient adds up before it goes back to memory.
constexpr std::int64_t kGradRows = 256;
// Rows of a weight gradient that one thread computes at a time.
constexpr std::int64_t kGradOutputs = 96;

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

const ScanBackwardTable scan_backward_table{scan_backward_scratch<float>,
                                            scan_backward_scratch<double>, scan_backward<float>,
                                            scan_backward<double>};

}  // namespace polyad::ntm::POLYAD_ISA
