// Addressing on one memory, shared by the op `addressing` and the whole-sequence scan.
//
// The memory lies transposed and padded, [M, Np] with Np = padded<T>(N): rows are lanes, and what
// stands past the N-th is zero. Weightings are [Np] with zeros past the N-th. For *_cpu.cpp only.
#pragma once

#include "common/vector.hpp"
#include "ntm/addressing_math.hpp"

namespace polyad::ntm {
namespace {

// What all heads of a call share.
template <class T>
struct AddressingShape {
  std::int64_t rows;    // N
  std::int64_t stride;  // Np, or any larger multiple of the lanes
  std::int64_t width;   // M
  std::int64_t shifts;  // S, odd
  Similarity similarity;
  T epsilon;
};

// The parameters of one head, or their gradients; activated: beta >= 0, 0 <= gate <= 1, gamma >= 1.
template <class T>
struct Head {
  T* key;     // [M]
  T* kernel;  // [S]
  T* beta;
  T* gate;
  T* gamma;
};

// What a head leaves behind for its backward pass: registers of rows.
template <class T>
struct AddressingTrail {
  T* cosine;   // [Np] d_i, then c_i
  T* content;  // [Np] w^c
  T* mixed;    // [halo + Np + halo] w^g, wrapped around on both sides
  T* logs;     // [Np] l
  T log_sum;   // log sum exp(gamma l)
  T key;       // key_size
};

// Elements of the halo on one side: a whole number of registers, so that rows stay aligned.
template <class T>
POLYAD_INLINE constexpr std::int64_t halo(std::int64_t shifts) {
  return padded<T>(shifts / 2);
}

// Elements of a trail's four arrays, for rows of `stride` elements.
template <class T>
POLYAD_INLINE constexpr std::int64_t trail_size(std::int64_t stride, std::int64_t shifts) {
  return 4 * stride + 2 * halo<T>(shifts) + kLanes<T>;
}

template <class T>
POLYAD_INLINE AddressingTrail<T> trail_at(T* p, const AddressingShape<T>& shape) {
  const std::int64_t n = shape.stride;
  return {p, p + n, p + 3 * n, p + 2 * n, T{0}, T{0}};
}

template <class T>
POLYAD_INLINE void fill(T* p, std::int64_t first, std::int64_t end, T value) {
  for (std::int64_t i = first; i < end; ++i) p[i] = value;
}

// wrapped around: p[halo - d] = p[halo + N - d], p[halo + N + d] = p[halo + d]; p points at the
// halo. What else a shifted load reaches is zero, not whatever the scratch held.
template <class T>
void wrap(T* p, const AddressingShape<T>& shape) {
  const std::int64_t half = shape.shifts / 2, before = halo<T>(shape.shifts), n = shape.rows;
  T* row = p + before;
  for (std::int64_t d = 1; d <= half; ++d) row[-d] = row[wrapped(-d, n)];
  for (std::int64_t d = 0; d < half; ++d) row[n + d] = row[wrapped(d, n)];
  fill(row, n + half, shape.stride + half, T{0});
}

// dots[k, i] = M_i . key_k for `Heads` heads, and, if squares is not null, squares[i] = M_i . M_i.
template <int Heads, class T>
void dots_of(const T* memory, const AddressingShape<T>& shape, const Head<T>* heads,
             AddressingTrail<T>* trails, T* squares) {
  constexpr int kBlock = 4;  // registers of rows at once
  constexpr int L = kLanes<T>;
  const std::int64_t n = shape.stride;
  const auto block = [&]<int B>(std::int64_t i) {
    Vector<T> sum[Heads][B] = {}, square[B] = {};
    for (std::int64_t m = 0; m < shape.width; ++m) {
      Vector<T> row[B];
      for (int b = 0; b < B; ++b) row[b] = load(memory + m * n + i + b * L);
      for (int k = 0; k < Heads; ++k) {
        const Vector<T> key = splat(heads[k].key[m]);
        for (int b = 0; b < B; ++b) sum[k][b] += row[b] * key;
      }
      for (int b = 0; b < B; ++b) square[b] += row[b] * row[b];
    }
    for (int b = 0; b < B; ++b) {
      for (int k = 0; k < Heads; ++k) store(trails[k].cosine + i + b * L, sum[k][b]);
      if (squares != nullptr) store(squares + i + b * L, square[b]);
    }
  };
  std::int64_t i = 0;
  for (; i + kBlock * L <= n; i += kBlock * L) block.template operator()<kBlock>(i);
  for (; i < n; i += L) block.template operator()<1>(i);
}

// The dot products of all heads, and the square norms of the rows.
template <class T>
void all_dots(const T* memory, const AddressingShape<T>& shape, const Head<T>* heads,
              AddressingTrail<T>* trails, std::int64_t count, T* squares) {
  std::int64_t k = 0;
  for (; k + 3 < count; k += 4) {
    dots_of<4>(memory, shape, heads + k, trails + k, k == 0 ? squares : nullptr);
  }
  switch (count - k) {
    case 3: return dots_of<3>(memory, shape, heads + k, trails + k, k == 0 ? squares : nullptr);
    case 2: return dots_of<2>(memory, shape, heads + k, trails + k, k == 0 ? squares : nullptr);
    case 1: return dots_of<1>(memory, shape, heads + k, trails + k, k == 0 ? squares : nullptr);
    default: return;
  }
}

// Turns y (rows past the N-th excluded) into exp(y - max y), zeros past the N-th; returns the sum.
template <class T>
POLYAD_INLINE T exponentials(T* y, const AddressingShape<T>& shape, T* maximum) {
  constexpr int L = kLanes<T>;
  fill(y, shape.rows, shape.stride, kLowest<T>);
  Vector<T> most = load(y);
  for (std::int64_t i = L; i < shape.stride; i += L) {
    const Vector<T> v = load(y + i);
    most = most < v ? v : most;
  }
  *maximum = max_of_lanes<T>(most);
  Vector<T> sum = {};
  for (std::int64_t i = 0; i < shape.stride; i += L) {
    const Vector<T> e = exp_of(load(y + i) - *maximum);
    store(y + i, e);
    sum += e;
  }
  return sum_of_lanes<T>(sum);
}

template <class T>
POLYAD_INLINE void scale_by(T* p, std::int64_t n, T factor) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) store(p + i, load(p + i) * factor);
}

