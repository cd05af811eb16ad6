#include <cmath>

#include "hypernet_cases.hpp"
#include "levels.hpp"

namespace polyad::testing {
namespace {

class Energy : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Energy);

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

// Real samples and edges, in T, with the answers in double by the definition. Beside each sum
// stands the sum of its absolute terms, which the error is relative to.
template <class T>
struct Problem {
  std::int64_t samples, variables;
  EdgeList edges;
  Plan plan;
  std::vector<T> x, weights, grad;
  std::vector<double> energy, grad_x, grad_w;
  std::vector<double> energy_scale, grad_x_scale, grad_w_scale;

  Problem(Generator& random, std::int64_t n, std::int64_t i, EdgeList list, bool zeros)
      : samples(n),
        variables(i),
        edges(std::move(list)),
        plan(edges, shuffled_order(random, edges.size())) {
    // |x| and |1 - x| near 1 keep the products of long edges in range
    std::uniform_real_distribution<double> step(-0.1, 0.1), weight(-2, 3);
    std::bernoulli_distribution coin(0.5), rare(0.1);
    for (std::int64_t a = 0; a < n * i; ++a) {
      x.push_back(static_cast<T>(zeros && rare(random) ? (coin(random) ? 0.0 : 1.0)
                                                       : (coin(random) ? 1 : -1) + step(random)));
    }
    for (std::int64_t e = 0; e < edges.size(); ++e) {
      weights.push_back(static_cast<T>(weight(random)));
    }
    for (std::int64_t s = 0; s < n; ++s) grad.push_back(static_cast<T>(weight(random)));
    solve();
  }

  double factor(std::int64_t n, std::int64_t e, std::size_t l) const {
    const double value = x[size(n * variables + edges.variables[size(e)][l])];
    return edges.values[size(e)][l] ? value : 1 - value;
  }

  void solve() {
    energy.assign(size(samples), 0);
    grad_x.assign(size(samples * variables), 0);
    grad_w.assign(size(edges.size()), 0);
    energy_scale = energy;
    grad_x_scale = grad_x;
    grad_w_scale = grad_w;
    for (std::int64_t n = 0; n < samples; ++n) {
      for (std::int64_t e = 0; e < edges.size(); ++e) {
        const auto& literals = edges.variables[size(e)];
        double product = 1;
        for (std::size_t l = 0; l < literals.size(); ++l) product *= factor(n, e, l);
        const double w = weights[size(e)], g = grad[size(n)];
        energy[size(n)] -= w * product;
        energy_scale[size(n)] += std::abs(w * product);
        grad_w[size(e)] -= g * product;
        grad_w_scale[size(e)] += std::abs(g * product);
        for (std::size_t l = 0; l < literals.size(); ++l) {
          double others = edges.values[size(e)][l] ? -g * w : g * w;
          for (std::size_t m = 0; m < literals.size(); ++m) {
            if (m != l) others *= factor(n, e, m);
          }
          grad_x[size(n * variables + literals[l])] += others;
          grad_x_scale[size(n * variables + literals[l])] += std::abs(others);
        }
      }
    }
  }

  std::vector<T> forward(const hypernet::EnergyTable& table) const {
    std::vector<T> out(size(samples), T(77));
    std::vector<T> tiles(
        size(hypernet::energy_tiles<T>(samples) * variables * hypernet::kEnergyTile<T>), T(99));
    const hypernet::EnergyArgs<T> args{x.data(),       samples,    variables,   plan.view(),
                                       weights.data(), out.data(), tiles.data()};
    if constexpr (std::is_same_v<T, float>) {
      table.energy_float(args);
    } else {
      table.energy_double(args);
    }
    return out;
  }

  struct Gradients {
    std::vector<T> x, w;
    bool operator==(const Gradients&) const = default;
  };

  Gradients backward(const hypernet::EnergyTable& table, bool want_x, bool want_w) const {
    const std::int64_t S = hypernet::kEnergyTile<T>, tiles = hypernet::energy_tiles<T>(samples);
    const std::int64_t G = hypernet::energy_tile_parts<T>(samples);
    std::int64_t longest = 0;
    for (const auto& literals : edges.variables) {
      longest = std::max(longest, static_cast<std::int64_t>(literals.size()));
    }
    Gradients out{std::vector<T>(size(want_x ? samples * variables : 0), T(77)),
                  std::vector<T>(size(want_w ? edges.size() : 0), T(77))};
    std::vector<T> tile(size(tiles * variables * S), T(99));
    std::vector<T> grad_tiles(size(want_x ? hypernet::kEnergyParts / G * tiles * variables * S : 0),
                              T(99));
    std::vector<double> parts(size(want_w ? G * edges.size() : 0), 99);
    std::vector<T> products(size(hypernet::kEnergyParts * longest * S), T(99));
    const hypernet::EnergyBackwardArgs<T> args{x.data(),
                                               samples,
                                               variables,
                                               plan.view(),
                                               want_x ? weights.data() : nullptr,
                                               grad.data(),
                                               want_x ? out.x.data() : nullptr,
                                               want_w ? out.w.data() : nullptr,
                                               tile.data(),
                                               grad_tiles.data(),
                                               parts.data(),
                                               products.data(),
                                               longest};
    if constexpr (std::is_same_v<T, float>) {
      table.energy_backward_float(args);
    } else {
      table.energy_backward_double(args);
    }
    return out;
  }

