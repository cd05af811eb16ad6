#include <cstring>
#include <type_traits>

#include "common/parallel.hpp"
#include "common/vector.hpp"
#include "hypernet/energy_math.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet::POLYAD_ISA {
namespace {

constexpr std::int64_t kRun = 256;     // edges added in T before the double sum
constexpr std::int64_t kColumns = 16;  // variables transposed at once: their rows stay in the cache
constexpr int kGroup = 64;             // edges whose sums over a tile are held at once
constexpr int kUnrolled = 9;           // literals, besides the first, that stay in registers

template <class T>
constexpr int kVectors = kEnergyTile<T> / kLanes<T>;  // registers of a row

// tiles[t, j, s] <- x[n, j] with n = t * kEnergyTile + s; zeros past the last sample.
template <class T>
void fill_tile(const T* x, std::int64_t samples, std::int64_t variables, std::int64_t t, T* tile) {
  constexpr int S = kEnergyTile<T>;
  const std::int64_t n0 = t * S;
  const int count = static_cast<int>(samples - n0 < S ? samples - n0 : S);
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

// Edges that share their first literal lie side by side in a plan's order. Its row is then read
// once for all of them: the sums over a run take only the other literals, and it is multiplied in
// at the end. A run never crosses `end`.
struct Run {
  std::int64_t first, end;
  const std::int32_t* shared;  // the variable of the first literal; null for empty edges
  bool positive;
};

POLYAD_INLINE Run run_at(const Edges& edges, std::int64_t first, std::int64_t end) {
  const Literals head = literals(edges, first);
  if (head.count == 0) return {first, first + 1, nullptr, true};
  const bool positive = head.positives > 0;
  std::int64_t last = first + 1;
  while (last < end && edges.offsets[last + 1] - edges.offsets[last] == head.count &&
         edges.literals[edges.offsets[last]] == head.variable[0] &&
         edges.positives[last] == head.positives) {
    ++last;
  }
  return {first, last, head.variable, positive};
}

// The literals of edge e without the first, which its run shares.
POLYAD_INLINE Literals other_literals(const Edges& edges, std::int64_t e) {
  const Literals edge = literals(edges, e);
  return {edge.variable + 1, edge.positives > 0 ? edge.positives - 1 : 0, edge.count - 1};
}

// Calls body.operator()<R, AllPositive>() for the literals that the edges of a run have besides the
// first: R is their number, -1 if it exceeds kUnrolled.
template <class Body>
POLYAD_INLINE void for_shape(const Literals& others, const Body& body) {
  const auto for_count = [&]<bool AllPositive>() {
    switch (others.count) {
      case 0: return body.template operator()<0, AllPositive>();
      case 1: return body.template operator()<1, AllPositive>();
      case 2: return body.template operator()<2, AllPositive>();
      case 3: return body.template operator()<3, AllPositive>();
      case 4: return body.template operator()<4, AllPositive>();
      case 5: return body.template operator()<5, AllPositive>();
      case 6: return body.template operator()<6, AllPositive>();
      case 7: return body.template operator()<7, AllPositive>();
      case 8: return body.template operator()<8, AllPositive>();
      case kUnrolled: return body.template operator()<kUnrolled, AllPositive>();
      default: return body.template operator()<-1, AllPositive>();
    }
  };
  if (others.positives == others.count) {
    for_count.template operator()<true>();
  } else {
    for_count.template operator()<false>();
  }
}

// sum[v] += the weighted products of a run of edges, for the kVectors registers of a row.
template <int R, bool AllPositive, class T>
__attribute__((noinline)) void add_run(const T* tile, const Edges& edges, const T* weights,
                                       const Run& run, Vector<T> (&sum)[kVectors<T>]) {
  constexpr int S = kEnergyTile<T>;
  const Vector<T> one = splat<T>(1);
  Vector<T> inner[kVectors<T>] = {};
  for (std::int64_t e = run.first; e < run.end; ++e) {
    const Literals edge = other_literals(edges, e);
    Vector<T> product[kVectors<T>];
    for (int v = 0; v < kVectors<T>; ++v) product[v] = splat(weights[edges.order[e]]);
    const int count = R >= 0 ? R : edge.count;
    for (int i = 0; i < count; ++i) {
      const T* row = tile + static_cast<std::int64_t>(edge.variable[i]) * S;
      const bool positive = AllPositive || i < edge.positives;
      for (int v = 0; v < kVectors<T>; ++v) {
        product[v] *= literal_factor(load(row + v * kLanes<T>), one, positive);
      }
    }
    for (int v = 0; v < kVectors<T>; ++v) inner[v] += product[v];
  }
  const T* row = tile + static_cast<std::int64_t>(*run.shared) * S;
  for (int v = 0; v < kVectors<T>; ++v) {
    sum[v] += inner[v] * literal_factor(load(row + v * kLanes<T>), one, run.positive);
  }
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
      for (Run run{first, first, nullptr, true}; run.end < end;) {
        run = run_at(edges, run.end, end);
        if (run.shared == nullptr) {
          for (Vector<T>& lanes : sum) lanes += splat(args.weights[edges.order[run.first]]);
          continue;
        }
        for_shape(other_literals(edges, run.first), [&]<int R, bool AllPositive>() {
          add_run<R, AllPositive>(tile, edges, args.weights, run, sum);
        });
      }
      T lane[S];
      std::memcpy(lane, sum, sizeof(lane));
      for (int s = 0; s < S; ++s) total[s] += static_cast<double>(lane[s]);
    }
    const std::int64_t n0 = t * S;
    for (std::int64_t s = 0; s < S && n0 + s < args.samples; ++s) {
      args.out[n0 + s] = static_cast<T>(-total[s]);
    }
  });
}

