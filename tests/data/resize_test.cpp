#include "data/resize.h"

#include "tests/data/goldens.h"
#include "tests/data/support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

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