// From dot products to w^c: fills trail.cosine, trail.content and trail.key.
template <class T>
void content_of(const AddressingShape<T>& shape, const Head<T>& head, const T* squares,
                AddressingTrail<T>& trail) {
  T square = 0;
  for (std::int64_t m = 0; m < shape.width; ++m) square += head.key[m] * head.key[m];
  trail.key = key_size(square, shape.epsilon, shape.similarity);
  for (std::int64_t i = 0; i < shape.stride; i += kLanes<T>) {
    const Vector<T> scale =
        cosine_scale(load(squares + i), trail.key, shape.epsilon, shape.similarity);
    const Vector<T> cosine = load(trail.cosine + i) * scale;
    store(trail.cosine + i, cosine);
    store(trail.content + i, cosine * *head.beta);
  }
  T maximum;
  const T sum = exponentials(trail.content, shape, &maximum);
  scale_by(trail.content, shape.stride, 1 / sum);
}

// w^g into trail.mixed.
template <class T>
void interpolate_of(const AddressingShape<T>& shape, T gate, const T* content, const T* previous,
                    T* mixed) {
  T* row = mixed + halo<T>(shape.shifts);
  for (std::int64_t i = 0; i < shape.stride; i += kLanes<T>) {
    store(row + i, interpolated(load(content + i), load(previous + i), gate));
  }
  wrap(mixed, shape);
}

// shifted [Np] = circular convolution of the wrapped array `mixed`; unspecified past the N-th row.
template <class T>
void shift_of(const AddressingShape<T>& shape, const T* kernel, const T* mixed, T* shifted) {
  const T* row = mixed + halo<T>(shape.shifts) + shape.shifts / 2;
  for (std::int64_t i = 0; i < shape.stride; i += kLanes<T>) {
    Vector<T> sum = {};
    for (std::int64_t j = 0; j < shape.shifts; ++j) sum += load(row + i - j) * kernel[j];
    store(shifted + i, sum);
  }
}

// w [Np] from shifted weights; fills logs (which may be `shifted` itself) and the log of the sum.
template <class T>
void sharpen_of(const AddressingShape<T>& shape, T gamma, const T* shifted, T* logs, T* weights,
                T* log_sum) {
  for (std::int64_t i = 0; i < shape.stride; i += kLanes<T>) {
    const Vector<T> log = bounded_log<T>(load(shifted + i));
    store(logs + i, log);
    store(weights + i, log * gamma);
  }
  T maximum;
  const T sum = exponentials(weights, shape, &maximum);
  fill(logs, shape.rows, shape.stride, T{0});
  *log_sum = maximum + log_of(sum);
  scale_by(weights, shape.stride, 1 / sum);
}

// All heads: weights [K][Np] from previous [K][Np].
template <class T>
void address(const T* memory, const AddressingShape<T>& shape, const Head<T>* heads,
             std::int64_t count, const T* previous, T* squares, AddressingTrail<T>* trails,
             T* weights) {
  all_dots(memory, shape, heads, trails, count, squares);
  for (std::int64_t k = 0; k < count; ++k) {
    AddressingTrail<T>& trail = trails[k];
    content_of(shape, heads[k], squares, trail);
    interpolate_of(shape, *heads[k].gate, trail.content, previous + k * shape.stride, trail.mixed);
    shift_of(shape, heads[k].kernel, trail.mixed, trail.logs);
    sharpen_of(shape, *heads[k].gamma, trail.logs, trail.logs, weights + k * shape.stride,
               &trail.log_sum);
  }
}

