#include "engine/ops/norm.h"

#include <algorithm>

#include "engine/ops/arithmetic.h"
#include "engine/ops/conv2d.h"
#include "kernels/parallel.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_close;
using test::expect_error;
using test::kMemoryFormats;
using test::random_tensor;
using Values = std::vector<double>;

const std::vector<Shape> kShapes = {{2, 1, 1, 1},  {1, 1, 3, 2},  {2, 3, 5, 7}, {2, 16, 2, 3},
                                    {1, 32, 3, 1}, {3, 48, 1, 1}, {2, 8, 3, 3}, {3, 5},
                                    {4, 16},       {2, 24, 1, 2}};
// More elements than one thread takes, and maps that are no multiple of a vector.
const Shape kLarge{4, 48, 17, 19};

struct Moments {
  Values mean;
  Values variance;  // biased
};

// Written out from the definition, two passes in float64, one entry per channel or per sample and
// channel.
Moments naive_moments(const Tensor& x, bool per_sample) {
  const Values v = x.to_vector<double>();
  const auto samples = static_cast<std::size_t>(x.dim(0));
  const auto channels = static_cast<std::size_t>(x.dim(1));
  const std::size_t pixels = v.size() / samples / channels;
  const std::size_t entries = per_sample ? samples * channels : channels;
  const double count = static_cast<double>(v.size() / entries);
  Moments result{Values(entries, 0.0), Values(entries, 0.0)};
  const auto entry = [&](std::size_t i) { return i / pixels % entries; };
  for (std::size_t i = 0; i < v.size(); ++i) result.mean[entry(i)] += v[i] / count;
  for (std::size_t i = 0; i < v.size(); ++i)
    result.variance[entry(i)] += std::pow(v[i] - result.mean[entry(i)], 2) / count;
  return result;
}

Tensor naive_normalize(const Tensor& x, const Moments& moments, const Values& weight,
                       const Values& bias, double eps) {
  Values v = x.to_vector<double>();
  const auto channels = static_cast<std::size_t>(x.dim(1));
  const std::size_t pixels = v.size() / static_cast<std::size_t>(x.dim(0)) / channels;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const std::size_t entry = i / pixels % moments.mean.size();
    const std::size_t c = i / pixels % channels;
    v[i] = weight[c] * (v[i] - moments.mean[entry]) / std::sqrt(moments.variance[entry] + eps) +
           bias[c];
  }
  return Tensor::of(x.shape(), v);
}

struct Case {
  Tensor x, weight, bias, residual, running_mean, running_var;
  explicit Case(const Shape& shape)
      : x(random_tensor(shape, 1, -2, 2)),
        weight(random_tensor({shape[1]}, 2, 0.5, 1.5)),
        bias(random_tensor({shape[1]}, 3)),
        residual(random_tensor(shape, 4)),
        running_mean(random_tensor({shape[1]}, 5)),
        running_var(random_tensor({shape[1]}, 6, 0.5, 2)) {}
};

TEST(BatchNorm, Gradients) {
  for (const Shape& shape : kShapes) {
    const Case c(shape);
    for (const bool training : {true, false}) {
      for (const bool relu : {false, true}) {
        const BatchNormOptions options{
            .training = training, .momentum = 0.1, .eps = 1e-2, .relu = relu};
        const auto norm = [c, options](const Tensor& x, const Tensor& w, const Tensor& b,
                                       const Tensor& r) {
          return batch_norm(x, w, b, c.running_mean.clone(), c.running_var.clone(), options, r);
        };
        const std::string at = std::string(training ? " training" : " frozen") +
                               (relu ? " relu " : " ") + shape.to_string();
        check_case({"batch_norm" + at,
                    [=](const auto& in) { return norm(in[0], in[1], in[2], {}); },
                    {c.x, c.weight, c.bias}});
        // The scale hands over a gradient that may be overwritten.
        check_case({"batch_norm in place" + at,
                    [=](const auto& in) { return scale(norm(in[0], in[1], in[2], {}), 1.5); },
                    {c.x, c.weight, c.bias}});
        check_case({"batch_norm + residual" + at,
                    [=](const auto& in) { return scale(norm(in[0], in[1], in[2], in[3]), 1.5); },
                    {c.x, c.weight, c.bias, c.residual}});
        // Here it may not: the masked gradient takes a buffer of its own.
        check_case({"batch_norm + residual, shared gradient" + at,
                    [=](const auto& in) { return norm(in[0], in[1], in[2], in[3]); },
                    {c.x, c.weight, c.bias, c.residual}});
        check_case({"batch_norm, constant affine" + at,
                    [=](const auto& in) { return scale(norm(in[0], in[1], in[2], in[3]), 1.5); },
                    {c.x, c.weight, c.bias, c.residual},
                    {true, false, false, true}});
        check_case({"batch_norm, constant input" + at,
                    [=](const auto& in) { return norm(in[0], in[1], in[2], in[3]); },
                    {c.x, c.weight, c.bias, c.residual},
                    {false, true, true, false}});
        check_case({"batch_norm, constant but for the residual" + at,
                    [=](const auto& in) { return norm(in[0], in[1], in[2], in[3]); },
                    {c.x, c.weight, c.bias, c.residual},
                    {false, false, false, true}});
        check_case({"batch_norm, no affine" + at,
                    [=](const auto& in) { return norm(in[0], {}, {}, {}); },
                    {c.x}});
      }
    }
  }
}

