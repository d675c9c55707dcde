#include "data/resize.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace concord {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;

// The taps of every output position of one axis: `weights` holds `width` numbers per position, of
// which the first count[i] are used, for the inputs from first[i] on.
struct Taps {
  int width = 0;
  std::vector<int> first;
  std::vector<int> count;
  std::vector<std::int32_t> weights;

  const std::int32_t* of(int position) const {
    return weights.data() + static_cast<std::size_t>(position) * static_cast<std::size_t>(width);
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
          static_cast<std::int32_t>(0.5 + weight * (1 << kPrecisionBits));
    }
    taps.first[static_cast<std::size_t>(i)] = first;
    taps.count[static_cast<std::size_t>(i)] = count;
  }
  return taps;
}

std::uint8_t clip(std::int32_t accumulator) {
  return static_cast<std::uint8_t>(std::clamp(accumulator >> kPrecisionBits, 0, 255));
}

Image resize_columns(const Image& image, int width) {
  const Taps taps = bilinear_taps(image.width, width);
  Image out(width, image.height);
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* row = image.pixel(0, y);
    std::uint8_t* target = out.pixel(0, y);
    for (int x = 0; x < width; ++x, target += 3) {
      const auto position = static_cast<std::size_t>(x);
      const std::int32_t* weights = taps.of(x);
      const std::uint8_t* source = row + static_cast<std::size_t>(taps.first[position]) * 3;
      std::int32_t red = 1 << (kPrecisionBits - 1), green = red, blue = red;
      for (int t = 0; t < taps.count[position]; ++t, source += 3) {
        red += source[0] * weights[t];
        green += source[1] * weights[t];
        blue += source[2] * weights[t];
      }
      target[0] = clip(red);
      target[1] = clip(green);
      target[2] = clip(blue);
    }
  }
  return out;
}

Image resize_rows(const Image& image, int height) {
  const Taps taps = bilinear_taps(image.height, height);
  Image out(image.width, height);
  const std::size_t row_size = static_cast<std::size_t>(image.width) * 3;
  std::vector<std::int32_t> sums(row_size);
  for (int y = 0; y < height; ++y) {
    const auto position = static_cast<std::size_t>(y);
    std::fill(sums.begin(), sums.end(), 1 << (kPrecisionBits - 1));
    // Whole rows at a time, so that the inner loop runs over contiguous memory in vectors.
    for (int t = 0; t < taps.count[position]; ++t) {
      const std::int32_t weight = taps.of(y)[t];
      const std::uint8_t* source = image.pixel(0, taps.first[position] + t);
      for (std::size_t i = 0; i < row_size; ++i) sums[i] += source[i] * weight;
    }
    std::uint8_t* target = out.pixel(0, y);
    for (std::size_t i = 0; i < row_size; ++i) target[i] = clip(sums[i]);
  }
  return out;
}

}  // namespace

Image resize_bilinear(const Image& image, int width, int height) {
  check(width > 0 && height > 0, "resize: the new size must be positive, got {}x{}", width, height);
  if (width == image.width) return height == image.height ? image : resize_rows(image, height);
  const Image columns = resize_columns(image, width);
  return height == image.height ? columns : resize_rows(columns, height);
}

}  // namespace concord
