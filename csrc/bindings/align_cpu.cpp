#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string_view>
#include <tuple>
#include <vector>

#include "align/bleualign.hpp"
#include "align/ngram.hpp"
#include "align/path.hpp"
#include "align/tokenize.hpp"
#include "bindings/address.hpp"

namespace py = pybind11;

namespace polyad::bindings {
namespace {

using NoGil = py::call_guard<py::gil_scoped_release>;

template <class T>
py::array_t<T> array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

align::Sentences sentences(Address ids, Address offsets, std::int64_t count) {
  return {at<const std::int32_t>(ids), at<const std::int32_t>(offsets), count};
}

// ids, offsets, count, characters
using TextArgs = std::tuple<Address, Address, std::int64_t, Address>;
// and link offsets, link targets, link scores; 0 where there are none
using TranslationArgs = std::tuple<TextArgs, Address, Address, Address>;
// offsets, words, values, count of a similarity and of its transpose
using SimilarityArgs = std::tuple<Address, Address, Address, std::int32_t>;
using SimilaritiesArgs = std::pair<SimilarityArgs, SimilarityArgs>;

align::Text text(const TextArgs& args) {
  const auto& [ids, offsets, count, characters] = args;
  return {sentences(ids, offsets, count), at<const std::int32_t>(characters)};
}

std::vector<align::Translation> translations(const std::vector<TranslationArgs>& all) {
  std::vector<align::Translation> out;
  for (const auto& [side, offsets, target, score] : all) {
    out.push_back({text(side),
                   {at<const std::int64_t>(offsets), at<const std::int32_t>(target),
                    at<const double>(score)}});
  }
  return out;
}

align::Similarity similarity(const SimilarityArgs& args) {
  const auto& [offsets, words, values, count] = args;
  return {at<const std::int32_t>(offsets), at<const std::int32_t>(words), at<const float>(values),
          count};
}

std::vector<align::Similarities> similarities(const std::vector<SimilaritiesArgs>& all) {
  std::vector<align::Similarities> out;
  for (const auto& [forward, backward] : all) {
    out.push_back({similarity(forward), similarity(backward)});
  }
  return out;
}

// Beads of all documents, one after the other: how many each has, the sentences of either side with
// their offsets, labels, scores.
py::tuple joined(const std::vector<align::Beads>& documents) {
  std::vector<std::int64_t> counts, source_offsets{0}, target_offsets{0};
  std::vector<std::int32_t> source, target;
  std::vector<std::int8_t> labels;
  std::vector<double> scores;
  for (const align::Beads& beads : documents) {
    counts.push_back(static_cast<std::int64_t>(beads.labels.size()));
    const auto source_begin = static_cast<std::int64_t>(source.size());
    const auto target_begin = static_cast<std::int64_t>(target.size());
    for (std::size_t b = 0; b < beads.labels.size(); ++b) {
      source_offsets.push_back(source_begin + beads.source_offsets[b + 1]);
      target_offsets.push_back(target_begin + beads.target_offsets[b + 1]);
      labels.push_back(static_cast<std::int8_t>(beads.labels[b]));
    }
    source.insert(source.end(), beads.source.begin(), beads.source.end());
    target.insert(target.end(), beads.target.begin(), beads.target.end());
    scores.insert(scores.end(), beads.scores.begin(), beads.scores.end());
  }
  return py::make_tuple(array(counts), array(source), array(source_offsets), array(target),
                        array(target_offsets), array(labels), array(scores));
}

void register_vocabulary(py::module_& m) {
  py::class_<align::Vocabulary>(m, "AlignVocabulary")
      .def(py::init<>())
      .def("__len__", &align::Vocabulary::size)
      .def(
          "number",
          [](align::Vocabulary& self, std::string_view word) { return self.number(word); },
          py::arg("word"))
      .def("words",
           [](const align::Vocabulary& self) {
             py::list words;
             for (std::int32_t n = 0; n < self.size(); ++n) {
               const std::string_view word = self.word(n);
               words.append(py::bytes(word.data(), word.size()));
             }
             return words;
           })
      .def(
          "tokenize",
          [](align::Vocabulary& self, const py::bytes& text, bool characters, Address lower,
             std::uint32_t lower_size) -> py::object {
            align::Tokens tokens;
            const std::string_view view = text;
            bool known = false;
            {
              py::gil_scoped_release release;
              known = align::tokenize(
                  view, characters ? align::TokenizeRule::characters : align::TokenizeRule::nist,
                  {at<const std::uint32_t>(lower), lower_size}, self, tokens);
            }
            if (!known) return py::none();
            return py::make_tuple(array(tokens.ids), array(tokens.offsets),
                                  array(tokens.characters));
          },
          py::arg("text"), py::arg("characters"), py::arg("lower"), py::arg("lower_size"));
}

}  // namespace

void register_align(py::module_& m) {
  register_vocabulary(m);
  m.attr("ALIGN_MAX_ORDER") = align::kMaxOrder;
  m.def(
      "align_ngram_scores",
      [](Address source_ids, Address source_offsets, std::int64_t sources, Address target_ids,
         Address target_offsets, std::int64_t targets, int max_n, int top_k, Address target,
         Address score, Address found) {
        align::ngram_scores({sentences(source_ids, source_offsets, sources),
                             sentences(target_ids, target_offsets, targets), max_n, top_k,
                             at<std::int32_t>(target), at<double>(score), at<std::int32_t>(found)});
      },
      py::arg("source_ids"), py::arg("source_offsets"), py::arg("sources"), py::arg("target_ids"),
      py::arg("target_offsets"), py::arg("targets"), py::arg("max_n"), py::arg("top_k"),
      py::arg("target"), py::arg("score"), py::arg("found"), NoGil());
  m.def(
      "align_best_path",
      [](Address source, Address target, Address score, std::int64_t count, std::int32_t targets) {
        std::vector<std::int64_t> path;
        {
          py::gil_scoped_release release;
          align::best_path({at<const std::int32_t>(source), at<const std::int32_t>(target),
                            at<const double>(score), count},
                           targets, path);
        }
        return array(path);
      },
      py::arg("source"), py::arg("target"), py::arg("score"), py::arg("count"), py::arg("targets"));
  m.def(
      "align_bleualign",
      [](Address source_documents, Address target_documents, std::int64_t documents,
         const TextArgs& source, const TextArgs& target,
         const std::vector<TranslationArgs>& forward, const std::vector<TranslationArgs>& backward,
         int max_n, int top_k, int max_join, bool gap_links, bool gap_lengths, bool length_only,
         const std::vector<SimilaritiesArgs>& soft, bool one_to_one) {
        std::vector<align::Beads> out;
        {
          py::gil_scoped_release release;
          const std::vector<align::Similarities> both = similarities(soft);
          align::bleualign({at<const std::int64_t>(source_documents),
                            at<const std::int64_t>(target_documents),
                            documents,
                            text(source),
                            text(target),
                            translations(forward),
                            translations(backward),
                            {max_n, top_k, max_join, gap_links, gap_lengths, length_only},
                            both.empty() ? nullptr : &both[0],
                            both.empty() ? nullptr : &both[1],
                            one_to_one ? align::Matching::one_to_one : align::Matching::source},
                           out);
        }
        return joined(out);
      },
      py::arg("source_documents"), py::arg("target_documents"), py::arg("documents"),
      py::arg("source"), py::arg("target"), py::arg("translations"), py::arg("back_translations"),
      py::arg("max_n"), py::arg("top_k"), py::arg("max_join"), py::arg("gap_links"),
      py::arg("gap_lengths"), py::arg("length_only"), py::arg("similarities"),
      py::arg("one_to_one"));
}

}  // namespace polyad::bindings
