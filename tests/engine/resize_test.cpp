#include "engine/ops/resize.h"

#include <algorithm>

#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_close;
using test::expect_error;
using test::random_tensor;
using Values = std::vector<double>;

// {input, output}: enlarging, shrinking, both at once, to and from one pixel.
const std::vector<std::pair<Shape, Size2d>> kCases = {
    {{1, 1, 1, 1}, {3, 2}},   {{2, 3, 5, 7}, {7, 5}},  {{1, 16, 4, 4}, {7, 9}},
    {{2, 8, 6, 5}, {2, 1}},   {{1, 32, 3, 1}, {6, 4}}, {{2, 48, 2, 3}, {1, 1}},
    {{1, 5, 14, 14}, {6, 7}},
};

TEST(Resize, Gradients) {
  for (const auto& [shape, size] : kCases)
    check_case({"resize_bilinear " + shape.to_string(),
                [size = size](const auto& in) { return resize_bilinear(in[0], size); },
                {random_tensor(shape, 1)}});
}

// The same by another road: each output pixel is a sum over ALL input pixels, weighted by the hat
// function max(0, 1 - |distance|) of a source clamped to the image.
Tensor naive_resize(const Tensor& x, Size2d size) {
  const Values v = x.to_vector<double>();
  const auto weight = [](std::int64_t out, std::int64_t outputs, std::int64_t in,
                         std::int64_t inputs) {
    const double centre = (static_cast<double>(out) + 0.5) * static_cast<double>(inputs) /
                              static_cast<double>(outputs) -
                          0.5;
    const double source = std::clamp(centre, 0.0, static_cast<double>(inputs - 1));
    return std::max(0.0, 1 - std::abs(source - static_cast<double>(in)));
  };
  const std::int64_t height = x.dim(2);
  const std::int64_t width = x.dim(3);
  Values y;
  for (std::int64_t map = 0; map < x.dim(0) * x.dim(1); ++map)
    for (std::int64_t i = 0; i < size.height; ++i)
      for (std::int64_t j = 0; j < size.width; ++j) {
        double total = 0;
        for (std::int64_t r = 0; r < height; ++r)
          for (std::int64_t c = 0; c < width; ++c)
            total += weight(i, size.height, r, height) * weight(j, size.width, c, width) *
                     v[static_cast<std::size_t>((map * height + r) * width + c)];
        y.push_back(total);
      }
  return Tensor::of({x.dim(0), x.dim(1), size.height, size.width}, y);
}

TEST(Resize, AgreesWithDefinition) {
  for (const auto& [shape, size] : kCases) {
    const Tensor x = random_tensor(shape, 1);
    for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast,
                                      MemoryFormat::kBlocked8, MemoryFormat::kBlocked16}) {
      if (!supports(format, shape)) continue;
      const Tensor y = resize_bilinear(x.in_format(format), size);
      EXPECT_EQ(y.format(), format);
      expect_close(y, naive_resize(x, size), 1e-14, shape.to_string());
    }
  }
}

// torch.nn.functional.interpolate(..., mode="bilinear", align_corners=False)
TEST(Resize, KnownValues) {
  const Tensor x = Tensor::of<double>({1, 1, 2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(resize_bilinear(x, {4, 4}).to_vector<double>(),
            (Values{1.00, 1.25, 1.75, 2.00, 1.50, 1.75, 2.25, 2.50,  //
                    2.50, 2.75, 3.25, 3.50, 3.00, 3.25, 3.75, 4.00}));
  const Tensor row = Tensor::of<double>({1, 1, 1, 4}, {0, 1, 2, 3});
  EXPECT_EQ(resize_bilinear(row, {1, 2}).to_vector<double>(), (Values{0.5, 2.5}));
  EXPECT_TRUE(resize_bilinear(x, {2, 2}).shares_storage(x));
}

TEST(Resize, Errors) {
  expect_error(
      [] {
        resize_bilinear(Tensor::zeros({2, 3}), {2, 2});
      },
      {"resize_bilinear", "[N,C,H,W]", "2x3"});
  expect_error(
      [] {
        resize_bilinear(Tensor::zeros({1, 1, 2, 2}), {0, 2});
      },
      {"resize_bilinear", "0x2"});
}

}  // namespace
}  // namespace concord
