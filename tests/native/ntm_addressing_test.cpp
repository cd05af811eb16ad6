#include "ntm_cases.hpp"

namespace polyad::testing {
namespace {

using ntm::HeadsShape;
using ntm::Similarity;

class Addressing : public AtLevel {};
POLYAD_AT_EVERY_LEVEL(Addressing);

// The members of the table that take T.
template <class T>
struct Kernels;

template <>
struct Kernels<float> {
  const ntm::AddressingTable& t;
  void content(const ntm::ContentArgs<float>& a) const { t.content_float(a); }
  void content(const ntm::ContentBackwardArgs<float>& a) const { t.content_backward_float(a); }
  void interpolate(const ntm::InterpolateArgs<float>& a) const { t.interpolate_float(a); }
  void interpolate(const ntm::InterpolateBackwardArgs<float>& a) const {
    t.interpolate_backward_float(a);
  }
  void shift(const ntm::ShiftArgs<float>& a) const { t.shift_float(a); }
  void shift(const ntm::ShiftBackwardArgs<float>& a) const { t.shift_backward_float(a); }
  void sharpen(const ntm::SharpenArgs<float>& a) const { t.sharpen_float(a); }
  void sharpen(const ntm::SharpenBackwardArgs<float>& a) const { t.sharpen_backward_float(a); }
  void addressing(const ntm::AddressingArgs<float>& a) const { t.addressing_float(a); }
  void addressing(const ntm::AddressingBackwardArgs<float>& a) const {
    t.addressing_backward_float(a);
  }
};

template <>
struct Kernels<double> {
  const ntm::AddressingTable& t;
  void content(const ntm::ContentArgs<double>& a) const { t.content_double(a); }
  void content(const ntm::ContentBackwardArgs<double>& a) const { t.content_backward_double(a); }
  void interpolate(const ntm::InterpolateArgs<double>& a) const { t.interpolate_double(a); }
  void interpolate(const ntm::InterpolateBackwardArgs<double>& a) const {
    t.interpolate_backward_double(a);
  }
  void shift(const ntm::ShiftArgs<double>& a) const { t.shift_double(a); }
  void shift(const ntm::ShiftBackwardArgs<double>& a) const { t.shift_backward_double(a); }
  void sharpen(const ntm::SharpenArgs<double>& a) const { t.sharpen_double(a); }
  void sharpen(const ntm::SharpenBackwardArgs<double>& a) const { t.sharpen_backward_double(a); }
  void addressing(const ntm::AddressingArgs<double>& a) const { t.addressing_double(a); }
  void addressing(const ntm::AddressingBackwardArgs<double>& a) const {
    t.addressing_backward_double(a);
  }
};

template <class T>
struct Problem {
  HeadsShape shape;
  Similarity similarity;
  std::vector<T> memory, previous, key, beta, gate, kernel, gamma, grad;

  Problem(Generator& random, const HeadsShape& s, Similarity kind = Similarity::root)
      : shape(s), similarity(kind) {
    const std::int64_t heads = s.batch * s.heads;
    memory = signs<T>(random, s.batch * s.rows * s.width);
    previous = distributions<T>(random, heads, s.rows);
    key = signs<T>(random, heads * s.width);
    beta = uniform<T>(random, heads, 0, 8);
    gate = uniform<T>(random, heads, 0, 1);
    kernel = distributions<T>(random, heads, s.shifts);
    gamma = uniform<T>(random, heads, 1, 5);
    grad = uniform<T>(random, heads * s.rows, -1, 1);
  }

