// Random edges and batches, and their kernel order, for the native tests of the hypernet kernels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "hypernet/edges.hpp"
#include "hypernet/planes.hpp"

namespace polyad::testing {

using Generator = std::mt19937_64;

// Edges as a caller has them.
struct EdgeList {
  std::vector<std::vector<std::int32_t>> variables;  // ascending inside an edge
  std::vector<std::vector<std::uint8_t>> values;

  std::int64_t size() const { return static_cast<std::int64_t>(variables.size()); }
};

inline std::int64_t below(Generator& random, std::int64_t n) {
  return std::uniform_int_distribution<std::int64_t>(0, n - 1)(random);
}

// Adds an edge of `order` distinct variables out of [0, variables), the first `negatives` of a
// random order of which ask for 0.
inline void add_edge(EdgeList& edges, Generator& random, std::int64_t variables, int order,
                     int negatives) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(variables));
  std::iota(all.begin(), all.end(), 0);
  std::shuffle(all.begin(), all.end(), random);
  std::vector<std::uint8_t> negative(static_cast<std::size_t>(variables));
  for (int i = 0; i < negatives; ++i) negative[static_cast<std::size_t>(all[i])] = 1;
  std::sort(all.begin(), all.begin() + order);
  edges.variables.emplace_back(all.begin(), all.begin() + order);
  auto& values = edges.values.emplace_back();
  for (std::int32_t j : edges.variables.back()) {
    values.push_back(static_cast<std::uint8_t>(1 - negative[static_cast<std::size_t>(j)]));
  }
}

// `count` edges in runs of 1 .. 20 that share their order (0 .. longest) and mix of signs, so that
// kernels which take several edges of one shape at once meet whole, broken and single groups.
inline EdgeList random_edges(Generator& random, std::int64_t variables, std::int64_t count,
                             int longest, bool negatives = true) {
  EdgeList edges;
  while (edges.size() < count) {
    const int limit = static_cast<int>(std::min<std::int64_t>(longest, variables));
    const int order = static_cast<int>(below(random, limit + 1));
    const int minus = negatives ? static_cast<int>(below(random, order + 1)) : 0;
    const std::int64_t run = std::min(count - edges.size(), 1 + below(random, 20));
    for (std::int64_t i = 0; i < run; ++i) add_edge(edges, random, variables, order, minus);
  }
  return edges;
}

// The same edges as flat arrays in a kernel order.
struct Plan {
  std::vector<std::int32_t> literals, positives, order;
  std::vector<std::int64_t> offsets;

  Plan(const EdgeList& list, std::vector<std::int32_t> kernel_order)
      : order(std::move(kernel_order)), offsets{0} {
    for (std::int32_t e : order) {
      const auto& variables = list.variables[static_cast<std::size_t>(e)];
      const auto& values = list.values[static_cast<std::size_t>(e)];
      for (int wanted : {1, 0}) {
        for (std::size_t i = 0; i < variables.size(); ++i) {
          if (values[i] == wanted) literals.push_back(variables[i]);
        }
        if (wanted == 1) {
          positives.push_back(static_cast<std::int32_t>(static_cast<std::int64_t>(literals.size()) -
                                                        offsets.back()));
        }
      }
      offsets.push_back(static_cast<std::int64_t>(literals.size()));
    }
  }

  hypernet::Edges view() const {
    return {literals.data(), offsets.data(), positives.data(), order.data(),
            static_cast<std::int64_t>(order.size())};
  }
};

inline std::vector<std::int32_t> caller_order(std::int64_t count) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

inline std::vector<std::int32_t> shuffled_order(Generator& random, std::int64_t count) {
  auto order = caller_order(count);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// A binary batch and its planes, packed here bit by bit.
struct Batch {
  std::int64_t samples, variables;
  int width;
  std::vector<std::uint8_t> x;
  std::vector<std::uint64_t> words;

  Batch(Generator& random, std::int64_t n, std::int64_t i, double density = 0.5)
      : samples(n), variables(i), width(hypernet::plane_width(n)) {
    std::bernoulli_distribution on(density);
    x.resize(static_cast<std::size_t>(n * i));
    for (auto& value : x) value = on(random);
    pack();
  }

  void pack() {
    const std::int64_t tiles = hypernet::plane_tiles(samples, width);
    words.assign(static_cast<std::size_t>(tiles * variables * width), 0);
    for (std::int64_t n = 0; n < samples; ++n) {
      for (std::int64_t j = 0; j < variables; ++j) {
        if (at(n, j)) word(n, j) |= std::uint64_t{1} << (n % 64);
      }
    }
  }

  bool at(std::int64_t n, std::int64_t j) const {
    return x[static_cast<std::size_t>(n * variables + j)] != 0;
  }
  std::uint64_t& word(std::int64_t n, std::int64_t j) {
    const std::int64_t group = n / 64;
    return words[static_cast<std::size_t>((group / width * variables + j) * width + group % width)];
  }
  hypernet::Planes view() const { return {words.data(), samples, variables, width}; }
};

}  // namespace polyad::testing
