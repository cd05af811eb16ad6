#include <string>

#include "levels.hpp"
#include "ntm/tables.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

// A memory of 128 x 20 and one head for every sequence, as in the copy task.
struct Memory {
  ntm::HeadsShape s;
  Aligned<float> memory, weights, erase, add, out, read, grad_read, grad_memory;
  Aligned<float> g_memory, g_weights, g_erase, g_add, scratch;

  explicit Memory(std::int64_t batch)
      : s{batch, 128, 20, 1, 0},
        memory(Aligned<float>(batch * s.rows * s.width).uniform(-1, 1)),
        weights(Aligned<float>(batch * s.rows).uniform(0, 2.0f / 128)),
        erase(Aligned<float>(batch * s.width).uniform(0, 1)),
        add(Aligned<float>(batch * s.width).uniform(-1, 1)),
        out(batch * s.rows * s.width),
        read(batch * s.width),
        grad_read(Aligned<float>(batch * s.width).uniform(-1, 1)),
        grad_memory(Aligned<float>(batch * s.rows * s.width).uniform(-1, 1)),
        g_memory(batch * s.rows * s.width),
        g_weights(batch * s.rows),
        g_erase(batch * s.width),
        g_add(batch * s.width),
        scratch(ntm::memory_scratch<float>(s)) {}

  ntm::PartedScratch<float> part() { return {1, scratch.data()}; }
};

template <class Pass>
void run(benchmark::State& state, Isa level, std::int64_t batch, const Pass& pass) {
  Memory memory(batch);
  const ntm::MemoryTable& table = POLYAD_TABLE_OF(ntm, level, memory_table);
  for (auto _ : state) pass(table, memory);
  const double bytes = static_cast<double>(sizeof(float) * batch * memory.s.rows * memory.s.width);
  state.counters["memory bytes/s"] = rate(bytes);
}

}  // namespace

void register_memory(Isa level) {
  using Table = ntm::MemoryTable;
  for (std::int64_t batch : {1, 16, 64}) {
    const std::string suffix = std::string("/") + isa_name(level) + "/B:" + std::to_string(batch);
    const auto add = [&](const char* name, auto pass) {
      benchmark::RegisterBenchmark((name + suffix).c_str(), [=](benchmark::State& state) {
        run(state, level, batch, pass);
      })->Unit(benchmark::kMicrosecond);
    };
    add("read", [](const Table& t, Memory& m) {
      t.read_float({m.s, m.memory.data(), m.weights.data(), m.read.data(), m.part()});
    });
    add("read_backward", [](const Table& t, Memory& m) {
      t.read_backward_float({m.s, m.memory.data(), m.weights.data(), m.grad_read.data(),
                             m.g_memory.data(), m.g_weights.data(), m.part()});
    });
    add("write", [](const Table& t, Memory& m) {
      t.write_float({m.s, m.memory.data(), m.weights.data(), m.erase.data(), m.add.data(),
                     m.out.data(), m.part()});
    });
    add("write_backward", [](const Table& t, Memory& m) {
      t.write_backward_float({m.s, m.memory.data(), m.weights.data(), m.erase.data(), m.add.data(),
                              m.grad_memory.data(), m.g_memory.data(), m.g_weights.data(),
                              m.g_erase.data(), m.g_add.data(), m.part()});
    });
  }
}

}  // namespace polyad::bench