  // eps of T times this bounds the error: "a few hundred eps of the sum of absolute terms"
  static constexpr double kBound = 400 * (std::is_same_v<T, float> ? 0x1p-23 : 0x1p-52);

  static void expect_near(const std::vector<T>& got, const std::vector<double>& want,
                          const std::vector<double>& scale) {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_LE(std::abs(static_cast<double>(got[i]) - want[i]), kBound * scale[i]) << i;
    }
  }

  void expect_right(const hypernet::EnergyTable& table) const {
    expect_near(forward(table), energy, energy_scale);
    const Gradients both = backward(table, true, true);
    expect_near(both.x, grad_x, grad_x_scale);
    expect_near(both.w, grad_w, grad_w_scale);
    EXPECT_EQ(backward(table, true, false).x, both.x);
    EXPECT_EQ(backward(table, false, true).w, both.w);
  }
};

template <class T>
void expect_sizes(const hypernet::EnergyTable& table, Generator& random) {
  for (std::int64_t n : {0, 1, 31, 32, 33, 63, 64, 65, 127, 129, 300, 513}) {
    for (std::int64_t i : {1, 15, 16, 17, 33}) {
      SCOPED_TRACE("N=" + std::to_string(n) + " I=" + std::to_string(i));
      Problem<T>(random, n, i, random_edges(random, i, 90, 4), true).expect_right(table);
    }
  }
}

TEST_P(Energy, Sizes) {
  Generator random(21);
  expect_sizes<float>(energies(), random);
  expect_sizes<double>(energies(), random);
}

TEST_P(Energy, EdgeCounts) {
  Generator random(22);
  for (std::int64_t e : {0, 1, 2, 3, 4, 5, 8, 255, 256, 257, 1000}) {
    SCOPED_TRACE("E=" + std::to_string(e));
    Problem<float>(random, 70, 20, random_edges(random, 20, e, 5), true).expect_right(energies());
    Problem<double>(random, 70, 20, random_edges(random, 20, e, 5), true).expect_right(energies());
  }
}

TEST_P(Energy, OrdersAroundTheUnrolledOnes) {
  Generator random(23);
  for (int k = 0; k <= 20; ++k) {
    SCOPED_TRACE("k=" + std::to_string(k));
    EdgeList edges;
    for (int e = 0; e < 60; ++e) {
      add_edge(edges, random, 40, k, static_cast<int>(below(random, k + 1)));
    }
    Problem<float>(random, 100, 40, edges, true).expect_right(energies());
    Problem<double>(random, 100, 40, edges, true).expect_right(energies());
  }
}

TEST_P(Energy, LongEdges) {
  Generator random(24);
  EdgeList edges;
  for (int k : {9, 64, 65, 100, 130, 150}) add_edge(edges, random, 150, k, 0);
  Problem<float>(random, 40, 150, edges, false).expect_right(energies());
  Problem<double>(random, 40, 150, edges, false).expect_right(energies());
}

// Edges that share their first literals, sorted as a plan sorts them.
TEST_P(Energy, SharedPrefixes) {
  Generator random(25);
  EdgeList edges;
  for (std::int32_t a = 0; a < 6; ++a) {
    for (std::int32_t b = a + 1; b < 9; ++b) {
      for (std::int32_t c = b + 1; c < 12; ++c) {
        edges.variables.push_back({a, b, c});
        edges.values.push_back({1, 1, static_cast<std::uint8_t>(c % 4 != 0)});
      }
    }
  }
  Problem<float> problem(random, 100, 12, edges, true);
  problem.plan = Plan(edges, caller_order(edges.size()));
  problem.expect_right(energies());
}

// No x times its own gradient: where a literal is 0, its leave-one-out product is still exact.
TEST_P(Energy, ZerosAreExact) {
  EdgeList edges;
  edges.variables = {{0, 1, 2}};
  edges.values = {{1, 1, 1}};
  Generator random(26);
  Problem<float> problem(random, 3, 3, edges, false);
  problem.x = {0, 3, 5, 0, 0, 7, 2, 3, 0};
  problem.weights = {2};
  problem.grad = {1, 1, 1};
  const auto gradients = problem.backward(energies(), true, true);
  EXPECT_EQ(gradients.x, (std::vector<float>{-30, 0, 0, 0, 0, 0, 0, 0, -12}));
  EXPECT_EQ(gradients.w, std::vector<float>{0});
  EXPECT_EQ(problem.forward(energies()), (std::vector<float>{0, 0, 0}));
}

template <class T>
void expect_threads_equal(const hypernet::EnergyTable& table, Generator& random) {
  for (std::int64_t n : {20, 130, 700}) {
    const Problem<T> problem(random, n, 50, random_edges(random, 50, 900, 12), true);
    set_num_threads(1);
    const auto energy = problem.forward(table);
    const auto gradients = problem.backward(table, true, true);
    set_num_threads(2);
    EXPECT_EQ(problem.forward(table), energy);
    EXPECT_EQ(problem.backward(table, true, true), gradients);
  }
}

TEST_P(Energy, TwoThreadsGiveTheSameBits) {
  Generator random(27);
  expect_threads_equal<float>(energies(), random);
  expect_threads_equal<double>(energies(), random);
}

}  // namespace
}  // namespace polyad::testing
