#include <string>

#include "levels.hpp"
#include "ntm/tables.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

constexpr ntm::Similarity kRoot = ntm::Similarity::root;
constexpr double kEpsilon = 1e-6;

// A memory of 128 x 20 and two heads for every sequence.
struct Heads {
  ntm::HeadsShape s;
  Aligned<float> memory, previous, key, beta, gate, kernel, gamma, grad, out;
  Aligned<float> g_memory, g_previous, g_key, g_beta, g_gate, g_kernel, g_gamma;
  Aligned<float> scratch;

  explicit Heads(std::int64_t batch)
      : s{batch, 128, 20, 2, 3},
        memory(Aligned<float>(batch * s.rows * s.width).uniform(-1, 1)),
        previous(each(s.rows, 0, 2.0f / 128)),
        key(each(s.width, -1, 1)),
        beta(each(1, 1, 5)),
        gate(each(1, 0, 1)),
        kernel(each(s.shifts, 0.1f, 0.5f)),
        gamma(each(1, 1, 5)),
        grad(each(s.rows, -1, 1)),
        out(batch * s.heads * s.rows),
        g_memory(batch * s.rows * s.width),
        g_previous(batch * s.heads * s.rows),
        g_key(batch * s.heads * s.width),
        g_beta(batch * s.heads),
        g_gate(batch * s.heads),
        g_kernel(batch * s.heads * s.shifts),
        g_gamma(batch * s.heads),
        scratch(ntm::addressing_scratch<float>(s)) {}

  Aligned<float> each(std::int64_t size, float low, float high) const {
    return Aligned<float>(s.batch * s.heads * size).uniform(low, high);
  }
  ntm::PartedScratch<float> part() { return {1, scratch.data()}; }
  ntm::AddressingArgs<float> forward() {
    return {s,           kRoot,       kEpsilon,      memory.data(), previous.data(), key.data(),
            beta.data(), gate.data(), kernel.data(), gamma.data(),  out.data(),      part()};
  }
  ntm::AddressingBackwardArgs<float> backward() {
    return {s,
            kRoot,
            kEpsilon,
            memory.data(),
            previous.data(),
            key.data(),
            beta.data(),
            gate.data(),
            kernel.data(),
            gamma.data(),
            grad.data(),
            g_memory.data(),
            g_previous.data(),
            g_key.data(),
            g_beta.data(),
            g_gate.data(),
            g_kernel.data(),
            g_gamma.data(),
            part()};
  }
};

template <class Pass>
void run(benchmark::State& state, Isa level, std::int64_t batch, const Pass& pass) {
  Heads heads(batch);
  const ntm::AddressingTable& table = POLYAD_TABLE_OF(ntm, level, addressing_table);
  for (auto _ : state) pass(table, heads);
  state.counters["heads/s"] = rate(static_cast<double>(batch * heads.s.heads));
}

}  // namespace

void register_addressing(Isa level) {
  using Table = ntm::AddressingTable;
  for (std::int64_t batch : {1, 16, 64}) {
    const std::string suffix = std::string("/") + isa_name(level) + "/B:" + std::to_string(batch);
    const auto add = [&](const char* name, auto pass) {
      benchmark::RegisterBenchmark((name + suffix).c_str(), [=](benchmark::State& state) {
        run(state, level, batch, pass);
      })->Unit(benchmark::kMicrosecond);
    };
    add("content", [](const Table& t, Heads& h) {
      t.content_float({h.s, kRoot, kEpsilon, h.memory.data(), h.key.data(), h.beta.data(),
                       h.out.data(), h.part()});
    });
    add("content_backward", [](const Table& t, Heads& h) {
      t.content_backward_float({h.s, kRoot, kEpsilon, h.memory.data(), h.key.data(), h.beta.data(),
                                h.grad.data(), h.g_memory.data(), h.g_key.data(), h.g_beta.data(),
                                h.part()});
    });
    add("interpolate", [](const Table& t, Heads& h) {
      t.interpolate_float(
          {h.s, h.previous.data(), h.previous.data(), h.gate.data(), h.out.data(), h.part()});
    });
    add("interpolate_backward", [](const Table& t, Heads& h) {
      t.interpolate_backward_float({h.s, h.previous.data(), h.previous.data(), h.gate.data(),
                                    h.grad.data(), h.out.data(), h.g_previous.data(),
                                    h.g_gate.data(), h.part()});
    });
    add("shift", [](const Table& t, Heads& h) {
      t.shift_float({h.s, h.previous.data(), h.kernel.data(), h.out.data(), h.part()});
    });
    add("shift_backward", [](const Table& t, Heads& h) {
      t.shift_backward_float({h.s, h.previous.data(), h.kernel.data(), h.grad.data(),
                              h.g_previous.data(), h.g_kernel.data(), h.part()});
    });
    add("sharpen", [](const Table& t, Heads& h) {
      t.sharpen_float({h.s, h.previous.data(), h.gamma.data(), h.out.data(), h.part()});
    });
    add("sharpen_backward", [](const Table& t, Heads& h) {
      t.sharpen_backward_float({h.s, h.previous.data(), h.gamma.data(), h.grad.data(),
                                h.g_previous.data(), h.g_gamma.data(), h.part()});
    });
    add("addressing", [](const Table& t, Heads& h) { t.addressing_float(h.forward()); });
    add("addressing_backward",
        [](const Table& t, Heads& h) { t.addressing_backward_float(h.backward()); });
  }
}

}  // namespace polyad::bench
