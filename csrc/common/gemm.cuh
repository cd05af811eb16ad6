// Small matrix products on CUDA in one fixed order, for matrices whose rows are the steps of a
// batch of sequences and whose columns stand side by side in several arrays. No atomics: a product
// over steps is cut into parts by its sizes alone, and the parts are added in order.
//
//   rows_product    C[n, j] = sum_k A[n, k] B[k, j] + bias_j          n = (b, t) a step
//   steps_product   C[i, j] = sum_n A[n, i] B[n, j]
//
// Steps past a sequence's end count as zero, whatever stands there.
#pragma once

#include "common/cuda_check.hpp"
#include "common/device.hpp"

namespace polyad::cuda {
namespace {

constexpr int kTile = 64;       // rows and columns of C that a block computes
constexpr int kTileDepth = 16;  // k at a time
constexpr int kTileThreads = 256;
constexpr int kPerThread = 4;  // rows and columns of C of a thread
constexpr int kLoads = kTile * kTileDepth / kTileThreads;
constexpr int kMostParts = 4;  // arrays side by side

// Some columns of a matrix of steps: element (b, t, c) at data[b * sequence + t * step + c]; null
// data stands for ones.
template <class T>
struct Columns {
  const T* data;
  int count;
  std::int64_t sequence, step;
};

// The steps that a matrix has rows for: n = b T + t.
struct Sequences {
  std::int64_t batch, steps;    // B T < 2^31
  const std::int64_t* lengths;  // [B], or null: all T

  POLYAD_INLINE std::int64_t rows() const { return batch * steps; }
};

// A matrix with one row for every step.
template <class T>
struct Steps {
  Columns<T> parts[kMostParts];
  int part_count;

  POLYAD_INLINE int columns() const {
    int sum = 0;
    for (int p = 0; p < part_count; ++p) sum += parts[p].count;
    return sum;
  }
};

struct Step {
  std::int64_t b, t;
  bool inside;
};

__device__ __forceinline__ Step step_of(const Sequences& sequences, std::int64_t n) {
  if (n >= sequences.rows()) return {0, 0, false};
  const auto row = static_cast<unsigned>(n), steps = static_cast<unsigned>(sequences.steps);
  const std::int64_t b = row / steps, t = row - static_cast<unsigned>(b) * steps;
  return {b, t, sequences.lengths == nullptr || t < sequences.lengths[b]};
}

template <class T>
__device__ __forceinline__ T step_element(const Columns<T>& part, const Step& step, int column) {
  if (!step.inside || column >= part.count) return T{0};
  if (part.data == nullptr) return T{1};
  return part.data[step.b * part.sequence + step.t * part.step + column];
}

template <class T>
__device__ __forceinline__ T step_element(const Steps<T>& matrix, const Step& step, int column) {
#pragma unroll
  for (int p = 0; p < kMostParts; ++p) {
    if (p >= matrix.part_count) break;
    if (column < matrix.parts[p].count) return step_element(matrix.parts[p], step, column);
    column -= matrix.parts[p].count;
  }
  return T{0};
}

// One tile of C: sums[r][c] of rows ty + 16 r and columns tx + 16 c, over k in [first, last).
// a(i, k), b(k, j) give elements within the tile's rows and columns; AFast, BFast: whether the
// neighbouring elements in memory are those of one k.
template <bool AFast, class T, class A, class B>
__device__ __forceinline__ void tile_product(std::int64_t first, std::int64_t last, const A& a,
                                             const B& b, bool b_fast,
                                             T (&sums)[kPerThread][kPerThread]) {
  constexpr int kStride = kTile + 1;  // the columns of a tile written together meet no bank twice
  __shared__ T a_tile[kTileDepth][kStride], b_tile[kTileDepth][kStride];
  const int thread = static_cast<int>(threadIdx.x);
  const int tx = thread % 16, ty = thread / 16;
  T a_next[kLoads], b_next[kLoads];
  const auto place = [&](bool fast, int l, int* k, int* other) {
    const int item = thread + l * kTileThreads;
    *k = fast ? item / kTile : item % kTileDepth;
    *other = fast ? item % kTile : item / kTileDepth;
  };
  const auto load = [&](std::int64_t from) {
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      int k, other;
      place(AFast, l, &k, &other);
      a_next[l] = from + k < last ? a(other, from + k) : T{0};
      place(b_fast, l, &k, &other);
      b_next[l] = from + k < last ? b(from + k, other) : T{0};
    }
  };
  load(first);
  for (std::int64_t from = first; from < last; from += kTileDepth) {
    __syncthreads();  // the tiles before have been read
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      int k, other;
      place(AFast, l, &k, &other);
      a_tile[k][other] = a_next[l];
      place(b_fast, l, &k, &other);
      b_tile[k][other] = b_next[l];
    }
    __syncthreads();
    if (from + kTileDepth < last) load(from + kTileDepth);
#pragma unroll
    for (int k = 0; k < kTileDepth; ++k) {
      T x[kPerThread], y[kPerThread];
#pragma unroll
      for (int r = 0; r < kPerThread; ++r) x[r] = a_tile[k][ty + 16 * r];
#pragma unroll
      for (int c = 0; c < kPerThread; ++c) y[c] = b_tile[k][tx + 16 * c];
#pragma unroll
      for (int r = 0; r < kPerThread; ++r) {
#pragma unroll
        for (int c = 0; c < kPerThread; ++c) sums[r][c] += x[r] * y[c];
      }
    }
  }
}

