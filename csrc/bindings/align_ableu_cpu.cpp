#include <pybind11/pybind11.h>

#include "align/ableu.hpp"
#include "align/similarity.hpp"
#include "align/soft_scores.hpp"
#include "bindings/address.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

using align::Matching;
using align::Sentences;
using align::Similarities;
using NoGil = py::call_guard<py::gil_scoped_release>;

Sentences sentences(Address ids, Address offsets, std::int64_t count) {
  return {at<const std::int32_t>(ids), at<const std::int32_t>(offsets), count};
}

Similarities similarities(Address offsets, Address words, Address values, std::int32_t count,
                          Address back_offsets, Address back_words, Address back_values,
                          std::int32_t back_count) {
  return {{at<const std::int32_t>(offsets), at<const std::int32_t>(words), at<const float>(values),
           count},
          {at<const std::int32_t>(back_offsets), at<const std::int32_t>(back_words),
           at<const float>(back_values), back_count}};
}

Matching matching(bool one_to_one) { return one_to_one ? Matching::one_to_one : Matching::source; }

}  // namespace

void register_align_ableu(py::module_& m) {
  m.def(
      "align_ableu",
      [](Address ids, Address offsets, std::int64_t count, Address reference_ids,
         Address reference_offsets, std::int64_t reference_count, Address places,
         Address similar_offsets, Address similar_words, Address similar_values,
         std::int32_t similar_count, Address back_offsets, Address back_words, Address back_values,
         std::int32_t back_count, bool one_to_one, int first_order, int last_order,
         bool both_directions, Address scores, Address matches, Address reference_lengths) {
        align::ableu({sentences(ids, offsets, count),
                      sentences(reference_ids, reference_offsets, reference_count),
                      at<const std::int64_t>(places),
                      similarities(similar_offsets, similar_words, similar_values, similar_count,
                                   back_offsets, back_words, back_values, back_count),
                      matching(one_to_one), first_order, last_order, both_directions,
                      at<double>(scores), at<double>(matches),
                      at<std::int32_t>(reference_lengths)});
      },
      py::arg("ids"), py::arg("offsets"), py::arg("count"), py::arg("reference_ids"),
      py::arg("reference_offsets"), py::arg("reference_count"), py::arg("places"),
      py::arg("similar_offsets"), py::arg("similar_words"), py::arg("similar_values"),
      py::arg("similar_count"), py::arg("back_offsets"), py::arg("back_words"),
      py::arg("back_values"), py::arg("back_count"), py::arg("one_to_one"), py::arg("first_order"),
      py::arg("last_order"), py::arg("both_directions"), py::arg("scores"), py::arg("matches"),
      py::arg("reference_lengths"), NoGil());

  m.def(
      "align_ableu_pairs",
      [](Address source_ids, Address source_offsets, std::int64_t source_count, Address target_ids,
         Address target_offsets, std::int64_t target_count, Address source, Address target,
         std::int64_t count, Address similar_offsets, Address similar_words, Address similar_values,
         std::int32_t similar_count, Address back_offsets, Address back_words, Address back_values,
         std::int32_t back_count, bool one_to_one, int first_order, int last_order,
         bool both_directions, Address scores) {
        align::ableu_pairs(
            {sentences(source_ids, source_offsets, source_count),
             sentences(target_ids, target_offsets, target_count), at<const std::int32_t>(source),
             at<const std::int32_t>(target), count,
             similarities(similar_offsets, similar_words, similar_values, similar_count,
                          back_offsets, back_words, back_values, back_count),
             matching(one_to_one), first_order, last_order, both_directions, at<double>(scores)});
      },
      py::arg("source_ids"), py::arg("source_offsets"), py::arg("source_count"),
      py::arg("target_ids"), py::arg("target_offsets"), py::arg("target_count"), py::arg("source"),
      py::arg("target"), py::arg("count"), py::arg("similar_offsets"), py::arg("similar_words"),
      py::arg("similar_values"), py::arg("similar_count"), py::arg("back_offsets"),
      py::arg("back_words"), py::arg("back_values"), py::arg("back_count"), py::arg("one_to_one"),
      py::arg("first_order"), py::arg("last_order"), py::arg("both_directions"), py::arg("scores"),
      NoGil());

  m.def(
      "align_soft_scores",
      [](Address source_ids, Address source_offsets, std::int64_t source_count, Address target_ids,
         Address target_offsets, std::int64_t target_count, Address similar_offsets,
         Address similar_words, Address similar_values, std::int32_t similar_count,
         Address back_offsets, Address back_words, Address back_values, std::int32_t back_count,
         bool one_to_one, int max_n, Address weights, int candidates, int top_k, Address target,
         Address score, Address found) {
        align::soft_scores(
            {sentences(source_ids, source_offsets, source_count),
             sentences(target_ids, target_offsets, target_count),
             {similarities(similar_offsets, similar_words, similar_values, similar_count,
                           back_offsets, back_words, back_values, back_count),
              matching(one_to_one), max_n, at<const double>(weights), candidates},
             top_k,
             at<std::int32_t>(target),
             at<double>(score),
             at<std::int32_t>(found)});
      },
      py::arg("source_ids"), py::arg("source_offsets"), py::arg("source_count"),
      py::arg("target_ids"), py::arg("target_offsets"), py::arg("target_count"),
      py::arg("similar_offsets"), py::arg("similar_words"), py::arg("similar_values"),
      py::arg("similar_count"), py::arg("back_offsets"), py::arg("back_words"),
      py::arg("back_values"), py::arg("back_count"), py::arg("one_to_one"), py::arg("max_n"),
      py::arg("weights"), py::arg("candidates"), py::arg("top_k"), py::arg("target"),
      py::arg("score"), py::arg("found"), NoGil());

  m.def("align_neighbours_scratch", &align::neighbours_scratch, py::arg("targets"),
        py::arg("dimension"), py::arg("parts"));
  m.def(
      "align_neighbours",
      [](Address source, std::int64_t sources, Address target, std::int64_t targets,
         std::int64_t dimension, int top_k, float threshold, Address words, Address values,
         Address found, Address scratch, std::int64_t parts) {
        align::neighbours({at<const float>(source), at<const float>(target), sources, targets,
                           dimension, top_k, threshold, at<std::int32_t>(words), at<float>(values),
                           at<std::int32_t>(found), at<float>(scratch), parts});
      },
      py::arg("source"), py::arg("sources"), py::arg("target"), py::arg("targets"),
      py::arg("dimension"), py::arg("top_k"), py::arg("threshold"), py::arg("words"),
      py::arg("values"), py::arg("found"), py::arg("scratch"), py::arg("parts"), NoGil());
}

}  // namespace polyad::bindings
