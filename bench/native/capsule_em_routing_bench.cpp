#include <memory>
#include <string>

#include "capsule/tables.hpp"
#include "levels.hpp"
#include "register.hpp"

namespace polyad::bench {
namespace {

using capsule::EmShape;

constexpr double kSchedule[] = {0.01, 0.02, 0.03};

// A layer, what its forward pass keeps, and the gradients. One part: one thread.
struct Layer {
  EmShape shape;
  Aligned<float> poses, activations, weight, beta_u, beta_a, out_poses, out_activations;
  Aligned<float> mu, variance, score, mass, grad_out_poses, grad_out_activations;
  Aligned<float> grad_poses, grad_activations, grad_weight, grad_beta_u, grad_beta_a;
  Aligned<float> scratch, backward_scratch;

  explicit Layer(const EmShape& s)
      : shape(s),
        poses(Aligned<float>(s.batch * s.inputs * s.pose()).uniform(-1, 1)),
        activations(Aligned<float>(s.batch * s.inputs).uniform(0, 1)),
        weight(Aligned<float>(s.inputs * s.rows()).uniform(-1, 1)),
        beta_u(Aligned<float>(s.outputs).uniform(-1, 1)),
        beta_a(Aligned<float>(s.outputs).uniform(-1, 1)),
        out_poses(s.batch * s.rows()),
        out_activations(s.batch * s.outputs),
        mu(s.iterations * s.batch * s.rows()),
        variance(s.iterations * s.batch * s.rows()),
        score(s.iterations * s.batch * s.outputs),
        mass(s.iterations * s.batch * s.outputs),
        grad_out_poses(Aligned<float>(s.batch * s.rows()).uniform(-1, 1)),
        grad_out_activations(Aligned<float>(s.batch * s.outputs).uniform(-1, 1)),
        grad_poses(s.batch * s.inputs * s.pose()),
        grad_activations(s.batch * s.inputs),
        grad_weight(s.inputs * s.rows()),
        grad_beta_u(s.outputs),
        grad_beta_a(s.outputs),
        scratch(capsule::em_routing_scratch<float>(s, 1)),
        backward_scratch(capsule::em_routing_backward_scratch<float>(s, 1)) {}

  capsule::EmRoutingArgs<float> forward() {
    return {shape,
            1e-6,
            kSchedule,
            poses.data(),
            activations.data(),
            weight.data(),
            beta_u.data(),
            beta_a.data(),
            out_poses.data(),
            out_activations.data(),
            mu.data(),
            variance.data(),
            score.data(),
            mass.data(),
            1,
            scratch.data()};
  }
  capsule::EmRoutingBackwardArgs<float> backward() {
    return {shape,
            1e-6,
            kSchedule,
            poses.data(),
            activations.data(),
            weight.data(),
            beta_u.data(),
            mu.data(),
            variance.data(),
            score.data(),
            mass.data(),
            grad_out_poses.data(),
            grad_out_activations.data(),
            grad_poses.data(),
            grad_activations.data(),
            grad_weight.data(),
            grad_beta_u.data(),
            grad_beta_a.data(),
            1,
            backward_scratch.data()};
  }
};

}  // namespace

// As many capsules as dynamic routing of MNIST has, poses of 4 x 4, three iterations.
void register_em_routing(Isa level) {
  for (std::int64_t batch : {1, 32}) {
    const EmShape shape{batch, 1152, 10, 4, 3};
    const std::string suffix = std::string("/") + isa_name(level) + "/B:" + std::to_string(batch);
    const auto add = [&](const char* name, bool backward) {
      benchmark::RegisterBenchmark((name + suffix).c_str(), [=](benchmark::State& state) {
        const auto layer = std::make_unique<Layer>(shape);
        const auto& forward_table = POLYAD_TABLE_OF(capsule, level, em_routing_table);
        const auto& backward_table = POLYAD_TABLE_OF(capsule, level, em_routing_backward_table);
        forward_table.em_routing_float(layer->forward());
        for (auto _ : state) {
          if (backward) {
            backward_table.em_routing_backward_float(layer->backward());
          } else {
            forward_table.em_routing_float(layer->forward());
          }
        }
        state.counters["votes/s"] =
            rate(static_cast<double>(shape.batch * shape.inputs * shape.outputs));
      })->Unit(benchmark::kMillisecond);
    };
    add("em_routing", false);
    add("em_routing_backward", true);
  }
}

}  // namespace polyad::bench
