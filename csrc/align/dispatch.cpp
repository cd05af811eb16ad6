// The align kernels at the ISA level in use.
#include "align/tables.hpp"
#include "common/isa.hpp"

namespace polyad::align {

#ifndef POLYAD_X86_LEVELS  // one level: every name stands for the baseline
namespace v3 = v2;
namespace v4 = v2;
#endif

namespace {

const SimilarityTable& similarities() {
  return select(v2::similarity_table, v3::similarity_table, v4::similarity_table);
}

}  // namespace

void neighbours(const NeighboursArgs& args) { similarities().neighbours(args); }

}  // namespace polyad::align
