// common/gemm.hpp against the plain loop, at every level.
#include <cmath>
#include <vector>

#include "gemm_levels.hpp"
#include "ntm_cases.hpp"

namespace polyad::testing {

#ifndef POLYAD_X86_LEVELS
namespace v3 = v2;
namespace v4 = v2;
#endif

namespace {

class Gemm : public AtLevel {
 protected:
  template <class T>
  const GemmFunctions<T>& functions() const {
    const GemmTable& table = pick(v2::gemm_table, v3::gemm_table, v4::gemm_table);
    if constexpr (std::is_same_v<T, float>) {
      return table.of_float;
    } else {
      return table.of_double;
    }
  }
};
POLYAD_AT_EVERY_LEVEL(Gemm);

constexpr std::int64_t kGap = 3;  // between the rows of C, and after them
template <class T>
constexpr T kUntouched = T{777};

// A, B and C with room around them, the same numbers however they are stored.
template <class T>
struct Case {
  std::int64_t M, K, N;
  std::vector<T> a, b, c;

  Case(Generator& random, std::int64_t m, std::int64_t k, std::int64_t n)
      : M(m),
        K(k),
        N(n),
        a(uniform<T>(random, m * k, -1, 1)),
        b(uniform<T>(random, k * n, -1, 1)),
        c(uniform<T>(random, m * n, -1, 1)) {}

  // C + A B, where A is stored with other strides, B transposed or not.
  std::vector<T> product(const GemmFunctions<T>& gemm, bool turned_a, bool turned_b,
                         std::int64_t zero_row = -1) const {
    // exactly as much memory as is to be read: a sanitizer sees the first element beyond
    std::vector<T> stored_a(a.size()), stored_b(b.size());
    for (std::int64_t i = 0; i < M; ++i) {
      for (std::int64_t k = 0; k < K; ++k) {
        stored_a[size(turned_a ? k * M + i : i * K + k)] = a[size(i * K + k)];
      }
    }
    for (std::int64_t k = 0; k < K; ++k) {
      for (std::int64_t n = 0; n < N; ++n) {
        stored_b[size(turned_b ? n * K + k : k * N + n)] = b[size(k * N + n)];
      }
    }
    std::vector<T> wide(size(M * (N + kGap)), kUntouched<T>);
    for (std::int64_t i = 0; i < M; ++i) {
      for (std::int64_t n = 0; n < N; ++n) wide[size(i * (N + kGap) + n)] = c[size(i * N + n)];
    }
    const std::int64_t packed_size = gemm.packed_size(K, N);
    std::vector<T> packed = unset<T>(packed_size + 1);
    packed.back() = kUntouched<T>;
    gemm.multiply({M, K, N, stored_a.data(), turned_a ? 1 : K, turned_a ? M : 1, stored_b.data(),
                   turned_b ? K : N, turned_b, zero_row, packed.data(), wide.data(), N + kGap});
    EXPECT_EQ(packed.back(), kUntouched<T>);
    for (std::int64_t j = 0; j < packed_size; ++j) EXPECT_FALSE(std::isnan(packed[size(j)]));
    std::vector<T> result;
    for (std::int64_t i = 0; i < M; ++i) {
      for (std::int64_t n = 0; n < N; ++n) result.push_back(wide[size(i * (N + kGap) + n)]);
      for (std::int64_t n = N; n < N + kGap; ++n) {
        EXPECT_EQ(wide[size(i * (N + kGap) + n)], kUntouched<T>);
      }
    }
    return result;
  }

