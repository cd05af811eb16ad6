#include <pybind11/pybind11.h>

#include <string>

#include "bindings/address.hpp"
#include "capsule/cuda.hpp"
#include "common/cuda_check.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;
using Size = std::int64_t;

// Calls body(stream) with `device` current.
template <class Body>
void on_device(int device, Address stream, const Body& body) {
  const cuda::DeviceGuard guard(device);
  body(at<CUstream_st>(stream));
}

// Names end in the dtype of storage X; T is computed in.
template <class X, class T = X>
void def_squash(py::module_& m, const std::string& dtype) {
  m.def(("capsule_squash_" + dtype).c_str(),
        [](Size outer, Size size, Size inner, Address s, Address v, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            capsule::cuda::squash<X, T>(
                capsule::SquashArgs<X>{{outer, size, inner}, at<const X>(s), at<X>(v)}, on);
          });
        },
        py::arg("outer"), py::arg("size"), py::arg("inner"), py::arg("s"), py::arg("v"),
        py::arg("device"), py::arg("stream"), NoGil());
  m.def(("capsule_squash_backward_" + dtype).c_str(),
        [](Size outer, Size size, Size inner, Address s, Address grad, Address grad_s, int device,
           Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            capsule::cuda::squash_backward<X, T>(
                capsule::SquashBackwardArgs<X>{
                    {outer, size, inner}, at<const X>(s), at<const X>(grad), at<X>(grad_s)},
                on);
          });
        },
        py::arg("outer"), py::arg("size"), py::arg("inner"), py::arg("s"), py::arg("grad"),
        py::arg("grad_s"), py::arg("device"), py::arg("stream"), NoGil());
}

}  // namespace

void register_capsule(py::module_& m) {
  def_squash<float>(m, "float32");
  def_squash<double>(m, "float64");
  def_squash<__half, float>(m, "float16");
  def_squash<__nv_bfloat16, float>(m, "bfloat16");
}

}  // namespace polyad::bindings
