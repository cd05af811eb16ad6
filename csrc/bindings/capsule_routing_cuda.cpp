#include <pybind11/pybind11.h>

#include <string>

#include "bindings/address.hpp"
#include "capsule/cuda.hpp"
#include "common/cuda_check.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

using Size = std::int64_t;
using NoGil = py::call_guard<py::gil_scoped_release>;

capsule::CapsuleTypes types_at(Size types, Address type, Address order, Address begin) {
  return {types, at<const std::int32_t>(type), at<const std::int32_t>(order),
          at<const std::int32_t>(begin)};
}

// Names end in the dtype.
template <class T>
void def_routing(py::module_& m, const std::string& dtype) {
  m.def(("capsule_routing_" + dtype).c_str(),
        [](Size batch, Size inputs, Size input_size, Size outputs, Size output_size,
           Size iterations, Size types, Address type, bool leaky, Address u, Address weight,
           Address votes, Address bias, Address logits, Address s, Address v, Address couplings,
           Size parts, Address scratch, int device, Address stream) {
          const cuda::DeviceGuard guard(device);
          const capsule::RoutingArgs<T> args{
              {batch, inputs, input_size, outputs, output_size, iterations},
              types_at(types, type, 0, 0),
              leaky,
              at<const T>(u),
              at<const T>(weight),
              at<const T>(votes),
              at<const T>(bias),
              at<const T>(logits),
              at<T>(s),
              at<T>(v),
              at<T>(couplings),
              parts,
              at<T>(scratch)};
          capsule::cuda::routing(args, at<CUstream_st>(stream));
        },
        py::arg("batch"), py::arg("inputs"), py::arg("input_size"), py::arg("outputs"),
        py::arg("output_size"), py::arg("iterations"), py::arg("types"), py::arg("type"),
        py::arg("leaky"), py::arg("u"), py::arg("weight"), py::arg("votes"), py::arg("bias"),
        py::arg("logits"), py::arg("s"), py::arg("v"), py::arg("couplings"), py::arg("parts"),
        py::arg("scratch"), py::arg("device"), py::arg("stream"), NoGil());
  m.def(("capsule_routing_backward_" + dtype).c_str(),
        [](Size batch, Size inputs, Size input_size, Size outputs, Size output_size,
           Size iterations, Size types, Address type, Address order, Address begin, bool leaky,
           bool detach, Address u, Address weight, Address votes, Address logits, Address s,
           Address grad, Address grad_u, Address grad_weight, Address grad_votes, Address grad_bias,
           Address grad_logits, Size parts, Address scratch, int device, Address stream) {
          const cuda::DeviceGuard guard(device);
          const capsule::RoutingBackwardArgs<T> args{
              {batch, inputs, input_size, outputs, output_size, iterations},
              types_at(types, type, order, begin),
              leaky,
              detach,
              at<const T>(u),
              at<const T>(weight),
              at<const T>(votes),
              at<const T>(logits),
              at<const T>(s),
              at<const T>(grad),
              at<T>(grad_u),
              at<T>(grad_weight),
              at<T>(grad_votes),
              at<T>(grad_bias),
              at<T>(grad_logits),
              parts,
              at<T>(scratch)};
          capsule::cuda::routing_backward(args, at<CUstream_st>(stream));
        },
        py::arg("batch"), py::arg("inputs"), py::arg("input_size"), py::arg("outputs"),
        py::arg("output_size"), py::arg("iterations"), py::arg("types"), py::arg("type"),
        py::arg("order"), py::arg("begin"), py::arg("leaky"), py::arg("detach"), py::arg("u"),
        py::arg("weight"), py::arg("votes"), py::arg("logits"), py::arg("s"), py::arg("grad"),
        py::arg("grad_u"), py::arg("grad_weight"), py::arg("grad_votes"), py::arg("grad_bias"),
        py::arg("grad_logits"), py::arg("parts"), py::arg("scratch"), py::arg("device"),
        py::arg("stream"), NoGil());
}

}  // namespace

void register_capsule_routing(py::module_& m) {
  // (parts, which only the CPU has; elements of scratch)
  m.def(
      "capsule_routing_scratch",
      [](Size batch, Size inputs, Size input_size, Size outputs, Size output_size, Size iterations,
         bool is_double) {
        const capsule::RoutingShape shape{batch,   inputs,      input_size,
                                          outputs, output_size, iterations};
        return py::make_tuple(1, is_double ? capsule::cuda::routing_scratch<double>(shape)
                                           : capsule::cuda::routing_scratch<float>(shape));
      },
      py::arg("batch"), py::arg("inputs"), py::arg("input_size"), py::arg("outputs"),
      py::arg("output_size"), py::arg("iterations"), py::arg("is_double"));
  m.def(
      "capsule_routing_backward_scratch",
      [](Size batch, Size inputs, Size input_size, Size outputs, Size output_size, Size iterations,
         Size types, bool shared, bool detach, bool is_double) {
        const capsule::RoutingShape shape{batch,   inputs,      input_size,
                                          outputs, output_size, iterations};
        const std::int32_t any = 0;
        const capsule::CapsuleTypes of{types, shared ? &any : nullptr, nullptr, nullptr};
        return py::make_tuple(
            1, is_double ? capsule::cuda::routing_backward_scratch<double>(shape, of, detach)
                         : capsule::cuda::routing_backward_scratch<float>(shape, of, detach));
      },
      py::arg("batch"), py::arg("inputs"), py::arg("input_size"), py::arg("outputs"),
      py::arg("output_size"), py::arg("iterations"), py::arg("types"), py::arg("shared"),
      py::arg("detach"), py::arg("is_double"));

  def_routing<float>(m, "float32");
  def_routing<double>(m, "float64");
}

}  // namespace polyad::bindings
