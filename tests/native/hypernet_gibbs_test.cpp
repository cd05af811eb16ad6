#include <cmath>

#include "common/random.hpp"
#include "hypernet_cases.hpp"
#include "levels.hpp"

namespace polyad::testing {
namespace {

class Gibbs : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Gibbs);

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

// Known answers of Philox4x32-10: zeros, ones and the digits of pi.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox(0, 0, 0, 0), 0x6627e8d5u);
  EXPECT_EQ(philox(~std::uint64_t{0}, ~std::uint64_t{0}, ~0u, ~0u), 0x408f276du);
  EXPECT_EQ(philox(0x299f31d0a4093822u, 0x85a308d3243f6a88u, 0x13198a2eu, 0x03707344u),
            0xd16cfe09u);
}

TEST(Philox, UniformIsInsideTheUnitInterval) {
  EXPECT_GT(uniform(0), 0.0);
  EXPECT_LT(uniform(~0u), 1.0);
  EXPECT_EQ(uniform(0x80000000u), 0.5 + 0x1p-33);
}

struct Chain {
  Batch batch;
  EdgeList edges;
  std::vector<double> weights;  // multiples of 1/8, so that every field is exact
  std::vector<std::uint64_t> clamp;
  std::int64_t sweeps = 3;
  bool spins = false;
  double temperature = 1.5;
  std::uint64_t seed = 0x123456789abcdef0u;

  bool fixed(std::int64_t n, std::int64_t j) const {
    if (clamp.empty()) return false;
    const std::int64_t group = n / 64, W = batch.width;
    return clamp[size((group / W * batch.variables + j) * W + group % W)] >> (n % 64) & 1;
  }

  // One sample at a time, by the definition of the conditional distribution.
  std::vector<std::uint8_t> by_definition() const {
    std::vector<std::uint8_t> x = batch.x;
    const std::int64_t I = batch.variables;
    for (std::int64_t n = 0; n < batch.samples; ++n) {
      std::uint8_t* row = x.data() + n * I;
      for (std::int64_t sweep = 0; sweep < sweeps; ++sweep) {
        for (std::int64_t j = 0; j < I; ++j) {
          if (fixed(n, j)) continue;
          double field = 0;
          for (std::int64_t e = 0; e < edges.size(); ++e) {
            double term = weights[size(e)];
            bool holds = false;
            for (std::size_t l = 0; l < edges.variables[size(e)].size(); ++l) {
              const std::int32_t variable = edges.variables[size(e)][l];
              const bool positive = edges.values[size(e)][l] != 0;
              const double value = spins ? 2.0 * row[variable] - 1.0 : row[variable];
              if (variable == j) {
                holds = true;
                term *= positive ? 1 : -1;
              } else {
                term *= positive ? value : 1 - value;
              }
            }
            if (holds) field += term;
          }
          const double p = 1 / (1 + std::exp(-field * (spins ? 2 : 1) / temperature));
          row[j] =
              uniform(philox(seed, static_cast<std::uint64_t>(n), static_cast<std::uint32_t>(j),
                             static_cast<std::uint32_t>(sweep))) < p;
        }
      }
    }
    return x;
  }

  template <class T>
  std::vector<std::uint64_t> run(const hypernet::GibbsTable& table, const Plan& plan) const {
    std::vector<std::int64_t> offsets(size(batch.variables + 1));
    std::vector<std::int32_t> incidence;
    for (std::int64_t j = 0; j < batch.variables; ++j) {
      for (std::int64_t e = 0; e < edges.size(); ++e) {
        for (std::int64_t l = plan.offsets[size(e)]; l < plan.offsets[size(e + 1)]; ++l) {
          if (plan.literals[size(l)] == j) incidence.push_back(static_cast<std::int32_t>(e));
        }
      }
      offsets[size(j + 1)] = static_cast<std::int64_t>(incidence.size());
    }
    std::vector<std::uint64_t> words = batch.words;
    const std::vector<T> in_t(weights.begin(), weights.end());
    const hypernet::GibbsArgs<T> args{words.data(),
                                      clamp.empty() ? nullptr : clamp.data(),
                                      batch.samples,
                                      batch.variables,
                                      batch.width,
                                      plan.view(),
                                      offsets.data(),
                                      incidence.data(),
                                      in_t.data(),
                                      sweeps,
                                      spins,
                                      temperature,
                                      seed};
    if constexpr (std::is_same_v<T, float>) {
      table.gibbs_float(args);
    } else {
      table.gibbs_double(args);
    }
    return words;
  }

  void expect_by_definition(const hypernet::GibbsTable& table, Generator& random) const {
    Batch expected = batch;
    expected.x = by_definition();
    expected.pack();
    const Plan plan(edges, shuffled_order(random, edges.size()));
    ASSERT_EQ(run<double>(table, plan), expected.words);
    ASSERT_EQ(run<float>(table, plan), expected.words);
  }
};

