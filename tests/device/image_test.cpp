#include "kernels/image.h"

#include <cstring>

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

CONCORD_ON_EVERY_DEVICE(Images);

constexpr std::array<float, 3> kMean = {0.485F, 0.456F, 0.406F};
constexpr std::array<float, 3> kDeviation = {0.229F, 0.224F, 0.225F};

std::vector<std::uint8_t> random_bytes(std::int64_t count) {
  random::Stream numbers(test::kSeed, 1);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count));
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(numbers.below(256));
  return bytes;
}

// In the order of a plain tensor.
std::vector<float> expected_of(const std::vector<std::uint8_t>& bytes, const Shape& images) {
  std::vector<float> values;
  const std::int64_t pixels = images[1] * images[2];
  for (std::int64_t n = 0; n < images[0]; ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::int64_t i = 0; i < pixels; ++i) {
        const std::uint8_t byte = bytes[static_cast<std::size_t>((n * pixels + i) * 3) + c];
        values.push_back((static_cast<float>(byte) / 255.0F - kMean[c]) / kDeviation[c]);
      }
  return values;
}

void check_normalized(Device device, const Shape& shape, MemoryFormat format, std::int64_t offset,
                      DType dtype = DType::kFloat32) {
  SCOPED_TRACE(shape.to_string() + " " + std::string(name_of(format)) + " " +
               std::string(name_of(dtype)) + ", offset " + std::to_string(offset));
  const auto bytes = random_bytes(shape.numel());
  const Tensor images = test::unaligned_on(device, Tensor::of(shape, bytes), offset);
  Tensor y = Tensor::full({shape[0], 3, shape[1], shape[2]}, NAN, {dtype, device, format});
  kernels::normalize_images(device, images.view(), kMean, kDeviation, y.view());
  // To the bit: no rounding is left open.
  std::vector<float> expected = expected_of(bytes, shape);
  if (dtype == DType::kBFloat16)
    for (float& value : expected) value = BFloat16(value);
  EXPECT_EQ(y.to_vector<float>(), expected);
}

// Maps that are whole packs of four pixels and that are not, of one block and of several, whose
// threads go on to other channels; one picture and several; bytes that are and are not aligned to
// four.
TEST_P(Images, Normalize) {
  const Shape shapes[] = {{1, 1, 1, 3},    {2, 1, 3, 3},   {1, 31, 33, 3}, {2, 16, 16, 3},
                          {5, 2, 2, 3},    {1, 32, 33, 3}, {3, 1, 255, 3}, {1, 1023, 1, 3},
                          {2, 1, 1025, 3}, {7, 5, 11, 3},  {1, 65, 64, 3}};
  in_every_order([&] {
    for (const Shape& shape : shapes)
      for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast})
        for (const std::int64_t offset : {0, 1, 4}) {
          check_normalized(device(), shape, format, offset);
          if (GetParam() == DeviceType::kCuda)
            check_normalized(device(), shape, format, offset, DType::kBFloat16);
        }
  });
}

// More pictures than a launch has blocks.
TEST_P(Images, NormalizeMany) {
  check_normalized(device(), {1100, 1, 1, 3}, MemoryFormat::kPlain, 0);
}

TEST_P(Images, NormalizeIntoUnalignedMaps) {
  const Shape shape = {2, 4, 8, 3};
  const auto bytes = random_bytes(shape.numel());
  const Tensor images = Tensor::of(shape, bytes).to(device());
  in_every_order([&] {
    Tensor y = test::unaligned_on(device(), Tensor::full({2, 3, 4, 8}, NAN));
    kernels::normalize_images(device(), images.view(), kMean, kDeviation, y.view());
    EXPECT_EQ(y.to_vector<float>(), expected_of(bytes, shape));
    // The same bytes as those of a channels-last tensor, which has no rows of its own to begin at.
    Tensor room = Tensor::full({193}, NAN, {.device = device()});
    kernels::View last = room.rows(1, 193).view();
    last.shape = {2, 3, 4, 8};
    last.format = MemoryFormat::kChannelsLast;
    kernels::normalize_images(device(), images.view(), kMean, kDeviation, last);
    Tensor aligned = Tensor::empty({2, 3, 4, 8}, {.format = MemoryFormat::kChannelsLast});
    const auto values = room.to_vector<float>();
    EXPECT_TRUE(std::isnan(values[0]));
    std::memcpy(aligned.view().data, values.data() + 1, aligned.bytes());
    EXPECT_EQ(aligned.to_vector<float>(), expected_of(bytes, shape));
  });
}

TEST_P(Images, Nothing) {
  const Tensor images = Tensor::zeros({0, 5, 7, 3}, {DType::kUInt8, device()});
  Tensor y = Tensor::zeros({0, 3, 5, 7}, {.device = device()});
  kernels::normalize_images(device(), images.view(), kMean, kDeviation, y.view());
}

TEST_P(Images, Errors) {
  const Tensor images = Tensor::zeros({2, 5, 7, 3}, {DType::kUInt8, device()});
  const auto normalize = [&](const Tensor& from, Tensor to) {
    kernels::normalize_images(device(), from.view(), kMean, kDeviation, to.view());
  };
  test::expect_error(
      [&] {
        normalize(images, Tensor::zeros({2, 3, 7, 5}, {.device = device()}));
      },
      {"normalize_images", "2x3x5x7", "2x3x7x5"});
  test::expect_error(
      [&] {
        normalize(images, Tensor::zeros({2, 3, 5, 7}, {DType::kFloat64, device()}));
      },
      {"normalize_images", "float64"});
  test::expect_error(
      [&] {
        normalize(Tensor::zeros({2, 3, 5, 7}, {DType::kUInt8, device()}),
                  Tensor::zeros({2, 3, 5, 7}, {.device = device()}));
      },
      {"normalize_images", "[N,H,W,3]", "2x3x5x7"});
  test::expect_error(
      [&] {
        normalize(Tensor::zeros({2, 5, 7, 3}, {.device = device()}),
                  Tensor::zeros({2, 3, 5, 7}, {.device = device()}));
      },
      {"normalize_images", "uint8", "float32"});
}

}  // namespace
}  // namespace concord
