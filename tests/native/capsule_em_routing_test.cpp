// EM routing at every level: the forward pass beside its definition in double, the backward pass
// beside level v2 in double (whose gradients tests/ops/test_capsule_em_routing.py compares with
// autograd); tails, scratch, alignment, threads.
#include "ntm_cases.hpp"

namespace polyad::testing {
namespace {

using capsule::EmShape;

class EmRouting : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(EmRouting);

constexpr double kEpsilon = 1e-3;

void call(const EmRoutingTables& t, const capsule::EmRoutingArgs<float>& a) {
  t.forward.em_routing_float(a);
}
void call(const EmRoutingTables& t, const capsule::EmRoutingArgs<double>& a) {
  t.forward.em_routing_double(a);
}
void call(const EmRoutingTables& t, const capsule::EmRoutingBackwardArgs<float>& a) {
  t.backward.em_routing_backward_float(a);
}
void call(const EmRoutingTables& t, const capsule::EmRoutingBackwardArgs<double>& a) {
  t.backward.em_routing_backward_double(a);
}

// Where the arrays of a result stand.
enum : std::size_t { kOut, kActivations, kMu, kVariance, kScore, kMass, kGradients };

// The arguments of both passes. They are drawn as float, so that double computes on the same
// numbers.
struct Problem {
  EmShape shape;
  std::vector<double> schedule;
  std::vector<float> poses, activations, weight, beta_u, beta_a, grad_poses, grad_activations;

  Problem(Generator& random, const EmShape& s) : shape(s) {
    const std::int64_t B = s.batch, I = s.inputs, J = s.outputs;
    for (std::int64_t t = 0; t < s.iterations; ++t) {
      schedule.push_back(0.01 * static_cast<double>(t + 1));
    }
    poses = uniform<float>(random, B * I * s.pose(), -2, 2);
    activations = uniform<float>(random, B * I, 0, 1);
    weight = uniform<float>(random, I * s.rows(), -1, 1);
    beta_u = uniform<float>(random, J, -1, 1);
    beta_a = uniform<float>(random, J, -1, 1);
    grad_poses = uniform<float>(random, B * s.rows(), -1, 1);
    grad_activations = uniform<float>(random, B * J, -1, 1);
  }

  // Outputs, what is kept, and all gradients; every array begins `offset` elements after the start
  // of an allocation.
  template <class T>
  Arrays<T> run(const EmRoutingTables& tables, std::int64_t parts = 1,
                std::int64_t offset = 0) const {
    const std::int64_t B = shape.batch, I = shape.inputs, J = shape.outputs;
    const std::int64_t rows = shape.rows(), r = shape.iterations;
    const auto given = [&](const std::vector<float>& x) {
      std::vector<T> y = unset<T>(offset);
      y.insert(y.end(), x.begin(), x.end());
      return y;
    };
    const std::vector<T> m = given(poses), a = given(activations), w = given(weight),
                         u = given(beta_u), v = given(beta_a), gm = given(grad_poses),
                         ga = given(grad_activations);
    Arrays<T> all;
    for (std::int64_t count : {B * rows, B * J, r * B * rows, r * B * rows, r * B * J, r * B * J,
                               B * I * shape.pose(), B * I, I * rows, J, J}) {
      all.push_back(unset<T>(offset + count));
    }
    const auto at = [&](std::size_t which) { return all[which].data() + offset; };
    std::vector<T> scratch = unset<T>(capsule::em_routing_scratch<T>(shape, parts));
    call(tables,
         capsule::EmRoutingArgs<T>{shape, kEpsilon, schedule.data(), m.data() + offset,
                                   a.data() + offset, w.data() + offset, u.data() + offset,
                                   v.data() + offset, at(kOut), at(kActivations), at(kMu),
                                   at(kVariance), at(kScore), at(kMass), parts, scratch.data()});
    scratch = unset<T>(capsule::em_routing_backward_scratch<T>(shape, parts));
    call(tables, capsule::EmRoutingBackwardArgs<T>{shape,
                                                   kEpsilon,
                                                   schedule.data(),
                                                   m.data() + offset,
                                                   a.data() + offset,
                                                   w.data() + offset,
                                                   u.data() + offset,
                                                   at(kMu),
                                                   at(kVariance),
                                                   at(kScore),
                                                   at(kMass),
                                                   gm.data() + offset,
                                                   ga.data() + offset,
                                                   at(kGradients),
                                                   at(kGradients + 1),
                                                   at(kGradients + 2),
                                                   at(kGradients + 3),
                                                   at(kGradients + 4),
                                                   parts,
                                                   scratch.data()});
    for (auto& array : all) array.erase(array.begin(), array.begin() + offset);
    return all;
  }

  double vote(std::int64_t b, std::int64_t i, std::int64_t j, std::int64_t h) const {
    const std::int64_t p = shape.side, P = shape.pose(), row = h / p, q = h % p;
    double sum = 0;
    for (std::int64_t k = 0; k < p; ++k) {
      sum += static_cast<double>(poses[size((b * shape.inputs + i) * P + row * p + k)]) *
             static_cast<double>(weight[size((i * shape.outputs + j) * P + k * p + q)]);
    }
    return sum;
  }

