#include "kernels/norm.h"

#include <cmath>

#include "tests/device/layouts.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::expect_near;
using test::for_every_layout;
using test::nan_like;
using test::Placed;
using test::random_tensor;
using Values = std::vector<double>;

CONCORD_ON_EVERY_DEVICE(Norm);

// The definitions, in float64 on values in row-major order.
struct Reference {
  std::size_t channels;
  std::size_t pixels;
  std::size_t entries;  // of mean and variance
  Reference(const Shape& shape, bool per_sample)
      : channels(static_cast<std::size_t>(shape[1])),
        pixels(static_cast<std::size_t>(shape.numel() / shape[0] / shape[1])),
        entries(channels * static_cast<std::size_t>(per_sample ? shape[0] : 1)) {}
  std::size_t entry(std::size_t i) const { return i / pixels % entries; }
  std::size_t channel(std::size_t i) const { return i / pixels % channels; }

  Values sums(const Values& v) const {
    Values result(entries, 0.0);
    for (std::size_t i = 0; i < v.size(); ++i) result[entry(i)] += v[i];
    return result;
  }
  Values means(const Values& v) const {
    Values result = sums(v);
    for (double& value : result)
      value *= static_cast<double>(entries) / static_cast<double>(v.size());
    return result;
  }
  Values variances(const Values& v, const Values& mean) const {
    Values square(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) square[i] = std::pow(v[i] - mean[entry(i)], 2);
    return means(square);
  }
  // One of each channel, from one of each entry.
  Values per_channel(const Values& of_entry) const {
    Values result(channels, 0.0);
    for (std::size_t e = 0; e < entries; ++e) result[e % channels] += of_entry[e];
    return result;
  }
};

Tensor doubles(const Shape& shape, const Values& values) { return Tensor::of(shape, values); }

TEST_P(Norm, MeanAndVariance) {
  in_every_order([&] {
    for_every_layout(
        device(), [&](const Shape& shape, DType dtype, MemoryFormat format, std::int64_t offset) {
          const Tensor x = random_tensor(shape, 1, -3, 5).to(dtype).in_format(format);
          const Values v = x.to_vector<double>();
          const Placed on_device(device(), x, offset);
          for (const bool per_sample : {false, true}) {
            const Reference reference(shape, per_sample);
            const Values mean = reference.means(v);
            const Shape entries = per_sample ? Shape{shape[0], shape[1]} : Shape{shape[1]};
            Tensor actual = Tensor::full(entries, NAN, {.dtype = DType::kFloat64}).to(device());
            Tensor variance = actual.clone();
            kernels::mean_and_variance(device(), on_device.view(), actual.view(), variance.view());
            // All sums are doubles, whatever the dtype.
            expect_near(actual, mean, 1e-14, "mean");
            expect_near(variance, reference.variances(v, mean), 1e-13, "variance");
          }
        });
  });
}

TEST_P(Norm, VarianceDoesNotSufferFromALargeMean) {
  const Shape shape{4, 8, 9, 9};
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    const Tensor x = random_tensor(shape, 1, 999999, 1000001).in_format(format);
    const Placed on_device(device(), x, 0);
    const Values v = x.to_vector<double>();
    const Reference reference(shape, false);
    const Values mean = reference.means(v);
    Tensor actual = Tensor::full({8}, NAN, {.dtype = DType::kFloat64}).to(device());
    Tensor variance = actual.clone();
    kernels::mean_and_variance(device(), on_device.view(), actual.view(), variance.view());
    // E[x^2] - mean^2 would leave errors of 1e-4; the mean of a map is rounded to 1e-10.
    expect_near(variance, reference.variances(v, mean), 1e-10, "variance");
  }
}

TEST_P(Norm, MomentsOfNaNAreNaNInTheirChannelOnly) {
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    Values values(2 * 4 * 3 * 3, 1.0);
    values[(4 + 2) * 9 + 5] = NAN;
    const Placed x(device(), doubles({2, 4, 3, 3}, values).in_format(format), 0);
    Tensor mean = Tensor::full({4}, 7, {.dtype = DType::kFloat64}).to(device());
    Tensor variance = mean.clone();
    kernels::mean_and_variance(device(), std::as_const(x).view(), mean.view(), variance.view());
    const Values means = mean.to_vector<double>();
    const Values variances = variance.to_vector<double>();
    for (std::size_t c = 0; c < 4; ++c) {
      if (c == 2) {
        EXPECT_TRUE(std::isnan(means[c]) && std::isnan(variances[c]));
      } else {
        EXPECT_EQ(means[c], 1);
        EXPECT_EQ(variances[c], 0);
      }
    }
  }
}

