#include <cstring>

#include "common/parallel.hpp"
#include "hypernet/energy_math.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

constexpr std::int64_t kRun = 256;  // edges added in T before the double sum
constexpr int kUnrolled = 8;        // edges up to this order keep their products in registers

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
constexpr int kLanes = kVectorBytes / sizeof(T);
template <class T>
constexpr int kVectors = kEnergyTile<T> / kLanes<T>;  // registers of a row

template <class T>
POLYAD_INLINE Vector<T> load(const T* p) {
  Vector<T> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
template <class T>
POLYAD_INLINE void store(T* p, const Vector<T>& v) {
  std::memcpy(p, &v, sizeof(v));
}
template <class T>
POLYAD_INLINE Vector<T> splat(T value) {
  return Vector<T>{} + value;
}
template <class T>
POLYAD_INLINE double horizontal_sum(const Vector<T>& v) {
  T lane[kLanes<T>];
  std::memcpy(lane, &v, sizeof(v));
  for (int half = kLanes<T> / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return static_cast<double>(lane[0]);
}

// tiles[t, j, s] <- x[n, j] with n = t * kEnergyTile + s; zeros past the last sample.
template <class T>
void fill_tile(const T* x, std::int64_t samples, std::int64_t variables, std::int64_t t, T* tile) {
  constexpr int S = kEnergyTile<T>;
  const std::int64_t n0 = t * S;
  const int count = static_cast<int>(samples - n0 < S ? samples - n0 : S);
  constexpr std::int64_t kColumns = 16;
  for (std::int64_t j0 = 0; j0 < variables; j0 += kColumns) {
    const std::int64_t j1 = j0 + kColumns < variables ? j0 + kColumns : variables;
    for (int s = 0; s < count; ++s) {
      for (std::int64_t j = j0; j < j1; ++j) tile[j * S + s] = x[(n0 + s) * variables + j];
    }
    for (int s = count; s < S; ++s) {
      for (std::int64_t j = j0; j < j1; ++j) tile[j * S + s] = T{0};
    }
  }
}

// sum[v] += weight * phi for the kVectors registers of a tile.
template <class T>
POLYAD_INLINE void add_product(const T* tile, const Literals& edge, T weight,
                               Vector<T> (&sum)[kVectors<T>]) {
  constexpr int S = kEnergyTile<T>;
  const Vector<T> one = splat<T>(1);
  Vector<T> product[kVectors<T>];
  for (int v = 0; v < kVectors<T>; ++v) product[v] = splat(weight);
  for (int i = 0; i < edge.positives; ++i) {
    const T* row = tile + static_cast<std::int64_t>(edge.variable[i]) * S;
    for (int v = 0; v < kVectors<T>; ++v) product[v] *= load(row + v * kLanes<T>);
  }
  for (int i = edge.positives; i < edge.count; ++i) {
    const T* row = tile + static_cast<std::int64_t>(edge.variable[i]) * S;
    for (int v = 0; v < kVectors<T>; ++v) product[v] *= one - load(row + v * kLanes<T>);
  }
  for (int v = 0; v < kVectors<T>; ++v) sum[v] += product[v];
}

template <class T>
void energy(const EnergyArgs<T>& args) {
  constexpr int S = kEnergyTile<T>;
  const Edges& edges = args.edges;
  parallel_for(energy_tiles<T>(args.samples), [&](std::int64_t t) {
    T* tile = args.tiles + t * args.variables * S;
    fill_tile(args.x, args.samples, args.variables, t, tile);
    double total[S] = {};
    for (std::int64_t first = 0; first < edges.count; first += kRun) {
      const std::int64_t end = first + kRun < edges.count ? first + kRun : edges.count;
      Vector<T> sum[kVectors<T>] = {};
      for (std::int64_t e = first; e < end; ++e) {
        add_product<T>(tile, literals(edges, e), args.weights[edges.order[e]], sum);
      }
      T run[S];
      std::memcpy(run, sum, sizeof(run));
      for (int s = 0; s < S; ++s) total[s] += static_cast<double>(run[s]);
    }
    const std::int64_t n0 = t * S;
    for (std::int64_t s = 0; s < S && n0 + s < args.samples; ++s) {
      args.out[n0 + s] = static_cast<T>(-total[s]);
    }
  });
}

// What the backward pass of one tile needs besides the edge.
template <class T>
struct BackwardTile {
  const T* x;     // [I, S]
  T* grad_x;      // [I, S] or null
  const T* grad;  // [S] minus dL/dE, zeros past the last sample
  T* products;    // [longest, S]
};

// Edges of K literals, products in registers. Returns sum_s grad[s] phi[s].
template <int K, class T>
POLYAD_INLINE double backward_unrolled(const BackwardTile<T>& tile, const Literals& edge,
                                       T weight) {
  constexpr int S = kEnergyTile<T>;
  const Vector<T> one = splat<T>(1);
  std::int64_t row[K];
  for (int i = 0; i < K; ++i) row[i] = static_cast<std::int64_t>(edge.variable[i]) * S;
  Vector<T> sum = {};
  for (int v = 0; v < kVectors<T>; ++v) {
    const int at = v * kLanes<T>;
    Vector<T> f[K];
    for (int i = 0; i < K; ++i) {
      f[i] = literal_factor(load(tile.x + row[i] + at), one, i < edge.positives);
    }
    const Vector<T> product = leave_one_out<K>(f, one);
    const Vector<T> grad = load(tile.grad + at);
    sum += grad * product;
    if (tile.grad_x == nullptr) continue;
    const Vector<T> scaled = grad * weight;
    for (int i = 0; i < K; ++i) {
      T* out = tile.grad_x + row[i] + at;
      const Vector<T> step = scaled * f[i];
      store(out, i < edge.positives ? load(out) + step : load(out) - step);
    }
  }
  return horizontal_sum<T>(sum);
}

// Edges of any order; prefix products wait in tile.products.
template <class T>
double backward_any(const BackwardTile<T>& tile, const Literals& edge, T weight) {
  constexpr int S = kEnergyTile<T>;
  const Vector<T> one = splat<T>(1);
  Vector<T> sum = {};
  for (int v = 0; v < kVectors<T>; ++v) {
    const int at = v * kLanes<T>;
    Vector<T> product = one;
    for (int i = 0; i < edge.count; ++i) {
      store(tile.products + i * S + at, product);
      const T* row = tile.x + static_cast<std::int64_t>(edge.variable[i]) * S;
      product *= literal_factor(load(row + at), one, i < edge.positives);
    }
    const Vector<T> grad = load(tile.grad + at);
    sum += grad * product;
    if (tile.grad_x == nullptr) continue;
    Vector<T> suffix = grad * weight;
    for (int i = edge.count - 1; i >= 0; --i) {
      const std::int64_t row = static_cast<std::int64_t>(edge.variable[i]) * S;
      const Vector<T> step = load(tile.products + i * S + at) * suffix;
      T* out = tile.grad_x + row + at;
      store(out, i < edge.positives ? load(out) + step : load(out) - step);
      suffix *= literal_factor(load(tile.x + row + at), one, i < edge.positives);
    }
  }
  return horizontal_sum<T>(sum);
}

template <class T>
POLYAD_INLINE double backward_edge(const BackwardTile<T>& tile, const Literals& edge, T weight) {
  switch (edge.count) {
    case 1: return backward_unrolled<1>(tile, edge, weight);
    case 2: return backward_unrolled<2>(tile, edge, weight);
    case 3: return backward_unrolled<3>(tile, edge, weight);
    case 4: return backward_unrolled<4>(tile, edge, weight);
    case 5: return backward_unrolled<5>(tile, edge, weight);
    case 6: return backward_unrolled<6>(tile, edge, weight);
    case 7: return backward_unrolled<7>(tile, edge, weight);
    case kUnrolled: return backward_unrolled<kUnrolled>(tile, edge, weight);
    default: return backward_any(tile, edge, weight);
  }
}

template <class T>
void energy_backward(const EnergyBackwardArgs<T>& args) {
  constexpr int S = kEnergyTile<T>;
  const Edges& edges = args.edges;
  const std::int64_t I = args.variables;
  const std::int64_t tiles = energy_tiles<T>(args.samples);
  const std::int64_t G = energy_tile_parts<T>(args.samples), H = kEnergyParts / G;

  parallel_for(tiles, [&](std::int64_t t) {
    fill_tile(args.x, args.samples, I, t, args.tiles + t * I * S);
  });

  parallel_for(G * H, [&](std::int64_t part) {
    const std::int64_t g = part / H, h = part % H;
    const std::int64_t begin = edges.count * h / H, end = edges.count * (h + 1) / H;
    double* grad_w = args.grad_w == nullptr ? nullptr : args.grad_parts + g * edges.count;
    if (grad_w != nullptr) {
      for (std::int64_t e = begin; e < end; ++e) grad_w[e] = 0.0;
    }
    for (std::int64_t t = g; t < tiles; t += G) {
      T grad[S];
      for (int s = 0; s < S; ++s) {
        const std::int64_t n = t * S + s;
        grad[s] = n < args.samples ? -args.grad[n] : T{0};
      }
      BackwardTile<T> tile{args.tiles + t * I * S, nullptr, grad,
                           args.products + part * args.longest * S};
      if (args.grad_x != nullptr) {
        tile.grad_x = args.grad_tiles + (h * tiles + t) * I * S;
        std::memset(tile.grad_x, 0, sizeof(T) * static_cast<std::size_t>(I * S));
      }
      for (std::int64_t e = begin; e < end; ++e) {
        const T weight = args.grad_x == nullptr ? T{0} : args.weights[edges.order[e]];
        const double sum = backward_edge<T>(tile, literals(edges, e), weight);
        if (grad_w != nullptr) grad_w[e] += sum;
      }
    }
  });

  if (args.grad_w != nullptr) {
    constexpr std::int64_t kChunk = 4096;
    parallel_for((edges.count + kChunk - 1) / kChunk, [&](std::int64_t chunk) {
      const std::int64_t first = chunk * kChunk;
      const std::int64_t end = first + kChunk < edges.count ? first + kChunk : edges.count;
      for (std::int64_t e = first; e < end; ++e) {
        double sum = 0.0;
        for (std::int64_t g = 0; g < G; ++g) sum += args.grad_parts[g * edges.count + e];
        args.grad_w[edges.order[e]] = static_cast<T>(sum);
      }
    });
  }
  if (args.grad_x != nullptr) {
    parallel_for(tiles, [&](std::int64_t t) {
      const std::int64_t n0 = t * S;
      const int count = static_cast<int>(args.samples - n0 < S ? args.samples - n0 : S);
      for (int s = 0; s < count; ++s) {
        for (std::int64_t j = 0; j < I; ++j) {
          T sum = 0;
          for (std::int64_t h = 0; h < H; ++h) {
            sum += args.grad_tiles[((h * tiles + t) * I + j) * S + s];
          }
          args.grad_x[(n0 + s) * I + j] = sum;
        }
      }
    });
  }
}

}  // namespace

const EnergyTable energy_table{energy<float>, energy<double>, energy_backward<float>,
                               energy_backward<double>};

}  // namespace polyad::hypernet::POLYAD_ISA
