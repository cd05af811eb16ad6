// The bounds of the kernels on one core.
//
// Of bit-sliced matching: how many rows of 512 samples a core can load per second when
// the row is named by an index in memory and each is ANDed into a register. An edge of k literals
// needs k of them for 512 pairs.
#pragma once

#include <cstdint>

#include "common/isa.hpp"

namespace polyad::bench {

// out [8, 8] <- ANDs of the rows of words [I, 8] that `variables` [count] names, dealt to 8
// accumulators; count is a multiple of 8.
using AndRows = void(const std::uint64_t* words, const std::int32_t* variables, std::int64_t count,
                     std::uint64_t* out);
// `count` times x <- x a + b on as many registers of floats as hide the latency; gives the number
// of floats that they hold, and their sum in `out`.
using MultiplyAdd = std::int64_t(std::int64_t count, float a, float b, float* out);
namespace v2 {
AndRows and_rows;
MultiplyAdd multiply_add;
}  // namespace v2
#ifdef POLYAD_X86_LEVELS
namespace v3 {
AndRows and_rows;
MultiplyAdd multiply_add;
}  // namespace v3
namespace v4 {
AndRows and_rows;
MultiplyAdd multiply_add;
}  // namespace v4
#endif

// Rows per second at a level, over 784 variables; measured on the first call.
double row_loads_per_second(Isa level);

// Multiplications, each with its addition, of floats per second at a level: fused, or two
// instructions at v2. Measured on the first call.
double products_per_second(Isa level);

}  // namespace polyad::bench