Chain random_chain(Generator& random, std::int64_t samples, std::int64_t variables, bool spins,
                   bool clamped) {
  Chain chain{Batch(random, samples, variables),
              random_edges(random, variables, 3 * variables, 5, !spins),
              {},
              {}};
  chain.spins = spins;
  for (std::int64_t e = 0; e < chain.edges.size(); ++e) {
    chain.weights.push_back(static_cast<double>(below(random, 33) - 16) / 8);
  }
  if (clamped) {
    Batch clamp(random, samples, variables, 0.4);
    chain.clamp = clamp.words;
  }
  return chain;
}

TEST_P(Gibbs, FollowsTheConditionalDistribution) {
  Generator random(31);
  for (std::int64_t n : {0, 1, 63, 64, 65, 128, 129, 256, 257, 511, 513, 1030}) {
    for (bool spins : {false, true}) {
      for (bool clamped : {false, true}) {
        SCOPED_TRACE("N=" + std::to_string(n) + (spins ? " spins" : " bits") +
                     (clamped ? " clamped" : ""));
        random_chain(random, n, 20, spins, clamped).expect_by_definition(sampling(), random);
      }
    }
  }
}

TEST_P(Gibbs, OneVariableAndNone) {
  Generator random(32);
  for (std::int64_t i : {0, 1}) {
    random_chain(random, 100, i, false, true).expect_by_definition(sampling(), random);
  }
}

TEST_P(Gibbs, NoSweepsChangeNothing) {
  Generator random(33);
  Chain chain = random_chain(random, 100, 10, false, false);
  chain.sweeps = 0;
  EXPECT_EQ(chain.run<double>(sampling(), Plan(chain.edges, caller_order(chain.edges.size()))),
            chain.batch.words);
}

TEST_P(Gibbs, ExtremeFieldsSaturate) {
  Generator random(34);
  EdgeList edges;
  edges.variables = {{0}, {1}};
  edges.values = {{1}, {1}};
  Chain chain{Batch(random, 200, 2), edges, {4096, -4096}, {}};
  chain.temperature = 1e-3;
  chain.expect_by_definition(sampling(), random);
  const auto words = chain.run<float>(sampling(), Plan(edges, caller_order(2)));
  EXPECT_EQ(words[0], ~std::uint64_t{0});
  EXPECT_EQ(words[static_cast<std::size_t>(chain.batch.width)], 0u);
}

// Draws that lie close to their probability on either side, in both tails: the smallest and largest
// u of many samples.
TEST_P(Gibbs, DrawsNextToTheirProbability) {
  Generator random(36);
  EdgeList edges;
  edges.variables = {{0}};
  edges.values = {{1}};
  Chain chain{Batch(random, 200000, 1), edges, {0}, {}};
  chain.sweeps = 1;
  chain.temperature = 1;
  const auto u = [&](std::int64_t n) {
    return uniform(philox(chain.seed, static_cast<std::uint64_t>(n), 0, 0));
  };
  std::vector<std::int64_t> samples(200000);
  std::iota(samples.begin(), samples.end(), 0);
  std::sort(samples.begin(), samples.end(),
            [&](std::int64_t a, std::int64_t b) { return u(a) < u(b); });
  const Plan plan(edges, caller_order(1));
  for (std::size_t rank : {0, 1, 2, 3, 100, 100000, 199997, 199998, 199999}) {
    const std::int64_t n = samples[rank];
    for (double off : {-1e-2, -1e-4, -1e-6, 1e-6, 1e-4, 1e-2}) {
      const double tail = std::min(u(n), 1 - u(n)) * (1 + off);  // moves P by off of its tail
      const bool high = u(n) > 0.5;
      chain.weights = {(high ? -1 : 1) * std::log(tail / (1 - tail))};
      const auto words = chain.run<double>(sampling(), plan);
      Batch drawn = chain.batch;
      drawn.words = words;
      const bool bit = drawn.word(n, 0) >> (n % 64) & 1;
      EXPECT_EQ(bit, high ? off < 0 : off > 0) << "u=" << u(n) << " off by " << off;
    }
  }
}

TEST_P(Gibbs, TwoThreadsGiveTheSameBits) {
  Generator random(35);
  const Chain chain = random_chain(random, 3000, 30, false, true);
  const Plan plan(chain.edges, shuffled_order(random, chain.edges.size()));
  const auto words = chain.run<float>(sampling(), plan);
  set_num_threads(2);
  EXPECT_EQ(chain.run<float>(sampling(), plan), words);
}

}  // namespace
}  // namespace polyad::testing
