#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "align/path.hpp"

namespace polyad::testing {
namespace {

struct Chosen {
  std::vector<std::int32_t> i, j;
  std::vector<double> w;

  std::vector<std::int64_t> path(std::int32_t targets) const {
    std::vector<std::int64_t> out;
    align::best_path({i.data(), j.data(), w.data(), static_cast<std::int64_t>(i.size())}, targets,
                     out);
    return out;
  }
};

// Bleualign's search: a table of all pairs; ties leave the source out, then the target.
std::vector<std::int64_t> dense(const Chosen& links, int sources, int targets) {
  const int width = targets + 1;
  std::vector<double> value((sources + 1) * width, 0.0);
  std::vector<char> move((sources + 1) * width, '.');
  std::vector<std::int64_t> link((sources + 1) * width, -1);
  for (std::size_t l = 0; l < links.i.size(); ++l) {
    link[(links.i[l] + 1) * width + links.j[l] + 1] = static_cast<std::int64_t>(l);
  }
  for (int i = 1; i <= sources; ++i) {
    for (int j = 1; j <= targets; ++j) {
      const int at = i * width + j;
      value[at] = value[at - width];
      move[at] = 's';
      if (value[at - 1] > value[at]) {
        value[at] = value[at - 1];
        move[at] = 't';
      }
      if (link[at] >= 0 && links.w[link[at]] + value[at - width - 1] > value[at]) {
        value[at] = links.w[link[at]] + value[at - width - 1];
        move[at] = 'b';
      }
    }
  }
  std::vector<std::int64_t> path;
  for (int i = sources, j = targets; i > 0 && j > 0;) {
    const int at = i * width + j;
    if (move[at] == 'b') path.insert(path.begin(), link[at]);
    i -= move[at] != 't';
    j -= move[at] != 's';
  }
  return path;
}

TEST(BestPath, IsThatOfTheDenseSearch) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 3000; ++round) {
    const int sources = 1 + static_cast<int>(random() % 9);
    const int targets = 1 + static_cast<int>(random() % 9);
    Chosen links;
    for (int i = 0; i < sources; ++i) {
      for (int j = 0; j < targets; ++j) {
        if (random() % 3) continue;
        links.i.push_back(i);
        links.j.push_back(j);
        // few values, so that sums tie; now and then nothing or less
        links.w.push_back(0.25 * static_cast<double>(random() % 4) - 0.25 * (random() % 9 == 0));
      }
    }
    ASSERT_EQ(links.path(targets), dense(links, sources, targets)) << "round " << round;
  }
}

TEST(BestPath, AddsUpFromTheStart) {
  // (0.1 + 0.2) + 0.3 and 0.6 differ in the last bit
  const Chosen links{{0, 1, 2, 3}, {1, 2, 3, 0}, {0.1, 0.2, 0.3, 0.1 + 0.2 + 0.3}};
  EXPECT_EQ(links.path(4), (std::vector<std::int64_t>{0, 1, 2}));
}

TEST(BestPath, OfNothingIsNothing) {
  EXPECT_TRUE(Chosen{}.path(0).empty());
  EXPECT_TRUE((Chosen{{0, 1}, {0, 1}, {0.0, -1.0}}.path(2).empty()));
}

}  // namespace
}  // namespace polyad::testing
