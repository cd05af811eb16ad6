#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstring>
#include <vector>

#include "align/gale_church.hpp"
#include "bindings/address.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

static_assert(sizeof(align::Span) == 4 * sizeof(std::int32_t));

// int32 [beads, 4]
py::array_t<std::int32_t> span_array(const std::vector<align::Span>& spans) {
  py::array_t<std::int32_t> out({static_cast<py::ssize_t>(spans.size()), py::ssize_t{4}});
  if (!spans.empty()) std::memcpy(out.mutable_data(), spans.data(), spans.size() * 16);
  return out;
}

}  // namespace

void register_align_beads(py::module_& m) {
  m.def(
      "align_gale_church",
      [](Address source, std::int64_t n, Address target, std::int64_t m, bool log_space,
         double ratio, double variance, std::int64_t band) {
        std::vector<align::Span> spans;
        {
          py::gil_scoped_release release;
          align::gale_church(at<const double>(source), n, at<const double>(target), m,
                             {log_space, ratio, variance, band}, spans);
        }
        return span_array(spans);
      },
      py::arg("source"), py::arg("n"), py::arg("target"), py::arg("m"), py::arg("log_space"),
      py::arg("ratio"), py::arg("variance"), py::arg("band"));
}

}  // namespace polyad::bindings
