#include <cmath>

#include "hypernet_cases.hpp"
#include "levels.hpp"

namespace polyad::testing {
namespace {

class Match : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Match);

// The definition: at most t literals of edge e differ from sample n.
bool matches(const Batch& batch, const EdgeList& edges, std::int64_t n, std::int64_t e, int t) {
  int mismatches = 0;
  const auto& variables = edges.variables[static_cast<std::size_t>(e)];
  for (std::size_t i = 0; i < variables.size(); ++i) {
    mismatches += batch.at(n, variables[i]) != (edges.values[static_cast<std::size_t>(e)][i] != 0);
  }
  return mismatches <= t;
}

// One problem with everything a caller passes, and the answer by the definition.
struct Problem {
  Batch batch;
  EdgeList edges;
  std::vector<std::int32_t> tolerances;  // per edge
  std::vector<std::uint8_t> matched;     // [N, E]
  std::vector<std::int32_t> labels;
  std::int64_t classes;

  Problem(Generator& random, std::int64_t n, std::int64_t i, std::int64_t e, int longest,
          std::int64_t c, int all = -1)
      : batch(random, n, i), edges(random_edges(random, i, e, longest)), classes(c) {
    for (std::int64_t k = 0; k < e; ++k) {
      const auto order =
          static_cast<std::int64_t>(edges.variables[static_cast<std::size_t>(k)].size());
      tolerances.push_back(all >= 0 ? all : static_cast<int>(below(random, order + 3)));
      labels.push_back(static_cast<std::int32_t>(below(random, c)));
    }
    for (std::int64_t s = 0; s < n; ++s) {
      for (std::int64_t k = 0; k < e; ++k) {
        matched.push_back(matches(batch, edges, s, k, tolerances[static_cast<std::size_t>(k)]));
      }
    }
  }

  std::int64_t samples() const { return batch.samples; }
  std::int64_t count() const { return edges.size(); }
  bool at(std::int64_t n, std::int64_t e) const {
    return matched[static_cast<std::size_t>(n * count() + e)] != 0;
  }

  // Kernel order by class, shuffled inside a class.
  Plan plan_by_class(Generator& random) const {
    auto order = shuffled_order(random, count());
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return labels[static_cast<std::size_t>(a)] < labels[static_cast<std::size_t>(b)];
    });
    return {edges, order};
  }
  std::vector<std::int64_t> class_offsets() const {
    std::vector<std::int64_t> offsets(static_cast<std::size_t>(classes + 1));
    for (std::int32_t label : labels) ++offsets[static_cast<std::size_t>(label + 1)];
    std::partial_sum(offsets.begin(), offsets.end(), offsets.begin());
    return offsets;
  }
};

template <class Weight>
std::vector<Weight> run_votes(const hypernet::VotesTable& table, const Problem& problem,
                              const Plan& plan, hypernet::Tolerance tolerance,
                              const std::vector<Weight>& weights) {
  const auto offsets = problem.class_offsets();
  std::vector<Weight> out(static_cast<std::size_t>(problem.samples() * problem.classes),
                          Weight(77));
  hypernet::VotesArgs<Weight> args{problem.batch.view(), plan.view(),     tolerance,
                                   offsets.data(),       problem.classes, weights.data(),
                                   out.data(),           nullptr,         0};
  if constexpr (std::is_same_v<Weight, std::int64_t>) {
    std::uint64_t largest = 0;
    for (std::int64_t w : weights) {
      largest = std::max<std::uint64_t>(largest, static_cast<std::uint64_t>(std::abs(w)));
    }
    while (args.bits < 62 && largest >> args.bits != 0) ++args.bits;
    std::vector<std::uint64_t> scratch(static_cast<std::size_t>(hypernet::votes_scratch(
                                           problem.count(), problem.classes, args.bits)),
                                       ~std::uint64_t{0});
    args.scratch = scratch.data();
    table.votes_int(args);
  } else if constexpr (std::is_same_v<Weight, float>) {
    table.votes_float(args);
  } else {
    table.votes_double(args);
  }
  return out;
}

