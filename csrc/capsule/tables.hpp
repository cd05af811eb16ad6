// The function tables that each ISA level of the capsule kernels exports.
#pragma once

#include "capsule/em_routing.hpp"
#include "capsule/routing.hpp"
#include "capsule/squash.hpp"

namespace polyad::capsule {

struct SquashTable {
  void (*squash_float)(const SquashArgs<float>&);
  void (*squash_double)(const SquashArgs<double>&);
  void (*squash_backward_float)(const SquashBackwardArgs<float>&);
  void (*squash_backward_double)(const SquashBackwardArgs<double>&);
};

struct EmRoutingTable {
  void (*em_routing_float)(const EmRoutingArgs<float>&);
  void (*em_routing_double)(const EmRoutingArgs<double>&);
};

struct EmRoutingBackwardTable {
  void (*em_routing_backward_float)(const EmRoutingBackwardArgs<float>&);
  void (*em_routing_backward_double)(const EmRoutingBackwardArgs<double>&);
};

struct RoutingTable {
  void (*routing_float)(const RoutingArgs<float>&);
  void (*routing_double)(const RoutingArgs<double>&);
};

struct RoutingBackwardTable {
  void (*routing_backward_float)(const RoutingBackwardArgs<float>&);
  void (*routing_backward_double)(const RoutingBackwardArgs<double>&);
};

namespace v2 {
extern const EmRoutingTable em_routing_table;
extern const EmRoutingBackwardTable em_routing_backward_table;
extern const RoutingTable routing_table;
extern const RoutingBackwardTable routing_backward_table;
extern const SquashTable squash_table;
}  // namespace v2

#ifdef POLYAD_X86_LEVELS
namespace v3 {
extern const EmRoutingTable em_routing_table;
extern const EmRoutingBackwardTable em_routing_backward_table;
extern const RoutingTable routing_table;
extern const RoutingBackwardTable routing_backward_table;
extern const SquashTable squash_table;
}  // namespace v3

namespace v4 {
extern const EmRoutingTable em_routing_table;
extern const EmRoutingBackwardTable em_routing_backward_table;
extern const RoutingTable routing_table;
extern const RoutingBackwardTable routing_backward_table;
extern const SquashTable squash_table;
}  // namespace v4
#endif

}  // namespace polyad::capsule
