#include "align/weighted.hpp"

#include <cmath>

namespace polyad::align {
namespace {

SparseTable scaled(const SparseRows& rows, const std::vector<float>& weights,
                   std::vector<double>& norms) {
  SparseTable out;
  out.offsets.assign(rows.offsets, rows.offsets + rows.count + 1);
  out.features.assign(rows.features, rows.features + rows.offsets[rows.count]);
  out.values.resize(out.features.size());
  norms.resize(rows.count);
  for (std::int64_t i = 0; i < rows.count; ++i) {
    double sum = 0;
    for (std::int64_t at = rows.offsets[i]; at < rows.offsets[i + 1]; ++at) {
      const float value = rows.values[at] * weights[rows.features[at]];
      out.values[at] = value;
      sum += static_cast<double>(value) * value;
    }
    norms[i] = std::sqrt(sum);
  }
  return out;
}

}  // namespace

Weighted::Weighted(const BeadView& view) {
  std::vector<std::int32_t> target_frequency(view.features, 0);
  source_frequency.assign(view.features, 0);
  const std::int64_t source_size = view.source.offsets[view.source.count];
  const std::int64_t target_size = view.target.offsets[view.target.count];
  for (std::int64_t at = 0; at < source_size; ++at) ++source_frequency[view.source.features[at]];
  for (std::int64_t at = 0; at < target_size; ++at) ++target_frequency[view.target.features[at]];
  const double sentences = static_cast<double>(view.source.count + view.target.count);
  std::vector<float> weights(view.features, 0.0f);
  posting_offsets.assign(view.features + 1, 0);
  for (std::int32_t f = 0; f < view.features; ++f) {
    const std::int32_t frequency = source_frequency[f] + target_frequency[f];
    if (frequency > 0) {
      weights[f] = static_cast<float>(std::sqrt(std::log((sentences + 1) / frequency)));
    }
    posting_offsets[f + 1] = posting_offsets[f] + target_frequency[f];
  }
  source = scaled(view.source, weights, source_norms);
  target = scaled(view.target, weights, target_norms);
  postings.resize(target_size);
  posting_values.resize(target_size);
  std::vector<std::int64_t> next(posting_offsets.begin(), posting_offsets.end() - 1);
  for (std::int64_t j = 0; j < view.target.count; ++j) {
    for (std::int64_t at = target.offsets[j]; at < target.offsets[j + 1]; ++at) {
      const std::int64_t place = next[target.features[at]]++;
      postings[place] = static_cast<std::int32_t>(j);
      posting_values[place] = target.values[at];
    }
  }
}

double dot(const SparseTable& x, std::int64_t i, const SparseTable& y, std::int64_t j) {
  std::int64_t p = x.offsets[i], q = y.offsets[j];
  double sum = 0;
  while (p < x.offsets[i + 1] && q < y.offsets[j + 1]) {
    const std::int32_t f = x.features[p], g = y.features[q];
    if (f == g) sum += static_cast<double>(x.values[p]) * y.values[q];
    p += f <= g;
    q += g <= f;
  }
  return sum;
}

double Weighted::cosine(std::int64_t i, std::int64_t j) const {
  const double norm = source_norms[i] * target_norms[j];
  return norm > 0 ? dot(source, i, target, j) / norm : 0.0;
}

}  // namespace polyad::align
