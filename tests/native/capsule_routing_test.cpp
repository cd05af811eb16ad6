// Routing at every level beside level v2 and beside a plain loop in double; tails, scratch,
// alignment, threads. Options and extremes are tested in tests/ops/test_capsule_routing*.py.
#include <numeric>

#include "ntm_cases.hpp"

namespace polyad::testing {
namespace {

using capsule::CapsuleTypes;
using capsule::RoutingShape;

class Routing : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Routing);

struct Options {
  bool leaky = false, detach = false, bias = true, logits = true;
  std::int64_t types = 0;  // 0: every input has weights of its own
};

std::string name_of(const RoutingShape& s, const Options& o) {
  return "B=" + std::to_string(s.batch) + " I=" + std::to_string(s.inputs) +
         " K=" + std::to_string(s.input_size) + " J=" + std::to_string(s.outputs) +
         " D=" + std::to_string(s.output_size) + " r=" + std::to_string(s.iterations) +
         " types=" + std::to_string(o.types) + (o.leaky ? " leaky" : "") +
         (o.detach ? " detach" : "") + (o.bias ? " bias" : "") + (o.logits ? " logits" : "");
}

struct Way {
  std::int64_t parts = 1;
  std::int64_t offset = 0;  // elements between a line and the first of every array
  bool couplings = true, grad_bias = true, grad_logits = true;
};

// Where the arrays of a result stand.
enum : std::size_t { kS, kV, kCouplings, kGradU, kGradWeight, kGradVotes, kGradBias, kGradLogits };

// The arguments of both passes. They are drawn as float, so that double computes on the same
// numbers.
struct Problem {
  RoutingShape shape;
  Options options;
  std::vector<float> u, weight, votes, bias, logits, grad;
  std::vector<std::int32_t> type, order, begin;

