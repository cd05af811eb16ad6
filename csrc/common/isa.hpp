// Which x86-64 level the kernels run at. Each *_cpu.cpp is compiled once per level into a namespace
// v2, v3, v4 and exports one const table of function pointers; `select` picks the table.
//
// v2 (SSE4.2, the floor of the wheel), v3 (AVX2, FMA), v4 (AVX-512 F, BW, CD, DQ, VL). On other
// architectures there is one level, called v2 here and "baseline" in reports.
#pragma once

#include <vector>

namespace polyad {

enum class Isa { v2 = 0, v3 = 1, v4 = 2 };

// The level in use: the highest one the processor has, or the one the environment variable
// POLYAD_ISA names (v2, v3 or v4). Read once. Throws std::runtime_error for an unknown name or a
// level that this processor or this build lacks.
Isa isa();

// The levels that this build contains and this processor can run, lowest first.
std::vector<Isa> available_isas();

const char* isa_name(Isa level);

template <class Table>
const Table& select(const Table& v2, const Table& v3, const Table& v4) {
  const Isa level = isa();
  return level == Isa::v4 ? v4 : level == Isa::v3 ? v3 : v2;
}

}  // namespace polyad