POLYAD_INLINE constexpr std::int64_t tiles_of(std::int64_t n) { return (n + kTile - 1) / kTile; }

// --- a product for every step --------------------------------------------------------------------

// B[k, j] at data[k * row + j * column].
template <class T>
struct Matrix {
  const T* data;
  std::int64_t row, column;
};

template <class T>
struct RowsProduct {
  Sequences sequences;
  Steps<T> a;      // [B T, K]
  Matrix<T> b;     // [K, J]
  int columns;     // J
  const T* bias;   // [J] or null
  const T* bias2;  // [J] or null; added to the first
  T* out;          // [B T, J]; zero past a sequence's end
};

template <class T>
__global__ void __launch_bounds__(kTileThreads) rows_product_kernel(RowsProduct<T> args) {
  const std::int64_t column_tiles = tiles_of(args.columns);
  const std::int64_t tiles = tiles_of(args.sequences.rows()) * column_tiles;
  const int depth = args.a.columns();
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t n0 = tile / column_tiles * kTile;
    const int j0 = static_cast<int>(tile % column_tiles) * kTile;
    T sums[kPerThread][kPerThread] = {};
    tile_product<false>(
        0, depth,
        [&](int i, std::int64_t k) {
          return step_element(args.a, step_of(args.sequences, n0 + i), static_cast<int>(k));
        },
        [&](std::int64_t k, int j) {
          return j0 + j < args.columns ? args.b.data[k * args.b.row + (j0 + j) * args.b.column]
                                       : T{0};
        },
        args.b.column == 1, sums);
    for (int r = 0; r < kPerThread; ++r) {
      const std::int64_t n = n0 + ty + 16 * r;
      if (n >= args.sequences.rows()) continue;
      const bool inside = step_of(args.sequences, n).inside;
      for (int c = 0; c < kPerThread; ++c) {
        const int j = j0 + tx + 16 * c;
        if (j >= args.columns) continue;
        T value = sums[r][c];
        if (args.bias != nullptr) value += args.bias[j];
        if (args.bias2 != nullptr) value += args.bias2[j];
        args.out[n * args.columns + j] = inside ? value : T{0};
      }
    }
  }
}

template <class T>
void rows_product(const char* name, const RowsProduct<T>& args, cudaStream_t stream) {
  launch(name, rows_product_kernel<T>,
         {tiles_of(args.sequences.rows()) * tiles_of(args.columns), kTileThreads}, stream, args);
}

// --- products over all steps ---------------------------------------------------------------------

// Where a block of columns of C goes: element (i, j) to data[i * row + j], and the same to `twin`.
template <class T>
struct Target {
  T* data;  // null: not wanted
  T* twin;  // or null
  std::int64_t row;
};

template <class T>
struct StepsProduct {
  Columns<T> a;                   // [B T, I]
  Steps<T> b;                     // [B T, J]
  Target<T> targets[kMostParts];  // for the columns of each part of b
};

constexpr int kMostProducts = 10;

// Several products over the same steps, in one launch.
template <class T>
struct StepsProducts {
  Sequences sequences;
  StepsProduct<T> products[kMostProducts];
  int count = 0;

  POLYAD_INLINE std::int64_t tiles(int p) const {
    return tiles_of(products[p].a.count) * tiles_of(products[p].b.columns());
  }
  POLYAD_INLINE std::int64_t elements(int p) const {
    return std::int64_t{products[p].a.count} * products[p].b.columns();
  }
};

