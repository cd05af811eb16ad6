// The function tables that each ISA level of the align kernels exports.
#pragma once

#include <cstdint>

#include "align/ngram_rows_cpu.hpp"
#include "align/similarity.hpp"

namespace polyad::align {

struct SimilarityTable {
  void (*neighbours)(const NeighboursArgs&);
};

struct NgramRowsTable {
  std::int64_t (*places_within)(const std::uint8_t* values, std::int64_t size, std::uint8_t low,
                                std::uint8_t high, std::int32_t* out);
  std::int64_t (*promising)(const PromisingArgs& args);
};

namespace v2 {
extern const SimilarityTable similarity_table;
extern const NgramRowsTable ngram_rows_table;
}  // namespace v2

#ifdef POLYAD_X86_LEVELS
namespace v3 {
extern const SimilarityTable similarity_table;
extern const NgramRowsTable ngram_rows_table;
}  // namespace v3

namespace v4 {
extern const SimilarityTable similarity_table;
extern const NgramRowsTable ngram_rows_table;
}  // namespace v4
#endif

}  // namespace polyad::align
