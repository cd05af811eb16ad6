#include "align/bead_rows.hpp"

#include <algorithm>
#include <cmath>

namespace polyad::align {

void SimilarityRow::reset(int most, std::int32_t begin, std::int32_t end) {
  most_ = most;
  begin_ = begin;
  end_ = end;
  values_.assign(static_cast<std::size_t>(most) * most * width(), 0.0);
}

BeadRows::BeadRows(const BeadArgs& args, const std::vector<Weighted>& views, const BeadBand& band,
                   const std::vector<double>& scales)
    : args_(args), views_(views), band_(band), sizes_(args.groups, 0), rest_(args.groups) {
  for (std::size_t v = 0; v < views.size(); ++v) ++sizes_[args.views[v].group];
  for (std::size_t v = 0; v < views.size(); ++v) {
    const double factor = 1 / (scales[v] * sizes_[args.views[v].group]);
    sources_.push_back(norms(views[v].source, args.source.count, args.views[v].features, factor));
    targets_.push_back(norms(views[v].target, args.target.count, args.views[v].features, 1.0));
    cursors_.emplace_back(views[v].posting_offsets.begin(), views[v].posting_offsets.end() - 1);
  }
  sums_.resize(views.size() * kRing);
}

// factor / norm of every sum of 1 .. max_sentences neighbours, by their products.
BeadRows::Side BeadRows::norms(const SparseTable& rows, std::int64_t count, std::int32_t features,
                               double factor) const {
  const int most = args_.max_sentences;
  std::vector<double> products(static_cast<std::size_t>(count) * most, 0.0);
  std::vector<float> row(features, 0.0f);  // row i, spread out
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t at = rows.offsets[i]; at < rows.offsets[i + 1]; ++at) {
      row[rows.features[at]] = rows.values[at];
    }
    for (int d = 0; d < most && i + d < count; ++d) {
      double sum = 0;
      for (std::int64_t at = rows.offsets[i + d]; at < rows.offsets[i + d + 1]; ++at) {
        sum += static_cast<double>(row[rows.features[at]]) * rows.values[at];
      }
      products[i * most + d] = sum;
    }
    for (std::int64_t at = rows.offsets[i]; at < rows.offsets[i + 1]; ++at) {
      row[rows.features[at]] = 0;
    }
  }
  Side out;
  out.inverse.assign(most, std::vector<double>(count + 1, 0.0));
  for (std::int64_t end = 1; end <= count; ++end) {
    double square = 0;
    for (int a = 1; a <= most && a <= end; ++a) {
      const double* row = &products[(end - a) * most];
      square += row[0];
      for (int d = 1; d < a; ++d) square += 2 * row[d];
      out.inverse[a - 1][end] = square > 0 ? factor / std::sqrt(square) : 0.0;
    }
  }
  return out;
}

// Prefix sums over j of <x_r, y_j>, for all j that a bead with sentence r may touch.
void BeadRows::products(std::int64_t r) {
  const std::int64_t n = args_.source.count, m = args_.target.count;
  const std::int64_t begin = std::max<std::int64_t>(0, band_.first[r] - (kBeadLargest + 2));
  const std::int64_t end =
      std::min<std::int64_t>(m, band_.end(std::min<std::int64_t>(n, r + kBeadLargest + 2)) + 1);
  starts_[r % kRing] = begin;
  for (std::size_t v = 0; v < views_.size(); ++v) {
    const Weighted& view = views_[v];
    std::vector<double>& sums = sums_[v * kRing + r % kRing];
    sums.assign(end - begin + 1, 0.0);
    double* values = sums.data() + 1;
    for (std::int64_t at = view.source.offsets[r]; at < view.source.offsets[r + 1]; ++at) {
      const std::int32_t f = view.source.features[at];
      const double x = view.source.values[at];
      const std::int64_t last = view.posting_offsets[f + 1];
      std::int64_t& cursor = cursors_[v][f];
      while (cursor < last && view.postings[cursor] < begin) ++cursor;
      for (std::int64_t p = cursor; p < last && view.postings[p] < end; ++p) {
        values[view.postings[p] - begin] += x * view.posting_values[p];
      }
    }
    for (std::int64_t j = 1; j <= end - begin; ++j) sums[j] += sums[j - 1];
  }
}

// s of the beads that end in a row, a + b <= most.
void BeadRows::fill(int group, std::int64_t end_row, int most, SimilarityRow& out) {
  const std::int64_t n = args_.source.count;
  std::int64_t begin = band_.first[end_row], end = band_.end(end_row);
  if (group == 0) {  // the rows beside this one ask for their cells too
    // a bead of the band's left edge without its last target sentence ends one further left
    begin = std::max<std::int64_t>(0, band_.first[std::max<std::int64_t>(0, end_row - 1)] - 1);
    end = std::min<std::int64_t>(args_.target.count + 1,
                                 band_.end(std::min<std::int64_t>(n, end_row + 1)) + 1);
  }
  out.reset(most - 1, static_cast<std::int32_t>(begin), static_cast<std::int32_t>(end));
  const std::int64_t reach = std::min<std::int64_t>(begin, most);
  const std::int64_t width = end - begin + reach;
  block_.resize(width);
  for (std::size_t v = 0; v < views_.size(); ++v) {
    if (args_.views[v].group != group) continue;
    std::fill(block_.begin(), block_.end(), 0.0);
    for (int a = 1; a < most && a <= end_row; ++a) {
      const std::int64_t r = (end_row - a) % kRing;
      const double* row = sums_[v * kRing + r].data() + (begin - reach - starts_[r]);
      for (std::int64_t j = 0; j < width; ++j) block_[j] += row[j];
      const double source = sources_[v].inverse[a - 1][end_row];
      for (int b = 1; a + b <= most; ++b) {
        const double* target = targets_[v].inverse[b - 1].data() + begin;
        const double* block = block_.data() + reach;
        double* values = out.of(a, b);
        for (std::int64_t j = std::max<std::int64_t>(0, b - begin); j < end - begin; ++j) {
          values[j] += (block[j] - block[j - b]) * source * target[j];
        }
      }
    }
  }
}

void BeadRows::advance(std::int64_t i) {
  const std::int64_t n = args_.source.count;
  row_ = i;
  // sentence i belongs to the beads of the row after this one
  while (done_ < n && done_ <= i) products(done_++);
  const int most = args_.max_sentences;
  if (i == 0) fill(0, 0, most + 1, first_[0]);
  if (i < n) fill(0, i + 1, most + 1, first_[(i + 1) % 3]);
  for (int group = 1; group < args_.groups; ++group) fill(group, i, most, rest_[group]);
}

}  // namespace polyad::align
