#include <pybind11/pybind11.h>

#include "bindings/address.hpp"
#include "hypernet/energy.hpp"
#include "hypernet/gibbs.hpp"
#include "hypernet/match.hpp"
#include "hypernet/planes.hpp"

namespace py = pybind11;

namespace polyad::bindings {

using hypernet::Edges;
using hypernet::Planes;
using hypernet::Tolerance;

namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;

Planes planes(Address words, std::int64_t samples, std::int64_t variables, int width) {
  return {at<const std::uint64_t>(words), samples, variables, width};
}

Edges edges(Address literals, Address offsets, Address positives, Address order,
            std::int64_t count) {
  return {at<const std::int32_t>(literals), at<const std::int64_t>(offsets),
          at<const std::int32_t>(positives), at<const std::int32_t>(order), count};
}

template <class Weight>
void def_votes(py::module_& m, const char* name) {
  m.def(
      name,
      [](Address words, std::int64_t samples, std::int64_t variables, int width, Address literals,
         Address offsets, Address positives, Address order, std::int64_t count, Address tolerances,
         int tolerance, Address class_offsets, std::int64_t classes, Address weights, Address out,
         Address scratch, int bits) {
        hypernet::votes(
            hypernet::VotesArgs<Weight>{planes(words, samples, variables, width),
                                        edges(literals, offsets, positives, order, count),
                                        {at<const std::int32_t>(tolerances), tolerance},
                                        at<const std::int64_t>(class_offsets),
                                        classes,
                                        at<const Weight>(weights),
                                        at<Weight>(out),
                                        at<std::uint64_t>(scratch),
                                        bits});
      },
      py::arg("words"), py::arg("samples"), py::arg("variables"), py::arg("width"),
      py::arg("literals"), py::arg("offsets"), py::arg("positives"), py::arg("order"),
      py::arg("count"), py::arg("tolerances"), py::arg("tolerance"), py::arg("class_offsets"),
      py::arg("classes"), py::arg("weights"), py::arg("out"), py::arg("scratch"), py::arg("bits"),
      NoGil());
}

template <class T>
void def_energy(py::module_& m, const char* forward, const char* backward) {
  m.def(
      forward,
      [](Address x, std::int64_t samples, std::int64_t variables, Address literals, Address offsets,
         Address positives, Address order, std::int64_t count, Address weights, Address out,
         Address tiles) {
        hypernet::energy(hypernet::EnergyArgs<T>{at<const T>(x), samples, variables,
                                                 edges(literals, offsets, positives, order, count),
                                                 at<const T>(weights), at<T>(out), at<T>(tiles)});
      },
      py::arg("x"), py::arg("samples"), py::arg("variables"), py::arg("literals"),
      py::arg("offsets"), py::arg("positives"), py::arg("order"), py::arg("count"),
      py::arg("weights"), py::arg("out"), py::arg("tiles"), NoGil());
  m.def(
      backward,
      [](Address x, std::int64_t samples, std::int64_t variables, Address literals, Address offsets,
         Address positives, Address order, std::int64_t count, Address weights, Address grad,
         Address grad_x, Address grad_w, Address tiles, Address grad_tiles, Address grad_parts,
         Address products, std::int64_t longest) {
        hypernet::energy_backward(hypernet::EnergyBackwardArgs<T>{
            at<const T>(x), samples, variables, edges(literals, offsets, positives, order, count),
            at<const T>(weights), at<const T>(grad), at<T>(grad_x), at<T>(grad_w), at<T>(tiles),
            at<T>(grad_tiles), at<double>(grad_parts), at<T>(products), longest});
      },
      py::arg("x"), py::arg("samples"), py::arg("variables"), py::arg("literals"),
      py::arg("offsets"), py::arg("positives"), py::arg("order"), py::arg("count"),
      py::arg("weights"), py::arg("grad"), py::arg("grad_x"), py::arg("grad_w"), py::arg("tiles"),
      py::arg("grad_tiles"), py::arg("grad_parts"), py::arg("products"), py::arg("longest"),
      NoGil());
}

template <class T>
void def_gibbs(py::module_& m, const char* name) {
  m.def(
      name,
      [](Address words, Address clamp, std::int64_t samples, std::int64_t variables, int width,
         Address literals, Address offsets, Address positives, Address order, std::int64_t count,
         Address incidence_offsets, Address incidence, Address weights, std::int64_t sweeps,
         bool spins, double temperature, std::uint64_t seed) {
        hypernet::gibbs(hypernet::GibbsArgs<T>{
            at<std::uint64_t>(words), at<const std::uint64_t>(clamp), samples, variables, width,
            edges(literals, offsets, positives, order, count),
            at<const std::int64_t>(incidence_offsets), at<const std::int32_t>(incidence),
            at<const T>(weights), sweeps, spins, temperature, seed});
      },
      py::arg("words"), py::arg("clamp"), py::arg("samples"), py::arg("variables"),
      py::arg("width"), py::arg("literals"), py::arg("offsets"), py::arg("positives"),
      py::arg("order"), py::arg("count"), py::arg("incidence_offsets"), py::arg("incidence"),
      py::arg("weights"), py::arg("sweeps"), py::arg("spins"), py::arg("temperature"),
      py::arg("seed"), NoGil());
}

}  // namespace

