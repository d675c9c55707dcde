#include "analysis/compression/weight_coding.h"

#include <cmath>

#include "analysis/compression/huffman.h"
#include "engine/random.h"
#include "tests/analysis/compression/goldens.h"
#include "tests/analysis/compression/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using Bytes = std::vector<std::uint8_t>;
using Codes = std::vector<std::uint16_t>;

// Lengths worked out by hand (Cormen et al., Introduction to Algorithms, figure 16.5), and codes in
// the order of RFC 1951, section 3.2.2.
TEST(Huffman, ByHand) {
  const std::vector<std::uint64_t> counts = {45, 13, 12, 16, 9, 5};
  const HuffmanCode code = HuffmanCode::of(counts);
  EXPECT_EQ(code.lengths(), (Bytes{1, 3, 3, 3, 4, 4}));
  EXPECT_EQ(code.coded_bits(counts), 224U);
  BitWriter bits;
  // 0, 100, 101, 110, 1110, 1111
  for (const std::size_t symbol : {5U, 0U, 2U, 4U}) code.put(symbol, bits);
  // 1111 0 101 | 1110, the first bit lowest
  EXPECT_EQ(bits.take(), (Bytes{0b10101111, 0b0111}));
}

TEST(Huffman, TakesAsFewBitsAsAHeapInPython) {
  std::vector<std::uint64_t> counts;
  for (std::uint64_t j = 0; j < 300; ++j) counts.push_back(j * j * 7919 % 1000 + 1);
  EXPECT_EQ(HuffmanCode::of(counts).coded_bits(counts), test::kHuffmanBits);
}

TEST(Huffman, LongCodesComeBack) {
  // Fibonacci's numbers make the longest codes: 39 bits here.
  std::vector<std::uint64_t> counts = {1, 1};
  while (counts.size() < 40)
    counts.push_back(counts[counts.size() - 1] + counts[counts.size() - 2]);
  const HuffmanCode code = HuffmanCode::of(counts);
  EXPECT_EQ(*std::max_element(code.lengths().begin(), code.lengths().end()), 39);
  BitWriter writer;
  code.write(writer);
  for (std::size_t symbol = 0; symbol < 40; ++symbol) code.put(symbol, writer);
  const Bytes bytes = writer.take();
  BitReader reader(bytes);
  const HuffmanCode again = HuffmanCode::read(reader, 40);
  EXPECT_EQ(again.lengths(), code.lengths());
  for (std::uint32_t symbol = 0; symbol < 40; ++symbol) EXPECT_EQ(again.next(reader), symbol);
  reader.finish();
}

TEST(Huffman, RefusesTablesThatAreNoCode) {
  const auto read = [](const std::vector<int>& lengths, std::size_t symbols) {
    BitWriter writer;
    writer.put(lengths.size(), 24);
    for (const int length : lengths) writer.put(static_cast<std::uint64_t>(length), 6);
    const Bytes bytes = writer.take();
    BitReader reader(bytes);
    HuffmanCode::read(reader, symbols);
  };
  read({1, 2, 2}, 3);
  read({0, 1}, 3);
  read({}, 3);
  test::expect_error([&] { read({1, 2, 2, 2}, 4); }, {"more codes than their lengths allow"});
  test::expect_error([&] { read({1, 2}, 3); }, {"2 codes is not complete"});
  test::expect_error([&] { read({0, 2}, 3); }, {"1 codes is not complete"});
  test::expect_error([&] { read({1, 1, 0}, 3); }, {"ends with a symbol without"});
  test::expect_error([&] { read({1, 2, 2}, 2); }, {"3 symbols, there are 2"});
  test::expect_error([&] { read({1, 57}, 2); }, {"symbol 1 has 57 bits"});
  test::expect_error(
      [&] {
        const Bytes two = {9, 0};
        BitReader reader(two);
        HuffmanCode::read(reader, 20);
      },
      {"end after 2 bytes"});
  test::expect_error([] { HuffmanCode::of(std::vector<std::uint64_t>{1ULL << 39}); }, {"2^39"});
}

void expect_back(const Codes& codes, std::size_t values) {
  const Bytes bytes = encode_codes(codes, values);
  ASSERT_EQ(decode_codes(bytes, codes.size(), values), codes)
      << codes.size() << " codes of " << values;
}

// `kept` of a thousand codes are not 0.
Codes random_codes(std::size_t count, std::size_t values, int kept, std::uint64_t stream) {
  random::Stream numbers(test::kSeed, stream);
  Codes codes(count);
  for (std::uint16_t& code : codes)
    if (static_cast<int>(numbers.below(1000)) < kept)
      code = static_cast<std::uint16_t>(
          1 + numbers.below(1 + numbers.below(static_cast<std::uint64_t>(values))));
  return codes;
}

