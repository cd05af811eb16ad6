#include "align/pair_score.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "align/ngram.hpp"

namespace polyad::align {
namespace {

constexpr double kNothing = -1.0;
constexpr int kLogs = 1024;

std::array<double, kLogs> make_logs() {
  std::array<double, kLogs> logs{};
  for (int n = 0; n < kLogs; ++n) logs[n] = std::log(static_cast<double>(n));
  return logs;
}

const std::array<double, kLogs> kLogOf = make_logs();

// log x; whole numbers, which clipped counts are, from a table.
double log_of(double x) {
  const auto whole = x < kLogs ? static_cast<int>(x) : 0;
  return whole > 0 && whole == x ? kLogOf[whole] : std::log(x);
}

}  // namespace

double pair_score(const double* counts, int max_n, std::int32_t source_length,
                  std::int32_t target_length) {
  return pair_score(counts, counts, max_n, source_length, target_length);
}

double pair_score(const double* counts, const double* back_counts, int max_n,
                  std::int32_t source_length, std::int32_t target_length) {
  const double h = source_length, r = target_length;
  double a = 0, b = 0;
  for (int k = 0; k < max_n; ++k) {
    a += log_of(counts[k]) - log_of(h - k);
    b += log_of(back_counts[k]) - log_of(r - k);
  }
  const double forward = std::exp(a / max_n + std::min(0.0, 1 - r / h));
  if (!(forward > 0)) return kNothing;
  const double backward = std::exp(b / max_n + std::min(0.0, 1 - h / r));
  return 2 * forward * backward / (forward + backward);
}

// --- CommonNgrams --------------------------------------------------------------------------------

void CommonNgrams::begin(const Words& source, const Words& target) {
  rows_ = source.size;
  words_ = (target.size + 63) / 64;
  bits_.resize(rows_ * words_);
  for (std::int64_t i = 0; i < rows_; ++i) {
    for (std::int64_t w = 0; w < words_; ++w) {
      const std::int32_t* ids = target.ids + 64 * w;
      const auto size = std::min<std::int32_t>(64, target.size - 64 * static_cast<int>(w));
      const std::int32_t word = source.ids[i];
      std::uint8_t equal[64] = {};
      for (std::int32_t j = 0; j < size; ++j) equal[j] = ids[j] == word;
      std::uint64_t bits = 0;
      for (std::int32_t j = 0; j < size; j += 8) {
        std::uint64_t eight;
        std::memcpy(&eight, equal + j, 8);
        // the product gathers the low bits of the eight bytes in its highest byte
        bits |= (eight * 0x0102040810204080u >> 56) << j;
      }
      bits_[i * words_ + w] = bits;
    }
  }
}

std::int32_t CommonNgrams::next() {
  used_.assign(words_, 0);
  std::int32_t count = 0;
  for (std::int64_t i = 0; i < rows_; ++i) {
    const std::uint64_t* row = bits_.data() + i * words_;
    for (std::int64_t w = 0; w < words_; ++w) {
      const std::uint64_t left = row[w] & ~used_[w];
      if (left != 0) {
        used_[w] |= left & -left;
        ++count;
        break;
      }
    }
  }
  // an n-gram one word longer is there where this one is, and the next one a place further
  --rows_;
  for (std::int64_t i = 0; i < rows_; ++i) {
    std::uint64_t* row = bits_.data() + i * words_;
    const std::uint64_t* below = row + words_;
    for (std::int64_t w = 0; w < words_; ++w) {
      const std::uint64_t carried = w + 1 < words_ ? below[w + 1] << 63 : 0;
      row[w] &= below[w] >> 1 | carried;
    }
  }
  return count;
}

double pair_score(const Words& source, const Words& target, int max_n, CommonNgrams& common) {
  if (source.size < max_n || target.size < max_n) return kNothing;
  // the table of bits grows with the product of the lengths
  if (static_cast<std::int64_t>(source.size) * target.size > 1 << 20) {
    NgramIndex index;
    NgramIndex::Desk desk;
    std::vector<PairScore> best;
    index.build(&target, 1, max_n);
    index.look_up(source, 1, desk, best);
    return best.empty() ? kNothing : best[0].score;
  }
  common.begin(source, target);
  double counts[kMaxOrder];
  for (int k = 0; k < max_n; ++k) {
    counts[k] = common.next();
    if (counts[k] == 0) return kNothing;
  }
  return pair_score(counts, max_n, source.size, target.size);
}

// --- ScoreBounds ---------------------------------------------------------------------------------

void ScoreBounds::begin(int max_n) {
  if (max_n == max_n_) return;
  max_n_ = max_n;
  rows_.clear();
  rows_.resize(kLengths);
  of_counts_.resize(kLengths);
  for (int n = 0; n < kLengths; ++n) of_counts_[n] = std::log(static_cast<double>(n)) / max_n;
}

const ScoreBounds::Row* ScoreBounds::row(std::int32_t length) {
  if (length >= kLengths) return nullptr;
  std::unique_ptr<Row>& row = rows_[length];
  if (row == nullptr) {
    row = std::make_unique<Row>();
    row->most = -std::numeric_limits<double>::infinity();
    for (std::int32_t r = max_n_; r < kLengths; ++r) {
      row->rest[r] = rest_of(length, r);
      row->whole[r] = whole_of(length, r);
      row->longer[r] = row->whole[r] - (max_n_ > 1 ? of_count(std::min(length, r)) : 0.0);
      // falls from the source's length on: longer targets are covered by the last one here
      row->most = std::max(row->most, row->whole[r]);
    }
  }
  return row.get();
}

double ScoreBounds::of_large(std::int32_t count) const {
  return std::log(static_cast<double>(count)) / max_n_;
}

double ScoreBounds::rest_of(std::int32_t length, std::int32_t target_length) const {
  const double h = length, r = target_length;
  double sum = 0;
  for (int k = 0; k < max_n_; ++k) sum += log_of(h - k) + log_of(r - k);
  return (std::min(0.0, 1 - r / h) + std::min(0.0, 1 - h / r) - sum / max_n_) / 2;
}

double ScoreBounds::whole_of(std::int32_t length, std::int32_t target_length) const {
  double sum = rest_of(length, target_length);
  for (int k = 0; k + 1 < max_n_; ++k) sum += of_count(std::min(length, target_length) - k);
  return sum;
}

}  // namespace polyad::align
