// What the benchmarks of hypernet share: random batches and random edges in kernel order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "hypernet/tables.hpp"
#include "levels.hpp"

namespace polyad::bench {

inline constexpr std::int64_t kVariables = 784;  // I, the pixels of an MNIST digit
inline constexpr std::int64_t kClasses = 10;

#define POLYAD_TABLE(level, table) POLYAD_TABLE_OF(hypernet, level, table)

// `count` edges of `order` random literals, in random classes, in the order of a plan: by class, by
// positive literals, then by variables.
struct RandomEdges {
  std::vector<std::int32_t> literals, positives, order;
  std::vector<std::int64_t> offsets{0}, class_offsets;

  RandomEdges(std::int64_t count, int length, bool by_class, bool negatives) {
    std::mt19937_64 random(7);
    std::vector<std::tuple<int, int, std::vector<std::int32_t>>> edges;
    for (std::int64_t e = 0; e < count; ++e) {
      std::vector<std::int32_t> variables;
      while (static_cast<int>(variables.size()) < length) {
        const auto j = static_cast<std::int32_t>(random() % kVariables);
        if (std::find(variables.begin(), variables.end(), j) == variables.end()) {
          variables.push_back(j);
        }
      }
      int plus = length;
      if (negatives) {
        plus = 0;
        for (int l = 0; l < length; ++l) plus += static_cast<int>(random() & 1);
      }
      std::sort(variables.begin(), variables.begin() + plus);
      std::sort(variables.begin() + plus, variables.end());
      edges.emplace_back(by_class ? static_cast<int>(random() % kClasses) : 0, plus, variables);
    }
    std::sort(edges.begin(), edges.end());
    class_offsets.assign(kClasses + 1, 0);
    for (const auto& [label, plus, variables] : edges) {
      literals.insert(literals.end(), variables.begin(), variables.end());
      offsets.push_back(static_cast<std::int64_t>(literals.size()));
      positives.push_back(plus);
      order.push_back(static_cast<std::int32_t>(order.size()));
      ++class_offsets[static_cast<std::size_t>(label) + 1];
    }
    for (std::size_t c = 1; c < class_offsets.size(); ++c) class_offsets[c] += class_offsets[c - 1];
    std::shuffle(order.begin(), order.end(), random);
  }

  hypernet::Edges view() const {
    return {literals.data(), offsets.data(), positives.data(), order.data(),
            static_cast<std::int64_t>(order.size())};
  }
};

// A batch of fair coin flips as planes.
struct RandomPlanes {
  std::int64_t samples;
  int width;
  Aligned<std::uint64_t> words;

  explicit RandomPlanes(std::int64_t n)
      : samples(n),
        width(hypernet::plane_width(n)),
        words(hypernet::plane_tiles(n, width) * kVariables * width) {
    std::mt19937_64 random(9);
    const std::int64_t count = hypernet::plane_tiles(n, width) * kVariables * width;
    for (std::int64_t i = 0; i < count; ++i) words.data()[i] = random();
  }
  hypernet::Planes view() { return {words.data(), samples, kVariables, width}; }
};

}  // namespace polyad::bench
