#include "common/check.hpp"
#include "common/cuda_check.hpp"
#include "common/half.cuh"
#include "hypernet/cuda.hpp"
#include "hypernet/energy_math.hpp"

namespace polyad::hypernet::cuda {
namespace {

using polyad::cuda::kWarp;
using polyad::cuda::launch;

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kPerLane = kEnergyTile / kWarp;  // samples of a lane: 4 lane .. 4 lane + 3 of a tile
constexpr int kRun = 256;                      // edges added in T before the double sum
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

static_assert(kPerLane == 4);

// The 4 samples of a lane, one 16-byte load (two for double).
template <class T>
struct alignas(16) Quad {
  T value[kPerLane];

  __device__ static Quad all(T v) { return {{v, v, v, v}}; }

  __device__ Quad operator*(const Quad& b) const {
    return {{value[0] * b.value[0], value[1] * b.value[1], value[2] * b.value[2],
             value[3] * b.value[3]}};
  }
  __device__ Quad operator+(const Quad& b) const {
    return {{value[0] + b.value[0], value[1] + b.value[1], value[2] + b.value[2],
             value[3] + b.value[3]}};
  }
  __device__ Quad operator-(const Quad& b) const {
    return {{value[0] - b.value[0], value[1] - b.value[1], value[2] - b.value[2],
             value[3] - b.value[3]}};
  }
};

// This lane's samples of row `row` of a tile [rows, kEnergyTile].
template <class T>
__device__ __forceinline__ Quad<T> load(const T* tile, std::int64_t row) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  return *reinterpret_cast<const Quad<T>*>(tile + row * kEnergyTile + lane * kPerLane);
}

using polyad::cuda::narrow;
using polyad::cuda::widen;

constexpr int kTurn = 32;  // side of the squares that fill_kernel transposes

// tiles [t, j, s] <- x[n, j], n = 128 t + s; zeros past the last sample.
template <class X, class T>
__global__ void __launch_bounds__(kThreads)
    fill_kernel(const X* x, std::int64_t samples, std::int64_t variables, T* tiles) {
  __shared__ T square[kTurn][kTurn + 1];
  const std::int64_t sample_blocks = energy_tiles(samples) * (kEnergyTile / kTurn);
  const std::int64_t variable_blocks = (variables + kTurn - 1) / kTurn;
  const int lane = static_cast<int>(threadIdx.x) % kTurn;
  const int warp = static_cast<int>(threadIdx.x) / kTurn;
  for (std::int64_t item = blockIdx.x; item < sample_blocks * variable_blocks; item += gridDim.x) {
    const std::int64_t n0 = item / variable_blocks * kTurn, j0 = item % variable_blocks * kTurn;
    __syncthreads();  // the square before has been read
    for (int s = warp; s < kTurn; s += kWarps) {
      const bool inside = n0 + s < samples && j0 + lane < variables;
      square[s][lane] = inside ? static_cast<T>(widen(x[(n0 + s) * variables + j0 + lane])) : T{0};
    }
    __syncthreads();
    T* tile = tiles + n0 / kEnergyTile * variables * kEnergyTile + n0 % kEnergyTile;
    for (int j = warp; j < kTurn && j0 + j < variables; j += kWarps) {
      tile[(j0 + j) * kEnergyTile + lane] = square[lane][j];
    }
  }
}

template <class X, class T>
void fill(const char* name, const X* x, std::int64_t samples, std::int64_t variables, T* tiles,
          cudaStream_t stream) {
  const std::int64_t items =
      energy_tiles(samples) * (kEnergyTile / kTurn) * ((variables + kTurn - 1) / kTurn);
  launch(name, fill_kernel<X, T>, {items, kThreads}, stream, x, samples, variables, tiles);
}

// first * the product of the edge's factors.
template <class T>
__device__ __forceinline__ Quad<T> product(const T* tile, const Literals& edge, Quad<T> first) {
  const Quad<T> one = Quad<T>::all(1);
#pragma unroll 4
  for (int i = 0; i < edge.positives; ++i) {
    first = first * literal_factor(load(tile, edge.variable[i]), one, true);
  }
#pragma unroll 4
  for (int i = edge.positives; i < edge.count; ++i) {
    first = first * literal_factor(load(tile, edge.variable[i]), one, false);
  }
  return first;
}

// ---- energy ------------------------------------------------------------------------------------

// Block (tile, part): every warp sums its share of the part's edges for the 128 samples, then the
// warps are added in order. out, or sums[part, n] where there are several parts.
template <class T>
__global__ void __launch_bounds__(kThreads, 1)
    energy_kernel(Edges edges, const T* weights, std::int64_t samples, std::int64_t variables,
                  const T* tiles, std::int64_t parts, T* out, double* sums) {
  __shared__ double exchange[kWarps][kEnergyTile];
  const std::int64_t items = energy_tiles(samples) * parts;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (std::int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const std::int64_t t = item / parts, part = item % parts;
    const T* tile = tiles + t * variables * kEnergyTile;
    const std::int64_t shares = parts * kWarps, share = part * kWarps + warp;
    const std::int64_t end = edges.count * (share + 1) / shares;
    double total[kPerLane] = {};
    for (std::int64_t first = edges.count * share / shares; first < end; first += kRun) {
      const std::int64_t last = first + kRun < end ? first + kRun : end;
      Quad<T> run = Quad<T>::all(0);
      for (std::int64_t e = first; e < last; ++e) {
        const Quad<T> weight = Quad<T>::all(weights[edges.order[e]]);
        run = run + product(tile, literals(edges, e), weight);
      }
      for (int i = 0; i < kPerLane; ++i) total[i] += static_cast<double>(run.value[i]);
    }
    __syncthreads();  // the sums of the item before have been read
    for (int i = 0; i < kPerLane; ++i) exchange[warp][lane * kPerLane + i] = total[i];
    __syncthreads();
    const std::int64_t n = t * kEnergyTile + threadIdx.x;
    if (threadIdx.x < kEnergyTile && n < samples) {
      double sum = 0.0;
      for (int w = 0; w < kWarps; ++w) sum += exchange[w][threadIdx.x];
      if (parts == 1) {
        out[n] = static_cast<T>(-sum);
      } else {
        sums[part * samples + n] = sum;
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    add_parts_kernel(const double* sums, std::int64_t samples, std::int64_t parts, T* out) {
  for (std::int64_t n = blockIdx.x * static_cast<std::int64_t>(kThreads) + threadIdx.x; n < samples;
       n += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    double sum = 0.0;
    for (std::int64_t p = 0; p < parts; ++p) sum += sums[p * samples + n];
    out[n] = static_cast<T>(-sum);
  }
}

template <class X, class T>
void energy_any(const EnergyArgs<X, T>& args, cudaStream_t stream) {
  constexpr const char* name = "hypernet_energy";
  require(args.tiles != nullptr ||
              energy_scratch<T>(args.samples, args.variables, args.edges.count) == 0,
          "hypernet_energy: tiles: expected energy_scratch elements, got none");
  fill(name, args.x, args.samples, args.variables, args.tiles, stream);
  const std::int64_t tiles = energy_tiles(args.samples);
  const std::int64_t parts = energy_parts(args.samples, args.edges.count);
  auto* sums = reinterpret_cast<double*>(args.tiles + tiles * args.variables * kEnergyTile);
  launch(name, energy_kernel<T>, {tiles * parts, kThreads}, stream, args.edges, args.weights,
         args.samples, args.variables, args.tiles, parts, args.out, sums);
  if (parts > 1) {
    launch(name, add_parts_kernel<T>, {(args.samples + kThreads - 1) / kThreads, kThreads}, stream,
           sums, args.samples, parts, args.out);
  }
}

// ---- backward ----------------------------------------------------------------------------------

// minus_grad [t, s] <- - dL/dE[n], n = 128 t + s; zeros past the last sample.
template <class T>
__global__ void __launch_bounds__(kThreads)
    fill_grad_kernel(const T* grad, std::int64_t samples, T* minus_grad) {
  const std::int64_t size = energy_tiles(samples) * kEnergyTile;
  for (std::int64_t n = blockIdx.x * static_cast<std::int64_t>(kThreads) + threadIdx.x; n < size;
       n += static_cast<std::int64_t>(gridDim.x) * kThreads) {
    minus_grad[n] = n < samples ? -grad[n] : T{0};
  }
}

// A warp gathers the edges of one variable for a tile: no two threads write one element. The leave-
// one-out product is the product of the other literals.
template <class X, class T>
__global__ void __launch_bounds__(kThreads, 1)
    backward_x_kernel(EnergyBackwardArgs<X, T> args, const T* minus_grad) {
  __shared__ T turn[kEnergyTile][kWarps + 1];
  const Edges& edges = args.edges;
  const std::int64_t I = args.variables;
  const std::int64_t groups = (I + kWarps - 1) / kWarps;  // of variables
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const Quad<T> one = Quad<T>::all(1);
  for (std::int64_t item = blockIdx.x; item < energy_tiles(args.samples) * groups;
       item += gridDim.x) {
    const std::int64_t t = item / groups, j0 = item % groups * kWarps, j = j0 + warp;
    const T* tile = args.tiles + t * I * kEnergyTile;
    Quad<T> field = Quad<T>::all(0);
    if (j < I) {
      const std::int64_t end = args.incidence_offsets[j + 1];
      for (std::int64_t i = args.incidence_offsets[j]; i < end; ++i) {
        const std::int64_t e = args.incidence[i];
        const Literals edge = literals(edges, e);
        const T weight = args.weights[edges.order[e]];
        Quad<T> others = Quad<T>::all(weight);
        bool positive = true;
        for (int l = 0; l < edge.count; ++l) {
          const std::int32_t variable = edge.variable[l];
          if (variable == j) {
            positive = l < edge.positives;
          } else {
            others = others * literal_factor(load(tile, variable), one, l < edge.positives);
          }
        }
        field = positive ? field + others : field - others;
      }
      field = field * load(minus_grad, t);
    }
    __syncthreads();  // the fields of the item before have been written out
    for (int i = 0; i < kPerLane; ++i) turn[lane * kPerLane + i][warp] = field.value[i];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < kEnergyTile * kWarps; i += kThreads) {
      const std::int64_t n = t * kEnergyTile + i / kWarps, column = j0 + i % kWarps;
      if (n < args.samples && column < I) {
        args.grad_x[n * I + column] = narrow<X>(turn[i / kWarps][i % kWarps]);
      }
    }
  }
}

// grad_w[e] <- - sum_n dL/dE[n] phi_e(x_n). A team of warps takes an edge: one warp, or the whole
// block where there are too few edges to keep every warp busy.
template <class T>
__global__ void __launch_bounds__(kThreads, 1)
    backward_w_kernel(Edges edges, std::int64_t samples, std::int64_t variables, const T* tiles,
                      const T* minus_grad, int team, T* grad_w) {
  __shared__ double exchange[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int teams = kWarps / team;
  const std::int64_t items = (edges.count + teams - 1) / teams;
  const Quad<T> one = Quad<T>::all(1);
  for (std::int64_t item = blockIdx.x; item < items; item += gridDim.x) {
    const std::int64_t e = item * teams + warp / team;
    double sum = 0.0;
    if (e < edges.count) {
      const Literals edge = literals(edges, e);
      for (std::int64_t t = warp % team; t < energy_tiles(samples); t += team) {
        const T* tile = tiles + t * variables * kEnergyTile;
        const Quad<T> term = product(tile, edge, one) * load(minus_grad, t);
        sum +=
            static_cast<double>((term.value[0] + term.value[1]) + (term.value[2] + term.value[3]));
      }
    }
    for (int d = kWarp / 2; d > 0; d /= 2) sum += __shfl_xor_sync(kAllLanes, sum, d);
    __syncthreads();  // the sums of the item before have been read
    if (lane == 0) exchange[warp] = sum;
    __syncthreads();
    if (lane == 0 && warp % team == 0 && e < edges.count) {
      double whole = 0.0;
      for (int w = warp; w < warp + team; ++w) whole += exchange[w];
      grad_w[edges.order[e]] = static_cast<T>(whole);
    }
  }
}

template <class X, class T>
void backward_any(const EnergyBackwardArgs<X, T>& args, cudaStream_t stream) {
  constexpr const char* name = "hypernet_energy_backward";
  require(args.grad_x == nullptr || args.samples == 0 || args.incidence_offsets != nullptr,
          "hypernet_energy_backward: grad_x needs the incidence of the edges");
  require(args.tiles != nullptr || args.samples == 0,
          "hypernet_energy_backward: tiles: expected energy_backward_scratch elements, got none");
  const std::int64_t tiles = energy_tiles(args.samples);
  T* minus_grad = args.tiles + tiles * args.variables * kEnergyTile;
  fill(name, args.x, args.samples, args.variables, args.tiles, stream);
  launch(name, fill_grad_kernel<T>, {(tiles * kEnergyTile + kThreads - 1) / kThreads, kThreads},
         stream, args.grad, args.samples, minus_grad);
  if (args.grad_x != nullptr) {
    const std::int64_t groups = (args.variables + kWarps - 1) / kWarps;
    launch(name, backward_x_kernel<X, T>, {tiles * groups, kThreads}, stream, args, minus_grad);
  }
  if (args.grad_w != nullptr) {
    constexpr std::int64_t kFewEdges = 8192;
    const int team = args.edges.count < kFewEdges ? kWarps : 1;
    const std::int64_t items = (args.edges.count * team + kWarps - 1) / kWarps;
    launch(name, backward_w_kernel<T>, {items, kThreads}, stream, args.edges, args.samples,
           args.variables, args.tiles, minus_grad, team, args.grad_w);
  }
}

}  // namespace

void energy(const EnergyArgs<float>& args, cudaStream_t stream) { energy_any(args, stream); }
void energy(const EnergyArgs<double>& args, cudaStream_t stream) { energy_any(args, stream); }
void energy(const EnergyArgs<__half, float>& args, cudaStream_t stream) {
  energy_any(args, stream);
}
void energy(const EnergyArgs<__nv_bfloat16, float>& args, cudaStream_t stream) {
  energy_any(args, stream);
}
void energy_backward(const EnergyBackwardArgs<float>& args, cudaStream_t stream) {
  backward_any(args, stream);
}
void energy_backward(const EnergyBackwardArgs<double>& args, cudaStream_t stream) {
  backward_any(args, stream);
}
void energy_backward(const EnergyBackwardArgs<__half, float>& args, cudaStream_t stream) {
  backward_any(args, stream);
}
void energy_backward(const EnergyBackwardArgs<__nv_bfloat16, float>& args, cudaStream_t stream) {
  backward_any(args, stream);
}

}  // namespace polyad::hypernet::cuda
