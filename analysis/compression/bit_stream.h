#pragma once
// Bits in bytes, the first in the lowest bit of the first byte.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/error.h"

namespace concord {

class BitWriter {
 public:
  // The lowest `count` bits of `bits`, count <= 57.
  void put(std::uint64_t bits, int count) {
    held_ |= bits << held_bits_;
    held_bits_ += count;
    for (; held_bits_ >= 8; held_bits_ -= 8, held_ >>= 8)
      bytes_.push_back(static_cast<std::uint8_t>(held_));
  }
  // All of it, the last byte filled up with zeros.
  std::vector<std::uint8_t> take() {
    if (held_bits_ > 0) bytes_.push_back(static_cast<std::uint8_t>(held_));
    held_ = 0;
    held_bits_ = 0;
    return std::move(bytes_);
  }

 private:
  std::vector<std::uint8_t> bytes_;
  std::uint64_t held_ = 0;
  int held_bits_ = 0;
};

class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  // Throws past the end.
  unsigned next() {
    check(at_ < bytes_.size() * 8, "its codes end after {} bytes, before the last value",
          bytes_.size());
    const unsigned bit = (bytes_[at_ / 8] >> (at_ % 8)) & 1U;
    ++at_;
    return bit;
  }
  std::uint64_t take(int count) {
    std::uint64_t bits = 0;
    for (int i = 0; i < count; ++i) bits |= std::uint64_t{next()} << i;
    return bits;
  }
  // Throws unless what is left are fewer than eight bits, all 0.
  void finish() {
    check(at_ + 8 > bytes_.size() * 8, "{} bytes follow the last of its codes",
          bytes_.size() - (at_ + 7) / 8);
    while (at_ < bytes_.size() * 8) check(next() == 0, "bits follow the last of its codes");
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;  // in bits
};

}  // namespace concord