void expect_all_ops(const hypernet::MatchTable& table, const hypernet::VotesTable& voting,
                    const Problem& problem, const Plan& plan, hypernet::Tolerance tolerance,
                    Generator& random) {
  const std::int64_t N = problem.samples(), E = problem.count(), C = problem.classes;
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };

  std::vector<std::uint8_t> matched(size(N * E), 9);
  table.match({problem.batch.view(), plan.view(), tolerance, matched.data()});
  ASSERT_EQ(matched, problem.matched);

  std::vector<std::int64_t> counts(size(E), -1), expected(size(E));
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t e = 0; e < E; ++e) expected[size(e)] += problem.at(n, e);
  }
  table.match_counts({problem.batch.view(), plan.view(), tolerance, counts.data()});
  ASSERT_EQ(counts, expected);

  Batch masks(random, N, 2);
  std::vector<std::int64_t> right(size(E), -1), wrong(size(E), -1);
  std::vector<std::int64_t> expected_right(size(E)), expected_wrong(size(E));
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t e = 0; e < E; ++e) {
      expected_right[size(e)] += problem.at(n, e) && masks.at(n, 0);
      expected_wrong[size(e)] += problem.at(n, e) && masks.at(n, 1);
    }
  }
  table.feedback({problem.batch.view(), plan.view(), tolerance, masks.words.data(), right.data(),
                  wrong.data()});
  ASSERT_EQ(right, expected_right);
  ASSERT_EQ(wrong, expected_wrong);

  // 2^62 / E keeps sum |w| below 2^62, the limit that the header states.
  const std::int64_t huge = (std::int64_t{1} << 61) / (E + 1);
  const std::pair<std::int64_t, std::int64_t> ranges[] = {
      {1, 1}, {0, 1}, {-1, 1}, {-9, -3}, {1, 15}, {0, 255}, {-100, 100}, {-huge, huge}};
  for (auto [low, high] : ranges) {
    std::uniform_int_distribution<std::int64_t> draw(low, high);
    std::vector<std::int64_t> weights(size(E)), votes(size(N * C));
    for (auto& w : weights) w = draw(random);
    for (std::int64_t n = 0; n < N; ++n) {
      for (std::int64_t e = 0; e < E; ++e) {
        if (problem.at(n, e)) votes[size(n * C + problem.labels[size(e)])] += weights[size(e)];
      }
    }
    ASSERT_EQ(run_votes(voting, problem, plan, tolerance, weights), votes)
        << "weights " << low << " .. " << high;
  }

  std::uniform_real_distribution<double> draw(-2, 3);
  std::vector<double> weights(size(E)), votes(size(N * C)), scale(size(C));
  std::vector<float> single(size(E));
  for (std::int64_t e = 0; e < E; ++e) {
    single[size(e)] = static_cast<float>(draw(random));
    weights[size(e)] = single[size(e)];
    scale[size(problem.labels[size(e)])] += std::abs(weights[size(e)]);
  }
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t e = 0; e < E; ++e) {
      if (problem.at(n, e)) votes[size(n * C + problem.labels[size(e)])] += weights[size(e)];
    }
  }
  const auto as_double = run_votes(voting, problem, plan, tolerance, weights);
  const auto as_float = run_votes(voting, problem, plan, tolerance, single);
  for (std::int64_t i = 0; i < N * C; ++i) {
    const double bound = 256 * scale[size(i % C)];
    ASSERT_LE(std::abs(as_double[size(i)] - votes[size(i)]), bound * 0x1p-52);
    ASSERT_LE(std::abs(as_float[size(i)] - votes[size(i)]), bound * 0x1p-23);
  }
}

TEST_P(Match, ExactMatchesTheDefinition) {
  Generator random(11);
  for (std::int64_t n : {0, 1, 5, 8, 9, 63, 64, 65, 127, 128, 129, 256, 257, 511, 512, 513, 1100}) {
    for (std::int64_t i : {1, 5, 64, 65}) {
      SCOPED_TRACE("N=" + std::to_string(n) + " I=" + std::to_string(i));
      const Problem problem(random, n, i, 150, 6, 3, 0);
      expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random), {nullptr, 0},
                     random);
    }
  }
}

TEST_P(Match, LongExactEdges) {
  Generator random(12);
  Problem problem(random, 600, 128, 200, 70, 2, 0);
  // Random samples never match long edges: make every third sample agree with some edge.
  for (std::int64_t n = 0; n < 600; n += 3) {
    const auto e = static_cast<std::size_t>(below(random, 200));
    for (std::size_t l = 0; l < problem.edges.variables[e].size(); ++l) {
      problem.batch.x[static_cast<std::size_t>(n * 128 + problem.edges.variables[e][l])] =
          problem.edges.values[e][l];
    }
  }
  problem.batch.pack();
  std::int64_t total = 0;
  for (std::int64_t n = 0; n < 600; ++n) {
    for (std::int64_t e = 0; e < 200; ++e) {
      const bool matched = matches(problem.batch, problem.edges, n, e, 0);
      problem.matched[static_cast<std::size_t>(n * 200 + e)] = matched;
      total += matched && problem.edges.variables[static_cast<std::size_t>(e)].size() > 20;
    }
  }
  EXPECT_GT(total, 100);
  expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random), {nullptr, 0},
                 random);
}

