// squash at every level beside the formula in double: every layout and tail, unaligned arrays,
// the ends of the range, threads.
#include "ntm_cases.hpp"

namespace polyad::testing {
namespace {

using capsule::SquashShape;

class Squash : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Squash);

void call(const capsule::SquashTable& t, const capsule::SquashArgs<float>& a) { t.squash_float(a); }
void call(const capsule::SquashTable& t, const capsule::SquashArgs<double>& a) {
  t.squash_double(a);
}
void call(const capsule::SquashTable& t, const capsule::SquashBackwardArgs<float>& a) {
  t.squash_backward_float(a);
}
void call(const capsule::SquashTable& t, const capsule::SquashBackwardArgs<double>& a) {
  t.squash_backward_double(a);
}

template <class T>
struct Problem {
  SquashShape shape;
  std::vector<T> s, grad;

  Problem(Generator& random, const SquashShape& of) : shape(of) {
    const std::int64_t count = of.outer * of.size * of.inner;
    s = signs<T>(random, count);
    grad = uniform<T>(random, count, -1, 1);
  }

  // v and s', in arrays that begin `offset` elements after the start of an allocation.
  Arrays<T> run(const capsule::SquashTable& table, std::int64_t offset = 0) const {
    const std::int64_t count = std::ssize(s);
    const auto moved = [&](const std::vector<T>& x) {
      std::vector<T> y = unset<T>(offset + count);
      std::copy(x.begin(), x.end(), y.begin() + offset);
      return y;
    };
    const std::vector<T> from = moved(s), by = moved(grad);
    Arrays<T> all{unset<T>(offset + count), unset<T>(offset + count)};
    call(table, capsule::SquashArgs<T>{shape, from.data() + offset, all[0].data() + offset});
    call(table, capsule::SquashBackwardArgs<T>{shape, from.data() + offset, by.data() + offset,
                                               all[1].data() + offset});
    for (auto& array : all) {
      for (std::int64_t i = 0; i < offset; ++i) EXPECT_TRUE(std::isnan(array[size(i)]));
      array.erase(array.begin(), array.begin() + offset);
    }
    return all;
  }

  Arrays<T> solve() const {
    Arrays<T> all{unset<T>(std::ssize(s)), unset<T>(std::ssize(s))};
    for (std::int64_t vector = 0; vector < shape.outer * shape.inner; ++vector) {
      const std::int64_t first =
          vector / shape.inner * shape.size * shape.inner + vector % shape.inner;
      const auto at = [&](std::int64_t d) { return size(first + d * shape.inner); };
      double square = 0, along = 0;
      for (std::int64_t d = 0; d < shape.size; ++d) {
        square += static_cast<double>(s[at(d)]) * static_cast<double>(s[at(d)]);
        along += static_cast<double>(s[at(d)]) * static_cast<double>(grad[at(d)]);
      }
      const double phi = std::sqrt(square) / (1 + square);
      const double radial = (1 - square) / (std::sqrt(square) * (1 + square) * (1 + square));
      for (std::int64_t d = 0; d < shape.size; ++d) {
        const auto x = static_cast<double>(s[at(d)]);
        all[0][at(d)] = static_cast<T>(phi * x);
        all[1][at(d)] = static_cast<T>(phi * static_cast<double>(grad[at(d)]) + radial * along * x);
      }
    }
    return all;
  }
};

template <class T>
void expect_sizes(const capsule::SquashTable& table, Generator& random) {
  for (std::int64_t D : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 100}) {
    for (std::int64_t outer : {1, 2, 7, 17, 33}) {
      for (std::int64_t inner : {1, 2, 5, 16, 21}) {
        SCOPED_TRACE("outer=" + std::to_string(outer) + " D=" + std::to_string(D) +
                     " inner=" + std::to_string(inner));
        const Problem<T> problem(random, {outer, D, inner});
        const Arrays<T> got = problem.run(table);
        expect_near(got, problem.solve(), 16);
        EXPECT_EQ(problem.run(table, 1), got);
      }
    }
  }
}

TEST_P(Squash, Sizes) {
  Generator random(51);
  expect_sizes<float>(squashes(), random);
  expect_sizes<double>(squashes(), random);
}

TEST_P(Squash, EndsOfTheRange) {
  Generator random(52);
  for (std::int64_t inner : {1, 3}) {
    for (std::int64_t D : {4, 100}) {
      for (float value : {0.0f, 1e-38f, 1e-20f, 1e20f, std::numeric_limits<float>::max()}) {
        Problem<float> problem(random, {5, D, inner});
        std::fill(problem.s.begin(), problem.s.end(), value);
        const Arrays<float> got = problem.run(squashes());
        const double length = value > 1 ? 1 / std::sqrt(static_cast<double>(D)) : 0;
        for (std::size_t i = 0; i < got[0].size(); ++i) {
          ASSERT_NEAR(got[0][i], length, 1e-5);
          ASSERT_TRUE(std::isfinite(got[1][i]));
          if (value == 0) {
            ASSERT_EQ(got[1][i], 0);
          }
        }
      }
    }
  }
}

TEST_P(Squash, ThreadsGiveTheSameBits) {
  Generator random(53);
  for (const SquashShape& shape :
       {SquashShape{9001, 8, 1}, SquashShape{7, 8, 1003}, SquashShape{300, 99, 1}}) {
    const Problem<float> problem(random, shape);
    const Arrays<float> want = problem.run(squashes());
    for (int threads : {2, 3}) {
      set_num_threads(threads);
      EXPECT_EQ(problem.run(squashes()), want);
    }
    set_num_threads(1);
  }
}

TEST_P(Squash, Empty) {
  Generator random(54);
  for (const SquashShape& shape : {SquashShape{0, 4, 1}, SquashShape{3, 4, 0}}) {
    for (const auto& array : Problem<float>(random, shape).run(squashes())) {
      EXPECT_TRUE(array.empty());
    }
  }
}

}  // namespace
}  // namespace polyad::testing
