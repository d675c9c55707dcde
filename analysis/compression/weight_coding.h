#pragma once
// A weight's codes (analysis/compression/shared_weights.h) as few bytes. In bits, the first in the
// lowest bit of the first byte:
//
//   1    0: every code in turn; 1: the codes that are not 0, each after the zeros before it
//   every code
//     table of the codes 0 .. K (analysis/compression/huffman.h), then each code
//   runs
//     40   how many codes are not 0
//     table of gaps 0 .. 255, table of the codes less 1, 0 .. K-1
//     for each such code: its gap, the zeros since the last; where they are 255 or more a gap 255
//     stands for 255 of them and another follows; then the code. The zeros after the last are not
//     written.
//   zeros up to a whole byte
//
// The form that takes fewer bits is written. Source of the gaps and of coding them: Han, Mao,
// Dally, "Deep Compression", ICLR 2016, sections 2 and 4.

#include <cstdint>
#include <span>
#include <vector>

namespace concord {

// `values` is the size of the codebook; codes are at most that. Throws for another.
std::vector<std::uint8_t> encode_codes(std::span<const std::uint16_t> codes, std::size_t values);

// `count` codes. Throws, saying what is wrong, for bytes that encode_codes cannot have written for
// so many codes and values; nothing in them does more than throw, nor takes memory beyond the
// codes.
std::vector<std::uint16_t> decode_codes(std::span<const std::uint8_t> bytes, std::size_t count,
                                        std::size_t values);

}  // namespace concord
