// The level chosen at run time and the table of functions that it names.
#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

#include "hypernet_cases.hpp"
#include "levels.hpp"

namespace polyad {
namespace {

// What isa() does in a fresh process under POLYAD_ISA = wanted: exits with the level, or 9 if it
// throws std::runtime_error.
[[noreturn]] void exit_with_level(const char* wanted) {
  setenv("POLYAD_ISA", wanted, 1);
  try {
    std::_Exit(static_cast<int>(isa()));
  } catch (const std::runtime_error&) {
    std::_Exit(9);
  }
}

class Dispatch : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
using DispatchDeathTest = Dispatch;

TEST(Isa, LevelsAscendFromTheBaseline) {
  const auto levels = available_isas();
  ASSERT_FALSE(levels.empty());
  EXPECT_EQ(levels.front(), Isa::v2);
  EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
}

TEST(Isa, NamesAreDistinct) {
#ifdef POLYAD_X86_LEVELS
  EXPECT_STREQ(isa_name(Isa::v2), "v2");
  EXPECT_STREQ(isa_name(Isa::v3), "v3");
  EXPECT_STREQ(isa_name(Isa::v4), "v4");
#else
  EXPECT_STREQ(isa_name(Isa::v2), "baseline");
#endif
}

TEST_F(DispatchDeathTest, TheEnvironmentForcesEveryAvailableLevel) {
  for (Isa level : available_isas()) {
    EXPECT_EXIT(exit_with_level(isa_name(level)),
                ::testing::ExitedWithCode(static_cast<int>(level)), "");
  }
}

TEST_F(DispatchDeathTest, WithoutTheVariableTheHighestLevelIsChosen) {
  EXPECT_EXIT(exit_with_level(""),
              ::testing::ExitedWithCode(static_cast<int>(available_isas().back())), "");
}

TEST_F(DispatchDeathTest, AnUnknownLevelIsAnError) {
  EXPECT_EXIT(exit_with_level("v5"), ::testing::ExitedWithCode(9), "");
}

TEST(Isa, SelectReturnsTheTableOfTheLevel) {
  const int tables[3] = {0, 1, 2};
  EXPECT_EQ(&select(tables[0], tables[1], tables[2]), &tables[static_cast<int>(isa())]);
}

TEST(Threads, RefusesLessThanOne) {
  EXPECT_THROW(set_num_threads(0), std::invalid_argument);
  set_num_threads(3);
  EXPECT_EQ(get_num_threads(), 3);
}

TEST(Threads, EveryItemIsVisitedOnce) {
  for (int threads : {1, 2, 5}) {
    set_num_threads(threads);
    for (std::int64_t items : {0, 1, 2, 1000}) {
      std::vector<int> visits(static_cast<std::size_t>(items));
      parallel_for(items, [&](std::int64_t i) { ++visits[static_cast<std::size_t>(i)]; });
      EXPECT_EQ(std::count(visits.begin(), visits.end(), 1), items);
    }
  }
}

// The public functions reach the kernels: one small call of each group.
TEST(Dispatch, PublicFunctionsRunTheKernels) {
  testing::Generator random(1);
  testing::EdgeList list;
  list.variables = {{0, 1}, {}};
  list.values = {{1, 0}, {}};
  const testing::Plan plan(list, testing::caller_order(2));
  const std::uint8_t x[6] = {1, 0, 1, 1, 0, 0};
  std::uint64_t words[2] = {};
  std::int32_t status = -1;
  hypernet::pack({x, 3, 2, 1, words, &status});
  EXPECT_EQ(status, 0);
  EXPECT_EQ(words[0], 0b011u);
  EXPECT_EQ(words[1], 0b010u);
  std::uint8_t back[6];
  const hypernet::Planes planes{words, 3, 2, 1};
  hypernet::unpack({planes, back});
  EXPECT_TRUE(std::equal(x, x + 6, back));

  const hypernet::Tolerance exact{nullptr, 0};
  std::uint8_t matched[6];
  hypernet::match({planes, plan.view(), exact, matched});
  const std::uint8_t expected[6] = {1, 1, 0, 1, 0, 1};
  EXPECT_TRUE(std::equal(expected, expected + 6, matched));
  std::int64_t counts[2];
  hypernet::match_counts({planes, plan.view(), exact, counts});
  EXPECT_EQ(counts[0], 1);
  EXPECT_EQ(counts[1], 3);

  const float real[2] = {3, -1};
  const float weights[2] = {2, 5};
  float energy = 0;
  std::vector<float> tiles(2 * hypernet::kEnergyTile<float>);
  hypernet::energy(
      hypernet::EnergyArgs<float>{real, 1, 2, plan.view(), weights, &energy, tiles.data()});
  EXPECT_EQ(energy, -(2 * 3 * 2 + 5));
}

}  // namespace
}  // namespace polyad
