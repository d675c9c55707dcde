#include "data/stored_dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/philox.h"

namespace concord {
namespace {

struct Format {
  StoredDType dtype;
  bool (*narrow)(const float*, std::size_t, std::uint16_t*);
  double half_unit;        // largest relative error of a normal number
  double smallest_normal;  // below it the error is absolute: half_unit times this
  float largest;
};
const Format kBFloat16 = {StoredDType::kBFloat16, narrow_to_bfloat16, 0x1p-8, 0x1p-126,
                          std::bit_cast<float>(0x7F7F0000U)};
const Format kFloat16 = {StoredDType::kFloat16, narrow_to_float16, 0x1p-11, 0x1p-14, 65504.0F};

class StoredDTypes : public ::testing::TestWithParam<Format> {
 protected:
  static std::uint16_t narrowed(float value) {
    std::uint16_t bits = 0;
    GetParam().narrow(&value, 1, &bits);
    return bits;
  }
  static float widened(std::uint16_t bits) {
    float value = 0;
    widen(GetParam().dtype, &bits, 1, &value);
    return value;
  }
};

bool is_nan(std::uint16_t bits, StoredDType dtype) {
  return (bits & 0x7FFFU) > (dtype == StoredDType::kFloat16 ? 0x7C00U : 0x7F80U);
}

TEST_P(StoredDTypes, EveryValueOfTheTypeSurvives) {
  for (std::uint32_t i = 0; i < 0x10000U; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = widened(bits);
    if (is_nan(bits, GetParam().dtype)) {
      EXPECT_TRUE(std::isnan(value)) << i;
      EXPECT_TRUE(is_nan(narrowed(value), GetParam().dtype)) << i;
      EXPECT_EQ(narrowed(value) & 0x8000U, bits & 0x8000U) << i;
    } else {
      ASSERT_EQ(narrowed(value), bits) << value;
    }
  }
}

// Between each number and the next one up: the midpoint goes to the even one, what lies a float32
// to either side of it to the nearer.
TEST_P(StoredDTypes, RoundsToTheNearestTiesToEven) {
  const auto last = narrowed(GetParam().largest);
  for (std::uint16_t low = 0; low < last; ++low) {
    const auto high = static_cast<std::uint16_t>(low + 1);
    const double middle = (double{widened(low)} + double{widened(high)}) / 2;
    const auto tie = static_cast<float>(middle);
    ASSERT_EQ(double{tie}, middle);
    ASSERT_EQ(narrowed(tie), low % 2 == 0 ? low : high) << tie;
    ASSERT_EQ(narrowed(-tie), 0x8000U | (low % 2 == 0 ? low : high)) << tie;
    ASSERT_EQ(narrowed(std::nextafter(tie, 0.0F)), low) << tie;
    ASSERT_EQ(narrowed(std::nextafter(tie, INFINITY)), high) << tie;
  }
}

TEST_P(StoredDTypes, ErrorsStayWithinHalfAUnit) {
  random::Stream stream(3, 0);
  int checked = 0;
  for (int i = 0; i < 200000; ++i) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(stream.below(1ULL << 32)));
    if (!(std::abs(value) <= GetParam().largest)) continue;
    ++checked;
    const double error = std::abs(double{widened(narrowed(value))} - double{value});
    const double bound =
        GetParam().half_unit * std::max(std::abs(double{value}), GetParam().smallest_normal);
    ASSERT_TRUE(error <= bound) << value;
  }
  EXPECT_GT(checked, 50000);
}

TEST_P(StoredDTypes, SaysWhenAFiniteValueIsTooLarge) {
  const std::vector<float> fine = {GetParam().largest,
                                   -GetParam().largest,
                                   INFINITY,
                                   -INFINITY,
                                   NAN,
                                   std::bit_cast<float>(0x7F800001U)};
  std::vector<std::uint16_t> bits(fine.size());
  EXPECT_TRUE(GetParam().narrow(fine.data(), fine.size(), bits.data()));
  EXPECT_EQ(widened(bits[2]), INFINITY);
  EXPECT_EQ(widened(bits[3]), -INFINITY);
  EXPECT_TRUE(std::isnan(widened(bits[4])));
  EXPECT_TRUE(std::isnan(widened(bits[5]))) << "a payload in the lower bits alone";
  for (const float large :
       {std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()})
    EXPECT_FALSE(GetParam().narrow(&large, 1, bits.data())) << large;
}

INSTANTIATE_TEST_SUITE_P(Both, StoredDTypes, ::testing::Values(kBFloat16, kFloat16),
                         [](const auto& test) {
                           return test.param.dtype == StoredDType::kFloat16 ? "fp16" : "bf16";
                         });

// Values from the IEEE 754 and bfloat16 definitions.
TEST(StoredDType, KnownBits) {
  const std::vector<float> values = {1.0F, -2.0F, 65504.0F, 65519.0F, 0x1p-24F, 0x1.8p-25F, 0.1F};
  std::vector<std::uint16_t> bits(values.size());
  EXPECT_TRUE(narrow_to_float16(values.data(), values.size(), bits.data()));
  EXPECT_EQ(bits, (std::vector<std::uint16_t>{0x3C00, 0xC000, 0x7BFF, 0x7BFF, 1, 1, 0x2E66}));
  const float over = 65520.0F;
  EXPECT_FALSE(narrow_to_float16(&over, 1, bits.data()));
  EXPECT_TRUE(narrow_to_bfloat16(values.data(), 2, bits.data()));
  EXPECT_EQ(bits[0], 0x3F80);
  EXPECT_EQ(bits[1], 0xC000);
}

}  // namespace
}  // namespace concord
