#include <pybind11/pybind11.h>

#include <string>

#include "bindings/address.hpp"
#include "ntm/addressing.hpp"
#include "ntm/memory.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;
using Size = std::int64_t;

// Names end in the dtype.
template <class T>
void def_addressing(py::module_& m, const std::string& dtype) {
  m.def(
      ("ntm_content_" + dtype).c_str(),
      [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity, double epsilon,
         Address memory, Address key, Address beta, Address out, Size parts, Address scratch) {
        ntm::content(ntm::ContentArgs<T>{{batch, rows, width, heads, shifts},
                                         static_cast<ntm::Similarity>(similarity),
                                         epsilon,
                                         at<const T>(memory),
                                         at<const T>(key),
                                         at<const T>(beta),
                                         at<T>(out),
                                         {parts, at<T>(scratch)}});
      },
      py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("key"), py::arg("beta"),
      py::arg("out"), py::arg("parts"), py::arg("scratch"), NoGil());
  m.def(
      ("ntm_content_backward_" + dtype).c_str(),
      [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity, double epsilon,
         Address memory, Address key, Address beta, Address grad, Address grad_memory,
         Address grad_key, Address grad_beta, Size parts, Address scratch) {
        ntm::content_backward(ntm::ContentBackwardArgs<T>{{batch, rows, width, heads, shifts},
                                                          static_cast<ntm::Similarity>(similarity),
                                                          epsilon,
                                                          at<const T>(memory),
                                                          at<const T>(key),
                                                          at<const T>(beta),
                                                          at<const T>(grad),
                                                          at<T>(grad_memory),
                                                          at<T>(grad_key),
                                                          at<T>(grad_beta),
                                                          {parts, at<T>(scratch)}});
      },
      py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("key"), py::arg("beta"),
      py::arg("grad"), py::arg("grad_memory"), py::arg("grad_key"), py::arg("grad_beta"),
      py::arg("parts"), py::arg("scratch"), NoGil());
  m.def(("ntm_interpolate_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address content,
           Address previous, Address gate, Address out, Size parts, Address scratch) {
          ntm::interpolate(ntm::InterpolateArgs<T>{{batch, rows, width, heads, shifts},
                                                   at<const T>(content),
                                                   at<const T>(previous),
                                                   at<const T>(gate),
                                                   at<T>(out),
                                                   {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("content"), py::arg("previous"), py::arg("gate"), py::arg("out"), py::arg("parts"),
        py::arg("scratch"), NoGil());
  m.def(("ntm_interpolate_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address content,
           Address previous, Address gate, Address grad, Address grad_content,
           Address grad_previous, Address grad_gate, Size parts, Address scratch) {
          ntm::interpolate_backward(
              ntm::InterpolateBackwardArgs<T>{{batch, rows, width, heads, shifts},
                                              at<const T>(content),
                                              at<const T>(previous),
                                              at<const T>(gate),
                                              at<const T>(grad),
                                              at<T>(grad_content),
                                              at<T>(grad_previous),
                                              at<T>(grad_gate),
                                              {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("content"), py::arg("previous"), py::arg("gate"), py::arg("grad"),
        py::arg("grad_content"), py::arg("grad_previous"), py::arg("grad_gate"), py::arg("parts"),
        py::arg("scratch"), NoGil());
  m.def(("ntm_shift_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights,
           Address kernel, Address out, Size parts, Address scratch) {
          ntm::shift(ntm::ShiftArgs<T>{{batch, rows, width, heads, shifts},
                                       at<const T>(weights),
                                       at<const T>(kernel),
                                       at<T>(out),
                                       {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("weights"), py::arg("kernel"), py::arg("out"), py::arg("parts"), py::arg("scratch"),
        NoGil());
  m.def(("ntm_shift_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights,
           Address kernel, Address grad, Address grad_weights, Address grad_kernel, Size parts,
           Address scratch) {
          ntm::shift_backward(ntm::ShiftBackwardArgs<T>{{batch, rows, width, heads, shifts},
                                                        at<const T>(weights),
                                                        at<const T>(kernel),
                                                        at<const T>(grad),
                                                        at<T>(grad_weights),
                                                        at<T>(grad_kernel),
                                                        {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("weights"), py::arg("kernel"), py::arg("grad"), py::arg("grad_weights"),
        py::arg("grad_kernel"), py::arg("parts"), py::arg("scratch"), NoGil());
  m.def(("ntm_sharpen_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights,
           Address gamma, Address out, Size parts, Address scratch) {
          ntm::sharpen(ntm::SharpenArgs<T>{{batch, rows, width, heads, shifts},
                                           at<const T>(weights),
                                           at<const T>(gamma),
                                           at<T>(out),
                                           {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("weights"), py::arg("gamma"), py::arg("out"), py::arg("parts"), py::arg("scratch"),
        NoGil());
  m.def(
      ("ntm_sharpen_backward_" + dtype).c_str(),
      [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights, Address gamma,
         Address grad, Address grad_weights, Address grad_gamma, Size parts, Address scratch) {
        ntm::sharpen_backward(ntm::SharpenBackwardArgs<T>{{batch, rows, width, heads, shifts},
                                                          at<const T>(weights),
                                                          at<const T>(gamma),
                                                          at<const T>(grad),
                                                          at<T>(grad_weights),
                                                          at<T>(grad_gamma),
                                                          {parts, at<T>(scratch)}});
      },
      py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("weights"), py::arg("gamma"), py::arg("grad"), py::arg("grad_weights"),
      py::arg("grad_gamma"), py::arg("parts"), py::arg("scratch"), NoGil());
  m.def(("ntm_addressing_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity,
           double epsilon, Address memory, Address previous, Address key, Address beta,
           Address gate, Address kernel, Address gamma, Address out, Size parts, Address scratch) {
          ntm::addressing(ntm::AddressingArgs<T>{{batch, rows, width, heads, shifts},
                                                 static_cast<ntm::Similarity>(similarity),
                                                 epsilon,
                                                 at<const T>(memory),
                                                 at<const T>(previous),
                                                 at<const T>(key),
                                                 at<const T>(beta),
                                                 at<const T>(gate),
                                                 at<const T>(kernel),
                                                 at<const T>(gamma),
                                                 at<T>(out),
                                                 {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("previous"),
        py::arg("key"), py::arg("beta"), py::arg("gate"), py::arg("kernel"), py::arg("gamma"),
        py::arg("out"), py::arg("parts"), py::arg("scratch"), NoGil());
  m.def(("ntm_addressing_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity,
           double epsilon, Address memory, Address previous, Address key, Address beta,
           Address gate, Address kernel, Address gamma, Address grad, Address grad_memory,
           Address grad_previous, Address grad_key, Address grad_beta, Address grad_gate,
           Address grad_kernel, Address grad_gamma, Size parts, Address scratch) {
          ntm::addressing_backward(
              ntm::AddressingBackwardArgs<T>{{batch, rows, width, heads, shifts},
                                             static_cast<ntm::Similarity>(similarity),
                                             epsilon,
                                             at<const T>(memory),
                                             at<const T>(previous),
                                             at<const T>(key),
                                             at<const T>(beta),
                                             at<const T>(gate),
                                             at<const T>(kernel),
                                             at<const T>(gamma),
                                             at<const T>(grad),
                                             at<T>(grad_memory),
                                             at<T>(grad_previous),
                                             at<T>(grad_key),
                                             at<T>(grad_beta),
                                             at<T>(grad_gate),
                                             at<T>(grad_kernel),
                                             at<T>(grad_gamma),
                                             {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("previous"),
        py::arg("key"), py::arg("beta"), py::arg("gate"), py::arg("kernel"), py::arg("gamma"),
        py::arg("grad"), py::arg("grad_memory"), py::arg("grad_previous"), py::arg("grad_key"),
        py::arg("grad_beta"), py::arg("grad_gate"), py::arg("grad_kernel"), py::arg("grad_gamma"),
        py::arg("parts"), py::arg("scratch"), NoGil());
}

// Names end in the dtype.
template <class T>
void def_memory(py::module_& m, const std::string& dtype) {
  m.def(("ntm_read_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
           Address weights, Address out, Size parts, Address scratch) {
          ntm::read(ntm::ReadArgs<T>{{batch, rows, width, heads, shifts},
                                     at<const T>(memory),
                                     at<const T>(weights),
                                     at<T>(out),
                                     {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("memory"), py::arg("weights"), py::arg("out"), py::arg("parts"), py::arg("scratch"),
        NoGil());
  m.def(("ntm_read_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
           Address weights, Address grad, Address grad_memory, Address grad_weights, Size parts,
           Address scratch) {
          ntm::read_backward(ntm::ReadBackwardArgs<T>{{batch, rows, width, heads, shifts},
                                                      at<const T>(memory),
                                                      at<const T>(weights),
                                                      at<const T>(grad),
                                                      at<T>(grad_memory),
                                                      at<T>(grad_weights),
                                                      {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("memory"), py::arg("weights"), py::arg("grad"), py::arg("grad_memory"),
        py::arg("grad_weights"), py::arg("parts"), py::arg("scratch"), NoGil());
  m.def(("ntm_write_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
           Address weights, Address erase, Address add, Address out, Size parts, Address scratch) {
          ntm::write(ntm::WriteArgs<T>{{batch, rows, width, heads, shifts},
                                       at<const T>(memory),
                                       at<const T>(weights),
                                       at<const T>(erase),
                                       at<const T>(add),
                                       at<T>(out),
                                       {parts, at<T>(scratch)}});
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("memory"), py::arg("weights"), py::arg("erase"), py::arg("add"), py::arg("out"),
        py::arg("parts"), py::arg("scratch"), NoGil());
  m.def(
      ("ntm_write_backward_" + dtype).c_str(),
      [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
         Address weights, Address erase, Address add, Address grad, Address grad_memory,
         Address grad_weights, Address grad_erase, Address grad_add, Size parts, Address scratch) {
        ntm::write_backward(ntm::WriteBackwardArgs<T>{{batch, rows, width, heads, shifts},
                                                      at<const T>(memory),
                                                      at<const T>(weights),
                                                      at<const T>(erase),
                                                      at<const T>(add),
                                                      at<const T>(grad),
                                                      at<T>(grad_memory),
                                                      at<T>(grad_weights),
                                                      at<T>(grad_erase),
                                                      at<T>(grad_add),
                                                      {parts, at<T>(scratch)}});
      },
      py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("memory"), py::arg("weights"), py::arg("erase"), py::arg("add"), py::arg("grad"),
      py::arg("grad_memory"), py::arg("grad_weights"), py::arg("grad_erase"), py::arg("grad_add"),
      py::arg("parts"), py::arg("scratch"), NoGil());
}

}  // namespace

void register_ntm(py::module_& m) {
  // (parts, elements of a part) of the scratch that every op of a group takes.
  m.def(
      "ntm_addressing_scratch",
      [](Size items, Size rows, Size width, Size heads, Size shifts, bool is_double) {
        const ntm::HeadsShape shape{items, rows, width, heads, shifts};
        const Size elements = is_double ? ntm::addressing_scratch<double>(shape)
                                        : ntm::addressing_scratch<float>(shape);
        return py::make_tuple(ntm::parts_of(items, elements), elements);
      },
      py::arg("items"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("is_double"));
  m.def(
      "ntm_memory_scratch",
      [](Size items, Size rows, Size width, Size heads, bool is_double) {
        const ntm::HeadsShape shape{items, rows, width, heads, 1};
        const Size elements =
            is_double ? ntm::memory_scratch<double>(shape) : ntm::memory_scratch<float>(shape);
        return py::make_tuple(ntm::parts_of(items, elements), elements);
      },
      py::arg("items"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("is_double"));

  def_addressing<float>(m, "float32");
  def_addressing<double>(m, "float64");
  def_memory<float>(m, "float32");
  def_memory<double>(m, "float64");
}

}  // namespace polyad::bindings
