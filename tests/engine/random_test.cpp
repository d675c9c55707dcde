#include "engine/random.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/parallel.h"
#include "tests/expect_error.h"

namespace concord::random {
namespace {

using test::expect_error;

// The known answers of the authors' Random123 library for philox4x32-10 (kat_vectors).
TEST(Philox, KnownAnswers) {
  const auto expect = [](PhiloxBlock block, std::array<std::uint32_t, 4> words) {
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(block.v[i], words[i]) << i;
  };
  expect(philox(0, 0, 0), {0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U});
  const std::uint64_t ones = ~std::uint64_t{0};
  expect(philox(ones, ones, ones), {0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU});
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0 (low words first)
  expect(philox(0x299f31d0a4093822U, 0x0370734413198a2eU, 0x85a308d3243f6a88U),
         {0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U});
}

struct Sample {
  double mean = 0;
  double deviation = 0;
  double low = 0;
  double high = 0;
};

Sample describe(const Tensor& tensor) {
  const auto values = tensor.to_vector<double>();
  Sample sample{0, 0, values.front(), values.front()};
  const auto count = static_cast<double>(values.size());
  for (double v : values) {
    sample.mean += v / count;
    sample.low = std::min(sample.low, v);
    sample.high = std::max(sample.high, v);
  }
  for (double v : values) sample.deviation += (v - sample.mean) * (v - sample.mean) / count;
  sample.deviation = std::sqrt(sample.deviation);
  return sample;
}

// With 2^18 values the mean of a sample is off by deviation / 512; 5 of these is never reached.
constexpr std::int64_t kCount = 1 << 18;

TEST(Initialisers, Normal) {
  Generator generator(3);
  Tensor tensor = Tensor::empty({kCount});
  fill_normal(tensor, generator, 2.0, 0.5);
  const Sample sample = describe(tensor);
  EXPECT_NEAR(sample.mean, 2.0, 0.5 * 5 / 512);
  EXPECT_NEAR(sample.deviation, 0.5, 0.5 * 5 / 512);
  // Beyond one deviation lie 31.73 % of a normal distribution; five deviations of that share in
  // kCount draws are 0.0046.
  std::int64_t outside = 0;
  for (double v : tensor.to_vector<double>()) outside += std::abs(v - 2.0) > 0.5;
  EXPECT_NEAR(static_cast<double>(outside) / kCount, 0.3173, 0.005);
}

// Elements 2 b and 2 b + 1 come from block b; an odd count leaves out the last number of a pair.
TEST(Initialisers, NormalIsBoxAndMullersPair) {
  Generator generator(3);
  generator.next_offset();
  Tensor tensor = Tensor::empty({5}, {.dtype = DType::kFloat64});
  fill_normal(tensor, generator, 2.0, 0.5);
  const auto values = tensor.to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PhiloxBlock words = philox(3, 1, i / 2);
    const double radius = std::sqrt(-2 * std::log(1 - uniform_double(words.v[0], words.v[1])));
    const double angle = 2 * std::acos(-1.0) * uniform_double(words.v[2], words.v[3]);
    const double expected = 2 + 0.5 * radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
    EXPECT_NEAR(values[i], expected, 1e-14) << i;
  }
}

TEST(Initialisers, NeighboursAreIndependent) {
  Generator generator(3);
  Tensor tensor = Tensor::empty({kCount});
  fill_normal(tensor, generator, 0, 1);
  const auto v = tensor.to_vector<double>();
  // Of a product of two independent normals the mean is 0, and likewise of their squares less 1,
  // whose product has deviation 2. Both over kCount / 2 = 2^17 pairs: 5 deviations are never
  // reached.
  double product = 0;
  double squares = 0;
  for (std::size_t i = 0; i + 1 < v.size(); i += 2) {
    product += v[i] * v[i + 1];
    squares += (v[i] * v[i] - 1) * (v[i + 1] * v[i + 1] - 1);
  }
  EXPECT_NEAR(product / (kCount / 2), 0, 5 / std::sqrt(kCount / 2.0));
  EXPECT_NEAR(squares / (kCount / 2), 0, 5 * 2 / std::sqrt(kCount / 2.0));
}

TEST(Initialisers, Uniform) {
  Generator generator(3);
  Tensor tensor = Tensor::empty({kCount});
  fill_uniform(tensor, generator, -1.0, 3.0);
  const Sample sample = describe(tensor);
  EXPECT_NEAR(sample.mean, 1.0, 4 / std::sqrt(12.0) * 5 / 512);
  // The estimate of the deviation scatters by 0.001.
  EXPECT_NEAR(sample.deviation, 4 / std::sqrt(12.0), 0.01);
  EXPECT_GE(sample.low, -1.0);
  EXPECT_LT(sample.low, -0.999);
  EXPECT_LT(sample.high, 3.0);
  EXPECT_GT(sample.high, 2.999);
}

TEST(Initialisers, KaimingAndDefault) {
  Generator generator(3);
  Tensor weight = Tensor::empty({64, 128, 3, 3});
  fill_kaiming_normal_fan_out(weight, generator);
  EXPECT_NEAR(describe(weight).deviation, std::sqrt(2.0 / (64 * 9)), 1e-3);
  Tensor linear = Tensor::empty({64, 100});
  fill_default_uniform(linear, generator, 100);
  const Sample sample = describe(linear);
  EXPECT_GE(sample.low, -0.1);
  EXPECT_LT(sample.high, 0.1);
  EXPECT_NEAR(sample.deviation, 0.1 / std::sqrt(3.0), 2e-3);
}

// Element i is a function of seed, offset and i: of no thread, size, dtype or memory format.
TEST(Initialisers, ElementsDependOnTheirIndexAlone) {
  const auto draw = [](const Shape& shape, TensorOptions options, std::uint64_t seed = 7) {
    Generator generator(seed);
    Tensor tensor = Tensor::empty(shape, options);
    fill_normal(tensor, generator, 0, 1);
    return tensor.to_vector<float>();
  };
  const Shape shape{40, 32, 3, 5};
  const int before = thread_count();
  set_thread_count(1);
  const auto expected = draw(shape, {});
  set_thread_count(3);
  EXPECT_EQ(draw(shape, {}), expected);
  set_thread_count(before);
  EXPECT_EQ(draw(shape, {.dtype = DType::kFloat64}), expected);
  EXPECT_EQ(draw(shape, {.format = MemoryFormat::kBlocked16}), expected);
  const auto fewer = draw({101}, {});
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), expected.begin()));
  EXPECT_NE(draw(shape, {}, 8), expected);
}

TEST(Initialisers, EachTakesAnOffset) {
  Generator generator(7);
  Tensor a = Tensor::empty({50});
  Tensor b = Tensor::empty({50});
  fill_uniform(a, generator, 0, 1);
  fill_uniform(b, generator, 0, 1);
  EXPECT_NE(a.to_vector<float>(), b.to_vector<float>());
  EXPECT_EQ(generator.offset(), 2U);
  generator.set_state(7, 0);
  fill_uniform(b, generator, 0, 1);
  EXPECT_EQ(a.to_vector<float>(), b.to_vector<float>());
}

TEST(Initialisers, Errors) {
  Generator generator;
  Tensor labels = Tensor::empty({3}, {.dtype = DType::kInt64});
  expect_error([&] { fill_normal(labels, generator, 0, 1); }, {"initialiser", "int64"});
  Tensor bias = Tensor::empty({3});
  expect_error([&] { fill_kaiming_normal_fan_out(bias, generator); }, {"[O,I,...]", "3"});
  expect_error([&] { fill_default_uniform(bias, generator, 0); }, {"fan_in"});
}

}  // namespace
}  // namespace concord::random