  Problem(Generator& random, const RoutingShape& s, const Options& o) : shape(s), options(o) {
    const std::int64_t B = s.batch, I = s.inputs, K = s.input_size;
    if (K > 0) {
      u = uniform<float>(random, B * I * K, -1.5, 1.5);
      const double scale = 1.5 / std::sqrt(static_cast<double>(K));
      weight = uniform<float>(random, (o.types > 0 ? o.types : I) * s.rows() * K, -scale, scale);
    } else {
      votes = uniform<float>(random, B * I * s.rows(), -1.5, 1.5);
    }
    if (o.bias) bias = uniform<float>(random, s.rows(), -0.5, 0.5);
    if (o.logits) logits = uniform<float>(random, I * s.outputs, -1, 1);
    grad = uniform<float>(random, B * s.rows(), -1, 1);
    if (o.types == 0) return;
    std::uniform_int_distribution<std::int32_t> any(0, static_cast<std::int32_t>(o.types) - 1);
    for (std::int64_t i = 0; i < I; ++i) type.push_back(any(random));
    order.resize(size(I));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int32_t a, std::int32_t b) { return type[size(a)] < type[size(b)]; });
    for (std::int32_t t = 0; t <= o.types; ++t) {
      begin.push_back(static_cast<std::int32_t>(
          std::count_if(type.begin(), type.end(), [&](std::int32_t each) { return each < t; })));
    }
  }

  std::size_t weights_of(std::int64_t i) const {
    return size((type.empty() ? i : type[size(i)]) * shape.rows() * shape.input_size);
  }
  CapsuleTypes types() const {
    return {options.types > 0 ? options.types : shape.inputs, type.empty() ? nullptr : type.data(),
            order.empty() ? nullptr : order.data(), begin.empty() ? nullptr : begin.data()};
  }

  // s, v, couplings and all gradients; an array that the way leaves out, or the problem has not, is
  // empty.
  template <class T>
  Arrays<T> run(const RoutingTables& table, const Way& way = {}) const {
    constexpr bool single = std::is_same_v<T, float>;
    // an input as the way places it; null where there is none
    std::vector<std::vector<T>> memory;
    memory.reserve(8);
    const auto put = [&](const std::vector<float>& from) -> const T* {
      if (from.empty() && shape.batch > 0) return nullptr;
      memory.emplace_back(size(way.offset));
      memory.back().insert(memory.back().end(), from.begin(), from.end());
      return memory.back().data() + way.offset;
    };
    const T* inputs[] = {put(u), put(weight), put(votes), put(bias), put(logits), put(grad)};
    if (u.empty() && shape.input_size == 0) inputs[0] = inputs[1] = nullptr;
    if (shape.input_size > 0) inputs[2] = nullptr;
    if (!options.bias) inputs[3] = nullptr;
    if (!options.logits) inputs[4] = nullptr;

    const std::int64_t B = shape.batch, rows = shape.rows();
    const bool given = shape.input_size == 0;
    const std::int64_t counts[] = {
        shape.iterations * B * rows,
        B * rows,
        way.couplings ? B * shape.inputs * shape.outputs : 0,
        std::ssize(u),
        std::ssize(weight),
        std::ssize(votes),
        way.grad_bias && options.bias ? rows : 0,
        way.grad_logits && options.logits ? shape.inputs * shape.outputs : 0};
    std::vector<Guarded<T>> results;
    std::vector<T*> to;
    for (std::int64_t count : counts) results.emplace_back(way.offset + count);
    for (Guarded<T>& each : results) to.push_back(each.data() + way.offset);
    if (!way.couplings) to[kCouplings] = nullptr;
    if (given) to[kGradU] = to[kGradWeight] = nullptr;
    if (!given) to[kGradVotes] = nullptr;
    if (counts[kGradBias] == 0) to[kGradBias] = nullptr;
    if (counts[kGradLogits] == 0) to[kGradLogits] = nullptr;

    Guarded<T> scratch(capsule::routing_scratch<T>(shape, way.parts));
    const capsule::RoutingArgs<T> forward{
        shape,     types(), options.leaky, inputs[0],      inputs[1], inputs[2],     inputs[3],
        inputs[4], to[kS],  to[kV],        to[kCouplings], way.parts, scratch.data()};
    Guarded<T> more(
        capsule::routing_backward_scratch<T>(shape, types(), options.detach, way.parts));
    const capsule::RoutingBackwardArgs<T> backward{
        shape,          types(),       options.leaky,   options.detach, inputs[0],  inputs[1],
        inputs[2],      inputs[4],     to[kS],          inputs[5],      to[kGradU], to[kGradWeight],
        to[kGradVotes], to[kGradBias], to[kGradLogits], way.parts,      more.data()};
    if constexpr (single) {
      table.forward.routing_float(forward);
      table.backward.routing_backward_float(backward);
    } else {
      table.forward.routing_double(forward);
      table.backward.routing_backward_double(backward);
    }
    scratch.checked("scratch", false);
    more.checked("scratch of backward", false);
    Arrays<T> all;
    for (std::size_t a = 0; a < results.size(); ++a) {
      std::vector<T> whole = results[a].checked("array " + std::to_string(a), way.offset == 0);
      all.emplace_back(whole.begin() + way.offset, whole.end());
    }
    return all;
  }

  Arrays<double> solve() const;
};

