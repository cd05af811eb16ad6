#include "capsule/tables.hpp"
#include "common/parallel.hpp"
#include "common/vector.hpp"

namespace polyad::capsule::POLYAD_ISA {
namespace {

// Contiguous vectors (inner = 1) of up to this size are transposed a register of vectors at a time.
constexpr std::int64_t kMostRows = 64;

// rows[d] <- number d of L vectors, of which `count` exist; vector i begins at from + i * size.
template <class T>
POLYAD_INLINE void load_vectors(const T* from, std::int64_t size, std::int64_t count,
                                Vector<T>* rows) {
  constexpr int L = kLanes<T>;
  for (std::int64_t d = 0; d < size; d += L) {
    Vector<T> block[L];
    for (int i = 0; i < L; ++i) {
      block[i] = i < count ? load_up_to(from + i * size + d, size - d) : Vector<T>{};
    }
    transpose<1, T>(block);
    for (int i = 0; i < L && d + i < size; ++i) rows[d + i] = block[i];
  }
}

template <class T>
POLYAD_INLINE void store_vectors(const Vector<T>* rows, std::int64_t size, std::int64_t count,
                                 T* to) {
  constexpr int L = kLanes<T>;
  for (std::int64_t d = 0; d < size; d += L) {
    Vector<T> block[L];
    for (int i = 0; i < L; ++i) block[i] = d + i < size ? rows[d + i] : Vector<T>{};
    transpose<1, T>(block);
    for (int i = 0; i < L && i < count; ++i) store_first(to + i * size + d, block[i], size - d);
  }
}

// A vector per lane, its numbers reached through s(d); what is made of number d goes to
// put(d, value).
template <class T, class V, class Vectors, class Put>
POLYAD_INLINE void squash_lanes(std::int64_t size, const Vectors& s, const Put& put) {
  const Length<V> length = length_of<T, V>(size, s);
  for (std::int64_t d = 0; d < size; ++d) put(d, length.phi * s(d));
}

template <class T, class V, class Vectors, class Grads, class Put>
POLYAD_INLINE void squash_backward_lanes(std::int64_t size, const Vectors& s, const Grads& grad,
                                         const Put& put) {
  const Length<V> length = length_of<T, V>(size, s);
  V along = V{};
  for (std::int64_t d = 0; d < size; ++d) along = along + s(d) * length.inverse * grad(d);
  along = along * length.radial;
  for (std::int64_t d = 0; d < size; ++d) {
    put(d, length.phi * (grad(d) + along * (s(d) * length.inverse)));
  }
}

// One contiguous vector, its numbers across the lanes: for vectors too long to be transposed.
template <class T>
Length<T> length_of_row(std::int64_t size, const T* s) {
  constexpr int L = kLanes<T>;
  Vector<T> most = {};
  for (std::int64_t d = 0; d < size; d += L) most = larger_size(most, load_up_to(s + d, size - d));
  const T greatest = max_of_lanes<T>(most), shrink = shrink_of<T>(greatest);
  Vector<T> q = {};
  for (std::int64_t d = 0; d < size; d += L) {
    const Vector<T> x = load_up_to(s + d, size - d) * shrink;
    q += x * x;
  }
  return length_from<T>(greatest, shrink, sum_of_lanes<T>(q));
}

template <class T>
void squash_row(std::int64_t size, const T* s, T* v) {
  constexpr int L = kLanes<T>;
  const Length<T> length = length_of_row(size, s);
  for (std::int64_t d = 0; d < size; d += L) {
    store_first(v + d, load_up_to(s + d, size - d) * length.phi, size - d);
  }
}

template <class T>
void squash_backward_row(std::int64_t size, const T* s, const T* grad, T* grad_s) {
  constexpr int L = kLanes<T>;
  const Length<T> length = length_of_row(size, s);
  Vector<T> sum = {};
  for (std::int64_t d = 0; d < size; d += L) {
    sum += load_up_to(s + d, size - d) * length.inverse * load_up_to(grad + d, size - d);
  }
  const T along = sum_of_lanes<T>(sum) * length.radial;
  for (std::int64_t d = 0; d < size; d += L) {
    const Vector<T> unit = load_up_to(s + d, size - d) * length.inverse;
    store_first(grad_s + d, length.phi * (load_up_to(grad + d, size - d) + along * unit), size - d);
  }
}

// Calls body(outer index, first, count) for every run of up to L vectors that stand beside each
// other: of the same outer index where inner > 1. Runs are handed out in pieces worth a thread.
template <class T, class Body>
void for_runs(const SquashShape& shape, const Body& body) {
  constexpr std::int64_t L = kLanes<T>, kLeast = 1 << 14;  // numbers of a piece: microseconds
  const std::int64_t row = shape.inner == 1 ? shape.outer : shape.inner;
  const std::int64_t of_row = (row + L - 1) / L;
  const std::int64_t runs = shape.inner == 1 ? of_row : shape.outer * of_row;
  const std::int64_t numbers = shape.outer * shape.size * shape.inner;
  const std::int64_t pieces = numbers / kLeast + 1 < runs ? numbers / kLeast + 1 : runs;
  parallel_for(pieces, [&](std::int64_t piece) {
    const std::int64_t end = runs * (piece + 1) / pieces;
    for (std::int64_t run = runs * piece / pieces; run < end; ++run) {
      const std::int64_t begin = run % of_row * L;
      body(run / of_row, begin, row - begin < L ? row - begin : L);
    }
  });
}

template <class T>
void squash(const SquashArgs<T>& args) {
  const auto [outer, D, inner] = args.shape;
  if (outer == 0 || inner == 0) return;
  for_runs<T>(
      args.shape, [&, D = D, inner = inner](std::int64_t o, std::int64_t i, std::int64_t count) {
        if (inner > 1) {
          const T* s = args.s + o * D * inner + i;
          T* v = args.v + o * D * inner + i;
          squash_lanes<T, Vector<T>>(
              D, [&](std::int64_t d) { return load_up_to(s + d * inner, count); },
              [&](std::int64_t d, const Vector<T>& x) { store_first(v + d * inner, x, count); });
        } else if (D <= kMostRows) {
          Vector<T> rows[kMostRows];
          load_vectors(args.s + i * D, D, count, rows);
          squash_lanes<T, Vector<T>>(
              D, [&](std::int64_t d) { return rows[d]; },
              [&](std::int64_t d, const Vector<T>& x) { rows[d] = x; });
          store_vectors(rows, D, count, args.v + i * D);
        } else {
          for (std::int64_t k = i; k < i + count; ++k)
            squash_row(D, args.s + k * D, args.v + k * D);
        }
      });
}

template <class T>
void squash_backward(const SquashBackwardArgs<T>& args) {
  const auto [outer, D, inner] = args.shape;
  if (outer == 0 || inner == 0) return;
  for_runs<T>(
      args.shape, [&, D = D, inner = inner](std::int64_t o, std::int64_t i, std::int64_t count) {
        if (inner > 1) {
          const std::int64_t at = o * D * inner + i;
          const T *s = args.s + at, *grad = args.grad + at;
          T* to = args.grad_s + at;
          squash_backward_lanes<T, Vector<T>>(
              D, [&](std::int64_t d) { return load_up_to(s + d * inner, count); },
              [&](std::int64_t d) { return load_up_to(grad + d * inner, count); },
              [&](std::int64_t d, const Vector<T>& x) { store_first(to + d * inner, x, count); });
        } else if (D <= kMostRows) {
          Vector<T> rows[kMostRows], grads[kMostRows];
          load_vectors(args.s + i * D, D, count, rows);
          load_vectors(args.grad + i * D, D, count, grads);
          squash_backward_lanes<T, Vector<T>>(
              D, [&](std::int64_t d) { return rows[d]; }, [&](std::int64_t d) { return grads[d]; },
              [&](std::int64_t d, const Vector<T>& x) { grads[d] = x; });
          store_vectors(grads, D, count, args.grad_s + i * D);
        } else {
          for (std::int64_t k = i; k < i + count; ++k) {
            squash_backward_row(D, args.s + k * D, args.grad + k * D, args.grad_s + k * D);
          }
        }
      });
}

}  // namespace

const SquashTable squash_table{squash<float>, squash<double>, squash_backward<float>,
                               squash_backward<double>};

}  // namespace polyad::capsule::POLYAD_ISA