// What the backward pass of one tile needs besides the edges.
template <class T>
struct BackwardTile {
  const T* x;        // [I, S]
  T* grad_x;         // [I, S] or null
  const T* grad;     // [S] minus dL/dE, zeros past the last sample
  const T* weights;  // [E], caller's order; not read if grad_x is null
  T* products;       // [longest, S]
};

// What a run passes to the edges in it, for one register of samples: with f the first literal,
// outer = grad f, and inner collects sum_e w_e prod (other literals), which f's gradient needs.
template <class T>
struct RunState {
  Vector<T> outer[kVectors<T>], inner[kVectors<T>];
};

// Adds one edge, given by its R literals besides the shared one, to the gradients. Products stay in
// registers. Returns the registers whose lanes add up to sum_s grad[s] phi[s].
template <int R, bool AllPositive, class T>
POLYAD_INLINE Vector<T> backward_edge(const BackwardTile<T>& tile, const Literals& edge, T weight,
                                      RunState<T>& run) {
  constexpr int S = kEnergyTile<T>;
  const Vector<T> one = splat<T>(1);
  constexpr int kRows = R > 0 ? R : 1;
  std::int64_t row[kRows];
  for (int i = 0; i < R; ++i) row[i] = static_cast<std::int64_t>(edge.variable[i]) * S;
  Vector<T> sum = {};
  for (int v = 0; v < kVectors<T>; ++v) {
    const int at = v * kLanes<T>;
    Vector<T> f[kRows];
    for (int i = 0; i < R; ++i) {
      f[i] = literal_factor(load(tile.x + row[i] + at), one, AllPositive || i < edge.positives);
    }
    Vector<T> product = one;
    if constexpr (R > 0) product = leave_one_out<R>(f, one);
    sum += run.outer[v] * product;
    if (tile.grad_x == nullptr) continue;
    run.inner[v] += weight * product;
    const Vector<T> scaled = run.outer[v] * weight;
    for (int i = 0; i < R; ++i) {
      T* out = tile.grad_x + row[i] + at;
      const Vector<T> step = scaled * f[i];
      store(out, AllPositive || i < edge.positives ? load(out) + step : load(out) - step);
    }
  }
  return sum;
}

// The same for any number of literals; prefix products wait in tile.products.
template <class T>
Vector<T> backward_long_edge(const BackwardTile<T>& tile, const Literals& edge, T weight,
                             RunState<T>& run) {
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
    sum += run.outer[v] * product;
    if (tile.grad_x == nullptr) continue;
    run.inner[v] += weight * product;
    Vector<T> suffix = run.outer[v] * weight;
    for (int i = edge.count - 1; i >= 0; --i) {
      const std::int64_t row = static_cast<std::int64_t>(edge.variable[i]) * S;
      const Vector<T> step = load(tile.products + i * S + at) * suffix;
      T* out = tile.grad_x + row + at;
      store(out, i < edge.positives ? load(out) + step : load(out) - step);
      suffix *= literal_factor(load(tile.x + row + at), one, i < edge.positives);
    }
  }
  return sum;
}