  std::vector<T> by_definition(std::int64_t zero_row = -1) const {
    std::vector<T> result;
    for (std::int64_t i = 0; i < M; ++i) {
      for (std::int64_t n = 0; n < N; ++n) {
        double sum = c[size(i * N + n)];
        for (std::int64_t k = 0; k < K; ++k) {
          if (k != zero_row) sum += double{a[size(i * K + k)]} * double{b[size(k * N + n)]};
        }
        result.push_back(static_cast<T>(sum));
      }
    }
    return result;
  }
};

template <class T>
void expect_definition(const GemmFunctions<T>& gemm) {
  Generator random(1);
  for (std::int64_t N = 1; N <= 97; ++N) {
    for (std::int64_t M : {std::int64_t{1}, std::int64_t{2}, 1 + N % 13}) {
      const std::int64_t K = 1 + (7 * N + M) % 41;
      SCOPED_TRACE("M=" + std::to_string(M) + " K=" + std::to_string(K) +
                   " N=" + std::to_string(N));
      const Case<T> each(random, M, K, N);
      const std::vector<T> plain = each.product(gemm, false, false);
      expect_near<T>({plain}, {each.by_definition()}, 4.0 * static_cast<double>(K));
      EXPECT_EQ(each.product(gemm, true, false), plain);
      EXPECT_EQ(each.product(gemm, false, true), plain);
      expect_near<T>({each.product(gemm, false, false, K / 2)}, {each.by_definition(K / 2)},
                     4.0 * static_cast<double>(K));
    }
  }
}

TEST_P(Gemm, IsTheSumByDefinition) {
  expect_definition(functions<float>());
  expect_definition(functions<double>());
}

// Every element by itself has the bits that it has among others.
template <class T>
void expect_no_neighbours(const GemmFunctions<T>& gemm) {
  Generator random(2);
  for (const auto [M, K, N] : {std::array<std::int64_t, 3>{13, 19, 97}, {7, 300, 70}, {6, 1, 33}}) {
    const Case<T> whole(random, M, K, N);
    const std::vector<T> want = whole.product(gemm, false, false);
    for (std::int64_t rows = 1; rows < M; ++rows) {
      for (std::int64_t first = 0; first + rows <= M; first += rows) {
        Case<T> part = whole;
        part.M = rows;
        part.a.assign(whole.a.begin() + first * K, whole.a.begin() + (first + rows) * K);
        part.c.assign(whole.c.begin() + first * N, whole.c.begin() + (first + rows) * N);
        const std::vector<T> got = part.product(gemm, false, false);
        EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin() + first * N))
            << rows << " rows from " << first;
      }
    }
    for (std::int64_t columns : {std::int64_t{1}, std::int64_t{5}, std::int64_t{31}, N - 1}) {
      Case<T> part = whole;
      part.N = columns;
      part.b.clear();
      part.c.clear();
      for (std::int64_t k = 0; k < K; ++k) {
        part.b.insert(part.b.end(), whole.b.begin() + k * N, whole.b.begin() + k * N + columns);
      }
      for (std::int64_t i = 0; i < M; ++i) {
        part.c.insert(part.c.end(), whole.c.begin() + i * N, whole.c.begin() + i * N + columns);
      }
      const std::vector<T> got = part.product(gemm, false, false);
      for (std::int64_t i = 0; i < M; ++i) {
        EXPECT_TRUE(std::equal(got.begin() + i * columns, got.begin() + (i + 1) * columns,
                               want.begin() + i * N))
            << columns << " columns, row " << i;
      }
    }
  }
}

TEST_P(Gemm, AnElementDoesNotDependOnItsNeighbours) {
  expect_no_neighbours(functions<float>());
  expect_no_neighbours(functions<double>());
}

TEST_P(Gemm, NothingIsNothing) {
  Generator random(3);
  const GemmFunctions<float>& gemm = functions<float>();
  for (const auto [M, K, N] : {std::array<std::int64_t, 3>{0, 3, 4}, {3, 0, 4}, {3, 4, 0}}) {
    const Case<float> each(random, M, K, N);
    EXPECT_EQ(each.product(gemm, false, false), each.c);
    EXPECT_EQ(each.product(gemm, false, true), each.c);
  }
}

}  // namespace
}  // namespace polyad::testing
