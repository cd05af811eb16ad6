#include <pybind11/pybind11.h>

#include <string>

#include "bindings/address.hpp"
#include "capsule/squash.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;
using Size = std::int64_t;

// Names end in the dtype.
template <class T>
void def_squash(py::module_& m, const std::string& dtype) {
  m.def(("capsule_squash_" + dtype).c_str(),
        [](Size outer, Size size, Size inner, Address s, Address v) {
          capsule::squash(capsule::SquashArgs<T>{{outer, size, inner}, at<const T>(s), at<T>(v)});
        },
        py::arg("outer"), py::arg("size"), py::arg("inner"), py::arg("s"), py::arg("v"), NoGil());
  m.def(("capsule_squash_backward_" + dtype).c_str(),
        [](Size outer, Size size, Size inner, Address s, Address grad, Address grad_s) {
          capsule::squash_backward(capsule::SquashBackwardArgs<T>{
              {outer, size, inner}, at<const T>(s), at<const T>(grad), at<T>(grad_s)});
        },
        py::arg("outer"), py::arg("size"), py::arg("inner"), py::arg("s"), py::arg("grad"),
        py::arg("grad_s"), NoGil());
}

}  // namespace

void register_capsule(py::module_& m) {
  def_squash<float>(m, "float32");
  def_squash<double>(m, "float64");
}

}  // namespace polyad::bindings
