#include "analysis/compression/weight_coding.h"

#include "analysis/compression/huffman.h"

namespace concord {
namespace {

constexpr std::size_t kLongGap = 255;
constexpr int kCountBits = 40;

// Calls each(gap) for the gaps before a code, given the zeros before it.
template <class Each>
void for_gaps(std::size_t zeros, Each each) {
  for (; zeros >= kLongGap; zeros -= kLongGap) each(kLongGap);
  each(zeros);
}

struct Counts {
  std::vector<std::uint64_t> codes;  // 0 .. K
  std::vector<std::uint64_t> gaps = std::vector<std::uint64_t>(kLongGap + 1);
  std::uint64_t kept = 0;
};

Counts count(std::span<const std::uint16_t> codes, std::size_t values) {
  Counts counts;
  counts.codes.resize(values + 1);
  std::size_t zeros = 0;
  for (const std::uint16_t code : codes) {
    check(code <= values, "weight coding: code {} is above {}, the size of the codebook", code,
          values);
    ++counts.codes[code];
    if (code == 0) {
      ++zeros;
      continue;
    }
    ++counts.kept;
    for_gaps(zeros, [&](std::size_t gap) { ++counts.gaps[gap]; });
    zeros = 0;
  }
  return counts;
}

}  // namespace

std::vector<std::uint8_t> encode_codes(std::span<const std::uint16_t> codes, std::size_t values) {
  const Counts counts = count(codes, values);
  const std::span<const std::uint64_t> kept_counts = std::span(counts.codes).subspan(1);
  const HuffmanCode every = HuffmanCode::of(counts.codes);
  const HuffmanCode gaps = HuffmanCode::of(counts.gaps);
  const HuffmanCode kept = HuffmanCode::of(kept_counts);
  const std::uint64_t every_bits = every.table_bits() + every.coded_bits(counts.codes);
  const std::uint64_t run_bits = kCountBits + gaps.table_bits() + gaps.coded_bits(counts.gaps) +
                                 kept.table_bits() + kept.coded_bits(kept_counts);
  BitWriter bits;
  if (every_bits <= run_bits) {
    bits.put(0, 1);
    every.write(bits);
    for (const std::uint16_t code : codes) every.put(code, bits);
    return bits.take();
  }
  bits.put(1, 1);
  bits.put(counts.kept, kCountBits);
  gaps.write(bits);
  kept.write(bits);
  std::size_t zeros = 0;
  for (const std::uint16_t code : codes) {
    if (code == 0) {
      ++zeros;
      continue;
    }
    for_gaps(zeros, [&](std::size_t gap) { gaps.put(gap, bits); });
    zeros = 0;
    kept.put(code - std::size_t{1}, bits);
  }
  return bits.take();
}

std::vector<std::uint16_t> decode_codes(std::span<const std::uint8_t> bytes, std::size_t count,
                                        std::size_t values) {
  BitReader bits(bytes);
  std::vector<std::uint16_t> codes(count);
  if (bits.next() == 0) {
    const HuffmanCode every = HuffmanCode::read(bits, values + 1);
    for (std::uint16_t& code : codes) code = static_cast<std::uint16_t>(every.next(bits));
    bits.finish();
    return codes;
  }
  const std::uint64_t kept_count = bits.take(kCountBits);
  check(kept_count <= count, "its codes are for {} weights that are not 0, of {}", kept_count,
        count);
  const HuffmanCode gaps = HuffmanCode::read(bits, kLongGap + 1);
  const HuffmanCode kept = HuffmanCode::read(bits, values);
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < kept_count; ++i, ++at) {
    std::size_t gap = kLongGap;
    while (gap == kLongGap) {
      gap = gaps.next(bits);
      check(gap < count - at, "its codes place weight {} of {} behind the last", i, kept_count);
      at += gap;
    }
    codes[at] = static_cast<std::uint16_t>(kept.next(bits) + 1);
  }
  bits.finish();
  return codes;
}

}  // namespace concord