TEST_P(Norm, MomentsOfNothingAreAnError) {
  const Tensor x = Tensor::empty({0, 3, 2, 2}).to(device());
  Tensor mean = Tensor::empty({3}, {.dtype = DType::kFloat64}).to(device());
  Tensor variance = mean.clone();
  test::expect_error(
      [&] { kernels::mean_and_variance(device(), x.view(), mean.view(), variance.view()); },
      {"0x3x2x2", "empty"});
}

TEST_P(Norm, RunningMoments) {
  for (const std::int64_t channels : {1, 33, 1025}) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      const Tensor mean = random_tensor({channels}, 1).to(device());
      const Tensor variance = random_tensor({channels}, 2, 0, 2).to(device());
      Tensor running_mean = random_tensor({channels}, 3).to(dtype).to(device());
      // Two dtypes: nothing says that they are one.
      Tensor running_var = random_tensor({channels}, 4, 0, 2).to(DType::kFloat32).to(device());
      Values expected_mean = running_mean.to_vector<double>();
      Values expected_var = running_var.to_vector<double>();
      for (std::size_t c = 0; c < expected_mean.size(); ++c) {
        expected_mean[c] = 0.7 * expected_mean[c] + 0.3 * mean.to_vector<double>()[c];
        expected_var[c] = 0.7 * expected_var[c] + 0.3 * 5 / 4 * variance.to_vector<double>()[c];
      }
      kernels::update_running_moments(device(), mean.view(), variance.view(), std::int64_t{5}, 0.3,
                                      running_mean.view(), running_var.view());
      expect_near(running_mean, expected_mean, dtype == DType::kFloat32 ? 1e-7 : 1e-15, "mean");
      expect_near(running_var, expected_var, 1e-7, "variance");
    }
  }
}

// What a normalisation is given, on the host in float64 (rounded to `dtype`) and on the device.
struct Given {
  Tensor x, weight, bias, residual, dy;
  Values mean, variance;
  Tensor device_mean, device_variance, device_weight, device_bias;

  Given(Device device, const Shape& shape, DType dtype, MemoryFormat format, bool per_sample,
        double center = 1)
      : x(random_tensor(shape, 1, center - 2, center + 2).to(dtype).in_format(format)),
        weight(random_tensor({shape[1]}, 2, -1.5, 1.5, 0.2).to(compute_dtype(dtype))),
        bias(random_tensor({shape[1]}, 3).to(compute_dtype(dtype))),
        residual(random_tensor(shape, 4).to(dtype).in_format(format)),
        dy(random_tensor(shape, 5).to(dtype).in_format(format)) {
    const Reference reference(shape, per_sample);
    const Values v = x.to_vector<double>();
    mean = reference.means(v);
    variance = reference.variances(v, mean);
    const Shape entries = per_sample ? Shape{shape[0], shape[1]} : Shape{shape[1]};
    device_mean = doubles(entries, mean).to(device);
    device_variance = doubles(entries, variance).to(device);
    device_weight = weight.to(device);
    device_bias = bias.to(device);
  }
  kernels::NormArguments arguments(const Placed& on_device, bool affine, bool relu) const {
    kernels::NormArguments result;
    result.x = on_device.view();
    result.mean = device_mean.view();
    result.variance = device_variance.view();
    if (affine) {
      result.weight = device_weight.view();
      result.bias = device_bias.view();
    }
    result.eps = kEps;
    result.relu = relu;
    return result;
  }
  static constexpr double kEps = 1e-2;
};

// x' and y of the definition.
struct Normalized {
  Values normalized;
  Values y;
  Normalized(const Given& given, const Reference& reference, bool affine, bool adds, bool relu) {
    const Values v = given.x.to_vector<double>();
    const Values weight = given.weight.to_vector<double>();
    const Values bias = given.bias.to_vector<double>();
    const Values residual = given.residual.to_vector<double>();
    for (std::size_t i = 0; i < v.size(); ++i) {
      const std::size_t e = reference.entry(i);
      const std::size_t c = reference.channel(i);
      normalized.push_back((v[i] - given.mean[e]) / std::sqrt(given.variance[e] + Given::kEps));
      double value = normalized[i];
      if (affine) value = weight[c] * value + bias[c];
      if (adds) value += residual[i];
      y.push_back(relu ? std::max(value, 0.0) : value);
    }
  }
};