// Parts that the steps are cut into: enough to fill a large device, from the sizes alone.
POLYAD_INLINE constexpr std::int64_t steps_parts(std::int64_t rows, std::int64_t tiles) {
  constexpr std::int64_t kBlocks = 264, kFewest = 4 * kTileDepth;
  std::int64_t parts = tiles == 0 ? 1 : (kBlocks + tiles - 1) / tiles;
  const std::int64_t most = (rows + kFewest - 1) / kFewest;
  parts = parts < most ? parts : most;
  return parts < 1 ? 1 : parts;
}

template <class T>
__global__ void __launch_bounds__(kTileThreads)
    steps_product_kernel(const __grid_constant__ StepsProducts<T> args, std::int64_t parts,
                         T* partial) {
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  std::int64_t all = 0;
  for (int p = 0; p < args.count; ++p) all += args.tiles(p);
  for (std::int64_t item = blockIdx.x; item < all * parts; item += gridDim.x) {
    const std::int64_t part = item / all;
    std::int64_t tile = item % all;
    T* out = partial;
    int p = 0;
    for (; tile >= args.tiles(p); ++p) {
      tile -= args.tiles(p);
      out += args.elements(p) * parts;
    }
    const StepsProduct<T>& product = args.products[p];
    const int I = product.a.count, J = product.b.columns();
    const int i0 = static_cast<int>(tile / tiles_of(J)) * kTile;
    const int j0 = static_cast<int>(tile % tiles_of(J)) * kTile;
    const std::int64_t rows = args.sequences.rows();
    T sums[kPerThread][kPerThread] = {};
    tile_product<true>(
        rows * part / parts, rows * (part + 1) / parts,
        [&](int i, std::int64_t n) {
          return step_element(product.a, step_of(args.sequences, n), i0 + i);
        },
        [&](std::int64_t n, int j) {
          return step_element(product.b, step_of(args.sequences, n), j0 + j);
        },
        true, sums);
    out += part * args.elements(p);
    for (int r = 0; r < kPerThread; ++r) {
      for (int c = 0; c < kPerThread; ++c) {
        const int i = i0 + ty + 16 * r, j = j0 + tx + 16 * c;
        if (i < I && j < J) out[static_cast<std::int64_t>(i) * J + j] = sums[r][c];
      }
    }
  }
}

// The parts in order, to where they go.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    add_parts_kernel(const __grid_constant__ StepsProducts<T> args, std::int64_t parts,
                     const T* partial) {
  for (int p = 0; p < args.count; ++p) {
    const StepsProduct<T>& product = args.products[p];
    const std::int64_t size = args.elements(p);
    const int J = product.b.columns();
    for (std::int64_t e = blockIdx.x * std::int64_t{kTileThreads} + threadIdx.x; e < size;
         e += std::int64_t{gridDim.x} * kTileThreads) {
      T sum = partial[e];
      for (std::int64_t q = 1; q < parts; ++q) sum += partial[q * size + e];
      const std::int64_t i = e / J;
      int j = static_cast<int>(e % J);
#pragma unroll
      for (int q = 0; q < kMostParts; ++q) {
        if (q >= product.b.part_count) break;
        const int columns = product.b.parts[q].count;
        if (j < columns) {
          const Target<T>& target = product.targets[q];
          if (target.data != nullptr) target.data[i * target.row + j] = sum;
          if (target.twin != nullptr) target.twin[i * target.row + j] = sum;
          break;
        }
        j -= columns;
      }
    }
    partial += size * parts;
  }
}

// partial: scratch of `parts` times the elements of all products.
template <class T>
void steps_products(const char* name, const StepsProducts<T>& args, std::int64_t parts, T* partial,
                    cudaStream_t stream) {
  std::int64_t tiles = 0, largest = 0;
  for (int p = 0; p < args.count; ++p) {
    tiles += args.tiles(p);
    largest = args.elements(p) > largest ? args.elements(p) : largest;
  }
  launch(name, steps_product_kernel<T>, {tiles * parts, kTileThreads}, stream, args, parts,
         partial);
  launch(name, add_parts_kernel<T>, {(largest + kTileThreads - 1) / kTileThreads, kTileThreads},
         stream, args, parts, partial);
}

}  // namespace
}  // namespace polyad::cuda
