#include "kernels/gated_stage.h"

#include <cmath>

#include "kernels/memory.h"
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

CONCORD_ON_EVERY_DEVICE(GatedStage);

constexpr double kGate = 0.75;

// The quotient p / s is rounded, then its product with an element: a few units in the last place.
double rounding(DType dtype) { return test::tolerance_of(dtype, 4e-7, 1e-15); }

// Maps and a scale, on the host in float64 (rounded to `dtype`) and on the device.
struct Given {
  Tensor x, h, s;
  Tensor device_s, device_p;
  Values v, gated, scale;  // of each element, in row-major order

  Given(Device device, const Shape& shape, DType dtype, MemoryFormat format, bool per_sample)
      : x(random_tensor(shape, 1, -2, 2).to(dtype).in_format(format)),
        h(random_tensor(shape, 2, -2, 2).to(dtype).in_format(format)),
        s(random_tensor(per_sample ? Shape{shape[0], shape[1]} : Shape{shape[1]}, 3, 0.5, 2)
              .to(compute_dtype(dtype))),
        device_s(s.to(device)),
        device_p(Tensor::full({1}, kGate, {.dtype = compute_dtype(dtype)}).to(device)),
        v(x.to_vector<double>()),
        gated(h.to_vector<double>()) {
    const Values scales = s.to_vector<double>();
    const auto pixels = static_cast<std::size_t>(shape.numel() / shape[0] / shape[1]);
    for (std::size_t i = 0; i < v.size(); ++i) scale.push_back(scales[i / pixels % scales.size()]);
  }
  // value(x, h, s) of each element.
  template <class Value>
  Values each(Value value) const {
    Values result(v.size());
    for (std::size_t i = 0; i < v.size(); ++i) result[i] = value(v[i], gated[i], scale[i]);
    return result;
  }
  double frozen(double value, double gate_input, double s_of) const {
    return gate_input > 0 ? kGate * value / s_of : 0;
  }
};

Tensor bytes_on(Device device, std::int64_t count) {
  return Tensor::of({count}, std::vector<std::uint8_t>(static_cast<std::size_t>(count), 0xA5))
      .to(device);
}

// Bit i % 8 of byte i / 8 is that of element i in memory order, which little-endian words make it.
void expect_mask(const Tensor& mask, const Tensor& h) {
  const auto bytes = mask.to_vector<std::uint8_t>();
  kernels::ConstView in_order = h.view();
  in_order.format = MemoryFormat::kPlain;
  Tensor plain = Tensor::empty(h.shape(), {.dtype = DType::kFloat64});
  kernels::convert(Device{}, in_order, plain.view());
  const auto values = plain.to_vector<double>();
  for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
    const bool open = i < values.size() && !(values[i] <= 0);
    ASSERT_EQ(bytes[i / 8] >> (i % 8) & 1, open) << "element " << i;
  }
}

TEST_P(GatedStage, ScaleFromVariance) {
  for (const std::int64_t size : test::kAwkwardSizes) {
    const Tensor variance = random_tensor({size}, 1, 0, 4);
    const Tensor on_device = variance.to(device());
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      for (const std::int64_t count : {1, 2, 7}) {
        Values expected = variance.to_vector<double>();
        for (double& s : expected)
          s = count == 1
                  ? 1
                  : std::sqrt(s * static_cast<double>(count) / static_cast<double>(count - 1)) +
                        1e-5;
        Tensor s = test::unaligned_on(device(), Tensor::full({size}, NAN, {.dtype = dtype}));
        kernels::scale_from_variance(device(), on_device.view(), count, s.view());
        expect_near(s, expected, rounding(dtype), "s");
      }
    }
  }
}

TEST_P(GatedStage, DivideByScale) {
  in_every_order([&] {
    for_every_layout(
        device(), [&](const Shape& shape, DType dtype, MemoryFormat format, std::int64_t offset) {
          for (const bool per_sample : {false, true}) {
            const Given given(device(), shape, dtype, format, per_sample);
            Placed v(device(), given.x, offset);
            Placed y(device(), nan_like(given.x), offset);
            const Values expected = given.each([](double x, double, double s) { return x / s; });
            kernels::divide_by_scale(device(), std::as_const(v).view(), given.device_s.view(),
                                     y.view());
            expect_near(y.values(), expected, rounding(dtype), "y");
            kernels::divide_by_scale(device(), std::as_const(v).view(), given.device_s.view(),
                                     v.view());
            expect_near(v.values(), expected, rounding(dtype), "y in place");
          }
        });
  });
}

