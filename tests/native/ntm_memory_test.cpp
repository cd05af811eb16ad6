#include "ntm_cases.hpp"

namespace polyad::testing {
namespace {

using ntm::HeadsShape;

class Memory : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Memory);

// Memories, heads and the answers by definition, in double.
template <class T>
struct Problem {
  HeadsShape shape;
  std::vector<T> memory, weights, erase, add, read_grad, write_grad;

  Problem(Generator& random, const HeadsShape& s) : shape(s) {
    const std::int64_t heads = s.batch * s.heads;
    memory = signs<T>(random, s.batch * s.rows * s.width);
    weights = distributions<T>(random, heads, s.rows);
    erase = uniform<T>(random, heads * s.width, 0, 1);
    add = signs<T>(random, heads * s.width);
    read_grad = uniform<T>(random, heads * s.width, -1, 1);
    write_grad = uniform<T>(random, s.batch * s.rows * s.width, -1, 1);
  }

  // read, its gradients in memory and weights, write, its gradients in all four.
  Arrays<T> run(const ntm::MemoryTable& table, std::int64_t parts) const {
    std::vector<T> scratch;
    const auto space = [&] {
      scratch = unset<T>(parts * ntm::memory_scratch<T>(shape));
      return ntm::PartedScratch<T>{parts, scratch.data()};
    };
    Arrays<T> all{unset<T>(std::ssize(add)),     unset<T>(std::ssize(memory)),
                  unset<T>(std::ssize(weights)), unset<T>(std::ssize(memory)),
                  unset<T>(std::ssize(memory)),  unset<T>(std::ssize(weights)),
                  unset<T>(std::ssize(erase)),   unset<T>(std::ssize(add))};
    const ntm::ReadArgs<T> read{shape, memory.data(), weights.data(), all[0].data(), space()};
    call(table, read);
    call(table, ntm::ReadBackwardArgs<T>{shape, memory.data(), weights.data(), read_grad.data(),
                                         all[1].data(), all[2].data(), space()});
    call(table, ntm::WriteArgs<T>{shape, memory.data(), weights.data(), erase.data(), add.data(),
                                  all[3].data(), space()});
    call(table, ntm::WriteBackwardArgs<T>{shape, memory.data(), weights.data(), erase.data(),
                                          add.data(), write_grad.data(), all[4].data(),
                                          all[5].data(), all[6].data(), all[7].data(), space()});
    return all;
  }

  static void call(const ntm::MemoryTable& t, const ntm::ReadArgs<float>& a) { t.read_float(a); }
  static void call(const ntm::MemoryTable& t, const ntm::ReadArgs<double>& a) { t.read_double(a); }
  static void call(const ntm::MemoryTable& t, const ntm::ReadBackwardArgs<float>& a) {
    t.read_backward_float(a);
  }
  static void call(const ntm::MemoryTable& t, const ntm::ReadBackwardArgs<double>& a) {
    t.read_backward_double(a);
  }
  static void call(const ntm::MemoryTable& t, const ntm::WriteArgs<float>& a) { t.write_float(a); }
  static void call(const ntm::MemoryTable& t, const ntm::WriteArgs<double>& a) {
    t.write_double(a);
  }
  static void call(const ntm::MemoryTable& t, const ntm::WriteBackwardArgs<float>& a) {
    t.write_backward_float(a);
  }
  static void call(const ntm::MemoryTable& t, const ntm::WriteBackwardArgs<double>& a) {
    t.write_backward_double(a);
  }

