#include "cases.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

constexpr std::int64_t kSamples = 1024, kEdges = 200000;

struct Case {
  Isa level;
  int k;
};

// float32 samples, weights and scratch of every pass.
struct Problem {
  static constexpr std::int64_t S = hypernet::kEnergyTile<float>;

  RandomEdges edges;
  Aligned<float> x, weights, out, grad, grad_x, grad_w, tiles, grad_tiles, products;
  Aligned<double> grad_parts;
  int k;

  explicit Problem(int length)
      : edges(kEdges, length, false, false),
        x(kSamples * kVariables),
        weights(kEdges, 0.5f),
        out(kSamples),
        grad(kSamples, 1.0f),
        grad_x(kSamples * kVariables),
        grad_w(kEdges),
        tiles(tile_count() * kVariables * S),
        grad_tiles(hypernet::kEnergyParts / parts() * tile_count() * kVariables * S),
        products(hypernet::kEnergyParts * length * S),
        grad_parts(parts() * kEdges),
        k(length) {
    std::mt19937_64 random(3);
    for (std::int64_t i = 0; i < kSamples * kVariables; ++i) {
      x.data()[i] = (random() & 1) != 0 ? 1.0f : -1.0f;
    }
  }

  static std::int64_t tile_count() { return hypernet::energy_tiles<float>(kSamples); }
  static std::int64_t parts() { return hypernet::energy_tile_parts<float>(kSamples); }

  hypernet::EnergyArgs<float> forward() {
    return {x.data(), kSamples, kVariables, edges.view(), weights.data(), out.data(), tiles.data()};
  }
  hypernet::EnergyBackwardArgs<float> backward(bool want_x) {
    return {x.data(),
            kSamples,
            kVariables,
            edges.view(),
            weights.data(),
            grad.data(),
            want_x ? grad_x.data() : nullptr,
            grad_w.data(),
            tiles.data(),
            grad_tiles.data(),
            grad_parts.data(),
            products.data(),
            k};
  }
};

template <class Pass>
void run(benchmark::State& state, const Case& c, const Pass& pass) {
  Problem problem(c.k);
  const hypernet::EnergyTable& table = POLYAD_TABLE(c.level, energy_table);
  for (auto _ : state) pass(table, problem);
  state.counters["pairs/s"] = rate(static_cast<double>(kSamples) * kEdges);
}

}  // namespace

void register_energy(Isa level) {
  using Table = hypernet::EnergyTable;
  for (int k : {3, 10}) {
    const Case c{level, k};
    const std::string suffix = std::string("/") + isa_name(level) + "/k:" + std::to_string(k);
    const auto add = [&](const char* name, auto pass) {
      benchmark::RegisterBenchmark((name + suffix).c_str(), [c, pass](benchmark::State& state) {
        run(state, c, pass);
      })->Unit(benchmark::kMillisecond);
    };
    add("energy", [](const Table& t, Problem& p) { t.energy_float(p.forward()); });
    add("energy_forward_backward", [](const Table& t, Problem& p) {
      t.energy_float(p.forward());
      t.energy_backward_float(p.backward(true));
    });
    add("moments", [](const Table& t, Problem& p) { t.energy_backward_float(p.backward(false)); });
  }
}

}  // namespace polyad::bench
