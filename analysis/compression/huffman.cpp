#include "analysis/compression/huffman.h"

#include <algorithm>
#include <queue>
#include <tuple>

namespace concord {
namespace {

// A tree of some symbols, ordered by how often they occur, then by age: so equal counts always give
// the same tree.
struct Tree {
  std::uint64_t count = 0;
  std::size_t node = 0;
  bool operator>(const Tree& other) const {
    return std::tie(count, node) > std::tie(other.count, other.node);
  }
};

// Of a text; a code of 57 bits needs more (a Fibonacci number of them).
constexpr std::uint64_t kMostSymbols = std::uint64_t{1} << 39;
constexpr std::uint64_t kWhole = std::uint64_t{1} << HuffmanCode::kMostBits;

std::uint64_t reversed(std::uint64_t code, int length) {
  std::uint64_t result = 0;
  for (int i = 0; i < length; ++i) result |= ((code >> i) & 1) << (length - 1 - i);
  return result;
}

}  // namespace

HuffmanCode::HuffmanCode(std::vector<std::uint8_t> lengths)
    : lengths_(std::move(lengths)), codes_(lengths_.size()) {
  for (std::size_t symbol = 0; symbol < lengths_.size(); ++symbol) {
    if (lengths_[symbol] == 0) continue;
    ++of_length_[lengths_[symbol]];
    ordered_.push_back(static_cast<std::uint32_t>(symbol));
  }
  std::stable_sort(ordered_.begin(), ordered_.end(),
                   [this](auto a, auto b) { return lengths_[a] < lengths_[b]; });
  std::uint64_t code = 0;
  int length = 0;
  for (const std::uint32_t symbol : ordered_) {
    code <<= lengths_[symbol] - length;
    length = lengths_[symbol];
    codes_[symbol] = reversed(code, length);
    ++code;
  }
}

HuffmanCode HuffmanCode::of(std::span<const std::uint64_t> counts) {
  std::priority_queue<Tree, std::vector<Tree>, std::greater<>> trees;
  std::vector<std::size_t> parents(counts.size());
  std::size_t last = 0;
  std::uint64_t total = 0;
  for (std::size_t symbol = 0; symbol < counts.size(); ++symbol) {
    if (counts[symbol] == 0) continue;
    total += counts[symbol];
    check(counts[symbol] < kMostSymbols && total < kMostSymbols,
          "huffman: symbols are counted up to 2^39, which symbol {} passes", symbol);
    trees.push({counts[symbol], symbol});
    last = symbol + 1;
  }
  std::vector<std::uint8_t> lengths(last);
  if (trees.size() == 1) lengths[trees.top().node] = 1;
  while (trees.size() > 1) {
    const Tree first = trees.top();
    trees.pop();
    const Tree second = trees.top();
    trees.pop();
    parents[first.node] = parents[second.node] = parents.size();
    trees.push({first.count + second.count, parents.size()});
    parents.push_back(0);
  }
  // From the root, which was made last, each node is one deeper than its parent.
  std::vector<std::uint8_t> depths(parents.size());
  for (std::size_t node = parents.size(); node-- > 0;) {
    if (parents[node] > 0) depths[node] = static_cast<std::uint8_t>(depths[parents[node]] + 1);
    if (node < last && depths[node] > 0) lengths[node] = depths[node];
  }
  return HuffmanCode(std::move(lengths));
}

HuffmanCode HuffmanCode::read(BitReader& bits, std::size_t symbols) {
  const std::uint64_t count = bits.take(24);
  check(count <= symbols, "its table has codes for {} symbols, there are {}", count, symbols);
  std::vector<std::uint8_t> lengths;
  std::uint64_t taken = 0;  // of kWhole, by the codes so far
  std::size_t present = 0;
  for (std::uint64_t symbol = 0; symbol < count; ++symbol) {
    const auto length = static_cast<std::uint8_t>(bits.take(6));
    lengths.push_back(length);
    check(length <= kMostBits, "the code of symbol {} has {} bits, at most {} are possible", symbol,
          length, kMostBits);
    if (length == 0) continue;
    ++present;
    taken += kWhole >> length;
    check(taken <= kWhole, "its table has more codes than their lengths allow");
  }
  check(lengths.empty() || lengths.back() > 0, "its table ends with a symbol without a code");
  const bool is_alone = present == 1 && lengths.back() == 1;
  check(present == 0 || is_alone || taken == kWhole, "its table of {} codes is not complete",
        present);
  return HuffmanCode(std::move(lengths));
}

void HuffmanCode::write(BitWriter& bits) const {
  bits.put(lengths_.size(), 24);
  for (const std::uint8_t length : lengths_) bits.put(length, 6);
}

void HuffmanCode::put(std::size_t symbol, BitWriter& bits) const {
  check(symbol < lengths_.size() && lengths_[symbol] > 0, "huffman: symbol {} has no code", symbol);
  if (ordered_.size() > 1) bits.put(codes_[symbol], lengths_[symbol]);
}

std::uint32_t HuffmanCode::next(BitReader& bits) const {
  check(!ordered_.empty(), "its table has no codes, but values follow");
  if (ordered_.size() == 1) return ordered_.front();
  // `first` is the first code of the length, `index` the place of its symbol in their order.
  std::uint64_t code = 0;
  std::uint64_t first = 0;
  std::uint64_t index = 0;
  for (std::size_t length = 1; length < of_length_.size(); ++length) {
    code = code << 1 | bits.next();
    first <<= 1;
    if (code - first < of_length_[length]) return ordered_[index + (code - first)];
    first += of_length_[length];
    index += of_length_[length];
  }
  fail("huffman: a code of more than {} bits", kMostBits);  // a complete code has none
}

std::uint64_t HuffmanCode::coded_bits(std::span<const std::uint64_t> counts) const {
  std::uint64_t bits = 0;
  if (ordered_.size() > 1)
    for (const std::uint32_t symbol : ordered_) bits += counts[symbol] * lengths_[symbol];
  return bits;
}

}  // namespace concord
