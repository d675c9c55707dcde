// Every rung against the CPU's kernels on float64.
#include "kernels/ladder.h"

#include <cmath>

#include "kernels/gated_stage.h"
#include "kernels/norm.h"
#include "tests/device/layouts.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::expect_near;
using test::nan_like;
using test::Placed;
using test::random_tensor;

class Ladder : public test::OnDevice {
 protected:
  // Whether there is a ladder to test; on the CPU there is to be none.
  template <class AnyLadder>
  bool is_there(const AnyLadder& ladder) const {
    EXPECT_EQ(ladder.available(GetParam()), GetParam() == DeviceType::kCuda);
    return ladder.available(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Ladder, ::testing::Values(DeviceType::kCpu, DeviceType::kCuda),
                         test::name_of_device);

// Calls body(dtype, format, offset) for every way in which a tensor may lie.
template <class Body>
void for_every_layout(const Shape& shape, Body body) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
      if (!supports(format, shape)) continue;
      for (const std::int64_t offset : {0, 1}) {
        SCOPED_TRACE(fmt::format("{} {} {} offset {}", shape.to_string(), name_of(dtype),
                                 name_of(format), offset));
        body(dtype, format, offset);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

template <class Rung>
std::string trace_of(const Rung& rung) {
  return std::string("rung ") + rung.name;
}

void check_gated_stage(Device device, const Shape& shape, bool per_sample) {
  for_every_layout(shape, [&](DType dtype, MemoryFormat format, std::int64_t offset) {
    const Tensor x = random_tensor(shape, 1, -2, 2).to(dtype).in_format(format);
    const Tensor h = random_tensor(shape, 2, -2, 2).to(dtype).in_format(format);
    const Shape entries = per_sample ? Shape{shape[0], shape[1]} : Shape{shape[1]};
    const Tensor s = random_tensor(entries, 3, 0.5, 2).to(dtype);
    const Tensor p = Tensor::full({1}, 0.75, {.dtype = dtype});
    const auto exact = [](const Tensor& tensor) { return tensor.to(DType::kFloat64); };
    Tensor expected = exact(x).clone();
    kernels::gated_stage_forward(Device{}, exact(x).view(), exact(h).view(), exact(s).view(),
                                 exact(p).view(), expected.view());

    const Placed on_x(device, x, offset);
    const Placed on_h(device, h, offset);
    const Tensor on_s = s.to(device);
    const Tensor on_p = p.to(device);
    for (const auto& rung : kernels::gated_stage_ladder(device)) {
      SCOPED_TRACE(trace_of(rung));
      Placed y(device, nan_like(x), offset);
      rung.run(on_x.view(), on_h.view(), on_s.view(), on_p.view(), y.view());
      // A quotient of at most 4, a product and a sum, each rounded.
      expect_near(y.values(), expected.to_vector<double>(), dtype == DType::kFloat32 ? 8e-7 : 2e-15,
                  "y");
    }
  });
}

// One element; no maps; rows that are and are not whole packs; more channels, and packs of them,
// than a tile has; more pixels than a task has, of either format.
TEST_P(Ladder, GatedStage) {
  if (!is_there(kernels::gated_stage_ladder)) return;
  in_every_order([&] {
    for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{33, 5}, Shape{2, 37, 3, 1},
                               Shape{1, 132, 2, 1}, Shape{1, 4, 11, 13}, Shape{1, 1, 1, 4103}})
      check_gated_stage(device(), shape, false);
  });
}

TEST_P(Ladder, GatedStageWithScalesOfSamples) {
  if (!is_there(kernels::gated_stage_ladder)) return;
  in_every_order([&] {
    for (const Shape& shape : {Shape{5, 3}, Shape{5, 3, 7, 7}, Shape{3, 40, 2, 4}})
      check_gated_stage(device(), shape, true);
  });
}

TEST_P(Ladder, GatedStageKeepsNaN) {
  if (!is_there(kernels::gated_stage_ladder)) return;
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    std::vector<double> gated(72, 1.0);
    gated[40] = NAN;
    gated[41] = -INFINITY;
    const Shape shape{2, 4, 3, 3};
    const Tensor as_double = Tensor::of(shape, gated);
    const Placed h(device(), as_double.to(DType::kFloat32).in_format(format), 0);
    const Placed x(device(), Tensor::full(shape, 3).in_format(format), 0);
    const Tensor s = Tensor::full({4}, 2).to(device());
    const Tensor p = Tensor::full({1}, 0.5).to(device());
    for (const auto& rung : kernels::gated_stage_ladder(device())) {
      SCOPED_TRACE(trace_of(rung));
      Placed y(device(), nan_like(x.values()), 0);
      rung.run(x.view(), h.view(), s.view(), p.view(), y.view());
      const auto values = y.values().to_vector<double>();
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (i == 40)
          EXPECT_TRUE(std::isnan(values[i]));
        else
          EXPECT_EQ(values[i], i == 41 ? 3 : 3.25) << i;
      }
    }
  }
}

