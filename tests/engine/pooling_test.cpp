#include "engine/ops/pooling.h"

#include <numeric>

#include "tests/engine/reference.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_close;
using test::kMemoryFormats;
using test::random_tensor;

// Distinct values 0.01 apart in random order, so that a difference does not change the maximum.
Tensor distinct_tensor(const Shape& shape, std::uint64_t stream) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0);
  random::Stream numbers(test::kSeed, stream);
  for (std::size_t i = values.size(); i > 1; --i)
    std::swap(values[i - 1], values[static_cast<std::size_t>(numbers.below(i))]);
  for (double& value : values) value = 0.01 * value - 1;
  return Tensor::of(shape, values);
}

struct MaxPoolCase {
  Shape x;
  MaxPool2dOptions options;
  Size2d output;
};
const std::vector<MaxPoolCase> kMaxPoolCases = {
    {{1, 1, 1, 1}, {{1, 1}, {1, 1}, {0, 0}}, {1, 1}},
    {{2, 3, 5, 7}, {{2, 2}, {2, 2}, {0, 0}}, {2, 3}},
    {{1, 16, 6, 5}, {{3, 3}, {2, 2}, {1, 1}}, {3, 3}},
    {{2, 32, 5, 5}, {{3, 3}, {2, 2}, {0, 0}}, {2, 2}},
    {{1, 8, 4, 9}, {{1, 2}, {3, 4}, {0, 0}}, {2, 2}},      // stride beyond the kernel
    {{2, 21, 4, 3}, {{2, 3}, {1, 2}, {1, 1}}, {5, 2}},     // a vector and a rest of channels
    {{2, 27, 7, 5}, {{2, 2}, {2, 2}, {0, 0}}, {3, 2}},     // two kinds of vector and a rest
    {{1, 16, 7, 6}, {{2, 3}, {3, 3}, {1, 1}}, {3, 2}},     // gaps, and a window over the border
    {{1, 24, 6, 7}, {{3, 2}, {2, 3}, {0, 1}}, {2, 3}},     // rows overlap, columns do not
    {{1, 16, 1, 1}, {{3, 3}, {2, 2}, {1, 1}}, {1, 1}},     // padding all around
    {{1, 2, 18, 17}, {{18, 17}, {1, 1}, {0, 0}}, {1, 1}},  // more cells than a byte counts
    {{1, 16, 20, 18}, {{18, 17}, {2, 1}, {0, 0}}, {2, 2}},
};

TEST(MaxPool2d, Gradients) {
  for (const MaxPoolCase& c : kMaxPoolCases) {
    if (c.x.numel() > 1000) continue;  // two evaluations an element; the reference covers these
    check_case({"max_pool2d " + c.x.to_string(),
                [&](const auto& in) { return max_pool2d(in[0], c.options); },
                {distinct_tensor(c.x, 1)}});
  }
}

TEST(MaxPool2d, AgreesWithReference) {
  for (const MaxPoolCase& c : kMaxPoolCases) {
    // A few values only: windows hold their maximum several times.
    std::vector<double> values(static_cast<std::size_t>(c.x.numel()));
    random::Stream numbers(test::kSeed, 5);
    for (double& value : values) value = static_cast<double>(numbers.below(3)) - 1;
    const Tensor x = Tensor::of(c.x, values);
    const Tensor dy = random_tensor({c.x[0], c.x[1], c.output.height, c.output.width}, 2);
    const auto expected = test::max_pool2d_reference(x, c.options, dy);
    for (MemoryFormat format : kMemoryFormats) {
      if (!supports(format, c.x)) continue;
      Tensor leaf = x.in_format(format).clone();
      leaf.set_requires_grad(true);
      const Tensor y = max_pool2d(leaf, c.options);
      EXPECT_EQ(y.format(), format);
      y.backward(dy);
      const std::string what = c.x.to_string() + " " + std::string(name_of(format));
      expect_close(y, expected.y, 0, what);
      expect_close(leaf.grad(), expected.dx, 1e-15, what);
    }
  }
}

