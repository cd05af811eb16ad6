#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

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

template <class T>
void def_em_routing(py::module_& m, const std::string& dtype) {
  m.def(("capsule_em_routing_" + dtype).c_str(),
        [](Size batch, Size inputs, Size outputs, Size side,
           const std::vector<double>& inverse_temperature, double epsilon, Address poses,
           Address activations, Address weight, Address beta_u, Address beta_a, Address out_poses,
           Address out_activations, Address mu, Address variance, Address score, Address mass,
           Size parts, Address scratch, int device, Address stream) {
          const auto iterations = static_cast<Size>(inverse_temperature.size());
          on_device(device, stream, [&](cudaStream_t on) {
            capsule::cuda::em_routing(
                capsule::EmRoutingArgs<T>{{batch, inputs, outputs, side, iterations},
                                          epsilon,
                                          inverse_temperature.data(),
                                          at<const T>(poses),
                                          at<const T>(activations),
                                          at<const T>(weight),
                                          at<const T>(beta_u),
                                          at<const T>(beta_a),
                                          at<T>(out_poses),
                                          at<T>(out_activations),
                                          at<T>(mu),
                                          at<T>(variance),
                                          at<T>(score),
                                          at<T>(mass),
                                          parts,
                                          at<T>(scratch)},
                on);
          });
        },
        py::arg("batch"), py::arg("inputs"), py::arg("outputs"), py::arg("side"),
        py::arg("inverse_temperature"), py::arg("epsilon"), py::arg("poses"),
        py::arg("activations"), py::arg("weight"), py::arg("beta_u"), py::arg("beta_a"),
        py::arg("out_poses"), py::arg("out_activations"), py::arg("mu"), py::arg("variance"),
        py::arg("score"), py::arg("mass"), py::arg("parts"), py::arg("scratch"), py::arg("device"),
        py::arg("stream"), NoGil());
  m.def(("capsule_em_routing_backward_" + dtype).c_str(),
        [](Size batch, Size inputs, Size outputs, Size side,
           const std::vector<double>& inverse_temperature, double epsilon, Address poses,
           Address activations, Address weight, Address beta_u, Address mu, Address variance,
           Address score, Address mass, Address grad_out_poses, Address grad_out_activations,
           Address grad_poses, Address grad_activations, Address grad_weight, Address grad_beta_u,
           Address grad_beta_a, Size parts, Address scratch, int device, Address stream) {
          const auto iterations = static_cast<Size>(inverse_temperature.size());
          on_device(device, stream, [&](cudaStream_t on) {
            capsule::cuda::em_routing_backward(
                capsule::EmRoutingBackwardArgs<T>{{batch, inputs, outputs, side, iterations},
                                                  epsilon,
                                                  inverse_temperature.data(),
                                                  at<const T>(poses),
                                                  at<const T>(activations),
                                                  at<const T>(weight),
                                                  at<const T>(beta_u),
                                                  at<const T>(mu),
                                                  at<const T>(variance),
                                                  at<const T>(score),
                                                  at<const T>(mass),
                                                  at<const T>(grad_out_poses),
                                                  at<const T>(grad_out_activations),
                                                  at<T>(grad_poses),
                                                  at<T>(grad_activations),
                                                  at<T>(grad_weight),
                                                  at<T>(grad_beta_u),
                                                  at<T>(grad_beta_a),
                                                  parts,
                                                  at<T>(scratch)},
                on);
          });
        },
        py::arg("batch"), py::arg("inputs"), py::arg("outputs"), py::arg("side"),
        py::arg("inverse_temperature"), py::arg("epsilon"), py::arg("poses"),
        py::arg("activations"), py::arg("weight"), py::arg("beta_u"), py::arg("mu"),
        py::arg("variance"), py::arg("score"), py::arg("mass"), py::arg("grad_out_poses"),
        py::arg("grad_out_activations"), py::arg("grad_poses"), py::arg("grad_activations"),
        py::arg("grad_weight"), py::arg("grad_beta_u"), py::arg("grad_beta_a"), py::arg("parts"),
        py::arg("scratch"), py::arg("device"), py::arg("stream"), NoGil());
}

}  // namespace

void register_capsule(py::module_& m) {
  // (parts, elements of the scratch) of em_routing or its backward pass.
  m.def(
      "capsule_em_routing_scratch",
      [](Size batch, Size inputs, Size outputs, Size side, Size iterations, bool backward,
         bool is_double) {
        const capsule::EmShape shape{batch, inputs, outputs, side, iterations};
        return py::make_tuple(1, backward
                                     ? capsule::cuda::em_routing_backward_scratch(shape, is_double)
                                     : capsule::cuda::em_routing_scratch(shape, is_double));
      },
      py::arg("batch"), py::arg("inputs"), py::arg("outputs"), py::arg("side"),
      py::arg("iterations"), py::arg("backward"), py::arg("is_double"));

  def_squash<float>(m, "float32");
  def_squash<double>(m, "float64");
  def_squash<__half, float>(m, "float16");
  def_squash<__nv_bfloat16, float>(m, "bfloat16");
  def_em_routing<float>(m, "float32");
  def_em_routing<double>(m, "float64");
}

}  // namespace polyad::bindings
