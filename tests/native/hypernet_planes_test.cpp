#include "hypernet_cases.hpp"
#include "levels.hpp"

namespace polyad::testing {
namespace {

class Planes : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Planes);

constexpr std::int64_t kSizes[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 300};
constexpr std::int64_t kSamples[] = {0, 1, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1024, 1025};

TEST(PlaneWidth, IsTheSmallestPowerOfTwoThatHoldsTheBatchAtMostEight) {
  const std::pair<std::int64_t, int> cases[] = {{0, 1},   {1, 1},   {64, 1},    {65, 2},
                                                {128, 2}, {129, 4}, {256, 4},   {257, 8},
                                                {512, 8}, {513, 8}, {100000, 8}};
  for (auto [samples, width] : cases) EXPECT_EQ(hypernet::plane_width(samples), width) << samples;
}

TEST_P(Planes, PackIsThePlainLoop) {
  Generator random(2);
  for (std::int64_t n : kSamples) {
    for (std::int64_t i : kSizes) {
      Batch batch(random, n, i);
      const auto expected = batch.words;
      std::fill(batch.words.begin(), batch.words.end(), ~std::uint64_t{0});
      std::int32_t status = -1;
      planes().pack({batch.x.data(), n, i, batch.width, batch.words.data(), &status});
      ASSERT_EQ(batch.words, expected) << "N=" << n << " I=" << i;
      ASSERT_EQ(status, 0);
    }
  }
}

TEST_P(Planes, UnpackInvertsPack) {
  Generator random(3);
  for (std::int64_t n : kSamples) {
    for (std::int64_t i : kSizes) {
      const Batch batch(random, n, i);
      std::vector<std::uint8_t> x(batch.x.size(), 7);
      planes().unpack({batch.view(), x.data()});
      ASSERT_EQ(x, batch.x) << "N=" << n << " I=" << i;
    }
  }
}

TEST_P(Planes, AnyWidthPacks) {
  Generator random(4);
  for (int width : {1, 2, 4, 8}) {
    Batch batch(random, 300, 70);
    batch.width = width;
    batch.pack();
    const auto expected = batch.words;
    std::fill(batch.words.begin(), batch.words.end(), 0);
    std::int32_t status = -1;
    planes().pack({batch.x.data(), 300, 70, width, batch.words.data(), &status});
    EXPECT_EQ(batch.words, expected) << "W=" << width;
    std::vector<std::uint8_t> x(batch.x.size(), 7);
    planes().unpack({batch.view(), x.data()});
    EXPECT_EQ(x, batch.x) << "W=" << width;
  }
}

// Values above 1 count as 1; the status names the first row that holds one.
TEST_P(Planes, StatusNamesTheFirstRowAboveOne) {
  Generator random(5);
  for (int threads : {1, 2}) {
    set_num_threads(threads);
    for (std::int64_t n : {1, 64, 65, 600}) {
      for (std::int64_t i : {1, 16, 63, 64, 65, 130}) {
        Batch batch(random, n, i);
        std::int64_t first = n;
        for (int value : {2, 127, 128, 255}) {
          const std::int64_t row = below(random, n), column = below(random, i);
          batch.x[static_cast<std::size_t>(row * i + column)] = static_cast<std::uint8_t>(value);
          first = std::min(first, row);
        }
        batch.pack();
        std::vector<std::uint64_t> words(batch.words.size());
        std::int32_t status = -1;
        planes().pack({batch.x.data(), n, i, batch.width, words.data(), &status});
        ASSERT_EQ(status, first + 1) << "N=" << n << " I=" << i;
        ASSERT_EQ(words, batch.words);
      }
    }
  }
}

}  // namespace
}  // namespace polyad::testing
