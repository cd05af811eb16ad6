#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "align/beads.hpp"
#include "align/gale_church.hpp"
#include "align/sparse.hpp"
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

template <class T>
py::array_t<T> array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

// ids, offsets, count
using TextArgs = std::tuple<Address, Address, std::int64_t>;
// offsets, features, values, count
using RowsArgs = std::tuple<Address, Address, Address, std::int64_t>;
// source, target, features, group
using ViewArgs = std::tuple<RowsArgs, RowsArgs, std::int32_t, std::int32_t>;
// lengths, marks, count
using SideArgs = std::tuple<Address, Address, std::int64_t>;

align::SparseRows rows(const RowsArgs& args) {
  const auto& [offsets, features, values, count] = args;
  return {at<const std::int64_t>(offsets), at<const std::int32_t>(features),
          at<const float>(values), count};
}

align::BeadSide side(const SideArgs& args) {
  const auto& [lengths, marks, count] = args;
  return {at<const double>(lengths), at<const std::uint8_t>(marks), count};
}

std::vector<align::BeadView> bead_views(const std::vector<ViewArgs>& all) {
  std::vector<align::BeadView> out;
  for (const auto& [source, target, features, group] : all) {
    out.push_back({rows(source), rows(target), features, group});
  }
  return out;
}

// letters 0: by words, of which there are `words`; otherwise by the letters of words.
py::tuple vectors(const std::vector<TextArgs>& all, Address letters, Address letter_offsets,
                  std::int32_t words) {
  std::vector<align::Sentences> texts;
  for (const auto& [ids, offsets, count] : all) {
    texts.push_back({at<const std::int32_t>(ids), at<const std::int32_t>(offsets), count});
  }
  std::vector<align::SparseTable> tables(texts.size());
  std::int32_t features = 0;
  {
    py::gil_scoped_release release;
    const auto count = static_cast<std::int64_t>(texts.size());
    features = letters == 0 ? align::word_vectors(texts.data(), count, words, tables.data())
                            : align::letter_vectors(texts.data(), count,
                                                    {at<const std::int32_t>(letters),
                                                     at<const std::int32_t>(letter_offsets), words},
                                                    tables.data());
  }
  py::list out;
  for (const align::SparseTable& table : tables) {
    out.append(py::make_tuple(array(table.offsets), array(table.features), array(table.values)));
  }
  return py::make_tuple(out, features);
}

}  // namespace

void register_align_beads(py::module_& m) {
  m.def("align_vectors", &vectors, py::arg("texts"), py::arg("letters"), py::arg("letter_offsets"),
        py::arg("words"));
  m.attr("ALIGN_BEAD_GENERAL") = align::kBeadGeneral;
  m.attr("ALIGN_BEAD_PER_GROUP") = align::kBeadPerGroup;
  m.attr("ALIGN_BEAD_LARGEST") = align::kBeadLargest;
  m.def("align_bead_types", &align::bead_types, py::arg("max_sentences"));
  m.def(
      "align_best_beads",
      [](const SideArgs& source, const SideArgs& target, const std::vector<ViewArgs>& views,
         int groups, Address weights, int max_sentences, int margin, double threshold, bool moved,
         double moved_cost) {
        const auto seen = bead_views(views);
        std::vector<align::Span> spans;
        std::vector<double> scores;
        {
          py::gil_scoped_release release;
          align::best_beads(
              {side(source), side(target), seen.data(), static_cast<std::int64_t>(seen.size()),
               groups, at<const double>(weights), max_sentences, margin, threshold, moved,
               moved_cost},
              spans, scores);
        }
        return py::make_tuple(span_array(spans), array(scores));
      },
      py::arg("source"), py::arg("target"), py::arg("views"), py::arg("groups"), py::arg("weights"),
      py::arg("max_sentences"), py::arg("margin"), py::arg("threshold"), py::arg("moved"),
      py::arg("moved_cost"));
  m.def(
      "align_bead_probabilities",
      [](Address first, Address offsets, std::int64_t rows, std::int64_t target_count,
         int max_sentences, Address scores) {
        const auto* begin = at<const std::int32_t>(first);
        const auto* cells = at<const std::int64_t>(offsets);
        py::gil_scoped_release release;
        const align::BeadBand band = {{begin, begin + rows}, {cells, cells + rows + 1}};
        return align::bead_probabilities(band, target_count, max_sentences, at<double>(scores));
      },
      py::arg("first"), py::arg("offsets"), py::arg("rows"), py::arg("target_count"),
      py::arg("max_sentences"), py::arg("scores"));
  m.def(
      "align_bead_features",
      [](const SideArgs& source, const SideArgs& target, const std::vector<ViewArgs>& views,
         int groups, int max_sentences, int margin) {
        const auto seen = bead_views(views);
        align::BeadBand band;
        std::vector<float> features;
        std::vector<std::uint8_t> usable;
        {
          py::gil_scoped_release release;
          align::bead_features(
              {side(source), side(target), seen.data(), static_cast<std::int64_t>(seen.size()),
               groups, nullptr, max_sentences, margin, 0.0, false, 0.0},
              band, features, usable);
        }
        return py::make_tuple(array(band.first), array(band.offsets), array(features),
                              array(usable));
      },
      py::arg("source"), py::arg("target"), py::arg("views"), py::arg("groups"),
      py::arg("max_sentences"), py::arg("margin"));
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