// --- backward ------------------------------------------------------------------------------------

// grad [halo + Np + halo] <- dL/dw~ (wrapped), from dL/dw in `grad_weights`; returns dL/dgamma.
template <class T>
T sharpen_backward_of(const AddressingShape<T>& shape, T gamma, const T* logs, T log_sum,
                      const T* weights, const T* grad_weights, T* grad) {
  constexpr int L = kLanes<T>;
  Vector<T> sum = {};
  for (std::int64_t i = 0; i < shape.stride; i += L)
    sum += load(grad_weights + i) * load(weights + i);
  const T tau = sum_of_lanes<T>(sum);
  Vector<T> to_gamma = {};
  T* row = grad + halo<T>(shape.shifts);
  for (std::int64_t i = 0; i < shape.stride; i += L) {
    const Vector<T> log = load(logs + i), grad_weight = load(grad_weights + i);
    to_gamma += load(weights + i) * (grad_weight - tau) * log;
    store(row + i, sharpen_adjoint(log, grad_weight, tau, gamma, log_sum));
  }
  fill(row, shape.rows, shape.stride, T{0});
  return sum_of_lanes<T>(to_gamma);
}

// grad_mixed [Np] <- dL/dw^g and grad_kernel [S], from the wrapped dL/dw~. grad_mixed is zero past
// the N-th row.
template <class T>
void shift_backward_of(const AddressingShape<T>& shape, const T* kernel, const T* mixed, T* grad,
                       T* grad_kernel, T* grad_mixed) {
  constexpr int L = kLanes<T>;
  const std::int64_t half = shape.shifts / 2;
  const T* from = mixed + halo<T>(shape.shifts) + half;
  const T* row = grad + halo<T>(shape.shifts);
  for (std::int64_t j = 0; j < shape.shifts; ++j) {  // rows past the N-th are still zero here
    Vector<T> sum = {};
    for (std::int64_t i = 0; i < shape.stride; i += L) sum += load(row + i) * load(from + i - j);
    grad_kernel[j] = sum_of_lanes<T>(sum);
  }
  wrap(grad, shape);
  for (std::int64_t i = 0; i < shape.stride; i += L) {
    Vector<T> sum = {};
    for (std::int64_t j = 0; j < shape.shifts; ++j) sum += load(row + i + j - half) * kernel[j];
    store(grad_mixed + i, sum);
  }
  fill(grad_mixed, shape.rows, shape.stride, T{0});
}

// From dL/dw^g: dL/dw_prev (may be grad_mixed itself), dL/dw^c; returns dL/dgate.
template <class T>
T interpolate_backward_of(const AddressingShape<T>& shape, T gate, const T* content,
                          const T* previous, const T* grad_mixed, T* grad_previous,
                          T* grad_content) {
  Vector<T> to_gate = {};
  for (std::int64_t i = 0; i < shape.stride; i += kLanes<T>) {
    const Vector<T> grad = load(grad_mixed + i);
    to_gate += grad * (load(content + i) - load(previous + i));
    store(grad_content + i, grad * gate);
    store(grad_previous + i, grad * (1 - gate));
  }
  return sum_of_lanes<T>(to_gate);
}

// From dL/dw^c in `grad`: grad <- dL/dc_i q_i (what the dot products get), pull += dL/dc_i c_i
// alpha_i; returns sum dL/dc_i c_i beta_i in *key_pull_sum and dL/dbeta.
template <class T>
T content_backward_of(const AddressingShape<T>& shape, T beta, const T* squares,
                      const AddressingTrail<T>& trail, T* grad, T* pull, T* key_pull_sum) {
  constexpr int L = kLanes<T>;
  Vector<T> sum = {};
  for (std::int64_t i = 0; i < shape.stride; i += L)
    sum += load(grad + i) * load(trail.content + i);
  const T mean = sum_of_lanes<T>(sum);
  Vector<T> to_beta = {}, to_key = {};
  for (std::int64_t i = 0; i < shape.stride; i += L) {
    const Vector<T> cosine = load(trail.cosine + i), square = load(squares + i);
    const Vector<T> to_logit = load(trail.content + i) * (load(grad + i) - mean);
    to_beta += to_logit * cosine;
    const Vector<T> to_cosine = to_logit * beta;
    const Vector<T> scale = cosine_scale(square, trail.key, shape.epsilon, shape.similarity);
    const Vector<T> weighted = to_cosine * cosine;
    store(grad + i, to_cosine * scale);
    store(pull + i, load(pull + i) + weighted * row_pull(square, scale, trail.key, shape.epsilon,
                                                         shape.similarity));
    to_key += weighted * key_pull(square, scale, trail.key, shape.similarity);
  }
  *key_pull_sum = sum_of_lanes<T>(to_key);
  return sum_of_lanes<T>(to_beta);
}