  // Output and gradients of every op. `parts` may be any number: results do not depend on it.
  Arrays<T> run(const ntm::AddressingTable& table, std::int64_t parts) const {
    const Kernels<T> kernels{table};
    const std::int64_t heads = shape.batch * shape.heads, cells = heads * shape.rows;
    const HeadsShape alone{heads, shape.rows, 0, 1, shape.shifts};
    Arrays<T> all;
    all.reserve(32);
    const auto output = [&](std::int64_t count) {
      return all.emplace_back(unset<T>(count)).data();
    };
    std::vector<T> scratch;
    const auto space = [&](const HeadsShape& of) {
      scratch = unset<T>(parts * ntm::addressing_scratch<T>(of));
      return ntm::PartedScratch<T>{parts, scratch.data()};
    };
    const std::int64_t in_memory = shape.batch * shape.rows * shape.width;
    const auto *mem = memory.data(), *prev = previous.data(), *k = key.data(), *b = beta.data(),
               *g = gate.data(), *s = kernel.data(), *c = gamma.data(), *d = grad.data();
    constexpr double epsilon = 1e-6;

    T* found = output(cells);
    kernels.content(
        ntm::ContentArgs<T>{shape, similarity, epsilon, mem, k, b, found, space(shape)});
    T* to_memory = output(in_memory);
    T* to_key = output(heads * shape.width);
    kernels.content(ntm::ContentBackwardArgs<T>{shape, similarity, epsilon, mem, k, b, d, to_memory,
                                                to_key, output(heads), space(shape)});
    T* mixed = output(cells);
    kernels.interpolate(ntm::InterpolateArgs<T>{alone, found, prev, g, mixed, space(alone)});
    T* to_content = output(cells);
    T* to_previous = output(cells);
    kernels.interpolate(ntm::InterpolateBackwardArgs<T>{alone, found, prev, g, d, to_content,
                                                        to_previous, output(heads), space(alone)});
    T* shifted = output(cells);
    kernels.shift(ntm::ShiftArgs<T>{alone, mixed, s, shifted, space(alone)});
    T* to_mixed = output(cells);
    kernels.shift(ntm::ShiftBackwardArgs<T>{alone, mixed, s, d, to_mixed,
                                            output(heads * shape.shifts), space(alone)});
    T* sharp = output(cells);
    kernels.sharpen(ntm::SharpenArgs<T>{alone, shifted, c, sharp, space(alone)});
    T* to_shifted = output(cells);
    kernels.sharpen(
        ntm::SharpenBackwardArgs<T>{alone, shifted, c, d, to_shifted, output(heads), space(alone)});

    fused_at = all.size();
    kernels.addressing(ntm::AddressingArgs<T>{shape, similarity, epsilon, mem, prev, k, b, g, s, c,
                                              output(cells), space(shape)});
    T* fused[7];
    const std::int64_t counts[7] = {
        in_memory, cells, heads * shape.width, heads, heads, heads * shape.shifts, heads};
    for (int i = 0; i < 7; ++i) fused[i] = output(counts[i]);
    kernels.addressing(ntm::AddressingBackwardArgs<T>{
        shape, similarity, epsilon, mem, prev, k, b, g, s, c, d, fused[0], fused[1], fused[2],
        fused[3], fused[4], fused[5], fused[6], space(shape)});
    return all;
  }

  mutable std::size_t fused_at = 0;  // where the fused op's output stands in the answer
};

constexpr double kBound = 4000;  // eps: beta and gamma |log w| amplify rounding

template <class T>
void expect_sizes(const ntm::AddressingTable& table, Generator& random) {
  for (std::int64_t rows : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 128, 130, 200}) {
    for (const auto& [width, heads, shifts] :
         {std::array<std::int64_t, 3>{1, 1, 1}, {3, 2, 3}, {20, 5, 5}, {7, 9, 7}, {2, 1, 39}}) {
      for (Similarity similarity : {Similarity::root, Similarity::sum}) {
        const HeadsShape shape{2, rows, width, heads, shifts};
        SCOPED_TRACE(sizes_of(shape));
        const Problem<T> problem(random, shape, similarity);
        const Arrays<T> got = problem.run(table, 1);
        expect_near(got, problem.run(ntm::v2::addressing_table, 2), kBound);
        for (const auto& array : got) {
          for (T each : array) ASSERT_TRUE(std::isfinite(each));
        }
        expect_near<T>({got[problem.fused_at]}, {got[problem.fused_at - 3]}, kBound);
      }
    }
  }
}

TEST_P(Addressing, Sizes) {
  Generator random(31);
  expect_sizes<float>(addressing(), random);
  expect_sizes<double>(addressing(), random);
}

template <class T>
void expect_definition(const ntm::AddressingTable& table, Generator& random) {
  const HeadsShape shape{1, 6, 3, 1, 5};
  const Problem<T> p(random, shape);
  const std::int64_t N = shape.rows, M = shape.width, S = shape.shifts;
  double key = 0, sum = 0;
  for (T k : p.key) key += static_cast<double>(k) * static_cast<double>(k);
  std::vector<double> content, mixed, shifted, sharp;
  for (std::int64_t i = 0; i < N; ++i) {
    double dot = 0, square = 0;
    for (std::int64_t m = 0; m < M; ++m) {
      const double x = p.memory[size(i * M + m)];
      dot += x * static_cast<double>(p.key[size(m)]);
      square += x * x;
    }
    content.push_back(
        std::exp(static_cast<double>(p.beta[0]) * dot / std::sqrt((square + 1e-6) * (key + 1e-6))));
    sum += content.back();
  }
  for (std::int64_t i = 0; i < N; ++i) {
    content[size(i)] /= sum;
    const double gate = p.gate[0];
    mixed.push_back(gate * content[size(i)] +
                    (1 - gate) * static_cast<double>(p.previous[size(i)]));
  }
  sum = 0;
  for (std::int64_t i = 0; i < N; ++i) {
    double moved = 0;
    for (std::int64_t j = 0; j < S; ++j) {
      moved += static_cast<double>(p.kernel[size(j)]) * mixed[size((i - (j - S / 2) + 2 * N) % N)];
    }
    shifted.push_back(moved);
    sharp.push_back(std::pow(moved, static_cast<double>(p.gamma[0])));
    sum += sharp.back();
  }
  for (double& each : sharp) each /= sum;
  const Arrays<T> got = p.run(table, 1);
  const auto expect = [&](const std::vector<T>& ours, const std::vector<double>& want) {
    expect_near<T>({ours}, {std::vector<T>(want.begin(), want.end())}, 200);
  };
  expect(got[0], content);
  expect(got[4], mixed);
  expect(got[8], shifted);
  expect(got[11], sharp);
  expect(got[p.fused_at], sharp);
}

TEST_P(Addressing, Definition) {
  Generator random(32);
  expect_definition<float>(addressing(), random);
  expect_definition<double>(addressing(), random);
}

template <class T>
void expect_split(const ntm::AddressingTable& table, Generator& random) {
  const Problem<T> problem(random, {7, 50, 6, 3, 3});
  set_num_threads(1);
  const Arrays<T> want = problem.run(table, 1);
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (std::int64_t parts : {1, 2, 3, 7, 9}) EXPECT_EQ(problem.run(table, parts), want);
  }
}

