#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "common/cuda_check.hpp"

namespace py = pybind11;

namespace polyad::bindings {

void register_align(py::module_& m);
void register_capsule(py::module_& m);
void register_capsule_routing(py::module_& m);
void register_hypernet(py::module_& m);
void register_ntm(py::module_& m);
void register_ntm_scan(py::module_& m);

namespace {

// The devices, and why there are none where the driver says so.
struct Devices {
  int count = 0;
  std::string problem;
};

Devices devices() {
  Devices found;
  const cudaError_t error = cudaGetDeviceCount(&found.count);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    found.count = 0;
    found.problem = cuda::error_message(error);
  } else if (found.count == 0) {
    found.problem = "the driver reports no device";
  }
  return found;
}

std::vector<std::string> architectures() {
  std::vector<std::string> names;
  const std::string text = cuda::architectures();
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find(' ', start);
    names.push_back(text.substr(start, end - start));
    start = end == std::string::npos ? text.size() : end + 1;
  }
  return names;
}

}  // namespace

}  // namespace polyad::bindings

PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
  m.doc() =
      "CUDA kernels of polyad. Arguments are device addresses and sizes that polyad._arrays "
      "checked, "
      "then the device and the stream.";

  m.def("device_count", [] { return polyad::bindings::devices().count; });
  m.def("device_problem", [] { return polyad::bindings::devices().problem; });
  m.def("architectures", &polyad::bindings::architectures);
  m.def("runtime_version", [] {
    int version = 0;
    polyad::cuda::check(cudaRuntimeGetVersion(&version), "cudaRuntimeGetVersion");
    return version;
  });

  polyad::bindings::register_align(m);
  polyad::bindings::register_capsule(m);
  polyad::bindings::register_capsule_routing(m);
  polyad::bindings::register_hypernet(m);
  polyad::bindings::register_ntm(m);
  polyad::bindings::register_ntm_scan(m);
}