TEST_P(Ladder, GatedStageRefusesBlockedFormats) {
  if (!is_there(kernels::gated_stage_ladder)) return;
  const Placed x(device(), Tensor::full({1, 8, 2, 2}, 1).in_format(MemoryFormat::kBlocked8), 0);
  Placed y(device(), x.values(), 0);
  const Tensor one = Tensor::full({1}, 1).to(device());
  for (const auto& rung : kernels::gated_stage_ladder(device()))
    test::expect_error([&] { rung.run(x.view(), x.view(), one.view(), one.view(), y.view()); },
                       {"1x8x2x2", "blocked"});
}

TEST_P(Ladder, GatedStageOfNothing) {
  if (!is_there(kernels::gated_stage_ladder)) return;
  const Placed nothing(device(), Tensor::empty({0, 4, 3, 3}), 0);
  Placed y(device(), Tensor::empty({0, 4, 3, 3}), 0);
  const Tensor s = Tensor::full({4}, 1).to(device());
  for (const auto& rung : kernels::gated_stage_ladder(device()))
    EXPECT_NO_THROW(rung.run(nothing.view(), nothing.view(), s.view(), s.view(), y.view()))
        << rung.name;
}

constexpr double kEps = 1e-3;

// x and what goes with it, and on the host in float64 what a rung is to make of it.
struct BatchNorm {
  Tensor x, device_weight, device_bias;
  std::vector<double> mean, variance, y;

  BatchNorm(Device device, const Tensor& values) : x(values) {
    const Shape channels{x.shape()[1]};
    const Tensor weight = random_tensor(channels, 2, -2, 2).to(x.dtype());
    const Tensor bias = random_tensor(channels, 3, -1, 1).to(x.dtype());
    device_weight = weight.to(device);
    device_bias = bias.to(device);
    const Tensor exact = x.to(DType::kFloat64);
    const Tensor exact_weight = weight.to(DType::kFloat64);
    const Tensor exact_bias = bias.to(DType::kFloat64);
    Tensor moments[2] = {nan_moments(), nan_moments()};
    Tensor result = exact.clone();
    kernels::mean_and_variance(Device{}, exact.view(), moments[0].view(), moments[1].view());
    kernels::NormArguments arguments;
    arguments.x = exact.view();
    arguments.mean = std::as_const(moments[0]).view();
    arguments.variance = std::as_const(moments[1]).view();
    arguments.weight = exact_weight.view();
    arguments.bias = exact_bias.view();
    arguments.eps = kEps;
    kernels::normalize_forward(Device{}, arguments, kernels::ConstView(), result.view());
    mean = moments[0].to_vector<double>();
    variance = moments[1].to_vector<double>();
    y = result.to_vector<double>();
  }
  Tensor nan_moments() const {
    return Tensor::full({x.shape()[1]}, NAN, {.dtype = DType::kFloat64});
  }

  // Errors relative to the values, or to 1 where these are less.
  struct Tolerances {
    double mean;
    double variance;
    double y;
  };
  template <class Rung>
  void check_rung(Device device, const Rung& rung, std::int64_t offset, bool wants_y,
                  const Tolerances& tolerances) const {
    SCOPED_TRACE(trace_of(rung));
    const Placed on_device(device, x, offset);
    Tensor moments[2] = {nan_moments().to(device), nan_moments().to(device)};
    Placed to(device, nan_like(x), offset);
    rung.run(on_device.view(), std::as_const(device_weight).view(),
             std::as_const(device_bias).view(), kEps, moments[0].view(), moments[1].view(),
             wants_y ? to.view() : kernels::View{});
    expect_near(moments[0], mean, tolerances.mean, "mean");
    expect_near(moments[1], variance, tolerances.variance, "variance");
    if (wants_y) expect_near(to.values(), y, tolerances.y, "y");
  }
};

void check_batch_norm(Device device, const Shape& shape, DType dtype, MemoryFormat format,
                      std::int64_t offset) {
  SCOPED_TRACE(fmt::format("{} {} offset {}", shape.to_string(), name_of(dtype), offset));
  const BatchNorm norm(device, random_tensor(shape, 1, -3, 5).to(dtype).in_format(format));
  // Sums are doubles, whatever the dtype. Of y the scale, the product and the sum are rounded.
  const double rounding = dtype == DType::kFloat32 ? 1e-6 : 1e-13;
  for (const auto& rung : kernels::batch_norm_ladder(device))
    norm.check_rung(device, rung, offset, true, {1e-14, 1e-13, rounding});
}

// One element; no maps; rows that are and are not whole packs; more pixels than a task has, also of
// packs. Each barrier takes the host runner long, so that blocks are to be few.
TEST_P(Ladder, BatchNormOfPlainTensors) {
  if (!is_there(kernels::batch_norm_ladder)) return;
  in_every_order([&] {
    constexpr MemoryFormat kPlain = MemoryFormat::kPlain;
    for (const Shape& shape :
         {Shape{1, 1, 1, 1}, Shape{3, 3}, Shape{2, 3, 7, 7}, Shape{1, 1, 1, 4103}})
      check_batch_norm(device(), shape, DType::kFloat32, kPlain, 0);
    for (const Shape& shape : {Shape{2, 2, 7, 7}, Shape{3, 3, 2, 5}})
      check_batch_norm(device(), shape, DType::kFloat64, kPlain, 0);
    for (const std::int64_t offset : {0, 1})
      check_batch_norm(device(), {2, 2, 4, 4}, DType::kFloat32, kPlain, offset);
  });
  check_batch_norm(device(), {1, 1, 128, 129}, DType::kFloat32, MemoryFormat::kPlain, 0);
}