// Adds a run of edges to the gradients; sums [run.end - run.first] get the registers that
// backward_edge returns. R is the number of other literals, or -1 for any.
template <int R, bool AllPositive, class T>
__attribute__((noinline)) void backward_run(const BackwardTile<T>& tile, const Edges& edges,
                                            const Run& run, Vector<T>* sums) {
  const Vector<T> one = splat<T>(1);
  const std::int64_t row = static_cast<std::int64_t>(*run.shared) * kEnergyTile<T>;
  RunState<T> state;
  for (int v = 0; v < kVectors<T>; ++v) {
    const Vector<T> factor = literal_factor(load(tile.x + row + v * kLanes<T>), one, run.positive);
    state.outer[v] = load(tile.grad + v * kLanes<T>) * factor;
    state.inner[v] = Vector<T>{};
  }
  for (std::int64_t e = run.first; e < run.end; ++e) {
    const Literals edge = other_literals(edges, e);
    const T weight = tile.grad_x == nullptr ? T{0} : tile.weights[edges.order[e]];
    if constexpr (R >= 0) {
      *sums++ = backward_edge<R, AllPositive>(tile, edge, weight, state);
    } else {
      *sums++ = backward_long_edge(tile, edge, weight, state);
    }
  }
  if (tile.grad_x == nullptr) return;
  for (int v = 0; v < kVectors<T>; ++v) {
    T* out = tile.grad_x + row + v * kLanes<T>;
    const Vector<T> step = load(tile.grad + v * kLanes<T>) * state.inner[v];
    store(out, run.positive ? load(out) + step : load(out) - step);
  }
}

// Lane i of the result: the sum of the lanes of v[i], i < kLanes; overwrites v. Each pass adds
// neighbours, even lanes to odd ones, of two registers into one, which serves all of them at 3
// operations a register.
template <class T>
POLYAD_INLINE Vector<T> sums_of_lanes(Vector<T>* v) {
  typedef std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> Index
      __attribute__((vector_size(kVectorBytes)));
  Index even, odd;
  for (int i = 0; i < kLanes<T>; ++i) {
    even[i] = 2 * i;
    odd[i] = 2 * i + 1;
  }
  for (int n = kLanes<T> / 2; n > 0; n /= 2) {
    for (int i = 0; i < n; ++i) {
      v[i] = __builtin_shuffle(v[2 * i], v[2 * i + 1], even) +
             __builtin_shuffle(v[2 * i], v[2 * i + 1], odd);
    }
  }
  return v[0];
}

// Adds edges first .. end - 1, at most kGroup of them, to the gradients; grad_w [E] or null.
template <class T>
void backward_group(const BackwardTile<T>& tile, const Edges& edges, std::int64_t first,
                    std::int64_t end, double* grad_w) {
  Vector<T> sums[kGroup];
  for (Run run{first, first, nullptr, true}; run.end < end;) {
    run = run_at(edges, run.end, end);
    Vector<T>* out = sums + (run.first - first);
    if (run.shared == nullptr) {
      *out = Vector<T>{};
      for (int v = 0; v < kVectors<T>; ++v) *out += load(tile.grad + v * kLanes<T>);
      continue;
    }
    for_shape(other_literals(edges, run.first), [&]<int R, bool AllPositive>() {
      backward_run<R, AllPositive>(tile, edges, run, out);
    });
  }
  if (grad_w == nullptr) return;
  const int count = static_cast<int>(end - first);
  for (int i = count; i % kLanes<T> != 0; ++i) sums[i] = Vector<T>{};
  for (int i = 0; i < count; i += kLanes<T>) {
    T lane[kLanes<T>];
    store(lane, sums_of_lanes<T>(sums + i));
    for (int l = 0; l < kLanes<T> && i + l < count; ++l) {
      grad_w[first + i + l] += static_cast<double>(lane[l]);
    }
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
      BackwardTile<T> tile{args.tiles + t * I * S, nullptr, grad, args.weights,
                           args.products + part * args.longest * S};
      if (args.grad_x != nullptr) {
        tile.grad_x = args.grad_tiles + (h * tiles + t) * I * S;
        std::memset(tile.grad_x, 0, sizeof(T) * static_cast<std::size_t>(I * S));
      }
      for (std::int64_t e = begin; e < end; e += kGroup) {
        backward_group(tile, edges, e, e + kGroup < end ? e + kGroup : end, grad_w);
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
      for (std::int64_t j0 = 0; j0 < I; j0 += kColumns) {
        const std::int64_t j1 = j0 + kColumns < I ? j0 + kColumns : I;
        for (int s = 0; s < count; ++s) {
          for (std::int64_t j = j0; j < j1; ++j) {
            T sum = 0;
            for (std::int64_t h = 0; h < H; ++h) {
              sum += args.grad_tiles[((h * tiles + t) * I + j) * S + s];
            }
            args.grad_x[(n0 + s) * I + j] = sum;
          }
        }
      }
    });
  }
}

}  // namespace

const EnergyTable energy_table{energy<float>, energy<double>, energy_backward<float>,
                               energy_backward<double>};

}  // namespace polyad::hypernet::POLYAD_ISA
