#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/error.h"

// How it is fast. Along a row the channels alternate and every output position has taps of its own,
// which suits no vector. So as many rows as a vector has bytes are transposed; then a vector holds
// one column of all these rows, which have the same taps and weights, and the result is transposed
// back. The vertical pass runs along the rows as they are. Weights have 23 bits, so products and
// sums are those of 32-bit integers: exact, whatever the vector length.

namespace concord {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr std::uint32_t kHalf = std::uint32_t{1} << (kPrecisionBits - 1);

// --- vectors, of the longest registers this is compiled for ---

#if defined(__AVX512BW__)
constexpr std::size_t kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kVectorBytes = 32;
#else
constexpr std::size_t kVectorBytes = 16;
#endif

typedef std::uint8_t Bytes __attribute__((vector_size(kVectorBytes)));
typedef std::uint32_t Words __attribute__((vector_size(kVectorBytes)));

// memcpy is how a vector is read from any address; it becomes one instruction.
template <typename Vector>
Vector load(const std::uint8_t* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// A vector of bytes each times a weight, summed. The four bytes of a word are taken apart by shifts
// and masks: GCC 12 has no good way to widen bytes to 32 bits.
class Sums {
 public:
  void add(const std::uint8_t* from, std::uint32_t weight) {
    const Words bytes = load<Words>(from);
    first_ += (bytes & 255) * weight;
    second_ += ((bytes >> 8) & 255) * weight;
    third_ += ((bytes >> 16) & 255) * weight;
    fourth_ += (bytes >> 24) * weight;
  }
  void store(std::uint8_t* to) const {
    const Words bytes =
        rounded(first_) | rounded(second_) << 8 | rounded(third_) << 16 | rounded(fourth_) << 24;
    std::memcpy(to, &bytes, sizeof bytes);
  }

 private:
  // No weight is negative, so no sum is below 0. Above 255 may be those of millions of taps, whose
  // weights were all rounded up.
  static Words rounded(Words sum) {
    const Words value = sum >> kPrecisionBits;
    return value < 255 ? value : Words{} + 255;
  }

  Words first_ = Words{} + kHalf, second_ = first_, third_ = first_, fourth_ = first_;
};

// --- transposing ---

constexpr std::size_t kSide = 16;
typedef std::uint8_t SquareRow __attribute__((vector_size(kSide)));

// The lower or upper halves of every 16 bytes of a and b, their bytes alternating.
template <bool kUpper, std::size_t... kIndex>
Bytes interleave(Bytes a, Bytes b, std::index_sequence<kIndex...>) {
  return __builtin_shufflevector(
      a, b, (kIndex / 16 * 16 + kUpper * 8 + kIndex % 16 / 2 + kIndex % 2 * kVectorBytes)...);
}

// Transposes each of the 16x16 squares that lie side by side in 16 vectors.
void transpose_squares(Bytes (&rows)[kSide]) {
  constexpr auto kIndices = std::make_index_sequence<kVectorBytes>{};
  // With rows r and r + 8 alternating, the highest bit of a row's number becomes the lowest of the
  // column's and the highest of the column's the lowest of the row's: after four rounds row and
  // column have changed places.
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    Bytes next[kSide];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < 8; ++r) {
      next[2 * r] = interleave<false>(rows[r], rows[r + 8], kIndices);
      next[2 * r + 1] = interleave<true>(rows[r], rows[r + 8], kIndices);
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kSide; ++r) rows[r] = next[r];
  }
}

template <typename Part, std::size_t... kIndex>
auto join(Part a, Part b, std::index_sequence<kIndex...>) {
  return __builtin_shufflevector(a, b, kIndex...);
}

// 16 bytes each of the rows 0, 16, ..., kCount * 16 - 16, one after the other.
template <std::size_t kCount>
auto load_every_16th(const std::uint8_t* const* rows, std::size_t at) {
  if constexpr (kCount == 1)
    return load<SquareRow>(rows[0] + at);
  else
    return join(load_every_16th<kCount / 2>(rows, at),
                load_every_16th<kCount / 2>(rows + kCount / 2 * kSide, at),
                std::make_index_sequence<kCount * kSide>{});
}

// columns[c] = the bytes at + c of kVectorBytes rows, for 16 c.
void rows_to_columns(const std::uint8_t* const* rows, std::size_t at, std::uint8_t* columns) {
  Bytes squares[kSide];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kSide; ++r)
    squares[r] = load_every_16th<kVectorBytes / kSide>(rows + r, at);
  transpose_squares(squares);
#pragma GCC unroll 16
  for (std::size_t c = 0; c < kSide; ++c)
    std::memcpy(columns + c * kVectorBytes, &squares[c], kVectorBytes);
}

// The reverse: 16 columns of kVectorBytes bytes to 16 bytes of each of kVectorBytes rows.
void columns_to_rows(const std::uint8_t* columns, std::uint8_t* rows, std::size_t stride) {
  Bytes squares[kSide];
#pragma GCC unroll 16
  for (std::size_t c = 0; c < kSide; ++c) squares[c] = load<Bytes>(columns + c * kVectorBytes);
  transpose_squares(squares);
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kSide; ++r) {
#pragma GCC unroll 4
    for (std::size_t part = 0; part < kVectorBytes / kSide; ++part)
      std::memcpy(rows + (part * kSide + r) * stride,
                  reinterpret_cast<const std::uint8_t*>(&squares[r]) + part * kSide, kSide);
  }
}

