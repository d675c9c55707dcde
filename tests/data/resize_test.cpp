#include "data/resize.h"

#include <cmath>

#include "tests/data/goldens.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

// The formula of data/resize.h along one axis, value by value.
struct PlainTaps {
  int first = 0;
  std::vector<std::int64_t> weights;
};

PlainTaps plain_taps(int in, int out, int i) {
  const double scale = static_cast<double>(in) / out;
  const double reach = std::max(scale, 1.0);
  const double center = (i + 0.5) * scale;
  PlainTaps taps;
  taps.first = std::max(0, static_cast<int>(center - reach + 0.5));
  std::vector<double> exact;
  double total = 0;
  for (int t = taps.first; t < std::min(in, static_cast<int>(center + reach + 0.5)); ++t) {
    exact.push_back(std::max(0.0, 1 - std::abs((t - center + 0.5) * (1 / reach))));
    total += exact.back();
  }
  for (const double weight : exact)
    taps.weights.push_back(static_cast<std::int64_t>(weight / total * (1 << 22) + 0.5));
  return taps;
}

Image plain_resize(const Image& image, int width, int height) {
  const auto resize = [](const Image& from, int new_width, int new_height, bool columns) {
    Image out(new_width, new_height);
    for (int y = 0; y < new_height; ++y)
      for (int x = 0; x < new_width; ++x) {
        const PlainTaps taps =
            columns ? plain_taps(from.width, new_width, x) : plain_taps(from.height, new_height, y);
        for (int c = 0; c < 3; ++c) {
          std::int64_t sum = 1 << 21;
          int at = taps.first;
          for (const std::int64_t weight : taps.weights) {
            sum += weight * (columns ? from.pixel(at, y) : from.pixel(x, at))[c];
            ++at;
          }
          out.pixel(x, y)[c] =
              static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> 22, 0, 255));
        }
      }
    return out;
  };
  const Image wide = width == image.width ? image : resize(image, width, image.height, true);
  return height == image.height ? wide : resize(wide, width, height, false);
}

// Noise, with runs of the largest value, where rounding could reach past it.
Image rough_image(int width, int height) {
  Image image(width, height);
  for (std::size_t i = 0; i < image.rgb.size(); ++i)
    image.rgb[i] =
        i / 64 % 3 == 0
            ? 255
            : static_cast<std::uint8_t>(static_cast<std::uint32_t>(i) * 2654435761U >> 24);
  return image;
}

struct Sizes {
  int from_width, from_height, to_width, to_height;
};

void expect_equals_plain(const Sizes& s) {
  const Image image = rough_image(s.from_width, s.from_height);
  EXPECT_EQ(resize_bilinear(image, s.to_width, s.to_height).rgb,
            plain_resize(image, s.to_width, s.to_height).rgb)
      << s.from_width << "x" << s.from_height << " to " << s.to_width << "x" << s.to_height;
}

TEST(ResizeBilinear, EqualsThePlainFormula) {
  // Single pixels, rows and columns; smaller and larger, by both sides and by one.
  for (const Sizes& s : {Sizes{1, 1, 1, 1},
                         {1, 1, 40, 70},
                         {1, 130, 33, 1},
                         {97, 1, 1, 5},
                         {97, 1, 300, 1},
                         {1, 97, 1, 31},
                         {2, 3, 3, 2},
                         {125, 94, 56, 56},
                         {56, 56, 125, 94},
                         {61, 200, 127, 40},
                         {200, 61, 40, 127},
                         {301, 65, 33, 65},
                         {33, 65, 33, 129},
                         {33, 65, 33, 7},
                         {7, 64, 9, 64},
                         {1500, 3, 224, 2},
                         {500, 20, 3, 20},
                         {257, 129, 256, 128}})
    expect_equals_plain(s);
}

// Every remainder of rows and bytes by the lengths of vectors and blocks.
TEST(ResizeBilinear, EqualsThePlainFormulaWhateverTheRemainders) {
  for (int size = 1; size <= 70; ++size) {
    expect_equals_plain({size, 71 - size, 20, 9});
    expect_equals_plain({19, 8, size, 71 - size});
    expect_equals_plain({size, 130 - size, size, 11});
    expect_equals_plain({23, size, 12, size});
  }
}

TEST(ResizeBilinear, EqualsThePlainFormulaOnRowsTooWideForItsBuffers) {
  expect_equals_plain({100'003, 2, 5, 3});
  expect_equals_plain({100'003, 3, 40, 3});
}

// At this size every one of the weights, 0.5 to 1 times 2^-22, is rounded up to 2^-22: they sum to
// 4 / 3, and white would be 340.
TEST(ResizeBilinear, ClipsWhatRoundingRaises) {
  constexpr int kSize = 5'592'405;
  for (const auto& [width, height] : {std::pair{kSize, 1}, {1, kSize}}) {
    Image image(width, height);
    std::fill(image.rgb.begin(), image.rgb.end(), std::uint8_t{255});
    EXPECT_EQ(resize_bilinear(image, 1, 1).rgb, std::vector<std::uint8_t>(3, 255)) << width;
  }
}

TEST(ResizeBilinear, EqualsPillowBitForBit) {
  for (const ResizeGolden& golden : kResizeGoldens) {
    const Image image = resize_bilinear(formula_image(golden.from_width, golden.from_height),
                                        golden.to_width, golden.to_height);
    EXPECT_EQ(image.width, golden.to_width);
    EXPECT_EQ(image.height, golden.to_height);
    EXPECT_EQ(hash_of(image.rgb), golden.hash)
        << golden.from_width << "x" << golden.from_height << " to " << golden.to_width << "x"
        << golden.to_height;
  }
}

TEST(ResizeBilinear, LeavesTheSameSizeAlone) {
  const Image image = formula_image(23, 31);
  EXPECT_EQ(resize_bilinear(image, 23, 31).rgb, image.rgb);
}

TEST(ResizeBilinear, KeepsAFlatPictureFlat) {
  Image image(19, 27);
  std::fill(image.rgb.begin(), image.rgb.end(), std::uint8_t{201});
  for (const auto& [width, height] : {std::pair{5, 90}, {90, 5}, {1, 1}, {19, 3}, {224, 224}}) {
    const Image out = resize_bilinear(image, width, height);
    for (const std::uint8_t value : out.rgb) ASSERT_EQ(value, 201) << width << "x" << height;
  }
}

TEST(ResizeBilinear, RefusesEmptySizes) {
  const Image image = formula_image(4, 4);
  expect_error([&] { resize_bilinear(image, 0, 4); }, {"0x4"});
  expect_error([&] { resize_bilinear(image, 4, -1); }, {"4x-1"});
}

}  // namespace
}  // namespace concord::test
