#include <cmath>
#include <string>

#include "align/tables.hpp"
#include "levels.hpp"
#include "register.hpp"

namespace polyad::bench {

// The words of a document beside those of another one, and of a large vocabulary.
void register_similarity(Isa level) {
  for (std::int64_t words : {2000, 8000}) {
    const std::string name =
        std::string("neighbours/") + isa_name(level) + "/V:" + std::to_string(words) + "/D:128/K:8";
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      constexpr std::int64_t D = 128, K = 8;
      auto rows = Aligned<float>(words * D).uniform(-1, 1);
      for (std::int64_t i = 0; i < words; ++i) {
        float square = 0;
        for (std::int64_t d = 0; d < D; ++d)
          square += rows.data()[i * D + d] * rows.data()[i * D + d];
        for (std::int64_t d = 0; d < D; ++d) rows.data()[i * D + d] /= std::sqrt(square);
      }
      Aligned<std::int32_t> found(words), places(words * K);
      Aligned<float> values(words * K), scratch(align::neighbours_scratch(words, D, 1));
      const align::SimilarityTable& table = POLYAD_TABLE_OF(align, level, similarity_table);
      for (auto _ : state) {
        table.neighbours({rows.data(), rows.data(), words, words, D, K, 0.2f, places.data(),
                          values.data(), found.data(), scratch.data(), 1});
      }
      state.counters["products/s"] = rate(static_cast<double>(words * words * D));
    })->Unit(benchmark::kMillisecond);
  }
}

}  // namespace polyad::bench
