#include <string>

#include "capsule/tables.hpp"
#include "levels.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

template <class Pass>
void run(benchmark::State& state, Isa level, const capsule::SquashShape& shape, const Pass& pass) {
  const std::int64_t count = shape.outer * shape.size * shape.inner;
  auto s = Aligned<float>(count).uniform(-1, 1), grad = Aligned<float>(count).uniform(-1, 1);
  Aligned<float> to(count);
  const capsule::SquashTable& table = POLYAD_TABLE_OF(capsule, level, squash_table);
  for (auto _ : state) pass(table, shape, s.data(), grad.data(), to.data());
  state.counters["numbers/s"] = rate(static_cast<double>(count));
}

}  // namespace

// The primary capsules of an MNIST digit, 1152 of 8 numbers: vectors beside each other (inner = 1),
// and their numbers apart, as a convolution leaves them.
void register_squash(Isa level) {
  using capsule::SquashShape;
  using capsule::SquashTable;
  for (const SquashShape& shape : {SquashShape{32 * 1152, 8, 1}, SquashShape{32 * 32, 8, 36}}) {
    const std::string suffix =
        std::string("/") + isa_name(level) + "/B:32/inner:" + std::to_string(shape.inner);
    const auto add = [&](const char* name, auto pass) {
      benchmark::RegisterBenchmark((name + suffix).c_str(), [=](benchmark::State& state) {
        run(state, level, shape, pass);
      })->Unit(benchmark::kMicrosecond);
    };
    add("squash", [](const SquashTable& t, const SquashShape& of, const float* s, const float*,
                     float* to) { t.squash_float({of, s, to}); });
    add("squash_backward",
        [](const SquashTable& t, const SquashShape& of, const float* s, const float* grad,
           float* to) { t.squash_backward_float({of, s, grad, to}); });
  }
}

}  // namespace polyad::bench
