#include <cmath>

#include "kernels/memory.h"
#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Convert);

// The place in memory of channel c, pixel s of sample n, as the formats define it.
std::int64_t place(const ChannelLayout& layout, std::int64_t n, std::int64_t c, std::int64_t s) {
  return ((n * layout.groups + c / layout.lanes) * layout.spatial + s) * layout.lanes +
         c % layout.lanes;
}

template <class From, class To>
void check_formats(Device device, const Shape& shape, MemoryFormat from_format,
                   MemoryFormat to_format) {
  Tensor from = Tensor::empty(shape, {kDTypeOf<From>, {}, from_format});
  // Thirds have other values as float than as double.
  From* values = from.data<From>();
  for (std::int64_t i = 0; i < shape.numel(); ++i) values[i] = static_cast<From>(i / 3.0);
  const Tensor source = from.to(device);
  Tensor target = Tensor::full(shape, NAN, {kDTypeOf<To>, {}, to_format}).to(device);
  kernels::convert(device, source.view(), target.view());
  const Tensor result = target.to(Device{});
  const To* converted = result.data<To>();
  const ChannelLayout in = channel_layout(shape, from_format);
  const ChannelLayout out = channel_layout(shape, to_format);
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::int64_t c = 0; c < shape[1]; ++c)
      for (std::int64_t s = 0; s < shape[2] * shape[3]; ++s)
        if (!(converted[place(out, n, c, s)] == static_cast<To>(values[place(in, n, c, s)])))
          FAIL() << shape.to_string() << " " << name_of(kDTypeOf<From>) << " from "
                 << name_of(from_format) << " to " << name_of(kDTypeOf<To>) << " "
                 << name_of(to_format) << " at " << n << ", " << c << ", " << s;
}

// Tiles for few channels, few pixels and neither, whole ones and their tails.
TEST_P(Convert, Formats) {
  constexpr MemoryFormat kPlain = MemoryFormat::kPlain;
  constexpr MemoryFormat kChannelsLast = MemoryFormat::kChannelsLast;
  in_every_order([&] {
    for (const Shape& shape :
         {Shape{2, 3, 33, 32}, Shape{2, 1031, 1, 3}, Shape{1, 13, 7, 41}, Shape{2, 271, 3, 4},
          Shape{2, 67, 9, 8}, Shape{1, 64, 8, 8}, Shape{3, 1, 5, 7}, Shape{2, 37, 1, 1}}) {
      check_formats<float, float>(device(), shape, kPlain, kChannelsLast);
      check_formats<float, float>(device(), shape, kChannelsLast, kPlain);
      check_formats<float, double>(device(), shape, kPlain, kChannelsLast);
      check_formats<double, float>(device(), shape, kChannelsLast, kPlain);
      check_formats<double, double>(device(), shape, kPlain, kChannelsLast);
      check_formats<BFloat16, BFloat16>(device(), shape, kPlain, kChannelsLast);
      check_formats<float, BFloat16>(device(), shape, kPlain, kChannelsLast);
      check_formats<BFloat16, float>(device(), shape, kChannelsLast, kPlain);
      check_formats<BFloat16, double>(device(), shape, kChannelsLast, kPlain);
    }
    for (const MemoryFormat format : {kPlain, kChannelsLast}) {
      check_formats<float, float>(device(), {2, 5, 3, 7}, format, format);
      check_formats<double, float>(device(), {2, 5, 3, 7}, format, format);
    }
  });
}

// More small samples than there are blocks for.
TEST_P(Convert, ManySamples) {
  check_formats<float, float>(device(), {4300, 2, 1, 2}, MemoryFormat::kPlain,
                              MemoryFormat::kChannelsLast);
}

// From the definition: the nearest multiple of the spacing of numbers with 8 significant bits.
float nearest_bfloat16(float value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  const double spacing = std::ldexp(1.0, exponent - 8);
  return static_cast<float>(std::nearbyint(static_cast<double>(value) / spacing) * spacing);
}

TEST_P(Convert, Types) {
  in_every_order([&] {
    for (const std::int64_t size : test::kAwkwardSizes) {
      const Tensor exact = random_tensor({size}, 1);
      const Tensor rounded = exact.to(DType::kFloat32);
      for (const std::int64_t offset : {0, 1}) {
        const Tensor missing = Tensor::full({size}, NAN);
        Tensor to_float = test::unaligned_on(device(), missing, offset);
        kernels::convert(device(), test::unaligned_on(device(), exact, offset).view(),
                         to_float.view());
        EXPECT_EQ(to_float.to_vector<float>(), rounded.to_vector<float>()) << size;
        Tensor to_double = test::unaligned_on(device(), missing.to(DType::kFloat64), offset);
        kernels::convert(device(), test::unaligned_on(device(), rounded, offset).view(),
                         to_double.view());
        EXPECT_EQ(to_double.to_vector<double>(), rounded.to_vector<double>()) << size;
        Tensor to_half = test::unaligned_on(device(), missing.to(DType::kBFloat16), offset);
        kernels::convert(device(), test::unaligned_on(device(), rounded, offset).view(),
                         to_half.view());
        const auto values = rounded.to_vector<float>();
        const auto halves = to_half.to_vector<float>();
        for (std::size_t i = 0; i < values.size(); ++i)
          ASSERT_EQ(halves[i], nearest_bfloat16(values[i])) << size;
      }
    }
  });
}