TEST(InstanceNorm, Gradients) {
  for (const Shape& shape : kShapes) {
    if (shape.rank() != 4 || shape[2] * shape[3] == 1) continue;
    const Case c(shape);
    check_case({"instance_norm " + shape.to_string(),
                [](const auto& in) { return instance_norm(in[0], in[1], in[2], 1e-2); },
                {c.x, c.weight, c.bias}});
    check_case({"instance_norm, no affine " + shape.to_string(),
                [](const auto& in) { return scale(instance_norm(in[0], {}, {}, 1e-2), 1.5); },
                {c.x}});
  }
}

TEST(BatchNorm, AgreesWithDefinition) {
  std::vector<Shape> shapes = kShapes;
  shapes.push_back(kLarge);
  for (const Shape& shape : shapes) {
    const Case c(shape);
    const Values weight = c.weight.to_vector<double>();
    const Values bias = c.bias.to_vector<double>();
    const Moments batch = naive_moments(c.x, false);
    const Tensor trained = naive_normalize(c.x, batch, weight, bias, 1e-5);
    const Moments running{c.running_mean.to_vector<double>(), c.running_var.to_vector<double>()};
    const Tensor evaluated = naive_normalize(c.x, running, weight, bias, 1e-5);
    const double count = static_cast<double>(shape.numel() / shape[1]);
    Values mean = running.mean;
    Values var = running.variance;
    for (std::size_t k = 0; k < mean.size(); ++k) {
      mean[k] = 0.75 * mean[k] + 0.25 * batch.mean[k];
      var[k] = 0.75 * var[k] + 0.25 * batch.variance[k] * count / (count - 1);
    }
    Values fused = trained.to_vector<double>();
    const Values residual = c.residual.to_vector<double>();
    for (std::size_t i = 0; i < fused.size(); ++i) fused[i] = std::max(fused[i] + residual[i], 0.0);

    for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
      // float32: one rounding of each of x, scale and shift, of size up to 1e2 in small batches.
      const double tolerance = dtype == DType::kFloat64 ? 1e-12 : 2e-5;
      for (const MemoryFormat format : kMemoryFormats) {
        if (!supports(format, shape)) continue;
        const std::string label = "batch_norm " + shape.to_string() + " " +
                                  std::string(name_of(dtype)) + " " + std::string(name_of(format));
        const Tensor x = c.x.to(dtype).in_format(format);
        const Tensor w = c.weight.to(dtype);
        const Tensor b = c.bias.to(dtype);
        Tensor running_mean = c.running_mean.to(dtype).clone();
        Tensor running_var = c.running_var.to(dtype).clone();
        const Tensor frozen = batch_norm(x, w, b, running_mean, running_var, {.training = false});
        EXPECT_EQ(frozen.format(), format);
        expect_close(frozen, evaluated, tolerance, label + " frozen");
        expect_close(running_mean, c.running_mean, tolerance, label + ": frozen running_mean");
        expect_close(batch_norm(x, w, b, running_mean, running_var, {.momentum = 0.25}), trained,
                     tolerance, label + " training");
        expect_close(running_mean, Tensor::of({shape[1]}, mean), tolerance, label + " mean");
        expect_close(running_var, Tensor::of({shape[1]}, var), tolerance, label + " variance");
        expect_close(batch_norm(x, w, b, {}, {}, {.training = false}), trained, tolerance,
                     label + " without running statistics");
        expect_close(batch_norm(x, w, b, {}, {}, {.relu = true}, c.residual.to(dtype)),
                     Tensor::of(shape, fused), tolerance, label + " fused");
      }
    }
  }
}

