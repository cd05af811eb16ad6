// The function tables that each ISA level of the align kernels exports.
#pragma once

#include "align/similarity.hpp"

namespace polyad::align {

struct SimilarityTable {
  void (*neighbours)(const NeighboursArgs&);
};

namespace v2 {
extern const SimilarityTable similarity_table;
}  // namespace v2

#ifdef POLYAD_X86_LEVELS
namespace v3 {
extern const SimilarityTable similarity_table;
}  // namespace v3

namespace v4 {
extern const SimilarityTable similarity_table;
}  // namespace v4
#endif

}  // namespace polyad::align