std::size_t round_up(std::size_t size, std::size_t step) { return (size + step - 1) / step * step; }

// --- the two passes ---

// The taps of every output position of one axis: `weights` holds `width` numbers per position, of
// which the first count[i] are used, for the inputs from first[i] on.
struct Taps {
  int width = 0;
  std::vector<int> first;
  std::vector<int> count;
  std::vector<std::uint32_t> weights;

  const std::uint32_t* of(std::size_t position) const {
    return weights.data() + position * static_cast<std::size_t>(width);
  }
};

Taps bilinear_taps(int in, int out) {
  const double scale = static_cast<double>(in) / out;
  const double support = std::max(scale, 1.0);
  // Multiplying by the reciprocal, not dividing: the double it gives is Pillow's to the last bit.
  const double reciprocal = 1.0 / support;
  Taps taps;
  taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.first.resize(static_cast<std::size_t>(out));
  taps.count.resize(static_cast<std::size_t>(out));
  taps.weights.resize(static_cast<std::size_t>(out) * static_cast<std::size_t>(taps.width));
  std::vector<double> exact(static_cast<std::size_t>(taps.width));
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - support + 0.5));
    const int count = std::min(in, static_cast<int>(center + support + 0.5)) - first;
    double total = 0.0;
    for (int t = 0; t < count; ++t) {
      const double distance = std::abs((t + first - center + 0.5) * reciprocal);
      exact[static_cast<std::size_t>(t)] = distance < 1.0 ? 1.0 - distance : 0.0;
      total += exact[static_cast<std::size_t>(t)];
    }
    const std::size_t row = static_cast<std::size_t>(i) * static_cast<std::size_t>(taps.width);
    for (int t = 0; t < count; ++t) {
      const double weight = total != 0.0 ? exact[static_cast<std::size_t>(t)] / total : 0.0;
      taps.weights[row + static_cast<std::size_t>(t)] =
          static_cast<std::uint32_t>(0.5 + weight * (1 << kPrecisionBits));
    }
    taps.first[static_cast<std::size_t>(i)] = first;
    taps.count[static_cast<std::size_t>(i)] = count;
  }
  return taps;
}

// One row, without vectors.
void resize_row(const std::uint8_t* row, const Taps& taps, std::uint8_t* out) {
  for (std::size_t x = 0; x < taps.first.size(); ++x) {
    const std::uint32_t* weights = taps.of(x);
    const std::uint8_t* pixel = row + static_cast<std::size_t>(taps.first[x]) * 3;
    std::uint32_t sums[3] = {kHalf, kHalf, kHalf};
    for (int t = 0; t < taps.count[x]; ++t, pixel += 3)
      for (int c = 0; c < 3; ++c) sums[c] += pixel[c] * weights[t];
    for (int c = 0; c < 3; ++c)
      *out++ = static_cast<std::uint8_t>(std::min(sums[c] >> kPrecisionBits, 255U));
  }
}

// As many output positions at a time as give whole squares, few enough for their inputs to stay in
// the first cache as columns.
constexpr std::size_t kBlock = 32;
constexpr std::size_t kBlockBytes = kBlock * 3;
static_assert(kBlockBytes % kSide == 0);

