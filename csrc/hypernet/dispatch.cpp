// The hypernet kernels at the ISA level in use.
#include "common/isa.hpp"
#include "hypernet/tables.hpp"

namespace polyad::hypernet {

#ifndef POLYAD_X86_LEVELS  // one level: every name stands for the baseline
namespace v3 = v2;
namespace v4 = v2;
#endif

namespace {

const PlanesTable& planes() { return select(v2::planes_table, v3::planes_table, v4::planes_table); }
const MatchTable& matching() { return select(v2::match_table, v3::match_table, v4::match_table); }
const VotesTable& voting() { return select(v2::votes_table, v3::votes_table, v4::votes_table); }
const EnergyTable& energies() {
  return select(v2::energy_table, v3::energy_table, v4::energy_table);
}
const GibbsTable& sampling() { return select(v2::gibbs_table, v3::gibbs_table, v4::gibbs_table); }

}  // namespace

void pack(const PackArgs& args) { planes().pack(args); }
void unpack(const UnpackArgs& args) { planes().unpack(args); }

void match(const MatchArgs& args) { matching().match(args); }
void votes(const VotesArgs<std::int64_t>& args) { voting().votes_int(args); }
void votes(const VotesArgs<float>& args) { voting().votes_float(args); }
void votes(const VotesArgs<double>& args) { voting().votes_double(args); }
void match_counts(const MatchCountsArgs& args) { matching().match_counts(args); }
void feedback(const FeedbackArgs& args) { matching().feedback(args); }

void energy(const EnergyArgs<float>& args) { energies().energy_float(args); }
void energy(const EnergyArgs<double>& args) { energies().energy_double(args); }
void energy_backward(const EnergyBackwardArgs<float>& args) {
  energies().energy_backward_float(args);
}
void energy_backward(const EnergyBackwardArgs<double>& args) {
  energies().energy_backward_double(args);
}

void gibbs(const GibbsArgs<float>& args) { sampling().gibbs_float(args); }
void gibbs(const GibbsArgs<double>& args) { sampling().gibbs_double(args); }

}  // namespace polyad::hypernet