TEST_P(Convert, KeepsNaNAndInfinity) {
  const Tensor x =
      Tensor::of<double>({4}, {NAN, INFINITY, -INFINITY, 1e300}).to(device()).to(DType::kFloat32);
  const auto values = x.to_vector<float>();
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ((std::vector<float>{values.begin() + 1, values.end()}),
            (std::vector<float>{INFINITY, -INFINITY, INFINITY}));
}

// Ties go to the even number, on every device alike; what is too large becomes infinite.
TEST_P(Convert, RoundsToBFloat16) {
  const std::vector<float> given = {1.0F + 0x1p-8F,    1.0F + 3 * 0x1p-8F, 1.0F + 0x1.01p-8F,
                                    -(1.0F + 0x1p-8F), 0x1.FFp127F,        0x1.FEFFFEp127F,
                                    0x1p-133F,         0x1p-149F,          -0.0F,
                                    3.0F * 0x1p-134F,  INFINITY,           -INFINITY};
  const std::vector<float> expected = {1.0F,     1.0F + 0x1p-6F, 1.0F + 0x1p-7F, -1.0F,
                                       INFINITY, 0x1.FEp127F,    0x1p-133F,      0.0F,
                                       -0.0F,    0x1p-132F,      INFINITY,       -INFINITY};
  const auto count = static_cast<std::int64_t>(given.size());
  const auto rounded =
      Tensor::of({count}, given).to(device()).to(DType::kBFloat16).to_vector<float>();
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(rounded[i], expected[i]) << given[i];
    EXPECT_EQ(std::signbit(rounded[i]), std::signbit(expected[i])) << given[i];
  }
  const Tensor nan = Tensor::of<float>({1}, {NAN}).to(device()).to(DType::kBFloat16);
  EXPECT_TRUE(std::isnan(nan.item()));
}

TEST_P(Convert, Integers) {
  const Tensor from = Tensor::of<std::int64_t>({3}, {-1, 1LL << 60, 7}).to(device());
  Tensor to = Tensor::zeros({3}, {DType::kInt64, device()});
  kernels::convert(device(), from.view(), to.view());
  EXPECT_EQ(to.to_vector<std::int64_t>(), from.to_vector<std::int64_t>());
  test::expect_error([&] { from.to(DType::kFloat32); }, {"convert", "int64"});
}

TEST_P(Convert, Nothing) {
  for (const Shape& shape : {Shape{0, 3, 2, 2}, Shape{2, 0, 2, 2}, Shape{2, 3, 0, 2}}) {
    const Tensor x = Tensor::empty(shape, {.device = device()});
    EXPECT_EQ(x.in_format(MemoryFormat::kChannelsLast).numel(), 0);
    EXPECT_EQ(x.to(DType::kFloat64).numel(), 0);
  }
}

TEST_P(Convert, Errors) {
  const Tensor x = Tensor::zeros({2, 16, 2, 2}, {.device = device()});
  Tensor other = Tensor::zeros({2, 16, 2, 1}, {.device = device()});
  test::expect_error([&] { kernels::convert(device(), x.view(), other.view()); },
                     {"convert", "2x16x2x2", "2x16x2x1"});
  if (GetParam() == DeviceType::kCuda) {
    test::expect_error([&] { x.in_format(MemoryFormat::kBlocked8); },
                       {"convert", "blocked8", "2x16x2x2"});
    const Tensor blocked =
        Tensor::zeros({2, 16, 2, 2}, {.device = device(), .format = MemoryFormat::kBlocked16});
    test::expect_error([&] { blocked.in_format(MemoryFormat::kPlain); }, {"convert", "blocked16"});
  }
}

CONCORD_ON_EVERY_DEVICE(Fill);

TEST_P(Fill, EveryElement) {
  in_every_order([&] {
    for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kBFloat16, DType::kInt64}) {
      for (const std::int64_t size : test::kAwkwardSizes) {
        for (const std::int64_t offset : {0, 1}) {
          // With a neighbour on both sides.
          Tensor room = Tensor::zeros({size + offset + 1}, {dtype, device()});
          Tensor part = room.rows(offset, offset + size);
          kernels::fill(device(), -2.75, part.view());
          const auto values = room.to_vector<double>();
          for (std::int64_t i = 0; i <= size + offset; ++i) {
            const bool inside = offset <= i && i < offset + size;
            const double expected = !inside ? 0 : dtype == DType::kInt64 ? -2 : -2.75;
            ASSERT_EQ(values[static_cast<std::size_t>(i)], expected)
                << name_of(dtype) << ", element " << i << " of " << size << " from " << offset;
          }
        }
      }
    }
  });
}

TEST_P(Fill, Nothing) {
  Tensor x = Tensor::empty({0}, {.device = device()});
  x.fill(1);
  EXPECT_EQ(x.numel(), 0);
}

}  // namespace
}  // namespace concord