TEST(MaxPool2d, NanAndInfinity) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (std::int64_t channels : {1, 16}) {
    std::vector<double> values;
    for (std::int64_t c = 0; c < channels; ++c)
      for (double v : {nan, 1.0, 2.0, 3.0, 4.0, nan, -infinity, -infinity}) values.push_back(v);
    for (MemoryFormat format : kMemoryFormats) {
      if (!supports(format, {1, channels, 1, 8})) continue;
      Tensor x = Tensor::of({1, channels, 1, 8}, values).in_format(format).clone();
      x.set_requires_grad(true);
      const Tensor y = max_pool2d(x, {{1, 2}, {1, 2}, {0, 0}});
      const auto pooled = y.to_vector<double>();
      for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
        EXPECT_TRUE(std::isnan(pooled[4 * c]));
        EXPECT_EQ(pooled[4 * c + 1], 3.0);
        EXPECT_TRUE(std::isnan(pooled[4 * c + 2]));
        EXPECT_EQ(pooled[4 * c + 3], -infinity);
      }
      y.backward(Tensor::full(y.shape(), 1.0, {.dtype = DType::kFloat64}));
      EXPECT_EQ(x.grad().rows(0, 1).to_vector<double>()[6], 1.0);  // the first of equals
    }
  }
}

TEST(MaxPool2d, Errors) {
  const auto error_of = [](const Tensor& x, const MaxPool2dOptions& options) -> std::string {
    try {
      max_pool2d(x, options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const Tensor x = Tensor::zeros({1, 2, 4, 4});
  EXPECT_EQ(error_of(x, {{5, 3}, {1, 1}, {0, 1}}),
            "max_pool2d: kernel 5x3 is larger than the padded input, the output would be empty "
            "(input 1x2x4x4, padding 0x1)");
  EXPECT_EQ(error_of(x, {{2, 2}, {1, 1}, {2, 0}}),
            "max_pool2d: padding 2x0 must be between 0 and half the kernel 2x2");
  EXPECT_EQ(error_of(x, {{2, 2}, {0, 1}, {0, 0}}),
            "max_pool2d: kernel 2x2 and stride 0x1 must be positive");
  EXPECT_EQ(error_of(Tensor::zeros({2, 4}), {}), "max_pool2d: input [N,C,H,W] expected, not 2x4");
}

struct AverageCase {
  Shape x;
  Size2d output;
};
const std::vector<AverageCase> kAverageCases = {
    {{1, 1, 1, 1}, {1, 1}},   {{2, 3, 5, 7}, {1, 1}},  {{1, 16, 6, 6}, {6, 6}},
    {{2, 16, 7, 5}, {3, 2}},  {{1, 32, 1, 1}, {7, 7}}, {{1, 8, 3, 5}, {4, 7}},
    {{2, 21, 13, 2}, {6, 6}},
};

TEST(AdaptiveAvgPool2d, Gradients) {
  for (const AverageCase& c : kAverageCases) {
    check_case({"adaptive_avg_pool2d " + c.x.to_string(),
                [&](const auto& in) { return adaptive_avg_pool2d(in[0], c.output); },
                {random_tensor(c.x, 1)}});
  }
}

TEST(AdaptiveAvgPool2d, AgreesWithReference) {
  for (const AverageCase& c : kAverageCases) {
    const Tensor x = random_tensor(c.x, 1);
    const Tensor dy = random_tensor({c.x[0], c.x[1], c.output.height, c.output.width}, 2);
    const auto expected = test::adaptive_avg_pool2d_reference(x, dy);
    for (MemoryFormat format : kMemoryFormats) {
      if (!supports(format, c.x)) continue;
      Tensor leaf = x.in_format(format).clone();
      leaf.set_requires_grad(true);
      const Tensor y = adaptive_avg_pool2d(leaf, c.output);
      EXPECT_EQ(y.format(), format);
      y.backward(dy);
      const std::string what = c.x.to_string() + " " + std::string(name_of(format));
      expect_close(y, expected.y, 1e-14, what);
      expect_close(leaf.grad(), expected.dx, 1e-14, what);
    }
  }
}

TEST(AdaptiveAvgPool2d, SameSizeIsTheIdentity) {
  const Tensor x = random_tensor({2, 3, 4, 5}, 1);
  EXPECT_EQ(adaptive_avg_pool2d(x, {4, 5}).to_vector<double>(), x.to_vector<double>());
}

TEST(AdaptiveAvgPool2d, Errors) {
  EXPECT_THROW(adaptive_avg_pool2d(Tensor::zeros({1, 2, 4, 4}), {0, 1}), Error);
  EXPECT_THROW(adaptive_avg_pool2d(Tensor::zeros({2, 4}), {1, 1}), Error);
}

TEST(Pooling, EmptyBatch) {
  Tensor x = Tensor::zeros({0, 16, 4, 4});
  x.set_requires_grad(true);
  const Tensor y = adaptive_avg_pool2d(max_pool2d(x, {}), {1, 1});
  EXPECT_EQ(y.shape(), (Shape{0, 16, 1, 1}));
  y.backward(Tensor::zeros(y.shape()));
  EXPECT_EQ(x.grad().shape(), x.shape());
}

}  // namespace
}  // namespace concord