// From the dot products' gradients of `Heads` heads: grad_memory += sum_k to_dots_k key_k - pull M
// (pull may be null: zero), and grad_key_k. to_dots [K][Np], pull [Np], key_pull_sums [K].
template <int Heads, class T>
void dots_backward_of(const T* memory, const AddressingShape<T>& shape, const Head<T>* heads,
                      const Head<T>* grads, const T* to_dots, const T* pull, const T* key_pull_sums,
                      T* grad_memory) {
  const std::int64_t n = shape.stride;
  for (std::int64_t m = 0; m < shape.width; ++m) {
    const T* row = memory + m * n;
    T* grad_row = grad_memory + m * n;
    Vector<T> sum[Heads] = {};
    for (std::int64_t i = 0; i < n; i += kLanes<T>) {
      const Vector<T> element = load(row + i);
      Vector<T> grad = load(grad_row + i);
      if (pull != nullptr) grad -= load(pull + i) * element;
      for (int k = 0; k < Heads; ++k) {
        const Vector<T> to_dot = load(to_dots + k * n + i);
        sum[k] += to_dot * element;
        grad += to_dot * heads[k].key[m];
      }
      store(grad_row + i, grad);
    }
    for (int k = 0; k < Heads; ++k) {
      grads[k].key[m] = sum_of_lanes<T>(sum[k]) - key_pull_sums[k] * heads[k].key[m];
    }
  }
}

template <class T>
void dots_backward(const T* memory, const AddressingShape<T>& shape, const Head<T>* heads,
                   const Head<T>* grads, std::int64_t count, const T* to_dots, const T* pull,
                   const T* key_pull_sums, T* grad_memory) {
  const auto some = [&]<int Heads>(std::int64_t k) {
    dots_backward_of<Heads>(memory, shape, heads + k, grads + k, to_dots + k * shape.stride,
                            k == 0 ? pull : nullptr, key_pull_sums + k, grad_memory);
  };
  std::int64_t k = 0;
  for (; k + 3 < count; k += 4) some.template operator()<4>(k);
  switch (count - k) {
    case 3: return some.template operator()<3>(k);
    case 2: return some.template operator()<2>(k);
    case 1: return some.template operator()<1>(k);
    default: return;
  }
}

// All heads, after `address` has filled the trails: dL/dw in grad_weights [K][Np] (zeros past the
// N-th row) is replaced by dL/dw_prev; grads get the parameters'; grad_memory [M][Np] is added to.
// scratch [address_backward_scratch].
template <class T>
POLYAD_INLINE constexpr std::int64_t address_backward_scratch(std::int64_t stride,
                                                              std::int64_t shifts,
                                                              std::int64_t heads) {
  return (heads + 2) * stride + 2 * halo<T>(shifts) + kLanes<T> + padded<T>(heads);
}

template <class T>
void address_backward(const T* memory, const AddressingShape<T>& shape, const Head<T>* heads,
                      std::int64_t count, const T* previous, const T* squares,
                      const AddressingTrail<T>* trails, const T* weights, T* grad_weights,
                      const Head<T>* grads, T* grad_memory, T* scratch) {
  const std::int64_t n = shape.stride;
  T* to_dots = scratch;                  // [K][Np]
  T* pull = to_dots + count * n;         // [Np]
  T* sums = pull + n;                    // [K], padded
  T* shifted = sums + padded<T>(count);  // [halo + Np + halo]
  fill(pull, 0, n, T{0});
  for (std::int64_t k = 0; k < count; ++k) {
    const Head<T>& head = heads[k];
    const AddressingTrail<T>& trail = trails[k];
    T* grad = grad_weights + k * n;
    *grads[k].gamma = sharpen_backward_of(shape, *head.gamma, trail.logs, trail.log_sum,
                                          weights + k * n, grad, shifted);
    shift_backward_of(shape, head.kernel, trail.mixed, shifted, grads[k].kernel, grad);
    *grads[k].gate = interpolate_backward_of(shape, *head.gate, trail.content, previous + k * n,
                                             grad, grad, to_dots + k * n);
    *grads[k].beta =
        content_backward_of(shape, *head.beta, squares, trail, to_dots + k * n, pull, sums + k);
  }
  dots_backward(memory, shape, heads, grads, count, to_dots, pull, sums, grad_memory);
}

}  // namespace
}  // namespace polyad::ntm