// Of float32 a few units in the last place of the largest term, which scale = weight / deviation
// may make ten times larger than the result.
double rounding(DType dtype) { return test::tolerance_of(dtype, 3e-6, 1e-14); }

// Of every layout a few of the choices, so that all are seen over all layouts.
TEST_P(Norm, Forward) {
  unsigned next = 0;
  in_every_order([&] {
    for_every_layout(
        device(), [&](const Shape& shape, DType dtype, MemoryFormat format, std::int64_t offset) {
          for (int repeat = 0; repeat < 3; ++repeat) {
            const unsigned choice = next++ * 7 % 16;
            const bool per_sample = (choice & 1U) != 0;
            const bool affine = (choice & 2U) != 0;
            const bool adds = (choice & 4U) != 0;
            const bool relu = (choice & 8U) != 0;
            const Given given(device(), shape, dtype, format, per_sample);
            const Placed x(device(), given.x, offset);
            const Placed residual(device(), given.residual, offset);
            Placed y(device(), nan_like(given.x), offset);
            kernels::normalize_forward(device(), given.arguments(x, affine, relu),
                                       adds ? residual.view() : kernels::ConstView(), y.view());
            const Normalized expected(given, Reference(shape, per_sample), affine, adds, relu);
            expect_near(y.values(), expected.y, rounding(dtype),
                        fmt::format("y of choice {}", choice).c_str());
          }
        });
  });
}

TEST_P(Norm, ReluKeepsNaNAndLargeMeansAreExact) {
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    Values values(2 * 4 * 3 * 3, 10000.25);
    values[40] = NAN;
    values[41] = 9999.75;
    const Tensor given = doubles({2, 4, 3, 3}, values).to(DType::kFloat32).in_format(format);
    const Placed x(device(), given, 0);
    Placed y(device(), nan_like(given), 0);
    // A mean that no float32 is: what rounding takes from it must come back.
    const Tensor mean = Tensor::full({4}, 10000.0001, {.dtype = DType::kFloat64}).to(device());
    const Tensor variance = Tensor::full({4}, 0.0625, {.dtype = DType::kFloat64}).to(device());
    kernels::NormArguments arguments;
    arguments.x = std::as_const(x).view();
    arguments.mean = mean.view();
    arguments.variance = variance.view();
    arguments.relu = true;
    kernels::normalize_forward(device(), arguments, kernels::ConstView(), y.view());
    const auto result = y.values().to_vector<double>();
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (i == 40) {
        EXPECT_TRUE(std::isnan(result[i]));
      } else {
        EXPECT_NEAR(result[i], i == 41 ? 0 : 0.9996, 1e-6) << i;
      }
    }
  }
}

// One backward pass with everything that may vary.
struct BackwardCase {
  bool per_sample, affine, relu, constant, adds, wants_dx, wants_affine, in_place, given_y;
};

