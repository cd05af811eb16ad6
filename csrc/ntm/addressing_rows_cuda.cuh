// Addressing on one memory by the threads of a block, shared by the ops of addressing and the
// whole-sequence scan.
//
// The memory lies transposed, [M, stride] with an odd stride >= N, so that neighbouring threads
// meet no two elements of one bank whether they take neighbouring rows or columns. Weightings are
// [N]. Arrays stand in shared memory or, where they do not fit, in global memory; a phase ends
// where the block must wait, and the caller waits.
#pragma once

#include "ntm/addressing_math.hpp"
#include "ntm/scan_math.hpp"
#include "ntm/team.cuh"

namespace polyad::ntm::cuda {
namespace {

POLYAD_INLINE constexpr int memory_stride(std::int64_t rows) { return static_cast<int>(rows | 1); }

// All heads that a block addresses at once. Their parameters stand in one array, activated: read
// heads, then write heads, each as in head_layout; ops without write heads call them all reads.
template <class T>
struct Heads {
  int rows;    // N
  int stride;  // of the memory
  int width;   // M
  int shifts;  // S
  int reads;   // R
  int count;   // K
  Similarity similarity;
  T epsilon;

  __device__ int basic() const { return width + 3 + shifts; }
  // where the parameters of head k begin
  __device__ int at(int k) const {
    return k < reads ? k * basic() : reads * basic() + (k - reads) * (basic() + 2 * width);
  }
};

// What addressing leaves for its backward pass.
template <class T>
struct Trails {
  T* cosine;    // [K, N] c_i
  T* content;   // [K, N] w^c
  T* mixed;     // [K, N] w^g
  T* logs;      // [K, N] l
  T* squares;   // [N] |M_i|^2
  T* sizes;     // [K] key_size
  T* log_sums;  // [K] log sum exp(gamma l)
};

// The row `step` rows on, |step| <= S.
__device__ __forceinline__ int row_after(int i, int step, int rows) {
  int at = i + step;
  if (at < 0 || at >= rows) {
    at %= rows;
    if (at < 0) at += rows;
  }
  return at;
}

// Cosines of all heads, `Together` of them for one pass over a row; squares and sizes if not null.
template <int Together, class T>
__device__ void similarities_by(const T* memory, const Heads<T>& heads, const T* parameters,
                                T* cosine, T* squares, T* sizes) {
  const int groups = (heads.count + Together - 1) / Together;
  for (int item = thread_rank(); item < groups * heads.rows; item += block_threads()) {
    const int group = item / heads.rows, i = item - group * heads.rows;
    const T* keys[Together];
#pragma unroll
    for (int j = 0; j < Together; ++j) {
      const int k = group * Together + j;
      keys[j] = parameters + heads.at(k < heads.count ? k : heads.count - 1);
    }
    T dots[Together] = {}, key_squares[Together] = {}, square = 0;
#pragma unroll 4
    for (int m = 0; m < heads.width; ++m) {
      const T element = memory[m * heads.stride + i];
      square += element * element;
#pragma unroll
      for (int j = 0; j < Together; ++j) {
        const T key = keys[j][m];
        dots[j] += element * key;
        key_squares[j] += key * key;
      }
    }
    if (squares != nullptr && group == 0) squares[i] = square;
#pragma unroll
    for (int j = 0; j < Together; ++j) {
      const int k = group * Together + j;
      if (k >= heads.count) break;
      const T size = key_size(key_squares[j], heads.epsilon, heads.similarity);
      if (sizes != nullptr && i == 0) sizes[k] = size;
      cosine[k * heads.rows + i] =
          dots[j] * cosine_scale(square, size, heads.epsilon, heads.similarity);
    }
  }
}

template <class T>
__device__ void similarities(const T* memory, const Heads<T>& heads, const T* parameters, T* cosine,
                             T* squares, T* sizes) {
  // Few rows: every thread one row of one head. Many: read the memory once for several heads.
  if (heads.rows < block_threads()) {
    similarities_by<1>(memory, heads, parameters, cosine, squares, sizes);
  } else {
    similarities_by<4>(memory, heads, parameters, cosine, squares, sizes);
  }
}

// values [N] <- exp(values - maximum); returns their sum, and the maximum. Own rows only.
template <class T>
__device__ __forceinline__ T exponentials(T* values, int rows, Team<T>& team, T* maximum) {
  T most = kLowest<T>;
  for (int i = team.rank; i < rows; i += team.size) {
    const T value = values[i];
    most = most < value ? value : most;
  }
  most = team.maximum(most);
  T sum = 0;
  for (int i = team.rank; i < rows; i += team.size) {
    const T value = exp_of(values[i] - most);
    values[i] = value;
    sum += value;
  }
  *maximum = most;
  return team.sum(sum);
}

// content [N] <- w^c from the cosines; may not alias them. Own rows only.
template <class T>
__device__ __forceinline__ void content_of(const Heads<T>& heads, T beta, const T* cosine,
                                           T* content, Team<T>& team) {
  for (int i = team.rank; i < heads.rows; i += team.size) content[i] = cosine[i] * beta;
  T maximum;
  const T scale = 1 / exponentials(content, heads.rows, team, &maximum);
  for (int i = team.rank; i < heads.rows; i += team.size) content[i] *= scale;
}

// The shifted weight of row i.
template <class T>
__device__ __forceinline__ T shifted_at(const T* mixed, const T* kernel, int shifts, int i,
                                        int rows) {
  T sum = 0;
  for (int j = 0; j < shifts; ++j) sum += mixed[row_after(i, shifts / 2 - j, rows)] * kernel[j];
  return sum;
}

// weights [N] <- sharpened logs [N]; returns log sum exp(gamma l). Own rows only; no aliasing.
template <class T>
__device__ __forceinline__ T sharpen_of(int rows, T gamma, const T* logs, T* weights,
                                        Team<T>& team) {
  for (int i = team.rank; i < rows; i += team.size) weights[i] = logs[i] * gamma;
  T maximum;
  const T sum = exponentials(weights, rows, team, &maximum);
  const T scale = 1 / sum;
  for (int i = team.rank; i < rows; i += team.size) weights[i] *= scale;
  return maximum + log_of(sum);
}

// From cosines to weights [K, N], which may be `previous`. trails.logs may be trails.cosine and
// trails.content may be trails.mixed where no backward pass follows; log_sums is then null.
template <class T>
__device__ void weights_of(const Heads<T>& heads, const T* parameters, const Trails<T>& trails,
                           const T* previous, T* weights, Team<T>& team) {
  const HeadLayout part = head_layout(heads.width, heads.shifts);
  for (int k = team.index; k < heads.count; k += team.count) {
    const T* head = parameters + heads.at(k);
    const int first = k * heads.rows;
    T* content = trails.content + first;
    T* mixed = trails.mixed + first;
    T* logs = trails.logs + first;
    content_of(heads, head[part.beta], trails.cosine + first, content, team);
    const T gate = head[part.gate];
    for (int i = team.rank; i < heads.rows; i += team.size) {
      mixed[i] = interpolated(content[i], previous[first + i], gate);
    }
    team.wait();
    for (int i = team.rank; i < heads.rows; i += team.size) {
      logs[i] = bounded_log<T>(shifted_at(mixed, head + part.kernel, heads.shifts, i, heads.rows));
    }
    const T log_sum = sharpen_of(heads.rows, head[part.gamma], logs, weights + first, team);
    if (trails.log_sums != nullptr && team.rank == 0) trails.log_sums[k] = log_sum;
  }
}

// --- backward ------------------------------------------------------------------------------------

// grad_shifted [N] <- dL/dw~ from dL/dw; may be `logs`. Returns this thread's share of dL/dgamma.
template <class T>
__device__ __forceinline__ T sharpen_backward_of(int rows, T gamma, const T* logs, T log_sum,
                                                 const T* weights, const T* grad_weights,
                                                 T* grad_shifted, Team<T>& team) {
  T tau = 0;
  for (int i = team.rank; i < rows; i += team.size) tau += grad_weights[i] * weights[i];
  tau = team.sum(tau);
  T to_gamma = 0;
  for (int i = team.rank; i < rows; i += team.size) {
    const T log = logs[i], grad = grad_weights[i];
    to_gamma += weights[i] * (grad - tau) * log;
    grad_shifted[i] = sharpen_adjoint(log, grad, tau, gamma, log_sum);
  }
  return to_gamma;
}

// to(j, dL/ds_j) for every j, by the team's first thread, from dL/dw~ of own rows and all of w^g.
template <class T, class To>
__device__ __forceinline__ void kernel_backward_of(int rows, int shifts, const T* mixed,
                                                   const T* grad_shifted, Team<T>& team,
                                                   const To& to) {
  for (int first = 0; first < shifts; first += kTeamValues) {
    T sums[kTeamValues] = {};
    for (int i = team.rank; i < rows; i += team.size) {
      const T grad = grad_shifted[i];
#pragma unroll
      for (int v = 0; v < kTeamValues; ++v) {
        if (first + v < shifts) {
          sums[v] += grad * mixed[row_after(i, shifts / 2 - first - v, rows)];
        }
      }
    }
    team.sum(sums, shifts - first);
    if (team.rank == 0) {
#pragma unroll
      for (int v = 0; v < kTeamValues; ++v) {
        if (first + v < shifts) to(first + v, sums[v]);
      }
    }
  }
}

// dL/dw^g of row i.
template <class T>
__device__ __forceinline__ T shift_backward_at(const T* grad_shifted, const T* kernel, int shifts,
                                               int i, int rows) {
  T sum = 0;
  for (int j = 0; j < shifts; ++j) {
    sum += grad_shifted[row_after(i, j - shifts / 2, rows)] * kernel[j];
  }
  return sum;
}

// What the gradient of the similarities needs of each head.
template <class T>
struct DotsGrads {
  T* to_dots;   // [K, N] dL/dc_i q_i
  T* pull;      // [K, N] dL/dc_i c_i alpha_i
  T* key_pull;  // [K] sum_i dL/dc_i c_i beta_i
};

// From dL/dw^c in grads.to_dots [N] of head k: all of grads; returns dL/dbeta.
template <class T>
__device__ __forceinline__ T content_backward_of(const Heads<T>& heads, int k, T beta,
                                                 const Trails<T>& trails, const T* content, T mean,
                                                 const DotsGrads<T>& grads, Team<T>& team) {
  const int first = k * heads.rows;
  const T size = trails.sizes[k];
  T sums[2] = {};  // dL/dbeta, key_pull
  for (int i = team.rank; i < heads.rows; i += team.size) {
    const T cosine = trails.cosine[first + i], square = trails.squares[i];
    const T to_logit = content[i] * (grads.to_dots[first + i] - mean);
    sums[0] += to_logit * cosine;
    const T to_cosine = to_logit * beta;
    const T scale = cosine_scale(square, size, heads.epsilon, heads.similarity);
    const T weighted = to_cosine * cosine;
    grads.to_dots[first + i] = to_cosine * scale;
    grads.pull[first + i] =
        weighted * row_pull(square, scale, size, heads.epsilon, heads.similarity);
    sums[1] += weighted * key_pull(square, scale, size, heads.similarity);
  }
  team.sum(sums);
  if (team.rank == 0) grads.key_pull[k] = sums[1];
  return sums[0];
}

// From dL/dw [K, N], which becomes dL/dw_prev, to `grads` and, by to(k, part, gradient), the
// gradients of all parameters but the keys; `part` counts from the head's first parameter.
// Afterwards trails.logs holds dL/dw~.
template <class T, class To>
__device__ void weights_backward_of(const Heads<T>& heads, const T* parameters,
                                    const Trails<T>& trails, const T* previous, const T* weights,
                                    T* grad_weights, const DotsGrads<T>& grads, Team<T>& team,
                                    const To& to) {
  const HeadLayout part = head_layout(heads.width, heads.shifts);
  for (int k = team.index; k < heads.count; k += team.count) {
    const T* head = parameters + heads.at(k);
    const int first = k * heads.rows;
    const T* content = trails.content + first;
    T* shifted = trails.logs + first;
    T* grad = grad_weights + first;
    const T to_gamma =
        sharpen_backward_of(heads.rows, head[part.gamma], shifted, trails.log_sums[k],
                            weights + first, grad, shifted, team);
    kernel_backward_of(heads.rows, heads.shifts, trails.mixed + first, shifted, team,
                       [&](int j, T gradient) { to(k, part.kernel + j, gradient); });
    team.wait();
    const T gate = head[part.gate];
    T sums[3] = {to_gamma, T{0}, T{0}};  // dL/dgamma, dL/dgate, mean of dL/dw^c under w^c
    for (int i = team.rank; i < heads.rows; i += team.size) {
      const T to_mixed =
          shift_backward_at(shifted, head + part.kernel, heads.shifts, i, heads.rows);
      sums[1] += to_mixed * (content[i] - previous[first + i]);
      const T to_content = to_mixed * gate;
      sums[2] += to_content * content[i];
      grads.to_dots[first + i] = to_content;
      grad[i] = to_mixed * (1 - gate);
    }
    team.sum(sums);
    const T to_beta =
        content_backward_of(heads, k, head[part.beta], trails, content, sums[2], grads, team);
    if (team.rank == 0) {
      to(k, part.gamma, sums[0]);
      to(k, part.gate, sums[1]);
      to(k, part.beta, to_beta);
    }
  }
}

// grad_memory [M, stride] += sum_k to_dots_k key_k - pull M, and to(k, m, dL/dkey_k,m): warps take
// columns of the memory, lanes its rows.
template <class T, class To>
__device__ void dots_backward(const T* memory, const Heads<T>& heads, const T* parameters,
                              const DotsGrads<T>& grads, T* grad_memory, const To& to) {
  constexpr int kTogether = 4;
  for (int m = warp_rank(); m < heads.width; m += block_warps()) {
    for (int k0 = 0; k0 < heads.count; k0 += kTogether) {
      T sums[kTogether] = {}, keys[kTogether];
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        keys[j] = k0 + j < heads.count ? parameters[heads.at(k0 + j) + m] : T{0};
      }
      for (int i = lane_rank(); i < heads.rows; i += kWarp) {
        const T element = memory[m * heads.stride + i];
        T grad = grad_memory[m * heads.stride + i];
#pragma unroll
        for (int j = 0; j < kTogether; ++j) {
          if (k0 + j < heads.count) {
            const int at = (k0 + j) * heads.rows + i;
            const T to_dot = grads.to_dots[at];
            sums[j] += to_dot * element;
            grad += to_dot * keys[j] - grads.pull[at] * element;
          }
        }
        grad_memory[m * heads.stride + i] = grad;
      }
      sum_of_lanes(sums, heads.count - k0);
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        if (k0 + j < heads.count && lane_rank() == 0) {
          to(k0 + j, m, sums[j] - grads.key_pull[k0 + j] * keys[j]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace polyad::ntm::cuda
