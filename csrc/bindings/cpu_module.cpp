#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "common/isa.hpp"
#include "common/parallel.hpp"

namespace py = pybind11;

namespace polyad::bindings {

void register_align_ableu(py::module_& m);
void register_align_bleu(py::module_& m);
void register_align(py::module_& m);
void register_align_beads(py::module_& m);
void register_capsule(py::module_& m);
void register_capsule_routing(py::module_& m);
void register_hypernet(py::module_& m);
void register_ntm(py::module_& m);
void register_ntm_scan(py::module_& m);

}  // namespace polyad::bindings

PYBIND11_MODULE(_cpu, m, py::mod_gil_not_used()) {
  m.doc() = "CPU kernels of polyad. Arguments are addresses and sizes that polyad._arrays checked.";

  m.def("set_num_threads", &polyad::set_num_threads, py::arg("n"));
  m.def("get_num_threads", &polyad::get_num_threads);
  m.def("isa", [] { return polyad::isa_name(polyad::isa()); });
  m.def("available_isas", [] {
    py::list names;
    for (polyad::Isa level : polyad::available_isas()) names.append(polyad::isa_name(level));
    return names;
  });
  m.def(
      "address",
      [](const py::array& array) { return reinterpret_cast<std::uintptr_t>(array.data()); },
      py::arg("array"));

  polyad::bindings::register_align_ableu(m);
  polyad::bindings::register_align_bleu(m);
  polyad::bindings::register_align(m);
  polyad::bindings::register_align_beads(m);
  polyad::bindings::register_capsule(m);
  polyad::bindings::register_capsule_routing(m);
  polyad::bindings::register_hypernet(m);
  polyad::bindings::register_ntm(m);
  polyad::bindings::register_ntm_scan(m);
}