void check_backward(Device device, const Shape& shape, DType dtype, MemoryFormat format,
                    std::int64_t offset, const BackwardCase& test, double center = 1) {
  const Given given(device, shape, dtype, format, test.per_sample, center);
  const Reference reference(shape, test.per_sample);
  const Normalized forward(given, reference, test.affine, test.adds, test.relu);
  const auto& normalized = forward.normalized;
  // Rounded to the dtype, so that what relu let through is the same for all.
  const Tensor rounded_y = doubles(shape, forward.y).to(dtype).in_format(format);

  Values g = given.dy.to_vector<double>();
  for (std::size_t i = 0; i < g.size(); ++i)
    if (test.relu && !(forward.y[i] > 0)) g[i] = 0;
  Values product(g.size());
  for (std::size_t i = 0; i < g.size(); ++i) product[i] = g[i] * normalized[i];
  const Values sum_g = reference.sums(g);
  const Values sum_product = reference.sums(product);
  const double count = static_cast<double>(g.size()) / static_cast<double>(reference.entries);
  const Values weight = given.weight.to_vector<double>();
  Values dx(g.size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    const std::size_t e = reference.entry(i);
    const double through = test.constant ? 0 : (sum_g[e] + normalized[i] * sum_product[e]) / count;
    dx[i] = (test.affine ? weight[reference.channel(i)] : 1) /
            std::sqrt(given.variance[e] + Given::kEps) * (g[i] - through);
  }

  const Placed x(device, given.x, offset);
  const Placed y(device, rounded_y, offset);
  Placed dy(device, given.dy, offset);
  Placed actual_dx(device, nan_like(given.x), offset);
  Placed residual(device, nan_like(given.x), offset);
  Tensor d_weight = nan_like(given.weight).to(device);
  Tensor d_bias = nan_like(given.bias).to(device);
  kernels::NormGradients gradients;
  const bool dx_in_place = test.in_place && !test.adds;
  const bool residual_in_place = test.in_place && test.adds;
  if (test.wants_dx) gradients.dx = dx_in_place ? dy.view() : actual_dx.view();
  if (test.adds) gradients.residual = residual_in_place ? dy.view() : residual.view();
  if (test.wants_affine) {
    gradients.weight = d_weight.view();
    gradients.bias = d_bias.view();
  }
  kernels::NormArguments arguments = given.arguments(x, test.affine, test.relu);
  if (test.constant && !test.wants_affine && (!test.relu || test.given_y))
    arguments.x = kernels::ConstView();
  kernels::normalize_backward(device, arguments, test.given_y ? y.view() : kernels::ConstView(),
                              std::as_const(dy).view(), test.constant, gradients);

  // The sums go over up to a thousand terms, whose products are rounded to the dtype.
  const double tolerance = 4 * rounding(dtype);
  const double of_sums = 4 * rounding(compute_dtype(dtype));
  if (test.wants_dx) expect_near((dx_in_place ? dy : actual_dx).values(), dx, tolerance, "dx");
  if (test.adds)
    expect_near((residual_in_place ? dy : residual).values(), g, 0, "gradient of the residual");
  if (!test.wants_affine) return;
  expect_near(d_weight, reference.per_channel(sum_product), of_sums, "gradient of weight");
  expect_near(d_bias, reference.per_channel(sum_g), of_sums, "gradient of bias");
}

// Cases in which every flag takes both values beside every other flag's.
std::vector<BackwardCase> backward_cases() {
  std::vector<BackwardCase> cases;
  for (unsigned bits = 0; bits < 512; ++bits) {
    const auto flag = [&](unsigned at) { return (bits >> at & 1U) != 0; };
    const BackwardCase test{flag(0), flag(1), flag(2), flag(3), flag(4),
                            flag(5), flag(6), flag(7), flag(8)};
    if (test.adds && test.relu && !test.given_y) continue;  // x does not tell the sign
    if (!test.adds && !test.wants_dx && !test.wants_affine) continue;
    if (!test.relu && test.given_y) continue;
    cases.push_back(test);
  }
  return cases;
}

// A few cases for each layout, so that all are seen over all layouts.
TEST_P(Norm, Backward) {
  const std::vector<BackwardCase> cases = backward_cases();
  std::size_t next = 0;
  in_every_order([&] {
    for_every_layout(
        device(), [&](const Shape& shape, DType dtype, MemoryFormat format, std::int64_t offset) {
          for (int repeat = 0; repeat < 2; ++repeat) {
            const std::size_t number = next++ * 7 % cases.size();
            SCOPED_TRACE(fmt::format("case {}", number));
            check_backward(device(), shape, dtype, format, offset, cases[number]);
            if (HasFatalFailure()) return;
          }
        });
  });
}

TEST_P(Norm, BackwardInEveryWay) {
  MemoryFormat format = MemoryFormat::kPlain;
  for (const BackwardCase& test : backward_cases()) {
    format = format == MemoryFormat::kPlain ? MemoryFormat::kChannelsLast : MemoryFormat::kPlain;
    SCOPED_TRACE(fmt::format("case {}{}{}{}{}{}{}{}{} {}", test.per_sample, test.affine, test.relu,
                             test.constant, test.adds, test.wants_dx, test.wants_affine,
                             test.in_place, test.given_y, name_of(format)));
    check_backward(device(), {3, 4, 3, 5}, DType::kFloat32, format, 0, test);
    if (HasFatalFailure()) return;
  }
}

// No float32 is the mean: what rounding takes from it is a thousandth of the deviation.
TEST_P(Norm, BackwardOfALargeMean) {
  BackwardCase test{};
  test.affine = test.wants_dx = test.wants_affine = true;
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    for (const bool per_sample : {false, true}) {
      test.per_sample = per_sample;
      check_backward(device(), {3, 4, 3, 5}, DType::kFloat32, format, 0, test, 10000);
    }
  }
}

