#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "align/bleualign.hpp"
#include "align/ngram_rows_cpu.hpp"
#include "align/tables.hpp"
#include "common/isa.hpp"
#include "common/parallel.hpp"

namespace polyad::testing {
namespace {

using align::Beads;
using align::BleualignArgs;
using Side = std::vector<std::vector<std::int32_t>>;

// Sentences and lengths that a view can point to.
struct Owned {
  std::vector<std::int32_t> ids, offsets{0}, characters;

  explicit Owned(const Side& side) {
    for (const auto& sentence : side) {
      ids.insert(ids.end(), sentence.begin(), sentence.end());
      offsets.push_back(static_cast<std::int32_t>(ids.size()));
      characters.push_back(static_cast<std::int32_t>(5 * sentence.size()));
    }
  }
  align::Text text() const {
    return {{ids.data(), offsets.data(), static_cast<std::int64_t>(characters.size())},
            characters.data()};
  }
};

struct Corpus {
  Side source, target, translation, back_translation;
  std::vector<std::int64_t> source_documents{0}, target_documents{0};
};

std::vector<std::int32_t> noisy(std::vector<std::int32_t> sentence, std::mt19937_64& random) {
  for (std::int32_t& word : sentence) {
    if (random() % 5 == 0) word = static_cast<std::int32_t>(random() % 12);
  }
  if (!sentence.empty() && random() % 6 == 0) sentence.pop_back();
  return sentence;
}

// Documents whose target is the source with sentences merged, left out, repeated or emptied.
Corpus corpus(std::uint64_t seed, int documents) {
  std::mt19937_64 random(seed);
  Corpus made;
  for (int d = 0; d < documents; ++d) {
    for (std::size_t sentence = random() % 30; sentence > 0; --sentence) {
      std::vector<std::int32_t> words(random() % 9);
      for (std::int32_t& word : words) word = static_cast<std::int32_t>(random() % 12);
      made.source.push_back(words);
      made.translation.push_back(noisy(words, random));
      const auto chance = random() % 10;
      const bool fresh =
          made.target.size() == static_cast<std::size_t>(made.target_documents.back());
      if (chance == 0) continue;
      if (chance == 1 && !fresh) {
        made.target.back().insert(made.target.back().end(), words.begin(), words.end());
      } else {
        made.target.push_back(noisy(words, random));
        if (chance == 2) made.target.push_back(made.target.back());
      }
    }
    made.source_documents.push_back(static_cast<std::int64_t>(made.source.size()));
    made.target_documents.push_back(static_cast<std::int64_t>(made.target.size()));
  }
  for (const auto& sentence : made.target) {
    made.back_translation.push_back(noisy(sentence, random));
  }
  return made;
}

std::vector<Beads> aligned(const Corpus& made, const align::BleualignOptions& options, bool both) {
  const Owned source(made.source), target(made.target), there(made.translation),
      back(made.back_translation);
  BleualignArgs args{made.source_documents.data(),
                     made.target_documents.data(),
                     static_cast<std::int64_t>(made.source_documents.size()) - 1,
                     source.text(),
                     target.text(),
                     {{there.text(), {}}},
                     {},
                     options};
  if (both) args.back_translations.push_back({back.text(), {}});
  std::vector<Beads> out;
  align::bleualign(args, out);
  return out;
}

TEST(Bleualign, BeadsStayInsideTheirDocument) {
  const align::BleualignOptions settings[] = {
      {}, {3, 1}, {1, 5, 3}, {2, 3, 1, false, true}, {2, 3, 2, true, false, true}};
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Corpus made = corpus(seed, 12);
    for (const align::BleualignOptions& options : settings) {
      for (const bool both : {false, true}) {
        const std::vector<Beads> found = aligned(made, options, both);
        for (std::size_t d = 0; d < found.size(); ++d) {
          const Beads& beads = found[d];
          ASSERT_EQ(beads.scores.size(), beads.labels.size());
          ASSERT_EQ(beads.source_offsets.size(), beads.labels.size() + 1);
          for (std::int32_t i : beads.source) {
            ASSERT_GE(i, 0);
            ASSERT_LT(i, made.source_documents[d + 1] - made.source_documents[d]);
          }
          for (std::int32_t j : beads.target) {
            ASSERT_GE(j, 0);
            ASSERT_LT(j, made.target_documents[d + 1] - made.target_documents[d]);
          }
          for (double score : beads.scores) {
            ASSERT_GE(score, 0.0);
            ASSERT_LE(score, 1.0 + 1e-12);
          }
        }
      }
    }
  }
}

TEST(Bleualign, ThreadsChangeNothing) {
  const Corpus made = corpus(99, 40);
  set_num_threads(1);
  const std::vector<Beads> one = aligned(made, {}, true);
  set_num_threads(2);
  const std::vector<Beads> two = aligned(made, {}, true);
  ASSERT_EQ(one.size(), two.size());
  for (std::size_t d = 0; d < one.size(); ++d) {
    EXPECT_EQ(one[d].source, two[d].source);
    EXPECT_EQ(one[d].target, two[d].target);
    EXPECT_EQ(one[d].scores, two[d].scores);
  }
}

TEST(NgramRows, PlacesWithinAtEveryLevel) {
  std::vector<decltype(align::NgramRowsTable::places_within)> levels{
      align::v2::ngram_rows_table.places_within};
#ifdef POLYAD_X86_LEVELS
  const Isa best = available_isas().back();
  if (best >= Isa::v3) levels.push_back(align::v3::ngram_rows_table.places_within);
  if (best >= Isa::v4) levels.push_back(align::v4::ngram_rows_table.places_within);
#endif
  std::mt19937_64 random(5);
  for (std::int64_t size : {0, 1, 7, 63, 64, 65, 200, 1000}) {
    std::vector<std::uint8_t> values(size);
    for (std::uint8_t& value : values)
      value = static_cast<std::uint8_t>(random() >> (random() % 8));
    for (int low : {1, 2, 127, 128, 255}) {
      for (int high : {low, std::max(low, 128), 255}) {
        std::vector<std::int32_t> expected;
        for (std::int64_t i = 0; i < size; ++i) {
          if (values[i] >= low && values[i] <= high) {
            expected.push_back(static_cast<std::int32_t>(i));
          }
        }
        for (const auto places_within : levels) {
          std::vector<std::int32_t> out(size);
          out.resize(places_within(values.data(), size, static_cast<std::uint8_t>(low),
                                   static_cast<std::uint8_t>(high), out.data()));
          EXPECT_EQ(out, expected);
        }
      }
    }
  }
}

TEST(NgramRows, PromisingAtEveryLevel) {
  std::vector<decltype(align::NgramRowsTable::promising)> levels{
      align::v2::ngram_rows_table.promising};
#ifdef POLYAD_X86_LEVELS
  const Isa best = available_isas().back();
  if (best >= Isa::v3) levels.push_back(align::v3::ngram_rows_table.promising);
  if (best >= Isa::v4) levels.push_back(align::v4::ngram_rows_table.promising);
#endif
  constexpr std::int32_t kLengths = 16;
  std::mt19937_64 random(6);
  std::vector<double> rest(kLengths), of_words(kLengths);
  for (int n = 0; n < kLengths; ++n) {
    rest[n] = -n / 10.0;
    of_words[n] = n / 5.0;
  }
  std::vector<align::Outline> targets(200);
  std::vector<std::vector<std::int32_t>> words(targets.size());
  for (std::size_t t = 0; t < targets.size(); ++t) {
    targets[t].length = static_cast<std::int32_t>(random() % 20);
    for (int w = 0; w < targets[t].length; ++w) {
      words[t].push_back(static_cast<std::int32_t>(random() % 30));
      targets[t].add(words[t].back());
    }
  }
  align::Outline source;
  const std::vector<std::int32_t> own{1, 2, 3, 5, 8, 13, 21};
  for (std::int32_t word : own) source.add(word);
  std::vector<std::vector<std::int32_t>> kept;
  for (const auto promising : levels) {
    std::vector<std::int32_t> candidates(targets.size());
    for (std::size_t t = 0; t < targets.size(); ++t) candidates[t] = static_cast<std::int32_t>(t);
    candidates.resize(promising({targets.data(), source, static_cast<std::int32_t>(own.size()),
                                 rest.data(), of_words.data(), kLengths, 0.3, candidates.data(),
                                 static_cast<std::int64_t>(targets.size())}));
    kept.push_back(candidates);
    EXPECT_EQ(kept.front(), kept.back());
  }
  // none is lost whose common words suffice
  for (std::size_t t = 0; t < targets.size(); ++t) {
    int common = 0;
    for (std::int32_t word : own) {
      common += std::find(words[t].begin(), words[t].end(), word) != words[t].end();
    }
    const bool enough =
        targets[t].length >= kLengths || rest[targets[t].length] + of_words[common] >= 0.3;
    const bool there =
        std::find(kept[0].begin(), kept[0].end(), static_cast<std::int32_t>(t)) != kept[0].end();
    EXPECT_TRUE(there || !enough);
  }
  EXPECT_LT(kept[0].size(), targets.size());
}

}  // namespace
}  // namespace polyad::testing
