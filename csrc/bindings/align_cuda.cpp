#include <pybind11/pybind11.h>

#include "align/cuda.hpp"
#include "bindings/address.hpp"
#include "common/cuda_check.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;

// Calls body(stream) with `device` current.
template <class Body>
void on_device(int device, Address stream, const Body& body) {
  const cuda::DeviceGuard guard(device);
  body(at<CUstream_st>(stream));
}

align::Sentences sentences(Address ids, Address offsets, std::int64_t count) {
  return {at<const std::int32_t>(ids), at<const std::int32_t>(offsets), count};
}

align::Similarity similarity(Address offsets, Address words, Address values, std::int32_t count) {
  return {at<const std::int32_t>(offsets), at<const std::int32_t>(words), at<const float>(values),
          count};
}

}  // namespace

void register_align(py::module_& m) {
  m.def(
      "align_ableu_pairs",
      [](Address source_ids, Address source_offsets, std::int64_t source_count, Address target_ids,
         Address target_offsets, std::int64_t target_count, Address source, Address target,
         std::int64_t count, Address similar_offsets, Address similar_words, Address similar_values,
         std::int32_t similar_count, Address back_offsets, Address back_words, Address back_values,
         std::int32_t back_count, bool one_to_one, int first_order, int last_order,
         bool both_directions, Address scores, int device, Address stream) {
        on_device(device, stream, [&](cudaStream_t on) {
          align::cuda::ableu_pairs(
              {sentences(source_ids, source_offsets, source_count),
               sentences(target_ids, target_offsets, target_count),
               at<const std::int32_t>(source),
               at<const std::int32_t>(target),
               count,
               {similarity(similar_offsets, similar_words, similar_values, similar_count),
                similarity(back_offsets, back_words, back_values, back_count)},
               one_to_one ? align::Matching::one_to_one : align::Matching::source,
               first_order,
               last_order,
               both_directions,
               at<double>(scores)},
              on);
        });
      },
      py::arg("source_ids"), py::arg("source_offsets"), py::arg("source_count"),
      py::arg("target_ids"), py::arg("target_offsets"), py::arg("target_count"), py::arg("source"),
      py::arg("target"), py::arg("count"), py::arg("similar_offsets"), py::arg("similar_words"),
      py::arg("similar_values"), py::arg("similar_count"), py::arg("back_offsets"),
      py::arg("back_words"), py::arg("back_values"), py::arg("back_count"), py::arg("one_to_one"),
      py::arg("first_order"), py::arg("last_order"), py::arg("both_directions"), py::arg("scores"),
      py::arg("device"), py::arg("stream"), NoGil());

  m.def(
      "align_neighbours",
      [](Address source, std::int64_t sources, Address target, std::int64_t targets,
         std::int64_t dimension, int top_k, float threshold, Address words, Address values,
         Address found, Address scratch, std::int64_t parts, int device, Address stream) {
        on_device(device, stream, [&](cudaStream_t on) {
          align::cuda::neighbours(
              {at<const float>(source), at<const float>(target), sources, targets, dimension, top_k,
               threshold, at<std::int32_t>(words), at<float>(values), at<std::int32_t>(found),
               at<float>(scratch), parts},
              on);
        });
      },
      py::arg("source"), py::arg("sources"), py::arg("target"), py::arg("targets"),
      py::arg("dimension"), py::arg("top_k"), py::arg("threshold"), py::arg("words"),
      py::arg("values"), py::arg("found"), py::arg("scratch"), py::arg("parts"), py::arg("device"),
      py::arg("stream"), NoGil());
}

}  // namespace polyad::bindings