void register_hypernet(py::module_& m) {
  m.def("hypernet_plane_width", &hypernet::plane_width, py::arg("samples"));
  m.def("hypernet_votes_scratch", &hypernet::votes_scratch, py::arg("edges"), py::arg("classes"),
        py::arg("bits"));
  m.def(
      "hypernet_energy_tiles",
      [](std::int64_t samples, bool is_double) {
        return is_double ? py::make_tuple(hypernet::energy_tiles<double>(samples),
                                          hypernet::kEnergyTile<double>,
                                          hypernet::energy_tile_parts<double>(samples))
                         : py::make_tuple(hypernet::energy_tiles<float>(samples),
                                          hypernet::kEnergyTile<float>,
                                          hypernet::energy_tile_parts<float>(samples));
      },
      py::arg("samples"), py::arg("is_double"));

  m.def(
      "hypernet_pack",
      [](Address x, std::int64_t samples, std::int64_t variables, int width, Address words,
         Address status) {
        hypernet::pack(hypernet::PackArgs{at<const std::uint8_t>(x), samples, variables, width,
                                          at<std::uint64_t>(words), at<std::int32_t>(status)});
      },
      py::arg("x"), py::arg("samples"), py::arg("variables"), py::arg("width"), py::arg("words"),
      py::arg("status"), NoGil());
  m.def(
      "hypernet_unpack",
      [](Address words, std::int64_t samples, std::int64_t variables, int width, Address x) {
        hypernet::unpack(
            hypernet::UnpackArgs{planes(words, samples, variables, width), at<std::uint8_t>(x)});
      },
      py::arg("words"), py::arg("samples"), py::arg("variables"), py::arg("width"), py::arg("x"),
      NoGil());
  m.def(
      "hypernet_match",
      [](Address words, std::int64_t samples, std::int64_t variables, int width, Address literals,
         Address offsets, Address positives, Address order, std::int64_t count, Address tolerances,
         int tolerance, Address out) {
        hypernet::match(hypernet::MatchArgs{planes(words, samples, variables, width),
                                            edges(literals, offsets, positives, order, count),
                                            {at<const std::int32_t>(tolerances), tolerance},
                                            at<std::uint8_t>(out)});
      },
      py::arg("words"), py::arg("samples"), py::arg("variables"), py::arg("width"),
      py::arg("literals"), py::arg("offsets"), py::arg("positives"), py::arg("order"),
      py::arg("count"), py::arg("tolerances"), py::arg("tolerance"), py::arg("out"), NoGil());
  m.def(
      "hypernet_match_counts",
      [](Address words, std::int64_t samples, std::int64_t variables, int width, Address literals,
         Address offsets, Address positives, Address order, std::int64_t count, Address tolerances,
         int tolerance, Address out) {
        hypernet::match_counts(
            hypernet::MatchCountsArgs{planes(words, samples, variables, width),
                                      edges(literals, offsets, positives, order, count),
                                      {at<const std::int32_t>(tolerances), tolerance},
                                      at<std::int64_t>(out)});
      },
      py::arg("words"), py::arg("samples"), py::arg("variables"), py::arg("width"),
      py::arg("literals"), py::arg("offsets"), py::arg("positives"), py::arg("order"),
      py::arg("count"), py::arg("tolerances"), py::arg("tolerance"), py::arg("out"), NoGil());
  m.def(
      "hypernet_feedback",
      [](Address words, std::int64_t samples, std::int64_t variables, int width, Address literals,
         Address offsets, Address positives, Address order, std::int64_t count, Address tolerances,
         int tolerance, Address masks, Address right, Address wrong) {
        hypernet::feedback(hypernet::FeedbackArgs{planes(words, samples, variables, width),
                                                  edges(literals, offsets, positives, order, count),
                                                  {at<const std::int32_t>(tolerances), tolerance},
                                                  at<const std::uint64_t>(masks),
                                                  at<std::int64_t>(right),
                                                  at<std::int64_t>(wrong)});
      },
      py::arg("words"), py::arg("samples"), py::arg("variables"), py::arg("width"),
      py::arg("literals"), py::arg("offsets"), py::arg("positives"), py::arg("order"),
      py::arg("count"), py::arg("tolerances"), py::arg("tolerance"), py::arg("masks"),
      py::arg("right"), py::arg("wrong"), NoGil());

  def_votes<std::int64_t>(m, "hypernet_votes_int64");
  def_votes<float>(m, "hypernet_votes_float32");
  def_votes<double>(m, "hypernet_votes_float64");
  def_energy<float>(m, "hypernet_energy_float32", "hypernet_energy_backward_float32");
  def_energy<double>(m, "hypernet_energy_float64", "hypernet_energy_backward_float64");
  def_gibbs<float>(m, "hypernet_gibbs_float32");
  def_gibbs<double>(m, "hypernet_gibbs_float64");
}

}  // namespace polyad::bindings