TEST(WeightCoding, ComesBack) {
  std::uint64_t stream = 0;
  for (const std::size_t values : {1U, 2U, 5U, 32U, 256U, 32768U})
    for (const std::size_t count : {0U, 1U, 7U, 64U, 1000U, 5003U})
      for (const int kept : {0, 1, 30, 160, 500, 840, 999, 1000})
        expect_back(random_codes(count, values, kept, ++stream), values);
  expect_back({}, 0);
  expect_back({0, 0, 0}, 0);
  // Gaps of 254, 255, 256 and 510 zeros.
  for (const std::size_t gap : {254U, 255U, 256U, 510U, 100'000U}) {
    Codes codes(gap);
    codes.push_back(3);
    codes.insert(codes.end(), gap, 0);
    expect_back(codes, 4);
  }
}

// The bytes as a decoder of the format's description, written in Python for this, reads them.
TEST(WeightCoding, WritesTheFormatThatItDescribes) {
  EXPECT_EQ(encode_codes(Codes{1, 2, 0, 1, 1, 3, 2, 1}, 3),
            (Bytes{0x08, 0x00, 0x00, 0x86, 0x40, 0x18, 0x34, 0x1E}));
  // A weight after every 20 zeros, every fourth of them the other value, and zeros at the end.
  Codes sparse(420);
  for (std::size_t i = 20; i < sparse.size() - 5; i += 21) sparse[i] = i % 4 == 0 ? 2 : 1;
  sparse[50] = 2;
  EXPECT_EQ(encode_codes(sparse, 2),
            (Bytes{0x29, 0x00, 0x00, 0x00, 0x00, 0x2A, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                   0x00, 0x00, 0x04, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
                   0x01, 0x00, 0x80, 0x20, 0x90, 0x0E, 0x01, 0x01, 0x01, 0x01}));
}

// Han et al. spend 8 bits a weight (a gap and an index, before Huffman's code) where one in ten is
// kept. The entropy of what is coded is what no code of single symbols can beat.
TEST(WeightCoding, IsNearTheEntropy) {
  const std::size_t count = 200'000;
  for (const int kept : {50, 320, 840}) {
    const Codes codes = random_codes(count, 32, kept, 7);
    std::vector<double> shares(33);
    for (const std::uint16_t code : codes) shares[code] += 1.0 / static_cast<double>(count);
    double entropy = 0;
    for (const double share : shares)
      if (share > 0) entropy -= share * std::log2(share);
    const double bits = 8.0 * static_cast<double>(encode_codes(codes, 32).size()) / count;
    EXPECT_GE(bits, entropy * 0.999) << kept;
    EXPECT_LE(bits, entropy * 1.04) << kept;
  }
}

// Whatever the bytes, the answer is codes or an error.
TEST(WeightCoding, HostileBytesOnlyThrow) {
  random::Stream numbers(test::kSeed, 99);
  int refused = 0;
  int taken = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::size_t values = 1 + numbers.below(40);
    const std::size_t count = numbers.below(300);
    Bytes bytes = encode_codes(
        random_codes(count, values, 500, 1000 + static_cast<std::uint64_t>(round)), values);
    for (std::uint64_t i = 0, changes = 1 + numbers.below(4); i < changes && !bytes.empty(); ++i) {
      const std::size_t at = numbers.below(bytes.size());
      switch (numbers.below(4)) {
        case 0:
          bytes[at] ^= static_cast<std::uint8_t>(1U << numbers.below(8));
          break;
        case 1:
          bytes[at] = static_cast<std::uint8_t>(numbers.below(256));
          break;
        case 2:
          bytes.resize(at);
          break;
        default:
          bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 0xFF);
          break;
      }
    }
    try {
      const Codes codes = decode_codes(bytes, count, values);
      ASSERT_EQ(codes.size(), count);
      for (const std::uint16_t code : codes) ASSERT_LE(code, values);
      ++taken;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 2000);
  EXPECT_GT(taken, 10) << "nothing but errors: the decoder's loops were hardly reached";
}

TEST(WeightCoding, Misuse) {
  test::expect_error([] { encode_codes(Codes{0, 4}, 3); }, {"code 4 is above 3"});
  const Bytes bytes = encode_codes(Codes{1, 2, 0, 1}, 3);
  test::expect_error([&] { decode_codes(bytes, 50, 3); }, {"end after"});
  test::expect_error([&] { decode_codes(bytes, 4, 1); }, {"3 symbols, there are 2"});
  test::expect_error([&] { decode_codes(bytes, 1, 3); }, {"follow the last"});
  test::expect_error([] { decode_codes(Bytes{}, 0, 3); }, {"end after 0 bytes"});
}

}  // namespace
}  // namespace concord
