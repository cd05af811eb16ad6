// The ntm kernels at the ISA level in use.
#include <algorithm>

#include "common/isa.hpp"
#include "common/parallel.hpp"
#include "ntm/tables.hpp"

namespace polyad::ntm {

#ifndef POLYAD_X86_LEVELS  // one level: every name stands for the baseline
namespace v3 = v2;
namespace v4 = v2;
#endif

namespace {

const AddressingTable& heads() {
  return select(v2::addressing_table, v3::addressing_table, v4::addressing_table);
}
const MemoryTable& memories() {
  return select(v2::memory_table, v3::memory_table, v4::memory_table);
}
const ScanTable& scans() { return select(v2::scan_table, v3::scan_table, v4::scan_table); }
const ScanBackwardTable& scans_backward() {
  return select(v2::scan_backward_table, v3::scan_backward_table, v4::scan_backward_table);
}

}  // namespace

std::int64_t parts_of(std::int64_t items, std::int64_t elements) {
  constexpr std::int64_t kLeast = 1 << 14;  // elements of a part: a few microseconds
  const std::int64_t threads = get_num_threads();
  const std::int64_t most = threads > 1 ? 4 * threads : 1;
  const std::int64_t worth = std::max<std::int64_t>(1, items * elements / kLeast);
  return std::min({items, most, worth});
}

void content(const ContentArgs<float>& args) { heads().content_float(args); }
void content(const ContentArgs<double>& args) { heads().content_double(args); }
void content_backward(const ContentBackwardArgs<float>& args) {
  heads().content_backward_float(args);
}
void content_backward(const ContentBackwardArgs<double>& args) {
  heads().content_backward_double(args);
}
void interpolate(const InterpolateArgs<float>& args) { heads().interpolate_float(args); }
void interpolate(const InterpolateArgs<double>& args) { heads().interpolate_double(args); }
void interpolate_backward(const InterpolateBackwardArgs<float>& args) {
  heads().interpolate_backward_float(args);
}
void interpolate_backward(const InterpolateBackwardArgs<double>& args) {
  heads().interpolate_backward_double(args);
}
void shift(const ShiftArgs<float>& args) { heads().shift_float(args); }
void shift(const ShiftArgs<double>& args) { heads().shift_double(args); }
void shift_backward(const ShiftBackwardArgs<float>& args) { heads().shift_backward_float(args); }
void shift_backward(const ShiftBackwardArgs<double>& args) { heads().shift_backward_double(args); }
void sharpen(const SharpenArgs<float>& args) { heads().sharpen_float(args); }
void sharpen(const SharpenArgs<double>& args) { heads().sharpen_double(args); }
void sharpen_backward(const SharpenBackwardArgs<float>& args) {
  heads().sharpen_backward_float(args);
}
void sharpen_backward(const SharpenBackwardArgs<double>& args) {
  heads().sharpen_backward_double(args);
}
void addressing(const AddressingArgs<float>& args) { heads().addressing_float(args); }
void addressing(const AddressingArgs<double>& args) { heads().addressing_double(args); }
void addressing_backward(const AddressingBackwardArgs<float>& args) {
  heads().addressing_backward_float(args);
}
void addressing_backward(const AddressingBackwardArgs<double>& args) {
  heads().addressing_backward_double(args);
}

void read(const ReadArgs<float>& args) { memories().read_float(args); }
void read(const ReadArgs<double>& args) { memories().read_double(args); }
void read_backward(const ReadBackwardArgs<float>& args) { memories().read_backward_float(args); }
void read_backward(const ReadBackwardArgs<double>& args) { memories().read_backward_double(args); }
void write(const WriteArgs<float>& args) { memories().write_float(args); }
void write(const WriteArgs<double>& args) { memories().write_double(args); }
void write_backward(const WriteBackwardArgs<float>& args) { memories().write_backward_float(args); }
void write_backward(const WriteBackwardArgs<double>& args) {
  memories().write_backward_double(args);
}

std::int64_t scan_scratch(const ScanShape& shape, std::int64_t threads, bool is_double) {
  return (is_double ? scans().scratch_double : scans().scratch_float)(shape, threads);
}
std::int64_t scan_backward_scratch(const ScanShape& shape, std::int64_t stride,
                                   std::int64_t threads, bool is_double) {
  return (is_double ? scans_backward().scratch_double : scans_backward().scratch_float)(
      shape, stride, threads);
}
void scan(const ScanArgs<float>& args) { scans().scan_float(args); }
void scan(const ScanArgs<double>& args) { scans().scan_double(args); }
void scan_backward(const ScanBackwardArgs<float>& args) {
  scans_backward().scan_backward_float(args);
}
void scan_backward(const ScanBackwardArgs<double>& args) {
  scans_backward().scan_backward_double(args);
}

}  // namespace polyad::ntm