TEST_P(Match, EdgeCounts) {
  Generator random(13);
  for (std::int64_t e : {0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 127, 128, 129, 511, 513, 1030}) {
    for (int t : {0, 1}) {
      SCOPED_TRACE("E=" + std::to_string(e) + " t=" + std::to_string(t));
      const Problem problem(random, 130, 20, e, 4, 3, t);
      expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random), {nullptr, t},
                     random);
    }
  }
}

// All edges of one shape, as a k-uniform hypernet has them: many more than a block, one class.
TEST_P(Match, UniformEdges) {
  Generator random(14);
  for (int k : {0, 1, 2, 3, 10}) {
    for (std::int64_t c : {1, 2}) {
      SCOPED_TRACE("k=" + std::to_string(k));
      Problem problem(random, 520, 12, 0, 0, c, 0);
      for (int e = 0; e < 2100; ++e) {
        add_edge(problem.edges, random, 12, k, e % 3 == 0 ? 0 : k == 10 ? 1 : k / 2);
        problem.labels.push_back(static_cast<std::int32_t>(below(random, c)));
      }
      problem.matched.clear();
      for (std::int64_t n = 0; n < 520; ++n) {
        for (std::int64_t e = 0; e < 2100; ++e) {
          problem.matched.push_back(matches(problem.batch, problem.edges, n, e, 0));
        }
      }
      expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random), {nullptr, 0},
                     random);
    }
  }
}

TEST_P(Match, OneToleranceForAll) {
  Generator random(15);
  for (std::int64_t n : {1, 65, 130, 257, 513}) {
    for (int t : {1, 2, 3, 4, 7, 8, 16, 31, 32, 70}) {
      SCOPED_TRACE("N=" + std::to_string(n) + " t=" + std::to_string(t));
      const Problem problem(random, n, 90, 100, 70, 3, t);
      expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random), {nullptr, t},
                     random);
    }
  }
}

TEST_P(Match, ToleranceOfEachEdge) {
  Generator random(16);
  for (std::int64_t n : {1, 64, 127, 256, 511, 1025}) {
    SCOPED_TRACE("N=" + std::to_string(n));
    const Problem problem(random, n, 130, 200, 70, 4);
    expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random),
                   {problem.tolerances.data(), -1}, random);
  }
}

TEST_P(Match, VeryLongEdges) {
  Generator random(17);
  Problem problem(random, 70, 1100, 12, 1100, 2);
  for (std::int64_t e = 0; e < 12; ++e) {  // about half of the literals differ
    const auto order = problem.edges.variables[static_cast<std::size_t>(e)].size();
    problem.tolerances[static_cast<std::size_t>(e)] = static_cast<std::int32_t>(order / 2);
  }
  for (std::int64_t n = 0; n < 70; ++n) {
    for (std::int64_t e = 0; e < 12; ++e) {
      problem.matched[static_cast<std::size_t>(n * 12 + e)] = matches(
          problem.batch, problem.edges, n, e, problem.tolerances[static_cast<std::size_t>(e)]);
    }
  }
  expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random),
                 {problem.tolerances.data(), 0}, random);
}

TEST_P(Match, EmptyClassesVoteZero) {
  Generator random(18);
  Problem problem(random, 100, 10, 40, 3, 9, 0);
  for (auto& label : problem.labels) label = label % 3 + 3;  // classes 0..2 and 6..8 stay empty
  expect_all_ops(matching(), voting(), problem, problem.plan_by_class(random), {nullptr, 0},
                 random);
}

TEST_P(Match, TwoThreadsGiveTheSameBits) {
  Generator random(19);
  const Problem problem(random, 3000, 100, 700, 12, 3);
  const Plan plan = problem.plan_by_class(random);
  const hypernet::Tolerance tolerance{problem.tolerances.data(), 0};
  std::uniform_real_distribution<double> draw(-2, 3);
  std::vector<float> single(700);
  std::vector<double> weights(700);
  for (auto& w : single) w = static_cast<float>(draw(random));
  for (auto& w : weights) w = draw(random);
  const auto float_votes = run_votes(voting(), problem, plan, tolerance, single);
  const auto double_votes = run_votes(voting(), problem, plan, tolerance, weights);
  set_num_threads(2);
  expect_all_ops(matching(), voting(), problem, plan, tolerance, random);
  EXPECT_EQ(run_votes(voting(), problem, plan, tolerance, single), float_votes);
  EXPECT_EQ(run_votes(voting(), problem, plan, tolerance, weights), double_votes);
}

}  // namespace
}  // namespace polyad::testing
