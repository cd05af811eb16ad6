#include "align/sparse.hpp"

#include <algorithm>

namespace polyad::align {
namespace {

// Numbers 64-bit keys in the order in which they first come. Open addressing.
class Numbers {
 public:
  explicit Numbers(std::int32_t first) : next_(first), slots_(1 << 12) {}

  std::int32_t operator()(std::uint64_t key) {
    if (2 * static_cast<std::size_t>(used_ + 1) > slots_.size()) grow();
    Slot& slot = find(key);
    if (slot.number < 0) {
      slot = {key, next_++};
      ++used_;
    }
    return slot.number;
  }
  std::int32_t next() const { return next_; }

 private:
  struct Slot {
    std::uint64_t key = 0;
    std::int32_t number = -1;
  };
  Slot& find(std::uint64_t key) {
    std::size_t at = (key * 0x9E3779B97F4A7C15u) >> 20;
    for (;; ++at) {
      Slot& slot = slots_[at & (slots_.size() - 1)];
      if (slot.number < 0 || slot.key == key) return slot;
    }
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.number >= 0) find(slot.key) = slot;
    }
  }
  std::int32_t next_;
  std::int64_t used_ = 0;
  std::vector<Slot> slots_;
};

// Appends a row of features in any order, equal ones counted.
void append(std::vector<std::int32_t>& row, SparseTable& out) {
  std::sort(row.begin(), row.end());
  for (std::size_t at = 0; at < row.size();) {
    std::size_t end = at;
    while (end < row.size() && row[end] == row[at]) ++end;
    out.features.push_back(row[at]);
    out.values.push_back(static_cast<float>(end - at));
    at = end;
  }
  out.offsets.push_back(static_cast<std::int64_t>(out.features.size()));
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t letter) {
  hash = (hash ^ letter) * 0xFF51AFD7ED558CCDu;
  return hash ^ (hash >> 32);
}

}  // namespace

std::int32_t word_vectors(const Sentences* texts, std::int64_t count, std::int32_t words,
                          SparseTable* out) {
  Numbers numbers(words);
  std::vector<std::int32_t> row;
  for (std::int64_t t = 0; t < count; ++t) {
    for (std::int64_t i = 0; i < texts[t].count; ++i) {
      const Words sentence = texts[t][i];
      row.assign(sentence.ids, sentence.ids + sentence.size);
      for (std::int32_t k = 0; k + 1 < sentence.size; ++k) {
        row.push_back(numbers(static_cast<std::uint64_t>(sentence[k]) << 32 |
                              static_cast<std::uint32_t>(sentence[k + 1])));
      }
      append(row, out[t]);
    }
  }
  return numbers.next();
}

std::int32_t letter_vectors(const Sentences* texts, std::int64_t count, const Spelling& spelling,
                            SparseTable* out) {
  constexpr std::int32_t kMark = -1, kShortest = 3, kLongest = 5;
  Numbers numbers(0);
  std::vector<std::int64_t> offsets = {0};
  std::vector<std::int32_t> pieces, word, row;
  for (std::int64_t w = 0; w < spelling.count; ++w) {
    word.assign(1, kMark);
    word.insert(word.end(), spelling.letters + spelling.offsets[w],
                spelling.letters + spelling.offsets[w + 1]);
    word.push_back(kMark);
    const auto size = static_cast<std::int32_t>(word.size());
    for (std::int32_t begin = 0; begin < size; ++begin) {
      std::uint64_t hash = 0x51ED270B;
      for (std::int32_t k = 0; k < kLongest && begin + k < size; ++k) {
        hash = mixed(hash, static_cast<std::uint32_t>(word[begin + k]));
        if (k + 1 >= kShortest) pieces.push_back(numbers(hash));
      }
    }
    offsets.push_back(static_cast<std::int64_t>(pieces.size()));
  }
  for (std::int64_t t = 0; t < count; ++t) {
    for (std::int64_t i = 0; i < texts[t].count; ++i) {
      const Words sentence = texts[t][i];
      row.clear();
      for (std::int32_t k = 0; k < sentence.size; ++k) {
        row.insert(row.end(), pieces.begin() + offsets[sentence[k]],
                   pieces.begin() + offsets[sentence[k] + 1]);
      }
      append(row, out[t]);
    }
  }
  return numbers.next();
}

}  // namespace polyad::align
