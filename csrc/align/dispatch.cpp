// The align kernels at the ISA level in use.
#include "align/ngram_rows_cpu.hpp"
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

const NgramRowsTable& ngram_rows() {
  return select(v2::ngram_rows_table, v3::ngram_rows_table, v4::ngram_rows_table);
}

}  // namespace

std::int64_t places_within(const std::uint8_t* values, std::int64_t size, std::uint8_t low,
                           std::uint8_t high, std::int32_t* out) {
  return ngram_rows().places_within(values, size, low, high, out);
}

std::int64_t promising(const PromisingArgs& args) { return ngram_rows().promising(args); }

void neighbours(const NeighboursArgs& args) { similarities().neighbours(args); }

}  // namespace polyad::align