// The equations of routing.hpp one number at a time, with the votes stored.
Arrays<double> Problem::solve() const {
  const std::int64_t B = shape.batch, I = shape.inputs, K = shape.input_size, J = shape.outputs;
  const std::int64_t D = shape.output_size, r = shape.iterations, rows = shape.rows();
  Arrays<double> all;
  for (std::int64_t count : {r * B * rows, B * rows, B * I * J, std::ssize(u), std::ssize(weight),
                             std::ssize(votes), std::ssize(bias), std::ssize(logits)}) {
    all.emplace_back(size(count));
  }
  for (std::int64_t b = 0; b < B; ++b) {
    std::vector<double> vote(size(I * rows)), grad_vote(size(I * rows));
    for (std::int64_t i = 0; i < I; ++i) {
      for (std::int64_t row = 0; row < rows; ++row) {
        double& x = vote[size(i * rows + row)];
        if (K == 0) x = static_cast<double>(votes[size((b * I + i) * rows + row)]);
        for (std::int64_t k = 0; k < K; ++k) {
          x += static_cast<double>(weight[weights_of(i) + size(row * K + k)]) *
               static_cast<double>(u[size((b * I + i) * K + k)]);
        }
      }
    }
    Arrays<double> c(size(r)), s(size(r)), before(size(r));  // of every iteration
    std::vector<double> total(size(rows)), v(size(rows));
    for (std::size_t t = 0; t < c.size(); ++t) {
      before[t] = total;
      c[t].resize(size(I * J));
      s[t].resize(size(rows));
      for (std::int64_t i = 0; i < I; ++i) {
        double sum = options.leaky ? 1 : 0;
        for (std::int64_t j = 0; j < J; ++j) {
          double l = options.logits ? static_cast<double>(logits[size(i * J + j)]) : 0;
          for (std::int64_t d = 0; d < D; ++d) {
            l += vote[size(i * rows + j * D + d)] * total[size(j * D + d)];
          }
          c[t][size(i * J + j)] = std::exp(l);
          sum += std::exp(l);
        }
        for (std::int64_t j = 0; j < J; ++j) c[t][size(i * J + j)] /= sum;
      }
      for (std::int64_t j = 0; j < J; ++j) {
        double q = 0;
        for (std::int64_t row = j * D; row < (j + 1) * D; ++row) {
          double& x = s[t][size(row)];
          x = options.bias ? static_cast<double>(bias[size(row)]) : 0;
          for (std::int64_t i = 0; i < I; ++i)
            x += c[t][size(i * J + j)] * vote[size(i * rows + row)];
          q += x * x;
        }
        for (std::int64_t row = j * D; row < (j + 1) * D; ++row) {
          v[size(row)] = s[t][size(row)] * std::sqrt(q) / (1 + q);
          total[size(row)] += v[size(row)];
        }
      }
      std::copy(s[t].begin(), s[t].end(),
                all[kS].begin() + (static_cast<std::int64_t>(t) * B + b) * rows);
    }
    std::copy(v.begin(), v.end(), all[kV].begin() + b * rows);
    std::copy(c.back().begin(), c.back().end(), all[kCouplings].begin() + b * I * J);

    std::vector<double> from_later(size(rows));
    for (std::size_t t = c.size(); t-- > 0;) {
      const bool last = t + 1 == c.size();
      if (options.detach && !last) break;
      std::vector<double> grad_s(size(rows));
      for (std::int64_t j = 0; j < J; ++j) {
        double q = 0, along = 0;
        const auto grad_v = [&](std::int64_t row) {
          return last ? static_cast<double>(grad[size(b * rows + row)]) : from_later[size(row)];
        };
        for (std::int64_t row = j * D; row < (j + 1) * D; ++row) {
          q += s[t][size(row)] * s[t][size(row)];
          along += s[t][size(row)] * grad_v(row);
        }
        const double n = std::sqrt(q);
        for (std::int64_t row = j * D; row < (j + 1) * D; ++row) {
          grad_s[size(row)] = n / (1 + q) * grad_v(row) +
                              (1 - q) / (n * (1 + q) * (1 + q)) * along * s[t][size(row)];
          if (options.bias) all[kGradBias][size(row)] += grad_s[size(row)];
        }
      }
      for (std::int64_t i = 0; i < I; ++i) {
        std::vector<double> e(size(J));
        double mean = 0;
        for (std::int64_t j = 0; j < J; ++j) {
          for (std::int64_t row = j * D; row < (j + 1) * D; ++row) {
            e[size(j)] += vote[size(i * rows + row)] * grad_s[size(row)];
            grad_vote[size(i * rows + row)] += c[t][size(i * J + j)] * grad_s[size(row)];
          }
          mean += c[t][size(i * J + j)] * e[size(j)];
        }
        for (std::int64_t j = 0; j < J; ++j) {
          const double adjoint = c[t][size(i * J + j)] * (e[size(j)] - mean);
          if (options.logits) all[kGradLogits][size(i * J + j)] += adjoint;
          if (options.detach) continue;
          for (std::int64_t row = j * D; row < (j + 1) * D; ++row) {
            from_later[size(row)] += adjoint * vote[size(i * rows + row)];
            grad_vote[size(i * rows + row)] += adjoint * before[t][size(row)];
          }
        }
      }
    }
    for (std::int64_t i = 0; i < I; ++i) {
      for (std::int64_t row = 0; row < rows; ++row) {
        const double g = grad_vote[size(i * rows + row)];
        if (K == 0) all[kGradVotes][size((b * I + i) * rows + row)] = g;
        for (std::int64_t k = 0; k < K; ++k) {
          const std::size_t w = weights_of(i) + size(row * K + k), x = size((b * I + i) * K + k);
          all[kGradWeight][w] += g * static_cast<double>(u[x]);
          all[kGradU][x] += g * static_cast<double>(weight[w]);
        }
      }
    }
  }
  return all;
}