TEST_P(GatedStage, Forward) {
  in_every_order([&] {
    for_every_layout(
        device(), [&](const Shape& shape, DType dtype, MemoryFormat format, std::int64_t offset) {
          for (const bool per_sample : {false, true}) {
            const Given given(device(), shape, dtype, format, per_sample);
            const Placed x(device(), given.x, offset);
            const Placed h(device(), given.h, offset);
            Placed y(device(), nan_like(given.x), offset);
            kernels::gated_stage_forward(device(), x.view(), h.view(), given.device_s.view(),
                                         given.device_p.view(), y.view());
            expect_near(y.values(), given.each([&](double v, double gated, double s) {
              return v + given.frozen(gated, gated, s);
            }),
                        2 * rounding(dtype), "y");
            Placed again(device(), nan_like(given.x), offset);
            Tensor mask = bytes_on(device(), kernels::mask_bytes(shape.numel()));
            kernels::masked_stage(device(), x.view(), h.view(), given.device_s.view(),
                                  given.device_p.view(), again.view(), mask.view());
            EXPECT_EQ(again.values().to_vector<double>(), y.values().to_vector<double>());
            expect_mask(mask, given.h);
            kernels::frozen_stage(device(), x.view(), std::as_const(mask).view(),
                                  given.device_s.view(), given.device_p.view(), y.view());
            expect_near(y.values(), given.each([&](double v, double gated, double s) {
              return given.frozen(v, gated, s);
            }),
                        rounding(dtype), "y of the frozen stage");
          }
        });
  });
}

TEST_P(GatedStage, Backward) {
  int next = 0;
  in_every_order([&] {
    for_every_layout(
        device(), [&](const Shape& shape, DType dtype, MemoryFormat format, std::int64_t offset) {
          for (const bool per_sample : {false, true}) {
            const Given given(device(), shape, dtype, format, per_sample);
            // Which of dh and dp, and where dh goes: a way for each layout, all over all of them.
            const int way = next++ % 5;
            const bool wants_dh = way != 0;
            const bool wants_dp = way != 1;
            const bool in_place = way >= 3;
            SCOPED_TRACE(fmt::format("{} way {}", per_sample ? "per sample" : "per channel", way));
            Placed dy(device(), given.x, offset);
            const Placed h(device(), given.h, offset);
            Placed dh(device(), nan_like(given.x), offset);
            Tensor dp = Tensor::full({1}, NAN, {.dtype = compute_dtype(dtype)}).to(device());
            Placed& to = in_place ? dy : dh;
            kernels::gated_stage_backward(device(), std::as_const(dy).view(), h.view(),
                                          given.device_s.view(), given.device_p.view(),
                                          wants_dh ? to.view() : kernels::View{},
                                          wants_dp ? dp.view() : kernels::View{});
            if (wants_dh)
              expect_near(to.values(), given.each([&](double v, double gated, double s) {
                return given.frozen(v, gated, s);
              }),
                          rounding(dtype), "dh");
            if (!wants_dp) continue;
            double expected = 0;
            double size = 0;
            for (const double term : given.each([](double v, double gated, double s) {
                   return v * std::max(gated, 0.0) / s;
                 })) {
              expected += term;
              size += std::abs(term);
            }
            // Relative to the size of what is added, of which each term is rounded.
            EXPECT_NEAR(dp.item(), expected, rounding(compute_dtype(dtype)) * std::max(size, 1.0));
          }
        });
  });
}

TEST_P(GatedStage, NaNIsNotLost) {
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    Given given(device(), {2, 4, 3, 3}, DType::kFloat32, format, true);
    Values gated = given.gated;
    gated[40] = NAN;
    gated[41] = -INFINITY;
    const Placed x(device(), given.x, 0);
    Placed h(device(), Tensor::of({2, 4, 3, 3}, gated).to(DType::kFloat32).in_format(format), 0);
    Placed y(device(), nan_like(given.x), 0);
    Tensor dp = Tensor::full({1}, 0).to(device());
    kernels::gated_stage_forward(device(), x.view(), std::as_const(h).view(), given.device_s.view(),
                                 given.device_p.view(), y.view());
    const Values result = y.values().to_vector<double>();
    for (std::size_t i = 0; i < result.size(); ++i) EXPECT_EQ(std::isnan(result[i]), i == 40) << i;
    EXPECT_EQ(result[41], given.v[41]);
    kernels::gated_stage_backward(device(), x.view(), std::as_const(h).view(),
                                  given.device_s.view(), given.device_p.view(), y.view(),
                                  dp.view());
    EXPECT_TRUE(std::isnan(dp.item()));
    EXPECT_EQ(y.values().to_vector<double>()[41], 0);
  }
}

// Not even the NaN of 0 * infinity.
TEST_P(GatedStage, WhatIsClosedAddsNothing) {
  const Given given(device(), {2, 4, 3, 3}, DType::kFloat32, MemoryFormat::kPlain, false);
  const Placed dy(device(), given.x, 0);
  const Placed h(device(), Tensor::full({2, 4, 3, 3}, -INFINITY), 0);
  Placed dh(device(), nan_like(given.x), 0);
  Tensor dp = Tensor::full({1}, NAN).to(device());
  kernels::gated_stage_backward(device(), dy.view(), h.view(), given.device_s.view(),
                                given.device_p.view(), dh.view(), dp.view());
  EXPECT_EQ(dh.values().to_vector<double>(), Values(72, 0.0));
  // The CPU's kernel multiplies 0 by it.
  if (GetParam() == DeviceType::kCuda) {
    EXPECT_EQ(dp.item(), 0);
  }
}