// The columns of a picture resized. The result's rows are `stride` bytes apart, a multiple of
// kBlockBytes; there are as many as the picture has, then more to a multiple of kVectorBytes.
void resize_columns(const Image& image, int width, std::uint8_t* out, std::size_t stride) {
  const Taps taps = bilinear_taps(image.width, width);
  const std::size_t row_size = static_cast<std::size_t>(image.width) * 3;
  const auto height = static_cast<std::size_t>(image.height);
  const auto positions = static_cast<std::size_t>(width);
  // The bytes of a row that the positions of a block need, [begin, end) in whole squares.
  const auto begin_of = [&](std::size_t block) {
    return static_cast<std::size_t>(taps.first[block]) * 3;
  };
  const auto end_of = [&](std::size_t block) {
    const std::size_t last = std::min(block + kBlock, positions) - 1;
    return begin_of(block) +
           round_up(
               static_cast<std::size_t>(taps.first[last] + taps.count[last]) * 3 - begin_of(block),
               kSide);
  };
  std::size_t widest = 0;
  for (std::size_t x = 0; x < positions; x += kBlock)
    widest = std::max(widest, end_of(x) - begin_of(x));
  // A picture of one row may be millions of pixels wide: its columns would fill the memory. Up to
  // here they take 16 MiB.
  constexpr std::size_t kWidest = std::size_t{1} << 18;
  if (widest > kWidest) {
    for (std::size_t y = 0; y < height; ++y)
      resize_row(image.rgb.data() + y * row_size, taps, out + y * stride);
    return;
  }
  const auto columns = std::make_unique_for_overwrite<std::uint8_t[]>(widest * kVectorBytes);
  std::uint8_t resized[kBlockBytes * kVectorBytes] = {};

  for (std::size_t y = 0; y < height; y += kVectorBytes) {
    // Below the last row it is repeated, and the results are not used.
    const std::uint8_t* rows[kVectorBytes];
    for (std::size_t r = 0; r < kVectorBytes; ++r)
      rows[r] = image.rgb.data() + std::min(y + r, height - 1) * row_size;
    for (std::size_t block = 0; block < positions; block += kBlock) {
      const std::size_t begin = begin_of(block), end = end_of(block);
      std::uint8_t* target = columns.get();
      std::size_t at = begin;
      for (; at < end && at + kSide <= row_size; at += kSide, target += kSide * kVectorBytes)
        rows_to_columns(rows, at, target);
      if (at < end) {
        std::uint8_t ends[kVectorBytes][kSide] = {};
        const std::uint8_t* padded[kVectorBytes];
        for (std::size_t r = 0; r < kVectorBytes; ++r) {
          std::memcpy(ends[r], rows[r] + at, row_size - at);
          padded[r] = ends[r];
        }
        rows_to_columns(padded, 0, target);
      }

      target = resized;
      for (std::size_t x = block; x < std::min(block + kBlock, positions); ++x) {
        Sums red, green, blue;
        const std::uint32_t* weights = taps.of(x);
        const std::uint8_t* pixel =
            columns.get() + (static_cast<std::size_t>(taps.first[x]) * 3 - begin) * kVectorBytes;
        for (int t = 0; t < taps.count[x]; ++t, pixel += 3 * kVectorBytes) {
          red.add(pixel, weights[t]);
          green.add(pixel + kVectorBytes, weights[t]);
          blue.add(pixel + 2 * kVectorBytes, weights[t]);
        }
        red.store(target);
        green.store(target + kVectorBytes);
        blue.store(target + 2 * kVectorBytes);
        target += 3 * kVectorBytes;
      }
      for (at = 0; at < kBlockBytes; at += kSide)
        columns_to_rows(resized + at * kVectorBytes, out + y * stride + block * 3 + at, stride);
    }
  }
}

// The rows of a picture, `stride` bytes apart, resized to fill `out`, which is as wide.
void resize_rows(const std::uint8_t* rows, int height, std::size_t stride, Image& out) {
  const Taps taps = bilinear_taps(height, out.height);
  const std::size_t row_size = static_cast<std::size_t>(out.width) * 3;
  for (int y = 0; y < out.height; ++y) {
    const auto position = static_cast<std::size_t>(y);
    const std::uint8_t* from = rows + static_cast<std::size_t>(taps.first[position]) * stride;
    const std::uint32_t* weights = taps.of(position);
    const int count = taps.count[position];
    const auto sum = [&](const std::uint8_t* columns, std::uint8_t* to) {
      Sums sums;
      for (int t = 0; t < count; ++t, columns += stride) sums.add(columns, weights[t]);
      sums.store(to);
    };
    std::uint8_t* to = out.pixel(0, y);
    std::size_t at = 0;
    for (; at + kVectorBytes <= row_size; at += kVectorBytes) sum(from + at, to + at);
    if (at == row_size) continue;
    if (row_size > kVectorBytes) {
      // The last vector ends where the row does and does some columns twice.
      sum(from + row_size - kVectorBytes, to + row_size - kVectorBytes);
    } else {
      std::uint8_t padded[kVectorBytes] = {};
      Sums sums;
      for (int t = 0; t < count; ++t) {
        std::memcpy(padded, from + static_cast<std::size_t>(t) * stride, row_size);
        sums.add(padded, weights[t]);
      }
      sums.store(padded);
      std::memcpy(to, padded, row_size);
    }
  }
}

}  // namespace

Image resize_bilinear(const Image& image, int width, int height) {
  check(width > 0 && height > 0, "resize: the new size must be positive, got {}x{}", width, height);
  if (width == image.width && height == image.height) return image;
  Image out(width, height);
  const std::size_t row_size = static_cast<std::size_t>(width) * 3;
  if (width == image.width) {
    resize_rows(image.rgb.data(), image.height, row_size, out);
    return out;
  }
  const std::size_t stride = round_up(row_size, kBlockBytes);
  // Kept by the thread for its next picture, for fresh pages would cost as much as the work on
  // them.
  // Kept for the next picture unless this one was a very tall one.
  constexpr std::size_t kMostKept = std::size_t{16} << 20;
  thread_local std::vector<std::uint8_t> columns;
  if (columns.size() > kMostKept) columns = {};
  columns.resize(stride * round_up(static_cast<std::size_t>(image.height), kVectorBytes));
  resize_columns(image, width, columns.data(), stride);
  if (height != image.height) {
    resize_rows(columns.data(), image.height, stride, out);
  } else {
    for (int y = 0; y < height; ++y)
      std::memcpy(out.pixel(0, y), columns.data() + static_cast<std::size_t>(y) * stride, row_size);
  }
  return out;
}

}  // namespace concord
