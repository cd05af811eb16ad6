// The function tables that each ISA level of the hypernet kernels exports.
#pragma once

#include "hypernet/energy.hpp"
#include "hypernet/gibbs.hpp"
#include "hypernet/match.hpp"
#include "hypernet/planes.hpp"

namespace polyad::hypernet {

struct PlanesTable {
  void (*pack)(const PackArgs&);
  void (*unpack)(const UnpackArgs&);
};

struct MatchTable {
  void (*match)(const MatchArgs&);
  void (*match_counts)(const MatchCountsArgs&);
  void (*feedback)(const FeedbackArgs&);
};

struct VotesTable {
  void (*votes_int)(const VotesArgs<std::int64_t>&);
  void (*votes_float)(const VotesArgs<float>&);
  void (*votes_double)(const VotesArgs<double>&);
};

struct EnergyTable {
  void (*energy_float)(const EnergyArgs<float>&);
  void (*energy_double)(const EnergyArgs<double>&);
  void (*energy_backward_float)(const EnergyBackwardArgs<float>&);
  void (*energy_backward_double)(const EnergyBackwardArgs<double>&);
};

struct GibbsTable {
  void (*gibbs_float)(const GibbsArgs<float>&);
  void (*gibbs_double)(const GibbsArgs<double>&);
};

namespace v2 {
extern const PlanesTable planes_table;
extern const MatchTable match_table;
extern const VotesTable votes_table;
extern const EnergyTable energy_table;
extern const GibbsTable gibbs_table;
}  // namespace v2

#ifdef POLYAD_X86_LEVELS
namespace v3 {
extern const PlanesTable planes_table;
extern const MatchTable match_table;
extern const VotesTable votes_table;
extern const EnergyTable energy_table;
extern const GibbsTable gibbs_table;
}  // namespace v3

namespace v4 {
extern const PlanesTable planes_table;
extern const MatchTable match_table;
extern const VotesTable votes_table;
extern const EnergyTable energy_table;
extern const GibbsTable gibbs_table;
}  // namespace v4
#endif

}  // namespace polyad::hypernet