// Sizes around those of registers, blocks of samples, groups, pieces and chunks of inputs.
std::vector<RoutingShape> shapes() {
  return {{1, 1, 1, 1, 1, 1},
          {1, 1, 3, 2, 1, 3},
          {2, 2, 8, 3, 5, 2},
          {3, 63, 7, 1, 16, 3},
          {4, 64, 5, 10, 3, 2},
          {5, 65, 16, 3, 17, 3},
          {8, 17, 12, 4, 8, 5},
          {9, 5, 20, 2, 33, 3},
          {15, 7, 3, 33, 1, 2},
          {16, 66, 8, 10, 16, 3},
          {17, 9, 1, 17, 2, 4},
          {33, 3, 17, 5, 7, 3},
          {1, 2100, 2, 2, 3, 3},
          {2, 130, 15, 3, 4, 1},
          // votes
          {1, 1, 0, 1, 1, 3},
          {3, 64, 0, 3, 5, 3},
          {17, 66, 0, 10, 16, 2},
          {6, 130, 0, 1, 9, 3},
          {12, 5, 0, 33, 3, 4}};
}

std::vector<Options> options_of(const RoutingShape& shape) {
  std::vector<Options> all{{.leaky = false, .detach = false},
                           {.leaky = true, .detach = true},
                           {.leaky = true, .bias = false, .logits = false},
                           {.detach = true, .bias = false, .logits = false}};
  if (shape.input_size > 0) {
    all.push_back({.types = 1});
    all.push_back({.leaky = true, .logits = false, .types = 3});
    all.push_back({.detach = true, .bias = false, .types = 70});
  }
  return all;
}

// Calls check(problem) for all shapes with all their options.
template <class Check>
void for_all(std::uint64_t seed, const Check& check) {
  Generator random(seed);
  for (const RoutingShape& shape : shapes()) {
    for (const Options& options : options_of(shape)) {
      SCOPED_TRACE(name_of(shape, options));
      check(Problem(random, shape, options));
      if (::testing::Test::HasFailure()) return;
    }
  }
}

Arrays<float> rounded(const Arrays<double>& from) {
  Arrays<float> to;
  for (const auto& each : from) to.emplace_back(each.begin(), each.end());
  return to;
}

TEST_P(Routing, IsWhatAPlainLoopComputes) {
  for_all(51, [&](const Problem& problem) {
    const Arrays<double> want = problem.solve();
    expect_near<double>(problem.run<double>(routings()), want, 1000);
    expect_near<float>(problem.run<float>(routings()), rounded(want), 300);
  });
}

TEST_P(Routing, AgreesWithTheBaseline) {
  const RoutingTables baseline{capsule::v2::routing_table, capsule::v2::routing_backward_table};
  for_all(52, [&](const Problem& problem) {
    expect_near<double>(problem.run<double>(routings()), problem.run<double>(baseline), 300);
    expect_near<float>(problem.run<float>(routings()), problem.run<float>(baseline), 300);
  });
}

template <class T>
void expect_one_answer(const RoutingTables& table) {
  for_all(53, [&](const Problem& problem) {
    const Arrays<T> want = problem.run<T>(table);
    for (std::int64_t parts : {2, 3, 41}) {
      EXPECT_EQ(problem.run<T>(table, {.parts = parts}), want) << parts << " parts";
    }
  });
  Generator random(54);
  for (const auto& [shape, options] :
       {std::pair<RoutingShape, Options>{{33, 300, 5, 4, 7, 3}, {.leaky = true}},
        {{17, 130, 3, 3, 5, 3}, {.types = 5}},
        {{3, 2100, 0, 2, 3, 2}, {}}}) {
    SCOPED_TRACE(name_of(shape, options));
    const Problem problem(random, shape, options);
    set_num_threads(1);
    const Arrays<T> want = problem.run<T>(table);
    for (int threads : {2, 3}) {
      set_num_threads(threads);
      for (std::int64_t parts : {1, 2, 8, 41}) {
        EXPECT_EQ(problem.run<T>(table, {.parts = parts}), want)
            << threads << " threads, " << parts << " parts";
      }
    }
    set_num_threads(1);
  }
}

