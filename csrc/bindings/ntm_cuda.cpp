#include <pybind11/pybind11.h>

#include <string>

#include "bindings/address.hpp"
#include "common/cuda_check.hpp"
#include "ntm/cuda.hpp"

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
void def_addressing(py::module_& m, const std::string& dtype) {
  m.def(("ntm_content_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity,
           double epsilon, Address memory, Address key, Address beta, Address out, Size parts,
           Address scratch, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::content(ntm::ContentArgs<X, T>{{batch, rows, width, heads, shifts},
                                                      static_cast<ntm::Similarity>(similarity),
                                                      epsilon,
                                                      at<const X>(memory),
                                                      at<const X>(key),
                                                      at<const X>(beta),
                                                      at<X>(out),
                                                      {parts, at<T>(scratch)}},
                               on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("key"),
        py::arg("beta"), py::arg("out"), py::arg("parts"), py::arg("scratch"), py::arg("device"),
        py::arg("stream"), NoGil());
  m.def(("ntm_content_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity,
           double epsilon, Address memory, Address key, Address beta, Address grad,
           Address grad_memory, Address grad_key, Address grad_beta, Size parts, Address scratch,
           int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::content_backward(
                ntm::ContentBackwardArgs<X, T>{{batch, rows, width, heads, shifts},
                                               static_cast<ntm::Similarity>(similarity),
                                               epsilon,
                                               at<const X>(memory),
                                               at<const X>(key),
                                               at<const X>(beta),
                                               at<const X>(grad),
                                               at<X>(grad_memory),
                                               at<X>(grad_key),
                                               at<X>(grad_beta),
                                               {parts, at<T>(scratch)}},
                on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("key"),
        py::arg("beta"), py::arg("grad"), py::arg("grad_memory"), py::arg("grad_key"),
        py::arg("grad_beta"), py::arg("parts"), py::arg("scratch"), py::arg("device"),
        py::arg("stream"), NoGil());
  m.def(("ntm_interpolate_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address content,
           Address previous, Address gate, Address out, Size parts, Address scratch, int device,
           Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::interpolate(ntm::InterpolateArgs<X, T>{{batch, rows, width, heads, shifts},
                                                              at<const X>(content),
                                                              at<const X>(previous),
                                                              at<const X>(gate),
                                                              at<X>(out),
                                                              {parts, at<T>(scratch)}},
                                   on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("content"), py::arg("previous"), py::arg("gate"), py::arg("out"), py::arg("parts"),
        py::arg("scratch"), py::arg("device"), py::arg("stream"), NoGil());
  m.def(
      ("ntm_interpolate_backward_" + dtype).c_str(),
      [](Size batch, Size rows, Size width, Size heads, Size shifts, Address content,
         Address previous, Address gate, Address grad, Address grad_content, Address grad_previous,
         Address grad_gate, Size parts, Address scratch, int device, Address stream) {
        on_device(device, stream, [&](cudaStream_t on) {
          ntm::cuda::interpolate_backward(
              ntm::InterpolateBackwardArgs<X, T>{{batch, rows, width, heads, shifts},
                                                 at<const X>(content),
                                                 at<const X>(previous),
                                                 at<const X>(gate),
                                                 at<const X>(grad),
                                                 at<X>(grad_content),
                                                 at<X>(grad_previous),
                                                 at<X>(grad_gate),
                                                 {parts, at<T>(scratch)}},
              on);
        });
      },
      py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("content"), py::arg("previous"), py::arg("gate"), py::arg("grad"),
      py::arg("grad_content"), py::arg("grad_previous"), py::arg("grad_gate"), py::arg("parts"),
      py::arg("scratch"), py::arg("device"), py::arg("stream"), NoGil());
  m.def(("ntm_shift_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights,
           Address kernel, Address out, Size parts, Address scratch, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::shift(ntm::ShiftArgs<X, T>{{batch, rows, width, heads, shifts},
                                                  at<const X>(weights),
                                                  at<const X>(kernel),
                                                  at<X>(out),
                                                  {parts, at<T>(scratch)}},
                             on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("weights"), py::arg("kernel"), py::arg("out"), py::arg("parts"), py::arg("scratch"),
        py::arg("device"), py::arg("stream"), NoGil());
  m.def(("ntm_shift_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights,
           Address kernel, Address grad, Address grad_weights, Address grad_kernel, Size parts,
           Address scratch, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::shift_backward(
                ntm::ShiftBackwardArgs<X, T>{{batch, rows, width, heads, shifts},
                                             at<const X>(weights),
                                             at<const X>(kernel),
                                             at<const X>(grad),
                                             at<X>(grad_weights),
                                             at<X>(grad_kernel),
                                             {parts, at<T>(scratch)}},
                on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("weights"), py::arg("kernel"), py::arg("grad"), py::arg("grad_weights"),
        py::arg("grad_kernel"), py::arg("parts"), py::arg("scratch"), py::arg("device"),
        py::arg("stream"), NoGil());
  m.def(("ntm_sharpen_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights,
           Address gamma, Address out, Size parts, Address scratch, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::sharpen(ntm::SharpenArgs<X, T>{{batch, rows, width, heads, shifts},
                                                      at<const X>(weights),
                                                      at<const X>(gamma),
                                                      at<X>(out),
                                                      {parts, at<T>(scratch)}},
                               on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("weights"), py::arg("gamma"), py::arg("out"), py::arg("parts"), py::arg("scratch"),
        py::arg("device"), py::arg("stream"), NoGil());
  m.def(("ntm_sharpen_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address weights,
           Address gamma, Address grad, Address grad_weights, Address grad_gamma, Size parts,
           Address scratch, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::sharpen_backward(
                ntm::SharpenBackwardArgs<X, T>{{batch, rows, width, heads, shifts},
                                               at<const X>(weights),
                                               at<const X>(gamma),
                                               at<const X>(grad),
                                               at<X>(grad_weights),
                                               at<X>(grad_gamma),
                                               {parts, at<T>(scratch)}},
                on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("weights"), py::arg("gamma"), py::arg("grad"), py::arg("grad_weights"),
        py::arg("grad_gamma"), py::arg("parts"), py::arg("scratch"), py::arg("device"),
        py::arg("stream"), NoGil());
  m.def(
      ("ntm_addressing_" + dtype).c_str(),
      [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity, double epsilon,
         Address memory, Address previous, Address key, Address beta, Address gate, Address kernel,
         Address gamma, Address out, Size parts, Address scratch, int device, Address stream) {
        on_device(device, stream, [&](cudaStream_t on) {
          ntm::cuda::addressing(ntm::AddressingArgs<X, T>{{batch, rows, width, heads, shifts},
                                                          static_cast<ntm::Similarity>(similarity),
                                                          epsilon,
                                                          at<const X>(memory),
                                                          at<const X>(previous),
                                                          at<const X>(key),
                                                          at<const X>(beta),
                                                          at<const X>(gate),
                                                          at<const X>(kernel),
                                                          at<const X>(gamma),
                                                          at<X>(out),
                                                          {parts, at<T>(scratch)}},
                                on);
        });
      },
      py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("previous"),
      py::arg("key"), py::arg("beta"), py::arg("gate"), py::arg("kernel"), py::arg("gamma"),
      py::arg("out"), py::arg("parts"), py::arg("scratch"), py::arg("device"), py::arg("stream"),
      NoGil());
  m.def(
      ("ntm_addressing_backward_" + dtype).c_str(),
      [](Size batch, Size rows, Size width, Size heads, Size shifts, int similarity, double epsilon,
         Address memory, Address previous, Address key, Address beta, Address gate, Address kernel,
         Address gamma, Address grad, Address grad_memory, Address grad_previous, Address grad_key,
         Address grad_beta, Address grad_gate, Address grad_kernel, Address grad_gamma, Size parts,
         Address scratch, int device, Address stream) {
        on_device(device, stream, [&](cudaStream_t on) {
          ntm::cuda::addressing_backward(
              ntm::AddressingBackwardArgs<X, T>{{batch, rows, width, heads, shifts},
                                                static_cast<ntm::Similarity>(similarity),
                                                epsilon,
                                                at<const X>(memory),
                                                at<const X>(previous),
                                                at<const X>(key),
                                                at<const X>(beta),
                                                at<const X>(gate),
                                                at<const X>(kernel),
                                                at<const X>(gamma),
                                                at<const X>(grad),
                                                at<X>(grad_memory),
                                                at<X>(grad_previous),
                                                at<X>(grad_key),
                                                at<X>(grad_beta),
                                                at<X>(grad_gate),
                                                at<X>(grad_kernel),
                                                at<X>(grad_gamma),
                                                {parts, at<T>(scratch)}},
              on);
        });
      },
      py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("similarity"), py::arg("epsilon"), py::arg("memory"), py::arg("previous"),
      py::arg("key"), py::arg("beta"), py::arg("gate"), py::arg("kernel"), py::arg("gamma"),
      py::arg("grad"), py::arg("grad_memory"), py::arg("grad_previous"), py::arg("grad_key"),
      py::arg("grad_beta"), py::arg("grad_gate"), py::arg("grad_kernel"), py::arg("grad_gamma"),
      py::arg("parts"), py::arg("scratch"), py::arg("device"), py::arg("stream"), NoGil());
}

// Names end in the dtype of storage X; T is computed in.
template <class X, class T = X>
void def_memory(py::module_& m, const std::string& dtype) {
  m.def(("ntm_read_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
           Address weights, Address out, Size parts, Address scratch, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::read(ntm::ReadArgs<X, T>{{batch, rows, width, heads, shifts},
                                                at<const X>(memory),
                                                at<const X>(weights),
                                                at<X>(out),
                                                {parts, at<T>(scratch)}},
                            on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("memory"), py::arg("weights"), py::arg("out"), py::arg("parts"), py::arg("scratch"),
        py::arg("device"), py::arg("stream"), NoGil());
  m.def(("ntm_read_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
           Address weights, Address grad, Address grad_memory, Address grad_weights, Size parts,
           Address scratch, int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::read_backward(
                ntm::ReadBackwardArgs<X, T>{{batch, rows, width, heads, shifts},
                                            at<const X>(memory),
                                            at<const X>(weights),
                                            at<const X>(grad),
                                            at<X>(grad_memory),
                                            at<X>(grad_weights),
                                            {parts, at<T>(scratch)}},
                on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("memory"), py::arg("weights"), py::arg("grad"), py::arg("grad_memory"),
        py::arg("grad_weights"), py::arg("parts"), py::arg("scratch"), py::arg("device"),
        py::arg("stream"), NoGil());
  m.def(("ntm_write_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
           Address weights, Address erase, Address add, Address out, Size parts, Address scratch,
           int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::write(ntm::WriteArgs<X, T>{{batch, rows, width, heads, shifts},
                                                  at<const X>(memory),
                                                  at<const X>(weights),
                                                  at<const X>(erase),
                                                  at<const X>(add),
                                                  at<X>(out),
                                                  {parts, at<T>(scratch)}},
                             on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("memory"), py::arg("weights"), py::arg("erase"), py::arg("add"), py::arg("out"),
        py::arg("parts"), py::arg("scratch"), py::arg("device"), py::arg("stream"), NoGil());
  m.def(("ntm_write_backward_" + dtype).c_str(),
        [](Size batch, Size rows, Size width, Size heads, Size shifts, Address memory,
           Address weights, Address erase, Address add, Address grad, Address grad_memory,
           Address grad_weights, Address grad_erase, Address grad_add, Size parts, Address scratch,
           int device, Address stream) {
          on_device(device, stream, [&](cudaStream_t on) {
            ntm::cuda::write_backward(
                ntm::WriteBackwardArgs<X, T>{{batch, rows, width, heads, shifts},
                                             at<const X>(memory),
                                             at<const X>(weights),
                                             at<const X>(erase),
                                             at<const X>(add),
                                             at<const X>(grad),
                                             at<X>(grad_memory),
                                             at<X>(grad_weights),
                                             at<X>(grad_erase),
                                             at<X>(grad_add),
                                             {parts, at<T>(scratch)}},
                on);
          });
        },
        py::arg("batch"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
        py::arg("memory"), py::arg("weights"), py::arg("erase"), py::arg("add"), py::arg("grad"),
        py::arg("grad_memory"), py::arg("grad_weights"), py::arg("grad_erase"), py::arg("grad_add"),
        py::arg("parts"), py::arg("scratch"), py::arg("device"), py::arg("stream"), NoGil());
}

}  // namespace

void register_ntm(py::module_& m) {
  // (parts, elements of a part) of the scratch that every op of a group takes.
  m.def(
      "ntm_addressing_scratch",
      [](Size items, Size rows, Size width, Size heads, Size shifts, bool is_double) {
        const ntm::HeadsShape shape{items, rows, width, heads, shifts};
        const auto [parts, elements] =
            ntm::cuda::parts_for(items, ntm::cuda::addressing_space(shape), is_double);
        return py::make_tuple(parts, elements);
      },
      py::arg("items"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("shifts"),
      py::arg("is_double"));
  m.def(
      "ntm_memory_scratch",
      [](Size items, Size rows, Size width, Size heads, bool is_double) {
        const ntm::HeadsShape shape{items, rows, width, heads, 1};
        const auto [parts, elements] =
            ntm::cuda::parts_for(items, ntm::cuda::memory_space(shape), is_double);
        return py::make_tuple(parts, elements);
      },
      py::arg("items"), py::arg("rows"), py::arg("width"), py::arg("heads"), py::arg("is_double"));
  // Where blocks keep their arrays, for tests: 0 shared memory where it serves, 1 memories in
  // global memory, 2 everything.
  m.def(
      "ntm_set_placement",
      [](int where) { ntm::cuda::set_placement(static_cast<ntm::cuda::Placement>(where)); },
      py::arg("where"));

  def_addressing<float>(m, "float32");
  def_addressing<double>(m, "float64");
  def_addressing<__half, float>(m, "float16");
  def_addressing<__nv_bfloat16, float>(m, "bfloat16");
  def_memory<float>(m, "float32");
  def_memory<double>(m, "float64");
  def_memory<__half, float>(m, "float16");
  def_memory<__nv_bfloat16, float>(m, "bfloat16");
}

}  // namespace polyad::bindings
