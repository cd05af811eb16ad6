// The function tables that each ISA level of the ntm kernels exports.
#pragma once

#include "ntm/addressing.hpp"
#include "ntm/memory.hpp"
#include "ntm/scan.hpp"

namespace polyad::ntm {

struct AddressingTable {
  void (*content_float)(const ContentArgs<float>&);
  void (*content_double)(const ContentArgs<double>&);
  void (*content_backward_float)(const ContentBackwardArgs<float>&);
  void (*content_backward_double)(const ContentBackwardArgs<double>&);
  void (*interpolate_float)(const InterpolateArgs<float>&);
  void (*interpolate_double)(const InterpolateArgs<double>&);
  void (*interpolate_backward_float)(const InterpolateBackwardArgs<float>&);
  void (*interpolate_backward_double)(const InterpolateBackwardArgs<double>&);
  void (*shift_float)(const ShiftArgs<float>&);
  void (*shift_double)(const ShiftArgs<double>&);
  void (*shift_backward_float)(const ShiftBackwardArgs<float>&);
  void (*shift_backward_double)(const ShiftBackwardArgs<double>&);
  void (*sharpen_float)(const SharpenArgs<float>&);
  void (*sharpen_double)(const SharpenArgs<double>&);
  void (*sharpen_backward_float)(const SharpenBackwardArgs<float>&);
  void (*sharpen_backward_double)(const SharpenBackwardArgs<double>&);
  void (*addressing_float)(const AddressingArgs<float>&);
  void (*addressing_double)(const AddressingArgs<double>&);
  void (*addressing_backward_float)(const AddressingBackwardArgs<float>&);
  void (*addressing_backward_double)(const AddressingBackwardArgs<double>&);
};

struct MemoryTable {
  void (*read_float)(const ReadArgs<float>&);
  void (*read_double)(const ReadArgs<double>&);
  void (*read_backward_float)(const ReadBackwardArgs<float>&);
  void (*read_backward_double)(const ReadBackwardArgs<double>&);
  void (*write_float)(const WriteArgs<float>&);
  void (*write_double)(const WriteArgs<double>&);
  void (*write_backward_float)(const WriteBackwardArgs<float>&);
  void (*write_backward_double)(const WriteBackwardArgs<double>&);
};

struct ScanTable {
  std::int64_t (*scratch_float)(const ScanShape&, std::int64_t threads);
  std::int64_t (*scratch_double)(const ScanShape&, std::int64_t threads);
  void (*scan_float)(const ScanArgs<float>&);
  void (*scan_double)(const ScanArgs<double>&);
};

struct ScanBackwardTable {
  std::int64_t (*scratch_float)(const ScanShape&, std::int64_t stride, std::int64_t threads);
  std::int64_t (*scratch_double)(const ScanShape&, std::int64_t stride, std::int64_t threads);
  void (*scan_backward_float)(const ScanBackwardArgs<float>&);
  void (*scan_backward_double)(const ScanBackwardArgs<double>&);
};

namespace v2 {
extern const AddressingTable addressing_table;
extern const MemoryTable memory_table;
extern const ScanTable scan_table;
extern const ScanBackwardTable scan_backward_table;
}  // namespace v2

#ifdef POLYAD_X86_LEVELS
namespace v3 {
extern const AddressingTable addressing_table;
extern const MemoryTable memory_table;
extern const ScanTable scan_table;
extern const ScanBackwardTable scan_backward_table;
}  // namespace v3

namespace v4 {
extern const AddressingTable addressing_table;
extern const MemoryTable memory_table;
extern const ScanTable scan_table;
extern const ScanBackwardTable scan_backward_table;
}  // namespace v4
#endif

}  // namespace polyad::ntm