TEST(InstanceNorm, AgreesWithDefinition) {
  for (const Shape& shape : {kShapes[1], kShapes[2], kShapes[3], kShapes[4], kLarge}) {
    const Case c(shape);
    const Tensor expected =
        naive_normalize(c.x, naive_moments(c.x, true), c.weight.to_vector<double>(),
                        c.bias.to_vector<double>(), 1e-5);
    for (const MemoryFormat format : kMemoryFormats) {
      if (!supports(format, shape)) continue;
      const std::string label = shape.to_string() + " " + std::string(name_of(format));
      expect_close(instance_norm(c.x.in_format(format), c.weight, c.bias), expected, 1e-12, label);
      const DType single = DType::kFloat32;
      expect_close(
          instance_norm(c.x.to(single).in_format(format), c.weight.to(single), c.bias.to(single)),
          expected, 2e-5, label + " float32");
    }
  }
}

// A mean 1e5 times the deviation: sums of squares in float32 would lose the variance altogether.
// The reference sees the same rounded input.
TEST(BatchNorm, LargeMeanKeepsTheVariance) {
  for (const Shape& shape : {Shape{4, 16, 9, 7}, Shape{64, 5}}) {
    Values v = random_tensor(shape, 7, -0.02, 0.02).to_vector<double>();
    for (double& value : v) value += 1e3;
    const Tensor x = Tensor::of(shape, v).to(DType::kFloat32);
    const Values ones(static_cast<std::size_t>(shape[1]), 1.0);
    const Values zeros(ones.size(), 0.0);
    const Tensor expected =
        naive_normalize(x.to(DType::kFloat64), naive_moments(x, false), ones, zeros, 0.0);
    for (const MemoryFormat format : kMemoryFormats) {
      if (!supports(format, shape)) continue;
      expect_close(batch_norm(x.in_format(format), {}, {}, {}, {}, {.eps = 0}), expected, 2e-6,
                   shape.to_string() + " " + std::string(name_of(format)));
    }
  }
}

