#include <pybind11/pybind11.h>

#include "align/bleu.hpp"
#include "bindings/address.hpp"

namespace py = pybind11;

namespace polyad::bindings {

void register_align_bleu(py::module_& m) {
  m.def(
      "align_bleu_counts",
      [](Address ids, Address offsets, std::int64_t count, Address reference_ids,
         Address reference_offsets, std::int64_t reference_count, Address places, int max_n,
         Address matches, Address reference_lengths) {
        align::bleu_counts({{at<const std::int32_t>(ids), at<const std::int32_t>(offsets), count},
                            {at<const std::int32_t>(reference_ids),
                             at<const std::int32_t>(reference_offsets), reference_count},
                            at<const std::int64_t>(places),
                            max_n,
                            at<std::int32_t>(matches),
                            at<std::int32_t>(reference_lengths)});
      },
      py::arg("ids"), py::arg("offsets"), py::arg("count"), py::arg("reference_ids"),
      py::arg("reference_offsets"), py::arg("reference_count"), py::arg("places"), py::arg("max_n"),
      py::arg("matches"), py::arg("reference_lengths"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace polyad::bindings
