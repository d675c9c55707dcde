// Pictures of a training: known maps, and the pixels that must be there.

#include "tools/common/training_pictures.h"

#include <gtest/gtest.h>

#include "engine/layers.h"
#include "tests/tools/published_colours.h"

namespace concord::tool {
namespace {

using test::colour_at;
using test::kLeast;
using test::kMost;
using test::kWhite;
using test::Rgb;

// Maps of 4x4 are drawn in blocks of 28 pixels, 120 from one to the next.
Rgb block(const Image& image, int column, int row, int x, int y) {
  return colour_at(image, 8 + 120 * column + 28 * x + 14, 22 + 120 * row + 28 * y + 14);
}

TEST(DrawReplacement, ShowsBWhatIsGivenAndTheDifference) {
  // Channel 2 varies most, channel 0 next; channel 1 is large, but constant.
  Tensor own = Tensor::zeros({2, 3, 4, 4});
  Tensor given = Tensor::zeros({2, 3, 4, 4});
  const auto at = [](Tensor& maps, int sample, int channel, int x, int y) -> float& {
    return maps.data<float>()[((sample * 3 + channel) * 4 + y) * 4 + x];
  };
  for (int sample = 0; sample < 2; ++sample)
    for (int i = 0; i < 16; ++i) at(own, sample, 1, i % 4, i / 4) = 50;
  at(own, 0, 2, 3, 0) = 4;
  at(given, 0, 2, 0, 1) = 4;
  at(own, 1, 0, 1, 2) = -1;
  at(given, 1, 0, 1, 2) = -1;
  const Image image = draw_replacement({}, own, given, "given");
  ASSERT_EQ(image.width, 8 + 6 * 120);
  ASSERT_EQ(image.height, 22 + 2 * 120 + 8);
  EXPECT_EQ(block(image, 0, 0, 3, 0), kMost);
  EXPECT_EQ(block(image, 1, 0, 3, 0), kWhite);
  EXPECT_EQ(block(image, 2, 0, 3, 0), kMost);
  EXPECT_EQ(block(image, 0, 0, 0, 1), kWhite);
  EXPECT_EQ(block(image, 1, 0, 0, 1), kMost);
  EXPECT_EQ(block(image, 2, 0, 0, 1), kLeast);
  // The other image, the other channel: the same in both, on a scale of its own.
  EXPECT_EQ(block(image, 3, 1, 1, 2), kLeast);
  EXPECT_EQ(block(image, 4, 1, 1, 2), kLeast);
  EXPECT_EQ(block(image, 5, 1, 1, 2), kWhite);
  EXPECT_EQ(block(image, 3, 0, 1, 2), kWhite);
}

// y = -2 x, of which the mean over the map is taken: no map any more.
TEST(PicturesOfRest, ShowTheLastMapsOfIt) {
  random::Generator generator(1);
  const auto convolution =
      std::make_shared<Conv2d>(Conv2dLayer{.in_channels = 1, .out_channels = 1}, generator);
  for (auto& [name, parameter] : convolution->named_parameters())
    parameter.fill(name == "weight" ? -2 : 0);
  Sequential rest({convolution, std::make_shared<AdaptiveAvgPool2d>(Size2d{1, 1}),
                   std::make_shared<Flatten>()});
  rest.set_training(false);
  Tensor given = Tensor::zeros({1, 1, 4, 4});
  given.data<float>()[3] = 4;
  const auto pictures = pictures_of_rest(rest, {Image(9, 9)}, given, given, "x(0)");
  ASSERT_EQ(pictures.size(), 2U);
  EXPECT_EQ(pictures[0].first, "maps/given");
  EXPECT_EQ(pictures[1].first, "maps/rest");
  const Image& image = pictures[1].second;
  ASSERT_EQ(image.width, 8 + 3 * 120) << "the photograph, all channels, the only one";
  EXPECT_EQ(block(image, 0, 0, 3, 0), (Rgb{0, 0, 0})) << "the photograph";
  EXPECT_EQ(block(image, 1, 0, 3, 0), kMost) << "a root mean square";
  EXPECT_EQ(block(image, 2, 0, 3, 0), kLeast);
  EXPECT_EQ(block(image, 2, 0, 2, 0), kWhite);
}

}  // namespace
}  // namespace concord::tool
