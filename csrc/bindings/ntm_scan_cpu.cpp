#include <pybind11/pybind11.h>

#include <cstdint>

#include "bindings/address.hpp"
#include "bindings/ntm_scan.hpp"
#include "common/parallel.hpp"

namespace py = pybind11;

namespace polyad::bindings {

namespace {

template <class T>
void register_for(py::module_& m, const char* suffix) {
  const std::string end = suffix;
  m.def(("ntm_scan_" + end).c_str(),
        [](const Integers& shape, double epsilon, Address inputs, Address lengths,
           const Addresses& parameters, const Addresses& state, Address outputs,
           const Addresses& last, Address status, const Addresses& record, std::int64_t stride,
           Address scratch, std::int64_t threads) {
          const ntm::ScanShape sizes = scan_shape(shape, epsilon);
          const ntm::ScanArgs<T> args{sizes,
                                      at<const T>(inputs),
                                      at<const std::int64_t>(lengths),
                                      scan_parameters<const T>(sizes, parameters),
                                      scan_state<const T>(state),
                                      at<T>(outputs),
                                      scan_state<T>(last),
                                      at<std::int32_t>(status),
                                      scan_record<T>(record, stride),
                                      at<T>(scratch),
                                      threads};
          py::gil_scoped_release release;
          ntm::scan(args);
        },
        py::arg("shape"), py::arg("epsilon"), py::arg("inputs"), py::arg("lengths"),
        py::arg("parameters"), py::arg("state"), py::arg("outputs"), py::arg("last"),
        py::arg("status"), py::arg("record"), py::arg("stride"), py::arg("scratch"),
        py::arg("threads"));
  m.def(("ntm_scan_backward_" + end).c_str(),
        [](const Integers& shape, double epsilon, Address inputs, Address lengths,
           const Addresses& parameters, const Addresses& record, std::int64_t stride,
           Address grad_outputs, const Addresses& grad_last, Address grad_inputs,
           const Addresses& grad_state, const Addresses& grad_parameters, Address scratch,
           std::int64_t threads) {
          const ntm::ScanShape sizes = scan_shape(shape, epsilon);
          const ntm::ScanBackwardArgs<T> args{sizes,
                                              at<const T>(inputs),
                                              at<const std::int64_t>(lengths),
                                              scan_parameters<const T>(sizes, parameters),
                                              scan_record<const T>(record, stride),
                                              at<const T>(grad_outputs),
                                              scan_state<const T>(grad_last),
                                              at<T>(grad_inputs),
                                              scan_state<T>(grad_state),
                                              scan_parameters<T>(sizes, grad_parameters),
                                              at<T>(scratch),
                                              threads};
          py::gil_scoped_release release;
          ntm::scan_backward(args);
        },
        py::arg("shape"), py::arg("epsilon"), py::arg("inputs"), py::arg("lengths"),
        py::arg("parameters"), py::arg("record"), py::arg("stride"), py::arg("grad_outputs"),
        py::arg("grad_last"), py::arg("grad_inputs"), py::arg("grad_state"),
        py::arg("grad_parameters"), py::arg("scratch"), py::arg("threads"));
}

}  // namespace

void register_ntm_scan(py::module_& m) {
  register_for<float>(m, "float32");
  register_for<double>(m, "float64");
  m.def(
      "ntm_scan_sizes",
      [](const Integers& shape, std::int64_t threads, bool is_double) {
        const ntm::ScanShape sizes = scan_shape(shape, 0.0);
        constexpr std::int64_t stride = ntm::kCheckpointStride;
        return py::make_tuple(
            is_double ? ntm::whole_lines<double>(sizes.rows) : ntm::whole_lines<float>(sizes.rows),
            stride, ntm::scan_scratch(sizes, threads, is_double),
            ntm::scan_backward_scratch(sizes, stride, threads, is_double));
      },
      py::arg("shape"), py::arg("threads"), py::arg("is_double"));
}

}  // namespace polyad::bindings