  Arrays<T> solve() const {
    const auto [B, N, M, H, S] = shape;
    Arrays<double> all{std::vector<double>(add.size()),     std::vector<double>(memory.size()),
                       std::vector<double>(weights.size()), std::vector<double>(memory.size()),
                       std::vector<double>(memory.size()),  std::vector<double>(weights.size()),
                       std::vector<double>(erase.size()),   std::vector<double>(add.size())};
    for (std::int64_t b = 0; b < B; ++b) {
      for (std::int64_t i = 0; i < N; ++i) {
        for (std::int64_t m = 0; m < M; ++m) {
          const std::size_t at = size((b * N + i) * M + m);
          const double x = memory[at], grad = write_grad[at];
          double kept = x, added = 0, product = grad;
          for (std::int64_t h = 0; h < H; ++h) {
            const std::size_t w = size((b * H + h) * N + i), v = size((b * H + h) * M + m);
            const double weight = weights[w], to_read = read_grad[v];
            all[0][v] += weight * x;
            all[1][at] += weight * to_read;
            all[2][w] += x * to_read;
            kept *= 1 - weight * static_cast<double>(erase[v]);
            added += weight * static_cast<double>(add[v]);
            product *= 1 - weight * static_cast<double>(erase[v]);
            double others = grad * x;  // of all heads but h
            for (std::int64_t o = 0; o < H; ++o) {
              if (o == h) continue;
              others *= 1 - static_cast<double>(weights[size((b * H + o) * N + i)]) *
                                static_cast<double>(erase[size((b * H + o) * M + m)]);
            }
            all[5][w] +=
                grad * static_cast<double>(add[v]) - others * static_cast<double>(erase[v]);
            all[6][v] -= weight * others;
            all[7][v] += weight * grad;
          }
          all[3][at] = kept + added;
          all[4][at] = product;
        }
      }
    }
    Arrays<T> rounded;
    for (const auto& array : all) rounded.emplace_back(array.begin(), array.end());
    return rounded;
  }
};

template <class T>
void expect_sizes(const ntm::MemoryTable& table, Generator& random) {
  for (std::int64_t rows : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 128, 130, 200}) {
    for (const auto& [width, heads] :
         {std::array<std::int64_t, 2>{1, 1}, {3, 2}, {20, 5}, {9, 3}, {2, 16}}) {
      const HeadsShape shape{2, rows, width, heads, 1};
      SCOPED_TRACE(sizes_of(shape));
      const Problem<T> problem(random, shape);
      const Arrays<T> got = problem.run(table, 1);
      expect_near(got, problem.solve(), 300);
      expect_near(got, problem.run(ntm::v2::memory_table, 2), 300);
    }
  }
}

TEST_P(Memory, Sizes) {
  Generator random(41);
  expect_sizes<float>(memories(), random);
  expect_sizes<double>(memories(), random);
}

// Factors of exactly zero, of one head and of two: the gradients still hold.
TEST_P(Memory, WholeErases) {
  Generator random(42);
  Problem<double> problem(random, {1, 17, 3, 3, 1});
  for (std::size_t head : {0, 1}) {
    problem.weights[head * 17 + 4] = 1;
    for (std::size_t m = 0; m < 3; ++m) problem.erase[head * 3 + m] = 1;
  }
  problem.weights[16] = 1;  // the last row, by the first head alone
  const auto got = problem.run(memories(), 1);
  expect_near(got, problem.solve(), 300);
  for (std::size_t m = 0; m < 3; ++m) EXPECT_EQ(got[4][4 * 3 + m], 0);
}

TEST_P(Memory, OnesAndZerosAreExact) {
  Generator random(43);
  Problem<float> problem(random, {1, 5, 2, 1, 1});
  problem.weights = {0, 0, 1, 0, 0};
  problem.erase = {1, 1};
  problem.add = {7, -8};
  const auto got = problem.run(memories(), 1);
  EXPECT_EQ(got[0], (std::vector<float>{problem.memory[4], problem.memory[5]}));
  std::vector<float> want = problem.memory;
  want[4] = 7;
  want[5] = -8;
  EXPECT_EQ(got[3], want);
}

template <class T>
void expect_split(const ntm::MemoryTable& table, Generator& random) {
  const Problem<T> problem(random, {7, 50, 6, 3, 1});
  set_num_threads(1);
  const Arrays<T> want = problem.run(table, 1);
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (std::int64_t parts : {1, 2, 3, 7, 9}) EXPECT_EQ(problem.run(table, parts), want);
  }
}

TEST_P(Memory, PartsAndThreadsGiveTheSameBits) {
  Generator random(44);
  expect_split<float>(memories(), random);
  expect_split<double>(memories(), random);
}

TEST_P(Memory, EmptyBatch) {
  Generator random(45);
  const Problem<float> problem(random, {0, 9, 4, 2, 1});
  for (const auto& array : problem.run(memories(), 0)) EXPECT_TRUE(array.empty());
}

}  // namespace
}  // namespace polyad::testing