// The backward pass that sees no y must find its sign, also next to zero.
TEST_P(Norm, BackwardFindsTheSignThatTheForwardPassSaw) {
  const Shape shape{2, 8, 16, 16};
  const Given given(device(), shape, DType::kFloat32, MemoryFormat::kPlain, false);
  const Placed x(device(), given.x, 0);
  Placed y(device(), nan_like(given.x), 0);
  // A bias that makes y = 0 for one value of each channel, but for rounding.
  Given shifted = given;
  Values bias(8);
  const Values v = given.x.to_vector<double>();
  const Values weight = given.weight.to_vector<double>();
  for (std::size_t c = 0; c < 8; ++c)
    bias[c] =
        -weight[c] * (v[c * 256 + 17] - given.mean[c]) / std::sqrt(given.variance[c] + Given::kEps);
  shifted.device_bias = doubles({8}, bias).to(DType::kFloat32).to(device());
  kernels::normalize_forward(device(), shifted.arguments(x, true, true), kernels::ConstView(),
                             y.view());
  const Placed dy(device(), Tensor::full(shape, 1), 0);
  Placed masked(device(), nan_like(given.x), 0);
  kernels::NormGradients gradients;
  gradients.residual = masked.view();
  kernels::normalize_backward(device(), shifted.arguments(x, true, true), kernels::ConstView(),
                              dy.view(), true, gradients);
  const Values passed = masked.values().to_vector<double>();
  const Values forward = y.values().to_vector<double>();
  for (std::size_t i = 0; i < passed.size(); ++i) ASSERT_EQ(passed[i], forward[i] > 0 ? 1 : 0) << i;
}

TEST_P(Norm, BackwardNeedsXForSums) {
  if (GetParam() == DeviceType::kCpu) GTEST_SKIP() << "the CPU's kernel trusts its caller";
  const Given given(device(), {2, 4, 3, 3}, DType::kFloat32, MemoryFormat::kPlain, false);
  const Placed x(device(), given.x, 0);
  const Placed dy(device(), given.dy, 0);
  Tensor d_weight = Tensor::empty({4}).to(device());
  kernels::NormGradients gradients;
  gradients.weight = d_weight.view();
  kernels::NormArguments arguments = given.arguments(x, true, false);
  arguments.x = kernels::ConstView();
  test::expect_error(
      [&] {
        kernels::normalize_backward(device(), arguments, kernels::ConstView(), dy.view(), true,
                                    gradients);
      },
      {"need x"});
}

TEST_P(Norm, BlockedFormatsAreRefused) {
  if (GetParam() == DeviceType::kCpu) GTEST_SKIP() << "the CPU has kernels for them";
  const Given given(device(), {2, 16, 3, 3}, DType::kFloat32, MemoryFormat::kBlocked8, false);
  const Placed x(device(), given.x, 0);
  Placed y(device(), nan_like(given.x), 0);
  test::expect_error(
      [&] {
        kernels::normalize_forward(device(), given.arguments(x, true, false), kernels::ConstView(),
                                   y.view());
      },
      {"2x16x3x3", "blocked"});
}

TEST_P(Norm, OfNothing) {
  const Placed nothing(device(), Tensor::empty({0, 3, 2, 2}), 0);
  Placed y(device(), Tensor::empty({0, 3, 2, 2}), 0);
  const Given given(device(), {1, 3, 2, 2}, DType::kFloat32, MemoryFormat::kPlain, false);
  kernels::normalize_forward(device(), given.arguments(nothing, true, true), kernels::ConstView(),
                             y.view());
  Tensor d_weight = nan_like(given.weight).to(device());
  Tensor d_bias = nan_like(given.bias).to(device());
  kernels::NormGradients gradients;
  gradients.dx = y.view();
  gradients.weight = d_weight.view();
  gradients.bias = d_bias.view();
  kernels::normalize_backward(device(), given.arguments(nothing, true, false), kernels::ConstView(),
                              std::as_const(nothing).view(), true, gradients);
  EXPECT_EQ(d_weight.to_vector<double>(), Values(3, 0.0));
  EXPECT_EQ(d_bias.to_vector<double>(), Values(3, 0.0));
}

}  // namespace
}  // namespace concord