TEST_P(Addressing, PartsAndThreadsGiveTheSameBits) {
  Generator random(33);
  expect_split<float>(addressing(), random);
  expect_split<double>(addressing(), random);
}

template <class T>
void expect_extremes(const ntm::AddressingTable& table, Generator& random) {
  for (Similarity similarity : {Similarity::root, Similarity::sum}) {
    for (int bits = 0; bits < 64; ++bits) {
      Problem<T> p(random, {1, 33, 4, 2, 3}, similarity);
      if (bits & 1) std::fill(p.memory.begin(), p.memory.end(), T{0});
      if (bits & 2) std::fill(p.key.begin(), p.key.end(), T{0});
      if (bits & 4) std::fill(p.beta.begin(), p.beta.end(), T{10000});
      if (bits & 8) std::fill(p.gamma.begin(), p.gamma.end(), T{200});
      if (bits & 16) {
        std::fill(p.previous.begin(), p.previous.end(), T{0});
        p.previous[0] = p.previous[33 + 5] = 1;
        p.kernel = {0, 1, 0, 0, 1, 0};
      }
      if (bits & 32) std::fill(p.gate.begin(), p.gate.end(), T{0});
      for (const auto& array : p.run(table, 1)) {
        for (T each : array) ASSERT_TRUE(std::isfinite(each)) << "case " << bits;
      }
    }
  }
}

TEST_P(Addressing, ExtremesAreFinite) {
  Generator random(34);
  expect_extremes<float>(addressing(), random);
  expect_extremes<double>(addressing(), random);
}

TEST_P(Addressing, EmptyBatch) {
  Generator random(35);
  const Problem<float> problem(random, {0, 9, 4, 2, 3});
  for (const auto& array : problem.run(addressing(), 0)) EXPECT_TRUE(array.empty());
}

TEST(AddressingParts, AreWorthAThread) {
  set_num_threads(1);
  EXPECT_EQ(ntm::parts_of(1000, 1 << 20), 1);
  set_num_threads(2);
  EXPECT_EQ(ntm::parts_of(0, 1 << 20), 0);
  EXPECT_EQ(ntm::parts_of(1, 1 << 20), 1);
  EXPECT_EQ(ntm::parts_of(3, 1 << 20), 3);
  EXPECT_EQ(ntm::parts_of(1000, 1 << 20), 8);
  EXPECT_EQ(ntm::parts_of(1000, 1), 1);
}

}  // namespace
}  // namespace polyad::testing
