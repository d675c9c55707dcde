#include "engine/ops/gated_stage.h"

#include <algorithm>

#include "engine/ops/arithmetic.h"
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

const std::vector<Shape> kShapes = {{1, 1, 1, 1},  {2, 1, 3, 2},  {2, 3, 5, 7},
                                    {2, 16, 2, 3}, {1, 32, 3, 1}, {3, 48, 1, 1},
                                    {2, 8, 3, 3},  {3, 5},        {4, 33, 9, 1}};

// From the definition: one entry per sample and channel or per channel.
Tensor naive_scale(const Tensor& v, bool per_sample) {
  const Values x = v.to_vector<double>();
  const auto samples = static_cast<std::size_t>(v.dim(0));
  const auto channels = static_cast<std::size_t>(v.dim(1));
  const std::size_t pixels = x.size() / samples / channels;
  const std::size_t entries = per_sample ? samples * channels : channels;
  const std::size_t count = x.size() / entries;
  Values s(entries, 1.0);
  for (std::size_t e = 0; e < entries && count > 1; ++e) {
    Values members;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (i / pixels % entries == e) members.push_back(x[i]);
    double mean = 0;
    double square = 0;
    for (double m : members) mean += m / static_cast<double>(count);
    for (double m : members) square += (m - mean) * (m - mean);
    s[e] = std::sqrt(square / static_cast<double>(count - 1)) + 1e-5;
  }
  return Tensor::of(per_sample ? Shape{v.dim(0), v.dim(1)} : Shape{v.dim(1)}, s);
}

// value(x, h, s) for every element, with the s of its sample and channel.
template <class Value>
Tensor naive_stage(const Tensor& x, const Tensor& h, const Tensor& s, Value value) {
  Values result = x.to_vector<double>();
  const Values gated = h.to_vector<double>();
  const Values scales = s.to_vector<double>();
  const std::size_t maps = static_cast<std::size_t>(x.dim(0) * x.dim(1));
  const std::size_t pixels = result.size() / maps;
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = value(result[i], gated[i], scales[i / pixels % scales.size()]);
  return Tensor::of(x.shape(), result);
}

TEST(Scale, AgreesWithDefinition) {
  for (const Shape& shape : kShapes) {
    const Tensor v = random_tensor(shape, 1, -3, 5);
    for (const MemoryFormat format : kMemoryFormats) {
      if (!supports(format, shape)) continue;
      const std::string label = shape.to_string() + " " + std::string(name_of(format));
      const Tensor given = v.in_format(format);
      const Tensor single = given.to(DType::kFloat32);
      expect_close(sample_scale(given), naive_scale(v, true), 1e-13, "sample_scale " + label);
      expect_close(batch_scale(given), naive_scale(v, false), 1e-13, "batch_scale " + label);
      expect_close(sample_scale(single), naive_scale(v, true), 1e-6, "sample float32 " + label);
      expect_close(batch_scale(single), naive_scale(v, false), 1e-6, "batch float32 " + label);
    }
  }
}

TEST(Scale, OfASingleValueIsOne) {
  const Tensor v = random_tensor({3, 16, 1, 1}, 1);
  EXPECT_EQ(sample_scale(v).to_vector<double>(), Values(48, 1.0));
  EXPECT_EQ(batch_scale(v.rows(0, 1)).to_vector<double>(), Values(16, 1.0));
  EXPECT_NE(batch_scale(v).to_vector<double>(), Values(16, 1.0));
}

TEST(Scale, OfAConstantMapIsTheFloor) {
  const Tensor v = Tensor::full({2, 3, 4, 5}, 0.1);
  EXPECT_EQ(sample_scale(v).to_vector<float>(), std::vector<float>(6, 1e-5F));
  EXPECT_EQ(batch_scale(v).to_vector<float>(), std::vector<float>(3, 1e-5F));
}

TEST(Scale, LargeMeanKeepsTheDeviation) {
  Values v = random_tensor({2, 16, 6, 5}, 2, -0.02, 0.02).to_vector<double>();
  for (double& value : v) value += 1e3;
  const Tensor x = Tensor::of({2, 16, 6, 5}, v).to(DType::kFloat32);
  const Values expected = naive_scale(x, true).to_vector<double>();
  const Values s = sample_scale(x.in_format(MemoryFormat::kBlocked16)).to_vector<double>();
  for (std::size_t i = 0; i < s.size(); ++i) EXPECT_NEAR(s[i] / expected[i], 1.0, 1e-6) << i;
}

TEST(Scale, IsAConstantToTheGradient) {
  Tensor v = random_tensor({2, 3, 4, 5}, 1);
  v.set_requires_grad(true);
  EXPECT_FALSE(sample_scale(v).tracked());
  EXPECT_FALSE(batch_scale(v).tracked());
}

TEST(GatedStage, Gradients) {
  for (const Shape& shape : kShapes) {
    const Tensor x = random_tensor(shape, 1);
    const Tensor h = random_tensor(shape, 2, -2, 2, 0.01);
    const Tensor p = random_tensor({1}, 3, 0.2, 0.9);
    for (const bool per_sample : {true, false}) {
      const Tensor s =
          random_tensor(per_sample ? Shape{shape[0], shape[1]} : Shape{shape[1]}, 4, 0.5, 2);
      const std::string at = (per_sample ? " by sample " : " by channel ") + shape.to_string();
      const auto stage = [](const auto& in) { return gated_stage(in[0], in[1], in[2], in[3]); };
      check_case({"gated_stage" + at, stage, {x, h, s, p}, {true, true, false, true}});
      // The scale hands over a gradient that may be overwritten.
      const auto reused = [=](const auto& in) { return scale(stage(in), 1.5); };
      check_case({"gated_stage in place" + at, reused, {x, h, s, p}, {true, true, false, true}});
      check_case(
          {"gated_stage, constant x" + at, reused, {x, h, s, p}, {false, true, false, true}});
      check_case({"gated_stage, fixed p" + at, reused, {x, h, s, p}, {false, true, false, false}});
      check_case({"gated_stage, only p" + at, reused, {x, h, s, p}, {false, false, false, true}});
      const auto divide = [](const auto& in) { return divide_by_scale(in[0], in[1]); };
      check_case({"divide_by_scale" + at, divide, {x, s}, {true, false}});
      check_case({"divide_by_scale in place" + at,
                  [=](const auto& in) { return scale(divide(in), 1.5); },
                  {x, s},
                  {true, false}});
    }
  }
}