  // Poses and activations by definition.
  Arrays<double> solve() const {
    const std::int64_t I = shape.inputs, J = shape.outputs, P = shape.pose();
    Arrays<double> out{std::vector<double>(size(shape.batch * J * P)),
                       std::vector<double>(size(shape.batch * J))};
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      std::vector<double> share(size(I * J), 1.0 / static_cast<double>(J));
      std::vector<double> mu(size(J * P)), variance(size(J * P)), score(size(J));
      for (double lambda : schedule) {
        for (std::int64_t j = 0; j < J; ++j) {
          double mass = 0, cost = 0;
          const auto assigned = [&](std::int64_t i) {
            return share[size(i * J + j)] * static_cast<double>(activations[size(b * I + i)]);
          };
          for (std::int64_t i = 0; i < I; ++i) mass += assigned(i);
          for (std::int64_t h = 0; h < P; ++h) {
            double sum = 0, spread = 0;
            for (std::int64_t i = 0; i < I; ++i) sum += assigned(i) * vote(b, i, j, h);
            const double mean = sum / (mass + kEpsilon);
            for (std::int64_t i = 0; i < I; ++i) {
              spread += assigned(i) * std::pow(vote(b, i, j, h) - mean, 2);
            }
            mu[size(j * P + h)] = mean;
            variance[size(j * P + h)] = spread / (mass + kEpsilon) + kEpsilon;
            cost += mass * (static_cast<double>(beta_u[size(j)]) +
                            0.5 * std::log(variance[size(j * P + h)]));
          }
          score[size(j)] = lambda * (static_cast<double>(beta_a[size(j)]) - cost);
        }
        for (std::int64_t i = 0; i < I; ++i) {
          std::vector<double> logit(size(J));
          for (std::int64_t j = 0; j < J; ++j) {
            logit[size(j)] = -std::log1p(std::exp(-score[size(j)]));
            for (std::int64_t h = 0; h < P; ++h) {
              const double of = variance[size(j * P + h)];
              logit[size(j)] -= 0.5 * std::log(of) +
                                std::pow(vote(b, i, j, h) - mu[size(j * P + h)], 2) / (2 * of);
            }
          }
          const double most = *std::max_element(logit.begin(), logit.end());
          double whole = 0;
          for (double each : logit) whole += std::exp(each - most);
          for (std::int64_t j = 0; j < J; ++j) {
            share[size(i * J + j)] = std::exp(logit[size(j)] - most) / whole;
          }
        }
      }
      for (std::int64_t j = 0; j < J; ++j) {
        out[1][size(b * J + j)] = 1 / (1 + std::exp(-score[size(j)]));
        for (std::int64_t h = 0; h < P; ++h) {
          out[0][size((b * J + j) * P + h)] = mu[size(j * P + h)];
        }
      }
    }
    return out;
  }
};

const EmRoutingTables& baseline() {
  static const EmRoutingTables tables{capsule::v2::em_routing_table,
                                      capsule::v2::em_routing_backward_table};
  return tables;
}

// Each array relative to its own largest number.
template <class T>
void expect_relative(const Arrays<T>& got, const Arrays<double>& want, double tolerance) {
  ASSERT_LE(want.size(), got.size());
  for (std::size_t a = 0; a < want.size(); ++a) {
    ASSERT_EQ(got[a].size(), want[a].size());
    double largest = 1e-30;
    for (double each : want[a]) largest = std::max(largest, std::abs(each));
    for (std::size_t i = 0; i < want[a].size(); ++i) {
      ASSERT_LE(std::abs(static_cast<double>(got[a][i]) - want[a][i]), tolerance * largest)
          << "array " << a << " element " << i;
    }
  }
}

TEST_P(EmRouting, Sizes) {
  Generator random(61);
  for (std::int64_t B : {1, 2, 3, 4, 5, 8, 15, 17}) {
    for (const auto& [I, J, p, r] : {std::array<std::int64_t, 4>{1, 1, 1, 1},
                                     {1, 3, 2, 2},
                                     {5, 1, 4, 3},
                                     {17, 3, 4, 2},
                                     {33, 2, 3, 3},
                                     {40, 5, 4, 1}}) {
      const EmShape shape{B, I, J, p, r};
      SCOPED_TRACE("B=" + std::to_string(B) + " I=" + std::to_string(I) + " J=" +
                   std::to_string(J) + " p=" + std::to_string(p) + " r=" + std::to_string(r));
      const Problem problem(random, shape);
      const Arrays<double> want = problem.run<double>(baseline());
      const Arrays<double> got = problem.run<double>(em_routings());
      expect_relative(got, problem.solve(), 1e-10);
      expect_relative(got, want, 1e-10);
      expect_relative(problem.run<float>(em_routings()), want, 1e-4);
    }
  }
}

TEST_P(EmRouting, AlignmentPartsAndThreadsGiveTheSameBits) {
  Generator random(62);
  const Problem problem(random, {19, 50, 3, 4, 3});
  const Arrays<float> want = problem.run<float>(em_routings());
  EXPECT_EQ(problem.run<float>(em_routings(), 1, 3), want);
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (std::int64_t parts : {1, 2, 7, 60}) {
      EXPECT_EQ(problem.run<float>(em_routings(), parts), want);
    }
  }
}

TEST_P(EmRouting, EmptyBatch) {
  Generator random(63);
  const Arrays<float> got = Problem(random, {0, 5, 3, 2, 2}).run<float>(em_routings());
  for (std::size_t a = 0; a < kGradients + 2; ++a) EXPECT_TRUE(got[a].empty());
  for (std::size_t a = kGradients + 2; a < got.size(); ++a) {
    for (float each : got[a]) EXPECT_EQ(each, 0);
  }
}

}  // namespace
}  // namespace polyad::testing