TEST_P(GatedStage, OfNothing) {
  const Placed nothing(device(), Tensor::empty({0, 4, 3, 3}), 0);
  Placed y(device(), Tensor::empty({0, 4, 3, 3}), 0);
  const Tensor s = Tensor::full({4}, 1).to(device());
  const Tensor p = Tensor::full({1}, 1).to(device());
  Tensor dp = Tensor::full({1}, NAN).to(device());
  kernels::divide_by_scale(device(), nothing.view(), s.view(), y.view());
  kernels::gated_stage_forward(device(), nothing.view(), nothing.view(), s.view(), p.view(),
                               y.view());
  Tensor mask = bytes_on(device(), 0);
  kernels::masked_stage(device(), nothing.view(), nothing.view(), s.view(), p.view(), y.view(),
                        mask.view());
  kernels::frozen_stage(device(), nothing.view(), mask.view(), s.view(), p.view(), y.view());
  kernels::gated_stage_backward(device(), nothing.view(), nothing.view(), s.view(), p.view(),
                                y.view(), dp.view());
  EXPECT_EQ(dp.item(), 0);
}

// What is let through where h is not a number, and a mask of other maps.
TEST_P(GatedStage, MasksOfNaNAndOfOtherMaps) {
  Values gated(72, -1.0);
  gated[40] = NAN;
  gated[41] = INFINITY;
  const Given given(device(), {2, 4, 3, 3}, DType::kFloat32, MemoryFormat::kPlain, true);
  const Tensor h = Tensor::of({2, 4, 3, 3}, gated).to(DType::kFloat32);
  const Placed x(device(), given.x, 0);
  Placed y(device(), nan_like(given.x), 0);
  Tensor mask = bytes_on(device(), kernels::mask_bytes(72));
  kernels::masked_stage(device(), x.view(), h.to(device()).view(), given.device_s.view(),
                        given.device_p.view(), y.view(), mask.view());
  expect_mask(mask, h);
  EXPECT_TRUE(std::isnan(y.values().to_vector<double>()[40]));
  Tensor short_mask = bytes_on(device(), kernels::mask_bytes(72) - 4);
  test::expect_error(
      [&] {
        kernels::frozen_stage(device(), x.view(), short_mask.view(), given.device_s.view(),
                              given.device_p.view(), y.view());
      },
      {"frozen_stage", "2x4x3x3", "12 bytes", "8"});
}

TEST_P(GatedStage, BlockedFormatsAreRefused) {
  if (GetParam() == DeviceType::kCpu) GTEST_SKIP() << "the CPU has kernels for them";
  const Given given(device(), {2, 16, 3, 3}, DType::kFloat32, MemoryFormat::kBlocked8, false);
  const Placed x(device(), given.x, 0);
  Placed y(device(), nan_like(given.x), 0);
  test::expect_error(
      [&] { kernels::divide_by_scale(device(), x.view(), given.device_s.view(), y.view()); },
      {"2x16x3x3", "blocked"});
}

TEST_P(GatedStage, Penalty) {
  in_every_order([&] {
    // Of 256 alphas one launch takes all.
    for (const std::int64_t gates : {0, 1, 3, 33, 256, 257, 700}) {
      for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
        const Tensor p = random_tensor({gates}, 1).to(dtype);
        const Values alpha = random_tensor({gates}, 2, 0.1, 2).to_vector<double>();
        const Values values = p.to_vector<double>();
        const Tensor on_device = p.to(device());
        const Tensor dy = Tensor::full({}, 1.5, {.dtype = dtype}).to(device());
        Tensor value = Tensor::full({}, NAN, {.dtype = dtype}).to(device());
        Tensor dp = nan_like(p).to(device());
        double expected = 0;
        Values gradient(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) {
          expected += alpha[i] * values[i] * values[i];
          gradient[i] = 2 * alpha[i] * values[i] * 1.5;
        }
        kernels::gate_penalty_forward(device(), on_device.view(), alpha, value.view());
        kernels::gate_penalty_backward(device(), on_device.view(), alpha, dy.view(), dp.view());
        // Computed in double: rounded once, and as many additions.
        const double tolerance = dtype == DType::kFloat32 ? 1e-7 : 1e-14;
        EXPECT_NEAR(value.item(), expected, tolerance * std::max(1.0, expected));
        expect_near(dp, gradient, tolerance, "dp");
      }
    }
  });
}

}  // namespace
}  // namespace concord