TEST_P(Routing, PartsAndThreadsGiveTheSameBits) {
  expect_one_answer<float>(routings());
  expect_one_answer<double>(routings());
}

TEST_P(Routing, AnyAlignmentGivesTheSameBits) {
  for_all(54, [&](const Problem& problem) {
    const Arrays<float> want = problem.run<float>(routings());
    for (std::int64_t offset : {1, 7}) {
      EXPECT_EQ(problem.run<float>(routings(), {.offset = offset}), want);
    }
    EXPECT_EQ(problem.run<double>(routings(), {.offset = 1}), problem.run<double>(routings()));
  });
}

TEST_P(Routing, WhatIsNotWantedChangesNothingElse) {
  for_all(55, [&](const Problem& problem) {
    const Arrays<float> whole = problem.run<float>(routings());
    const Arrays<float> some = problem.run<float>(
        routings(), {.couplings = false, .grad_bias = false, .grad_logits = false});
    for (std::size_t a : {kS, kV, kGradU, kGradWeight, kGradVotes}) EXPECT_EQ(some[a], whole[a]);
  });
}

// A sample has one answer, whatever stands beside it and however wide its block is.
TEST_P(Routing, ASampleDoesNotDependOnTheBatch) {
  Generator random(56);
  for (const std::int64_t K : {5, 0}) {
    const RoutingShape shape{37, 70, K, 3, 5, 3};
    const Problem problem(random, shape, {.leaky = true});
    const Arrays<float> whole = problem.run<float>(routings());
    for (const auto& [first, count] :
         {std::array<std::int64_t, 2>{0, 1}, {36, 1}, {5, 3}, {7, 6}, {15, 9}, {1, 17}, {30, 7}}) {
      SCOPED_TRACE("K=" + std::to_string(K) + " from " + std::to_string(first) + " on " +
                   std::to_string(count));
      const auto cut = [&, at = first, n = count](const std::vector<float>& from) {
        const std::int64_t each = std::ssize(from) / shape.batch;
        return std::vector<float>(from.begin() + at * each, from.begin() + (at + n) * each);
      };
      Problem part = problem;
      part.shape.batch = count;
      part.u = cut(problem.u);
      part.votes = cut(problem.votes);
      part.grad = cut(problem.grad);
      const Arrays<float> got = part.run<float>(routings());
      for (std::size_t a : {kV, kCouplings, kGradU, kGradVotes}) {
        EXPECT_EQ(got[a], cut(whole[a])) << "array " << a;
      }
    }
  }
}

TEST_P(Routing, EmptyBatch) {
  Generator random(57);
  for (const std::int64_t K : {5, 0}) {
    for (const std::int64_t types : {0, 3}) {
      if (K == 0 && types > 0) continue;
      const Problem problem(random, {0, 70, K, 3, 5, 3}, {.types = types});
      const Arrays<float> got = problem.run<float>(routings());
      for (std::size_t a : {kS, kV, kCouplings, kGradU, kGradVotes}) EXPECT_TRUE(got[a].empty());
      for (std::size_t a : {kGradWeight, kGradBias, kGradLogits}) {
        EXPECT_EQ(got[a], std::vector<float>(got[a].size()));
      }
    }
  }
}

TEST_P(Routing, ZerosStayZeros) {
  Generator random(58);
  for (const std::int64_t K : {5, 0}) {
    Problem problem(random, {19, 70, K, 3, 5, 3}, {.bias = false});
    std::fill(problem.u.begin(), problem.u.end(), 0.0f);
    std::fill(problem.votes.begin(), problem.votes.end(), 0.0f);
    const Arrays<float> got = problem.run<float>(routings());
    for (std::size_t a : {kS, kV, kGradU, kGradWeight, kGradVotes, kGradLogits}) {
      for (float each : got[a]) ASSERT_EQ(each, 0) << "array " << a;
    }
  }
}

}  // namespace
}  // namespace polyad::testing