// Also more channels than a tile has, of elements and of packs (of two doubles).
TEST_P(Ladder, BatchNormOfChannelsLastTensors) {
  if (!is_there(kernels::batch_norm_ladder)) return;
  constexpr MemoryFormat kLast = MemoryFormat::kChannelsLast;
  in_every_order([&] {
    for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 7, 7}})
      check_batch_norm(device(), shape, DType::kFloat32, kLast, 0);
    for (const std::int64_t offset : {0, 1})
      check_batch_norm(device(), {1, 4, 33, 7}, DType::kFloat32, kLast, offset);
    check_batch_norm(device(), {2, 4, 11, 13}, DType::kFloat64, kLast, 0);
  });
  check_batch_norm(device(), {1, 37, 3, 1}, DType::kFloat32, kLast, 0);
  check_batch_norm(device(), {2, 66, 2, 1}, DType::kFloat64, kLast, 0);
}

TEST_P(Ladder, BatchNormOfStatisticsAlone) {
  if (!is_there(kernels::batch_norm_ladder)) return;
  const BatchNorm norm(device(), random_tensor({2, 4, 3, 4}, 1, -3, 5).to(DType::kFloat32));
  for (const auto& rung : kernels::batch_norm_ladder(device()))
    norm.check_rung(device(), rung, 0, false, {1e-14, 1e-13, 0});
}

TEST_P(Ladder, BatchNormDoesNotSufferFromALargeMean) {
  if (!is_there(kernels::batch_norm_ladder)) return;
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    const BatchNorm norm(
        device(),
        random_tensor({4, 4, 9, 9}, 1, 999999, 1000001).to(DType::kFloat32).in_format(format));
    // The mean as a float, a third of a standard deviation from itself at worst, would show in y.
    for (const auto& rung : kernels::batch_norm_ladder(device()))
      norm.check_rung(device(), rung, 0, true, {1e-14, 1e-10, 1e-6});
  }
}

TEST_P(Ladder, BatchNormKeepsNaNInItsChannel) {
  if (!is_there(kernels::batch_norm_ladder)) return;
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    const Shape shape{2, 4, 2, 4};
    std::vector<double> values(64, 1.0);
    values[(4 + 2) * 8 + 5] = NAN;
    const Placed x(device(), Tensor::of(shape, values).to(DType::kFloat32).in_format(format), 0);
    const Tensor one = Tensor::full({4}, 1).to(device());
    for (const auto& rung : kernels::batch_norm_ladder(device())) {
      SCOPED_TRACE(trace_of(rung));
      Tensor mean = Tensor::full({4}, 7, {.dtype = DType::kFloat64}).to(device());
      Tensor variance = mean.clone();
      Placed y(device(), Tensor::full(shape, 7).in_format(format), 0);
      rung.run(x.view(), one.view(), one.view(), kEps, mean.view(), variance.view(), y.view());
      const auto means = mean.to_vector<double>();
      const auto variances = variance.to_vector<double>();
      const auto result = y.values().to_vector<double>();
      for (std::size_t c = 0; c < 4; ++c) {
        EXPECT_EQ(std::isnan(means[c]), c == 2);
        EXPECT_EQ(std::isnan(variances[c]), c == 2);
      }
      for (std::size_t i = 0; i < result.size(); ++i)
        EXPECT_EQ(std::isnan(result[i]), i / 8 % 4 == 2) << i;
    }
  }
}

TEST_P(Ladder, BatchNormRefusesBlockedFormatsAndNothing) {
  if (!is_there(kernels::batch_norm_ladder)) return;
  const Tensor one = Tensor::full({8}, 1).to(device());
  Tensor mean = Tensor::full({8}, 1, {.dtype = DType::kFloat64}).to(device());
  Tensor variance = mean.clone();
  const Placed blocked(device(), Tensor::full({1, 8, 2, 2}, 1).in_format(MemoryFormat::kBlocked8),
                       0);
  const Placed nothing(device(), Tensor::empty({0, 8, 2, 2}), 0);
  for (const auto& rung : kernels::batch_norm_ladder(device())) {
    SCOPED_TRACE(trace_of(rung));
    const auto run = [&](const Placed& x) {
      rung.run(x.view(), one.view(), one.view(), kEps, mean.view(), variance.view(), {});
    };
    test::expect_error([&] { run(blocked); }, {"1x8x2x2", "blocked"});
    test::expect_error([&] { run(nothing); }, {"0x8x2x2", "empty"});
  }
}

}  // namespace
}  // namespace concord