TEST(BatchNorm, ThreadsDoNotChangeTheBits) {
  const Case c(kLarge);
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Tensor x = c.x.to(DType::kFloat32).in_format(MemoryFormat::kBlocked16);
    Tensor w = c.weight.to(DType::kFloat32);
    Tensor b = c.bias.to(DType::kFloat32);
    for (Tensor* leaf : {&x, &w, &b}) leaf->set_requires_grad(true);
    const Tensor y = batch_norm(x, w, b, {}, {}, {.relu = true});
    y.backward(c.residual.to(DType::kFloat32));
    std::vector<float> all = y.to_vector<float>();
    for (const Tensor* leaf : {&x, &w, &b}) {
      const auto gradient = leaf->grad().to_vector<float>();
      all.insert(all.end(), gradient.begin(), gradient.end());
    }
    results.push_back(std::move(all));
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

// A training pass between the two halves of a frozen one moves the running statistics.
TEST(BatchNorm, FrozenBackwardUsesTheStatisticsOfItsForward) {
  const Case c({4, 3, 5, 7});
  Tensor running_mean = c.running_mean.clone();
  Tensor running_var = c.running_var.clone();
  Tensor x = c.x.clone().set_requires_grad(true);
  const Tensor y = batch_norm(x, {}, {}, running_mean, running_var, {.training = false, .eps = 0});
  batch_norm(c.x, {}, {}, running_mean, running_var, {.momentum = 0.5});
  y.backward(Tensor::full(c.x.shape(), 1.0, {.dtype = DType::kFloat64}));
  const Values gradient = x.grad().to_vector<double>();
  const Values variance = c.running_var.to_vector<double>();
  for (std::size_t i = 0; i < gradient.size(); ++i)
    ASSERT_NEAR(gradient[i], 1 / std::sqrt(variance[i / 35 % 3]), 1e-12) << i;
}

// What a fused relu let through is told by the input, which is kept anyway: a layer that does not
// need y either (a pool) lets it go.
TEST(BatchNorm, FusedReluKeepsNoOutput) {
  const auto in_use = [] { return kernels::memory_statistics(Device{}).in_use; };
  const Case c({4, 16, 32, 32});
  Tensor x = c.x.clone().set_requires_grad(true);
  const std::size_t before = in_use();
  Tensor y = batch_norm(x, {}, {}, {}, {}, {.relu = true});
  EXPECT_GE(in_use() - before, x.bytes());
  const Tensor total = sum(y);
  y = {};
  EXPECT_LT(in_use() - before, x.bytes() / 10);
  total.backward();
  EXPECT_TRUE(x.grad().defined());
}

// Nor need a convolution keep it, its gradient being the same to the bit as with a copy that is
// kept.
TEST(BatchNorm, FusedReluIsComputedAgainForAConvolution) {
  const auto in_use = [] { return kernels::memory_statistics(Device{}).in_use; };
  const Case c({4, 16, 32, 32});
  const Tensor kernel = random_tensor({16, 16, 3, 3}, 9).to(DType::kFloat32);
  // The format of the convolution, or it would keep a copy in its own.
  const MemoryFormat format =
      kernels::conv2d_formats(Device{}, c.x.shape(), MemoryFormat::kPlain, DType::kFloat32,
                              kernel.shape(), Conv2dOptions{.padding = {1, 1}})
          .input;
  std::vector<std::vector<float>> gradients;
  for (const bool kept : {false, true}) {
    Tensor x = c.x.to(DType::kFloat32).in_format(format);
    Tensor weight = kernel.clone();
    for (Tensor* leaf : {&x, &weight}) leaf->set_requires_grad(true);
    const std::size_t before = in_use();
    Tensor y = batch_norm(x, {}, {}, {}, {}, {.relu = true});
    if (kept) y = scale(y, 1);
    const Tensor total = sum(conv2d(y, weight, {}, {.padding = {1, 1}}));
    y = {};
    if (!kept) {
      EXPECT_LT(in_use() - before, x.bytes() / 10);
    }
    total.backward();
    gradients.push_back(weight.grad().to_vector<float>());
    const auto dx = x.grad().to_vector<float>();
    gradients.back().insert(gradients.back().end(), dx.begin(), dx.end());
  }
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST(BatchNorm, FusedReluKeepsNan) {
  Tensor x = Tensor::of<float>({4, 1}, {1.0F, 2.0F, std::nanf(""), 3.0F});
  const auto y = batch_norm(x, {}, {}, Tensor::zeros({1}), Tensor::full({1}, 1.0),
                            {.training = false, .relu = true})
                     .to_vector<float>();
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_FALSE(std::isnan(y[3]));
}

TEST(BatchNorm, Errors) {
  const Tensor w = Tensor::full({3}, 1.0);
  const Tensor x = Tensor::zeros({2, 3, 4, 5});
  expect_error(
      [&] {
        batch_norm(Tensor::zeros({1, 3, 1, 1}), w, w, {}, {}, {});
      },
      {"batch_norm", "Expected more than 1 value per channel", "1x3x1x1"});
  expect_error([&] { batch_norm(x, Tensor::zeros({4}), w, {}, {}, {}); },
               {"batch_norm", "3 channels", "weight", "4"});
  expect_error([&] { batch_norm(x, w, {}, {}, {}, {}); }, {"batch_norm", "both"});
  expect_error([&] { batch_norm(x, w, w, w, Tensor::zeros({2}), {}); },
               {"batch_norm", "running_var"});
  expect_error(
      [&] {
        batch_norm(x, w, w, {}, {}, {}, Tensor::zeros({2, 3, 5, 4}));
      },
      {"batch_norm", "residual", "2x3x5x4", "2x3x4x5"});
  expect_error([&] { batch_norm(Tensor::zeros({3}), w, w, {}, {}, {}); }, {"batch_norm", "[N,C]"});
  expect_error(
      [&] {
        instance_norm(Tensor::zeros({2, 3, 1, 1}), {}, {});
      },
      {"instance_norm", "Expected more than 1 spatial element", "2x3x1x1"});
}

}  // namespace
}  // namespace concord
