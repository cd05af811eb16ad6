#include "align/gale_church.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/check.hpp"

namespace polyad::align {
namespace {

struct Type {
  int source, target;
  double prior;
};

// In the order in which ties are decided: a later one replaces an equal earlier one.
constexpr Type kTypes[] = {{0, 1, 0.0099}, {1, 0, 0.0099}, {1, 1, 0.89},
                           {1, 2, 0.089},  {2, 1, 0.089},  {2, 2, 0.011}};
constexpr int kCount = 6;
constexpr std::uint8_t kDiagonal = 2;  // 1-1 in kTypes
constexpr std::uint8_t kNoMove = 255;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLeast = -1e30;
constexpr std::int64_t kAllCells = std::int64_t{1} << 22;
constexpr std::int64_t kMostCells = std::int64_t{1} << 28;

// log of the fit of erfc without its factor t: erfc(z) = t exp(exponent(z, t)), t = 1 / (1 + z /
// 2).
double exponent(double z, double t) {
  return ((-z * z) - 1.26551223) +
         t * (1.00002368 +
              t * (0.37409196 +
                   t * (0.09678418 +
                        t * (-0.18628806 +
                             t * (0.27886807 +
                                  t * (-1.13520398 +
                                       t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
}

double linear_probability(double source, double target, double prior) {
  const double mean = (source + target) / 2;
  // both sides of length 0: infinitely far apart, as Bleualign has it
  if (!(mean > 0)) return (2 * (1 - (1 - 0.5 * 0.0))) * prior;
  const double d = std::fabs((target - source) / std::sqrt(mean * 6.8));
  const double z = d / std::sqrt(2.0);
  const double t = 1 / (1 + 0.5 * z);
  const double r = t * std::exp(exponent(z, t));
  return (2 * (1 - (1 - 0.5 * r))) * prior;
}

double log_probability(double source, double target, double log_prior, double variance) {
  const double mean = (source + target) / 2;
  if (!(mean > 0)) return log_prior;
  const double d = std::fabs((target - source) / std::sqrt(mean * variance));
  const double z = d / std::sqrt(2.0);
  const double t = 1 / (1 + 0.5 * z);
  const double value = log_prior + (std::log(t) + exponent(z, t));
  // lengths near the end of double: a path must exist all the same
  return value > kLeast ? value : kLeast;
}

// Sum of the last `count` lengths up to `at`, the first of them first.
double last(const double* lengths, std::int64_t at, int count) {
  if (count == 0) return 0;
  return count == 1 ? lengths[at] : lengths[at - 1] + lengths[at];
}

void add(std::vector<Span>& out, std::int64_t i, std::int64_t a, std::int64_t j, std::int64_t b) {
  out.push_back({static_cast<std::int32_t>(i), static_cast<std::int32_t>(i + a),
                 static_cast<std::int32_t>(j), static_cast<std::int32_t>(j + b)});
}

// The product form. Q has two rows and two columns before the first sentences; only the last three
// rows are kept. Once two rows have vanished, all that follow do: their moves are diagonal.
void linear(const double* source, std::int64_t n, const double* target, std::int64_t m,
            std::vector<Span>& out) {
  const std::int64_t width = m + 2;
  std::vector<double> rows(3 * static_cast<std::size_t>(width), 0.0);
  std::vector<std::uint8_t> moves;
  std::int64_t kept = n, vanished = 0;
  // row of sentence i, element of target sentence -2
  const auto row = [&](std::int64_t i) { return rows.data() + ((i + 3) % 3) * width; };
  row(-1)[1] = 1;
  if (m > 0) row(-1)[2] = 1;
  for (std::int64_t i = 0; i < n; ++i) {
    double* now = row(i);
    now[0] = 0;
    now[1] = i == 0 ? 1 : 0;
    double most = now[1];
    moves.resize(static_cast<std::size_t>(i + 1) * m);
    for (std::int64_t j = 0; j < m; ++j) {
      double best = 0;
      std::uint8_t move = kNoMove;
      for (int k = 0; k < kCount; ++k) {
        const Type& type = kTypes[k];
        const double before = row(i - type.source)[j - type.target + 2];
        if (!(before > 0)) continue;
        // in range: Q is 0 two places before the first sentence, so pairs of sentences exist
        const double value = before * linear_probability(last(source, i, type.source),
                                                         last(target, j, type.target), type.prior);
        if (move == kNoMove || value >= best) {
          best = value;
          move = static_cast<std::uint8_t>(k);
        }
      }
      now[j + 2] = best;
      most = std::max(most, best);
      moves[static_cast<std::size_t>(i) * m + j] = move == kNoMove ? kDiagonal : move;
    }
    vanished = most > 0 ? 0 : vanished + 1;
    if (vanished == 2) {
      kept = i + 1;
      break;
    }
  }
  const std::size_t first = out.size();
  std::int64_t i = n, j = m;
  while (i > 0 && j > 0) {
    const Type& type =
        kTypes[i > kept ? kDiagonal : moves[static_cast<std::size_t>(i - 1) * m + (j - 1)]];
    i -= type.source;
    j -= type.target;
    add(out, i, type.source, j, type.target);
  }
  while (j > 0) add(out, i, 0, --j, 1);
  while (i > 0) add(out, --i, 1, j, 0);
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
}

// Lengths with outliers cut: one sentence as long as the rest of its text would lead the band away.
std::vector<double> cut(const double* lengths, std::int64_t count) {
  constexpr double kMedians = 8;
  std::vector<double> out(lengths, lengths + count);
  if (count == 0) return out;
  std::vector<double> sorted = out;
  std::nth_element(sorted.begin(), sorted.begin() + count / 2, sorted.end());
  const double most = kMedians * sorted[count / 2];
  if (most > 0) {
    for (double& length : out) length = std::min(length, most);
  }
  return out;
}

// Cells of row i: `reach` to either side of where both texts have used up equal shares, and, as a
// long sentence may take that far, all between there and where the row before stands.
class Band {
 public:
  Band(const std::vector<double>& source, const std::vector<double>& target, std::int64_t reach)
      : begin_(source.size() + 1),
        end_(source.size() + 1),
        offset_(source.size() + 2),
        m_(static_cast<std::int64_t>(target.size())) {
    const auto n = static_cast<std::int64_t>(source.size()), m = m_;
    double total_source = 0, total_target = 0;
    for (std::int64_t i = 0; i < n; ++i) total_source += source[i];
    for (std::int64_t j = 0; j < m; ++j) total_target += target[j];
    std::int64_t j = 0, before = 0;
    double used_source = 0, used_target = 0;
    for (std::int64_t i = 0; i <= n; ++i) {
      if (i > 0) used_source += source[i - 1];
      // texts without any length advance by their numbers of sentences
      if (total_source > 0 && total_target > 0) {
        while (j < m && used_target * total_source < used_source * total_target) {
          used_target += target[j++];
        }
      } else {
        j = n > 0 ? i * m / n : 0;
      }
      const std::int64_t here = i == n ? m : i == 0 ? 0 : j;
      begin_[i] = std::max<std::int64_t>(0, before - reach);
      end_[i] = std::min(m, here + reach) + 1;
      offset_[i + 1] = offset_[i] + end_[i] - begin_[i];
      widest_ = std::max(widest_, end_[i] - begin_[i]);
      before = here;
    }
  }
  std::int64_t begin(std::int64_t i) const { return begin_[i]; }
  std::int64_t end(std::int64_t i) const { return end_[i]; }
  std::int64_t place(std::int64_t i, std::int64_t j) const { return j - begin_[i]; }
  // The cell among those of all rows.
  std::int64_t cell(std::int64_t i, std::int64_t j) const { return offset_[i] + place(i, j); }
  std::int64_t cells() const { return offset_.back(); }
  std::int64_t widest() const { return widest_; }
  bool holds(std::int64_t i, std::int64_t j) const { return begin(i) <= j && j < end(i); }
  // Whether (i, j) lies on an edge beyond which there are more cells.
  bool at_edge(std::int64_t i, std::int64_t j) const {
    constexpr std::int64_t kClear = 4;
    return (begin(i) > 0 && j < begin(i) + kClear) || (end(i) <= m_ && j >= end(i) - kClear);
  }

 private:
  std::vector<std::int64_t> begin_, end_, offset_;
  std::int64_t m_, widest_ = 0;
};

// One pass of the logarithmic form inside a band; false if no path lies in it or if the best one
// comes near its edge.
bool banded(const double* source, std::int64_t n, const double* target, std::int64_t m,
            const Band& band, double variance, std::vector<Span>& out) {
  const std::int64_t width = band.widest();
  double log_priors[kCount];
  for (int k = 0; k < kCount; ++k) log_priors[k] = std::log(kTypes[k].prior);
  std::vector<double> rows(3 * static_cast<std::size_t>(width), -kInfinity);
  std::vector<std::uint8_t> moves(band.cells(), kNoMove);
  std::vector<double> null_target(m);
  for (std::int64_t j = 0; j < m; ++j) {
    null_target[j] = log_probability(0, target[j], log_priors[0], variance);
  }
  const auto row = [&](std::int64_t i) { return rows.data() + (i % 3) * width; };
  for (std::int64_t i = 0; i <= n; ++i) {
    double* now = row(i);
    std::fill(now, now + width, -kInfinity);
    const double null_source =
        i > 0 ? log_probability(source[i - 1], 0, log_priors[1], variance) : 0;
    for (std::int64_t j = band.begin(i); j < band.end(i); ++j) {
      double best = i == 0 && j == 0 ? 0 : -kInfinity;
      std::uint8_t move = kNoMove;
      for (int k = 0; k < kCount; ++k) {
        const std::int64_t from_i = i - kTypes[k].source, from_j = j - kTypes[k].target;
        if (from_i < 0 || from_j < 0 || !band.holds(from_i, from_j)) continue;
        const double before = row(from_i)[band.place(from_i, from_j)];
        if (before == -kInfinity) continue;
        double value = before;
        if (k == 0) {
          value += null_target[j - 1];
        } else if (k == 1) {
          value += null_source;
        } else {
          value += log_probability(last(source, i - 1, kTypes[k].source),
                                   last(target, j - 1, kTypes[k].target), log_priors[k], variance);
        }
        if (value >= best) {
          best = value;
          move = static_cast<std::uint8_t>(k);
        }
      }
      now[band.place(i, j)] = best;
      moves[band.cell(i, j)] = move;
    }
  }
  const std::size_t first = out.size();
  bool clear = true;
  std::int64_t i = n, j = m;
  while (i > 0 || j > 0) {
    const std::uint8_t move = moves[band.cell(i, j)];
    if (move == kNoMove) {
      out.resize(first);
      return false;
    }
    clear = clear && !band.at_edge(i, j);
    i -= kTypes[move].source;
    j -= kTypes[move].target;
    add(out, i, kTypes[move].source, j, kTypes[move].target);
  }
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  return clear;
}

}  // namespace

void gale_church(const double* source, std::int64_t n, const double* target, std::int64_t m,
                 const GaleChurchOptions& options, std::vector<Span>& out) {
  require(n >= 0 && m >= 0 && n < std::numeric_limits<std::int32_t>::max() &&
              m < std::numeric_limits<std::int32_t>::max(),
          "gale_church: sizes out of range");
  if (!options.log_space) return linear(source, n, target, m, out);
  require(options.ratio > 0 && options.variance > 0,
          "gale_church: ratio and variance must be above 0");
  std::vector<double> scaled(source, source + n);
  for (double& length : scaled) length *= options.ratio;
  std::int64_t reach = options.band;
  if (reach < 0) reach = (n + 1) * (m + 1) <= kAllCells ? m : 256;
  const std::size_t first = out.size();
  const std::vector<double> own = cut(scaled.data(), n), other = cut(target, m);
  while (true) {
    reach = std::min(reach, m);
    const bool clear =
        banded(scaled.data(), n, target, m, Band(own, other, reach), options.variance, out);
    const bool found = out.size() > first || (n == 0 && m == 0);
    const bool widest = reach >= m || (n + 1) * (4 * reach + 1) > kMostCells;
    // a path must be found, whatever the limits say; beyond that a fixed band stays as it is
    if (found && (clear || widest || options.band >= 0)) return;
    out.resize(first);
    reach = 2 * reach + 1;
  }
}

}  // namespace polyad::align
