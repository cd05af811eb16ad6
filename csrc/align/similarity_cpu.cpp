#include "align/similarity.hpp"
#include "align/similarity_math.hpp"
#include "align/tables.hpp"
#include "common/gemm.hpp"
#include "common/parallel.hpp"
#include "common/pieces.hpp"
#include "common/vector.hpp"

namespace polyad::align::POLYAD_ISA {
namespace {

constexpr std::int64_t kRows = kSimilarityRows, kColumns = kSimilarityColumns;
static_assert(kColumns % kPanel<float> == 0);

// Whether a number among 64 reaches the bound: most do not, and are passed by in a few
// instructions.
POLYAD_INLINE bool any_reaches(const float* from, float bound) {
  constexpr int L = kLanes<float>;
  Index<float> reached = {};
  for (int i = 0; i < 64; i += L) reached |= load(from + i) >= splat(bound);
  int any = 0;
  for (int lane = 0; lane < L; ++lane) any |= reached[lane];
  return any != 0;
}

void neighbours(const NeighboursArgs& args) {
  const std::int64_t S = args.sources, T = args.targets, D = args.dimension;
  const int K = args.top_k;
  const std::int64_t blocks = (T + kColumns - 1) / kColumns, chunks = (S + kRows - 1) / kRows;
  float* packed = args.scratch;
  parallel_for(S == 0 ? 0 : blocks, [&](std::int64_t block) {
    const std::int64_t first = block * kColumns,
                       count = T - first < kColumns ? T - first : kColumns;
    pack_transposed(args.target + first * D, D, count, D, packed + first * D);
  });
  const std::int64_t parts = args.parts < chunks ? args.parts : chunks;
  for_items(chunks, parts, packed + blocks * kColumns * D, kRows * kColumns,
            [&](std::int64_t chunk, Pieces<float> pieces) {
              const std::int64_t row = chunk * kRows, rows = S - row < kRows ? S - row : kRows;
              float* cosines = pieces.take(kRows * kColumns);
              for (std::int64_t i = row; i < row + rows; ++i) args.found[i] = 0;
              for (std::int64_t block = 0; block < blocks; ++block) {
                const std::int64_t first = block * kColumns;
                const std::int64_t columns = T - first < kColumns ? T - first : kColumns;
                for (std::int64_t at = 0; at < rows * kColumns; at += kLanes<float>) {
                  store(cosines + at, Vector<float>{});
                }
                gemm(Rows<float>{args.source + row * D, D}, rows, D, packed + first * D, columns,
                     cosines, kColumns);
                for (std::int64_t i = 0; i < rows; ++i) {
                  float* values = args.values + (row + i) * K;
                  std::int32_t* words = args.words + (row + i) * K;
                  int found = args.found[row + i];
                  const float* of_row = cosines + i * kColumns;
                  for (std::int64_t from = 0; from < columns; from += 64) {
                    // columns past the last are 0, which may reach the bound: the loop below leaves
                    // them out
                    const float bound = found < K ? args.threshold : values[K - 1];
                    if (!any_reaches(of_row + from, bound)) continue;
                    for (std::int64_t j = from; j < from + 64 && j < columns; ++j) {
                      if (!enters(of_row[j], values, found, K, args.threshold)) continue;
                      found = insert_neighbour(of_row[j], static_cast<std::int32_t>(first + j),
                                               values, words, found, K);
                    }
                  }
                  args.found[row + i] = found;
                }
              }
            });
}

}  // namespace

const SimilarityTable similarity_table{neighbours};

}  // namespace polyad::align::POLYAD_ISA
