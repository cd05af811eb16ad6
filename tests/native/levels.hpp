// The ISA levels as test parameters: one body runs against the function tables of every level, and
// is skipped at those that this processor lacks.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "capsule/tables.hpp"
#include "common/isa.hpp"
#include "common/parallel.hpp"
#include "hypernet/tables.hpp"
#include "ntm/tables.hpp"

namespace polyad::testing {

#ifdef POLYAD_X86_LEVELS
namespace c3 = capsule::v3;
namespace c4 = capsule::v4;
namespace h3 = hypernet::v3;
namespace h4 = hypernet::v4;
namespace n3 = ntm::v3;
namespace n4 = ntm::v4;
#else
namespace c3 = capsule::v2;
namespace c4 = capsule::v2;
namespace h3 = hypernet::v2;
namespace h4 = hypernet::v2;
namespace n3 = ntm::v2;
namespace n4 = ntm::v2;
#endif

// The two passes of scan at one level.
struct ScanTables {
  const ntm::ScanTable& forward;
  const ntm::ScanBackwardTable& backward;
};

// The two passes of routing at one level.
struct RoutingTables {
  const capsule::RoutingTable& forward;
  const capsule::RoutingBackwardTable& backward;
};

// The two passes of EM routing at one level.
struct EmRoutingTables {
  const capsule::EmRoutingTable& forward;
  const capsule::EmRoutingBackwardTable& backward;
};

class AtLevel : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const auto levels = available_isas();
    if (std::find(levels.begin(), levels.end(), GetParam()) == levels.end()) {
      GTEST_SKIP() << "this processor or build lacks the level";
    }
    set_num_threads(1);
  }

  template <class Table>
  const Table& pick(const Table& v2, const Table& v3, const Table& v4) const {
    return GetParam() == Isa::v4 ? v4 : GetParam() == Isa::v3 ? v3 : v2;
  }
  RoutingTables routings() const {
    return {pick(capsule::v2::routing_table, c3::routing_table, c4::routing_table),
            pick(capsule::v2::routing_backward_table, c3::routing_backward_table,
                 c4::routing_backward_table)};
  }
  EmRoutingTables em_routings() const {
    return {pick(capsule::v2::em_routing_table, c3::em_routing_table, c4::em_routing_table),
            pick(capsule::v2::em_routing_backward_table, c3::em_routing_backward_table,
                 c4::em_routing_backward_table)};
  }
  const capsule::SquashTable& squashes() const {
    return pick(capsule::v2::squash_table, c3::squash_table, c4::squash_table);
  }
  const hypernet::PlanesTable& planes() const {
    return pick(hypernet::v2::planes_table, h3::planes_table, h4::planes_table);
  }
  const hypernet::MatchTable& matching() const {
    return pick(hypernet::v2::match_table, h3::match_table, h4::match_table);
  }
  const hypernet::VotesTable& voting() const {
    return pick(hypernet::v2::votes_table, h3::votes_table, h4::votes_table);
  }
  const hypernet::EnergyTable& energies() const {
    return pick(hypernet::v2::energy_table, h3::energy_table, h4::energy_table);
  }
  const hypernet::GibbsTable& sampling() const {
    return pick(hypernet::v2::gibbs_table, h3::gibbs_table, h4::gibbs_table);
  }
  const ntm::AddressingTable& addressing() const {
    return pick(ntm::v2::addressing_table, n3::addressing_table, n4::addressing_table);
  }
  const ntm::MemoryTable& memories() const {
    return pick(ntm::v2::memory_table, n3::memory_table, n4::memory_table);
  }
  ScanTables scans() const {
    return {pick(ntm::v2::scan_table, n3::scan_table, n4::scan_table),
            pick(ntm::v2::scan_backward_table, n3::scan_backward_table, n4::scan_backward_table)};
  }
};

inline std::string level_name(const ::testing::TestParamInfo<Isa>& info) {
  return info.param == Isa::v4 ? "v4" : info.param == Isa::v3 ? "v3" : "v2";
}

#define POLYAD_AT_EVERY_LEVEL(Suite) \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite, ::testing::Values(Isa::v2, Isa::v3, Isa::v4), level_name)

}  // namespace polyad::testing
