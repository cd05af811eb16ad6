// How routing on CUDA divides a batch: into slices, one after the other, so that scratch stays
// small whatever the batch is, and how a slice divides its scratch.
#pragma once

#include <cstdint>

#include "capsule/routing_pass_cuda.hpp"

namespace polyad::capsule::cuda {
namespace {

// Bytes of scratch to stay below, unless kLeastSlice samples take more.
constexpr std::int64_t kSumBytes = std::int64_t{128} << 20;   // sums of the chunks
constexpr std::int64_t kKeptBytes = std::int64_t{512} << 20;  // couplings and their adjoints
constexpr std::int64_t kLeastSlice = 16;

struct Slice {
  std::int64_t first, count;  // samples
};

inline Slice slice_at(const RoutingShape& shape, std::int64_t first, std::int64_t most) {
  const std::int64_t left = shape.batch - first;
  return {first, left < most ? left : most};
}

inline Extent extent_of(const RoutingShape& shape, std::int64_t samples) {
  const auto narrow = [](std::int64_t n) { return static_cast<int>(n); };
  return {narrow(samples), narrow(shape.inputs), narrow(shape.input_size), narrow(shape.outputs),
          narrow(shape.output_size)};
}

// The samples whose numbers stay below `bytes`: a multiple of kLeastSlice.
template <class T>
std::int64_t samples_within(std::int64_t bytes, std::int64_t of_sample) {
  const std::int64_t count =
      bytes / static_cast<std::int64_t>(sizeof(T)) / of_sample / kLeastSlice * kLeastSlice;
  constexpr std::int64_t kMost = std::int64_t{1} << 16;
  return count < kLeastSlice ? kLeastSlice : count > kMost ? kMost : count;
}

// Numbers of a row of samples in [I, J, pitch]: whole groups, so that all of them get written.
template <class T>
int pitch_of(std::int64_t samples) {
  return static_cast<int>((samples + kSamples<T> - 1) / kSamples<T> * kSamples<T>);
}

template <class T>
std::int64_t kept_elements(const Extent& extent) {
  return std::int64_t{extent.inputs} * extent.outputs * pitch_of<T>(extent.batch);
}

// Samples of a slice of the forward pass. Whether votes are given decides nothing: the scratch is
// for both.
template <class T>
std::int64_t forward_slice(const RoutingShape& shape) {
  const Extent one = extent_of(shape, 1);
  const std::int64_t sums = samples_within<T>(kSumBytes, chunks_of(one.inputs) * one.rows());
  if (fits_block<T>(one, false)) return sums;
  const std::int64_t kept = samples_within<T>(kKeptBytes, shape.inputs * shape.outputs);
  return sums < kept ? sums : kept;
}

// The coupling of every connection before anything is known.
template <class T>
T even_coupling(const RoutingShape& shape, bool leaky) {
  return T{1} / static_cast<T>(shape.outputs + (leaky ? 1 : 0));
}

// Hands out scratch, each array at a whole number of 64 bytes; `used` counts elements.
template <class T>
struct Shelf {
  T* base;
  std::int64_t used = 0;

  void skip(std::int64_t elements) {
    constexpr std::int64_t kLine = 64 / sizeof(T);
    used += (elements + kLine - 1) / kLine * kLine;
  }
  T* take(std::int64_t elements) {
    T* taken = base + used;
    skip(elements);
    return taken;
  }
};

}  // namespace
}  // namespace polyad::capsule::cuda
