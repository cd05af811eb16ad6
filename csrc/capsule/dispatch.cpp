// The capsule kernels at the ISA level in use.
#include "capsule/routing_space.hpp"
#include "capsule/tables.hpp"
#include "common/isa.hpp"
#include "common/parallel.hpp"

namespace polyad::capsule {

#ifndef POLYAD_X86_LEVELS  // one level: every name stands for the baseline
namespace v3 = v2;
namespace v4 = v2;
#endif

namespace {

const SquashTable& squashes() {
  return select(v2::squash_table, v3::squash_table, v4::squash_table);
}

const EmRoutingTable& em_routings() {
  return select(v2::em_routing_table, v3::em_routing_table, v4::em_routing_table);
}
const EmRoutingBackwardTable& em_routings_backward() {
  return select(v2::em_routing_backward_table, v3::em_routing_backward_table,
                v4::em_routing_backward_table);
}

const RoutingTable& routings() {
  return select(v2::routing_table, v3::routing_table, v4::routing_table);
}
const RoutingBackwardTable& routings_backward() {
  return select(v2::routing_backward_table, v3::routing_backward_table, v4::routing_backward_table);
}

}  // namespace

void squash(const SquashArgs<float>& args) { squashes().squash_float(args); }
void squash(const SquashArgs<double>& args) { squashes().squash_double(args); }
void squash_backward(const SquashBackwardArgs<float>& args) {
  squashes().squash_backward_float(args);
}
void squash_backward(const SquashBackwardArgs<double>& args) {
  squashes().squash_backward_double(args);
}

// One part for one thread, so that its scratch stays in the cache; else a few for each, so that a
// slow one does not hold up the rest.
std::int64_t routing_parts() {
  const std::int64_t threads = get_num_threads();
  return threads > 1 ? 4 * threads : 1;
}

template <class T>
std::int64_t routing_scratch(const RoutingShape& shape, std::int64_t parts) {
  const std::int64_t blocks = blocks_of<T>(shape.batch), span = shape.rows() * kBlock<T>;
  return blocks * (1 + shape.chunks()) * span + parts * routing_desk<T>(shape);
}
template std::int64_t routing_scratch<float>(const RoutingShape&, std::int64_t);
template std::int64_t routing_scratch<double>(const RoutingShape&, std::int64_t);

template <class T>
std::int64_t routing_backward_scratch(const RoutingShape& shape, const CapsuleTypes& types,
                                      bool detach, std::int64_t parts) {
  const std::int64_t blocks = blocks_of<T>(shape.batch), span = shape.rows() * kBlock<T>;
  const std::int64_t vectors = kept_vectors(shape, detach) + (detach ? 0 : 1 + shape.chunks());
  return blocks * vectors * span + piece_places(shape, types) * lying_gradient<T>(shape) +
         parts * routing_backward_desk<T>(shape, detach);
}
template std::int64_t routing_backward_scratch<float>(const RoutingShape&, const CapsuleTypes&,
                                                      bool, std::int64_t);
template std::int64_t routing_backward_scratch<double>(const RoutingShape&, const CapsuleTypes&,
                                                       bool, std::int64_t);

void routing(const RoutingArgs<float>& args) { routings().routing_float(args); }
void routing(const RoutingArgs<double>& args) { routings().routing_double(args); }
void routing_backward(const RoutingBackwardArgs<float>& args) {
  routings_backward().routing_backward_float(args);
}
void routing_backward(const RoutingBackwardArgs<double>& args) {
  routings_backward().routing_backward_double(args);
}

void em_routing(const EmRoutingArgs<float>& args) { em_routings().em_routing_float(args); }
void em_routing(const EmRoutingArgs<double>& args) { em_routings().em_routing_double(args); }
void em_routing_backward(const EmRoutingBackwardArgs<float>& args) {
  em_routings_backward().em_routing_backward_float(args);
}
void em_routing_backward(const EmRoutingBackwardArgs<double>& args) {
  em_routings_backward().em_routing_backward_double(args);
}

}  // namespace polyad::capsule
