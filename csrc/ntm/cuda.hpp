// The ntm kernels on CUDA. The contracts are those of addressing.hpp, memory.hpp and scan.hpp;
// every pointer is a device address, work goes to `stream` of the current device, nothing is
// allocated and nothing waits. Float sums are taken in a fixed order that depends on the sizes
// alone.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "ntm/addressing.hpp"
#include "ntm/memory.hpp"
#include "ntm/scan.hpp"

namespace polyad::ntm::cuda {

// Where a block keeps the memory and the vectors it works on. `automatic`: in shared memory, the
// memory in global memory if both do not fit, everything there if nothing does. The others are for
// tests; results do not depend on it.
enum class Placement : int { automatic = 0, memory_global = 1, all_global = 2 };
void set_placement(Placement placement);  // of this process
Placement placement();

// What PartedScratch holds for the ops of one step: one part for each block, or nothing where a
// block's arrays fit the shared memory that every device has. Elements of a part:
std::int64_t addressing_space(const HeadsShape& shape);
std::int64_t memory_space(const HeadsShape& shape);

struct Parts {
  std::int64_t parts, elements;
};
Parts parts_for(std::int64_t batch, std::int64_t space, bool is_double);

// X, T: float, double; __half, float; __nv_bfloat16, float.
template <class X, class T>
void content(const ContentArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void content_backward(const ContentBackwardArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void interpolate(const InterpolateArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void interpolate_backward(const InterpolateBackwardArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void shift(const ShiftArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void shift_backward(const ShiftBackwardArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void sharpen(const SharpenArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void sharpen_backward(const SharpenBackwardArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void addressing(const AddressingArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void addressing_backward(const AddressingBackwardArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void read(const ReadArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void read_backward(const ReadBackwardArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void write(const WriteArgs<X, T>& args, cudaStream_t stream);
template <class X, class T>
void write_backward(const WriteBackwardArgs<X, T>& args, cudaStream_t stream);

// Elements T of the scratch of scan and scan_backward; their `threads` is not read.
std::int64_t scan_scratch(const ScanShape& shape, bool is_double);
std::int64_t scan_backward_scratch(const ScanShape& shape, std::int64_t stride, bool is_double);

// Steps between two checkpoints: to fetch a small memory for every step costs less than to write it
// again. Depends on the memory's size alone, as the size of a record may be asked for before batch
// and steps are known.
template <class T>
POLYAD_INLINE constexpr std::int64_t scan_checkpoint_stride(const ScanShape& shape) {
  const std::int64_t each = whole_lines<T>(shape.rows) * shape.width * std::int64_t{sizeof(T)};
  return each <= (std::int64_t{64} << 10) ? 1 : kCheckpointStride;
}

void scan(const ScanArgs<float>& args, cudaStream_t stream);
void scan(const ScanArgs<double>& args, cudaStream_t stream);
void scan_backward(const ScanBackwardArgs<float>& args, cudaStream_t stream);
void scan_backward(const ScanBackwardArgs<double>& args, cudaStream_t stream);

}  // namespace polyad::ntm::cuda
