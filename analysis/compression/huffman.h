#pragma once
// Canonical Huffman codes. Source: Huffman, "A Method for the Construction of Minimum-Redundancy
// Codes", Proc. IRE 1952; the canonical order is that of RFC 1951, section 3.2.2.

#include <cstdint>
#include <span>
#include <vector>

#include "analysis/compression/bit_stream.h"

namespace concord {

// The codes of the symbols 0 .. lengths.size() - 1. Symbols that never occur have none (length 0).
// Where only one symbol occurs its length is said to be 1 and its code takes no bits.
class HuffmanCode {
 public:
  // Of symbols that occur that many times: the least bits in all; the same counts give the same
  // code. Throws unless the sum of the counts is below 2^39: no length is then above
  // kMostBits.
  static HuffmanCode of(std::span<const std::uint64_t> counts);
  // As write() wrote it, of at most `symbols` symbols. Throws for lengths that make no complete
  // code.
  static HuffmanCode read(BitReader& bits, std::size_t symbols);

  // The number of lengths (24 bits), up to the last that is not 0, and the lengths (6 bits each).
  void write(BitWriter& bits) const;
  void put(std::size_t symbol, BitWriter& bits) const;
  // Throws where the bits end.
  std::uint32_t next(BitReader& bits) const;

  // 0 for a symbol without a code.
  const std::vector<std::uint8_t>& lengths() const { return lengths_; }
  // Of write(), and of so many of each symbol.
  std::uint64_t table_bits() const { return 24 + 6 * lengths_.size(); }
  std::uint64_t coded_bits(std::span<const std::uint64_t> counts) const;

  static constexpr int kMostBits = 56;

 private:
  explicit HuffmanCode(std::vector<std::uint8_t> lengths);

  std::vector<std::uint8_t> lengths_;
  std::vector<std::uint64_t> codes_;    // by symbol, the first bit lowest
  std::vector<std::uint32_t> ordered_;  // the symbols that have codes, by length and number
  std::vector<std::uint32_t> of_length_ = std::vector<std::uint32_t>(kMostBits + 1);
};

}  // namespace concord