TEST(GatedStage, AgreesWithDefinition) {
  std::vector<Shape> shapes = kShapes;
  shapes.push_back({4, 48, 17, 19});
  for (const Shape& shape : shapes) {
    const Tensor x = random_tensor(shape, 1);
    const Tensor h = random_tensor(shape, 2, -2, 2);
    const Tensor p = Tensor::of<double>({1}, {0.37});
    for (const Tensor& s :
         {random_tensor({shape[0], shape[1]}, 3, 0.5, 2), random_tensor({shape[1]}, 4, 0.5, 2)}) {
      const Tensor staged = naive_stage(x, h, s, [](double base, double gated, double scale) {
        return base + 0.37 * std::max(gated / scale, 0.0);
      });
      const Tensor frozen = naive_stage(x, h, s, [](double base, double gated, double scale) {
        return gated > 0 ? 0.37 / scale * base : 0.0;
      });
      const Tensor divided =
          naive_stage(x, h, s, [](double base, double, double scale) { return base / scale; });
      for (const MemoryFormat format : kMemoryFormats) {
        if (!supports(format, shape)) continue;
        const std::string label = shape.to_string() + " " + std::string(name_of(format));
        const Tensor given = x.in_format(format);
        expect_close(gated_stage(given, h, s, p), staged, 1e-14, "gated_stage " + label);
        const MaskedStage masked = masked_stage(given, h, s, p);
        expect_close(masked.y, staged, 1e-14, "masked_stage " + label);
        expect_close(frozen_stage(x, masked.mask, s, p), frozen, 1e-14, "frozen_stage " + label);
        expect_close(divide_by_scale(given, s), divided, 1e-14, "divide_by_scale " + label);
        EXPECT_EQ(gated_stage(given, h, s, p).format(), format);
      }
    }
  }
}

// With its mask frozen the stage is linear: x + frozen(h) = gated(x, h), the identity on which the
// sum of the orders rests.
TEST(GatedStage, FrozenPartsSumToTheStage) {
  const Shape shape{2, 16, 5, 3};
  const Tensor x = random_tensor(shape, 1).to(DType::kFloat32);
  const Tensor h = random_tensor(shape, 2).to(DType::kFloat32);
  const Tensor s = sample_scale(h);
  const Tensor p = Tensor::full({1}, 0.25);
  const MaskedStage stage = masked_stage(x, h, s, p);
  expect_close(add(x, frozen_stage(h, stage.mask, s, p)), stage.y, 1e-6, "orders");
  EXPECT_EQ(stage.y.to_vector<float>(), gated_stage(x, h, s, p).to_vector<float>());
}

TEST(GatedStage, ThreadsDoNotChangeTheBits) {
  const Shape shape{4, 48, 17, 19};
  const int before = thread_count();
  std::vector<double> results;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Tensor p = Tensor::full({1}, 0.25).set_requires_grad(true);
    const Tensor h =
        random_tensor(shape, 2).to(DType::kFloat32).in_format(MemoryFormat::kBlocked16);
    const Tensor y = gated_stage(h, h, sample_scale(h), p);
    y.backward(random_tensor(shape, 3).to(DType::kFloat32));
    results.push_back(p.grad().item());
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(GatePenalty, ValueAndGradient) {
  EXPECT_DOUBLE_EQ(gate_penalty(Tensor::of<double>({2}, {0.5, 0.25}), {8.0, 4.0}).item(), 2.25);
  const std::vector<double> alpha = {0.1, 8.0, 3.0};
  check_case({"gate_penalty",
              [=](const auto& in) { return gate_penalty(in[0], alpha); },
              {random_tensor({3}, 1, 0, 1)}});
}

TEST(GatePenalty, WithoutGatesIsZero) {
  check_case({"gate_penalty of nothing",
              [](const auto& in) { return gate_penalty(in[0], {}); },
              {random_tensor({0}, 1)}});
  EXPECT_EQ(gate_penalty(Tensor::zeros({0}), {}).item(), 0.0);
}

TEST(GatedStage, Errors) {
  const Tensor x = Tensor::zeros({2, 3, 4, 5});
  const Tensor s = Tensor::full({2, 3}, 1.0);
  const Tensor p = Tensor::full({1}, 0.5);
  expect_error(
      [&] {
        gated_stage(x, Tensor::zeros({2, 3, 5, 4}), s, p);
      },
      {"gated_stage", "2x3x4x5", "2x3x5x4"});
  expect_error([&] { gated_stage(x, x, Tensor::zeros({2}), p); }, {"gated_stage", "scale", "2"});
  expect_error([&] { gated_stage(x, x, s, Tensor::zeros({2})); }, {"gated_stage", "one"});
  expect_error([&] { gate_penalty(Tensor::zeros({2}), {0.1}); }, {"gate_penalty", "2", "1"});
  expect_error([&] { sample_scale(Tensor::zeros({3})); }, {"sample_scale", "[N,C,H,W]"});
}

}  // namespace
}  // namespace concord
