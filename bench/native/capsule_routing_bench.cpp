#include <memory>
#include <string>

#include "capsule/tables.hpp"
#include "levels.hpp"
#include "register.hpp"
#include "roofline.hpp"

namespace polyad::bench {
namespace {

using capsule::CapsuleTypes;
using capsule::RoutingShape;

// Sabour, Frosst and Hinton (2017): 32 types on 6 x 6 places of 8 numbers, to 10 digits of 16.
RoutingShape shape_of(std::int64_t batch, std::int64_t inputs, std::int64_t outputs) {
  return {batch, inputs, 8, outputs, 16, 3};
}

// Inputs, weights, what forward keeps, and the gradients. One part: one thread.
struct Layer {
  RoutingShape shape;
  CapsuleTypes types;
  bool detach;
  Aligned<float> u, weight, s, v, grad, grad_u, grad_weight, scratch, backward_scratch;

  Layer(const RoutingShape& of, bool detached)
      : shape(of),
        types{of.inputs, nullptr, nullptr, nullptr},
        detach(detached),
        u(Aligned<float>(of.batch * of.inputs * of.input_size).uniform(-0.3f, 0.3f)),
        weight(Aligned<float>(of.inputs * of.rows() * of.input_size).uniform(-0.2f, 0.2f)),
        s(of.iterations * of.batch * of.rows()),
        v(of.batch * of.rows()),
        grad(Aligned<float>(of.batch * of.rows()).uniform(-1, 1)),
        grad_u(of.batch * of.inputs * of.input_size),
        grad_weight(of.inputs * of.rows() * of.input_size),
        scratch(capsule::routing_scratch<float>(of, 1)),
        backward_scratch(capsule::routing_backward_scratch<float>(of, types, detached, 1)) {}

  capsule::RoutingArgs<float> forward() {
    return {shape,    types,    false,   u.data(), weight.data(), nullptr, nullptr, nullptr,
            s.data(), v.data(), nullptr, 1,        scratch.data()};
  }
  capsule::RoutingBackwardArgs<float> backward() {
    return {shape,
            types,
            false,
            detach,
            u.data(),
            weight.data(),
            nullptr,
            nullptr,
            s.data(),
            grad.data(),
            grad_u.data(),
            grad_weight.data(),
            nullptr,
            nullptr,
            nullptr,
            1,
            backward_scratch.data()};
  }
};

enum class Pass { forward, backward, both };

// Multiplications with their additions per sample, input and output, where votes are computed again
// in every pass: K D for votes, D for each sum of theirs. Forward: r times the votes, s, and all
// but once the agreement. Backward: for t = r .. 2 votes, agreements with V and s', the sum R; then
// votes, W' and u', and u_hat' from 2 r - 1 vectors, whose products with the votes make c and l'.
double products(const RoutingShape& s, bool detach, Pass pass) {
  const auto size = static_cast<double>(s.output_size), vote = size * s.input_size;
  const double r = static_cast<double>(s.iterations);
  const double forward = r * vote + (2 * r - 2) * size;
  const double backward =
      detach ? 3 * vote + 2 * size : (r - 1) * (vote + 3 * size) + 3 * vote + (4 * r - 2) * size;
  const double wanted = pass == Pass::forward    ? forward
                        : pass == Pass::backward ? backward
                                                 : forward + backward;
  return wanted * static_cast<double>(s.batch * s.inputs * s.outputs);
}

void routing(benchmark::State& state, Isa level, const RoutingShape& shape, bool detach,
             Pass pass) {
  const auto& table = POLYAD_TABLE_OF(capsule, level, routing_table);
  const auto& backward_table = POLYAD_TABLE_OF(capsule, level, routing_backward_table);
  const auto layer = std::make_unique<Layer>(shape, detach);
  table.routing_float(layer->forward());  // for backward alone
  for (auto _ : state) {
    if (pass != Pass::backward) table.routing_float(layer->forward());
    if (pass != Pass::forward) backward_table.routing_backward_float(layer->backward());
  }
  const double each = products(shape, detach, pass);
  state.counters["flop/s"] = rate(2 * each);
  state.counters["of peak"] = rate(each / products_per_second(level));
}

}  // namespace

void register_routing(Isa level) {
  const auto add = [&](const char* name, Pass pass, const RoutingShape& shape, bool detach) {
    const std::string full =
        std::string(name) + "/" + isa_name(level) + "/B:" + std::to_string(shape.batch) +
        "/I:" + std::to_string(shape.inputs) + "/J:" + std::to_string(shape.outputs);
    benchmark::RegisterBenchmark(full.c_str(), routing, level, shape, detach, pass)
        ->Unit(benchmark::kMillisecond);
  };
  for (std::int64_t batch : {1, 16, 32, 128}) {
    const RoutingShape shape = shape_of(batch, 1152, 10);
    add("routing_forward", Pass::forward, shape, false);
    add("routing_backward", Pass::backward, shape, false);
    add("routing_forward_backward", Pass::both, shape, false);
  }
  add("routing_forward_backward_detached", Pass::both, shape_of(128, 1152, 10), true);
  add("routing_forward_backward", Pass::both, shape_of(128, 9216, 10), false);
  add("routing_forward_backward", Pass::both, shape_of(128, 72, 32), false);
}

}  // namespace polyad::bench
