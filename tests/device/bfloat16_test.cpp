// Networks in bfloat16: maps are stored in it, parameters, their gradients, statistics and losses
// stay float32.

#include <cmath>

#include "engine/autograd.h"
#include "engine/layers.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/gated_stage.h"
#include "engine/ops/loss.h"
#include "engine/ops/shape.h"
#include "engine/optimizer.h"
#include "engine/precision.h"
#include "kernels/copy_rows.h"
#include "kernels/gather_rows.h"
#include "models/network.h"
#include "models/trans_net.h"
#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::InBFloat16;
using test::random_tensor;
using test::relative_error;

CONCORD_ON_EVERY_DEVICE(InBFloat);

Tensor images(const Shape& shape, std::uint64_t stream) {
  return random_tensor(shape, stream).to(DType::kFloat32);
}

struct Outcome {
  std::vector<double> losses;
  std::vector<Named<Tensor>> state;
  Tensor y;  // of the first step
};

// Twenty steps of a Trans-Net from four to five channels with everything that one may have.
Outcome train_trans_net(Device device, StageNorm stage_norm) {
  random::Generator generator(5);
  TransNet net({.channels_in = 4,
                .channels_out = 5,
                .input_norm = InputNorm::kBatchNorm,
                .affine = true,
                .stage_norm = stage_norm},
               generator);
  net.to(device);
  const auto optimizer = make_adam(net.named_parameters(), {});
  Outcome outcome;
  for (std::uint64_t step = 0; step < 20; ++step) {
    const Tensor a = images({6, 4, 5, 5}, 2 * (step % 3));
    const Tensor b = images({6, 5, 5, 5}, 2 * (step % 3) + 1).to(device);
    const Tensor y = net(a.to(device));
    EXPECT_EQ(y.dtype(), DType::kFloat32);
    if (step == 0) outcome.y = y.detach().to(Device{});
    const Tensor loss = add(mse_loss(y, b), gate_penalty(net.gates(), {0.1, 0.1}));
    outcome.losses.push_back(loss.item());
    loss.backward();
    for (const auto& [name, parameter] : net.named_parameters())
      EXPECT_EQ(parameter.grad().dtype(), DType::kFloat32) << name;
    optimizer->step(0.01);
  }
  net.to(Device{});
  outcome.state = net.named_state();
  return outcome;
}

TEST_P(InBFloat, ATransNetLearnsAsInFloat32) {
  for (const StageNorm stage_norm : {StageNorm::kSample, StageNorm::kBatch}) {
    const Outcome expected = train_trans_net(Device{}, stage_norm);
    const InBFloat16 precision;
    const Outcome actual = train_trans_net(device(), stage_norm);
    // Maps keep 8 bits through three convolutions; on the CPU nothing changes.
    const bool rounds = GetParam() == DeviceType::kCuda;
    double apart = 0;
    for (std::size_t i = 0; i < expected.losses.size(); ++i) {
      apart = std::max(apart, std::abs(actual.losses[i] - expected.losses[i]));
      EXPECT_NEAR(actual.losses[i], expected.losses[i], 0.01 * expected.losses[i]) << "step " << i;
    }
    EXPECT_LT(actual.losses.back(), 0.9 * actual.losses.front());
    EXPECT_EQ(apart > 1e-6, rounds) << "was anything rounded?";
    EXPECT_LE(relative_error(actual.y, expected.y), rounds ? 0.02 : 1e-5);
    for (std::size_t i = 0; i < expected.state.size(); ++i)
      EXPECT_EQ(actual.state[i].second.dtype(), expected.state[i].second.dtype());
  }
}

// Orders in bfloat16 would not add up to y.
TEST_P(InBFloat, OrdersStayInTheDtypeOfTheFeatures) {
  const InBFloat16 precision;
  random::Generator generator(5);
  TransNet net({.channels_in = 4, .channels_out = 4}, generator);
  net.to(device());
  const Orders orders = net.disentangle(images({2, 4, 5, 5}, 1).to(device()));
  std::vector<double> sum(orders.y.to_vector<double>().size(), 0.0);
  for (const Tensor& order : orders.orders) {
    const auto values = order.to_vector<double>();
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
  }
  EXPECT_LE(relative_error(Tensor::of(orders.y.shape(), sum), orders.y), 1e-5);
}

// Steps that are smaller than the spacing of bfloat16 at the weight must not be lost.
TEST_P(InBFloat, SmallStepsAddUp) {
  const InBFloat16 precision;
  random::Generator generator(1);
  Linear layer(1, 1, generator);
  for (auto& [name, parameter] : layer.named_parameters()) parameter.fill(name == "bias" ? 0 : 1);
  layer.to(device());
  const auto optimizer = make_sgd(layer.named_parameters(), {});
  const Tensor x = in_network_precision(Tensor::full({1, 1}, 1).to(device()));
  const Tensor zero = Tensor::zeros({1, 1}, x.options());
  for (int step = 0; step < 100; ++step) {
    mse_loss(layer(x), zero).backward();
    optimizer->step(1e-4);  // each moves the weight by 2e-4, a twentieth of the spacing below 1
  }
  const double weight = layer.named_parameters()[0].second.item();
  // w <- w - 2 lr (w + b), b likewise: w + b shrinks by 1 - 4 lr each time, both move alike.
  const double expected = 1 - (1 - std::pow(1 - 4e-4, 100)) / 2;
  // It moves by 0.02; w + b is rounded to bfloat16 in each step, by 2^-8 of itself at most.
  EXPECT_NEAR(weight, expected, GetParam() == DeviceType::kCuda ? 0x1p-8 * 0.02 : 1e-6);
}

TEST_P(InBFloat, ResultsComeInTheDtypeOfTheImages) {
  const InBFloat16 precision;
  random::Generator generator(2);
  const std::shared_ptr<Network> net = make_network("resnet18", 3, generator);
  net->to(device());
  net->set_training(false);
  const NoGradGuard no_gradients;
  const Tensor x = images({1, 3, 33, 33}, 4).to(device());
  const Tensor logits = (*net)(x);
  EXPECT_EQ(logits.dtype(), DType::kFloat32);
  const Tensor maps = net->features(x, "layer1");
  EXPECT_EQ(maps.dtype(), DType::kFloat32);
  EXPECT_EQ(net->features(x, "layer2.0.conv1").dtype(), DType::kFloat32);
  // What was bfloat16 is so again.
  EXPECT_LE(relative_error(net->from_features(maps, "layer1"), logits), 1e-5);
  if (GetParam() == DeviceType::kCpu) return;
  EXPECT_EQ((*net)(x.to(DType::kBFloat16)).dtype(), DType::kBFloat16);
  // Against the CPU, which does not round.
  net->to(Device{});
  // Eighteen layers, each rounded by 2^-8 at most and in either direction: 0.006 on the host
  // runner.
  EXPECT_LE(relative_error(logits, (*net)(x.to(Device{}))), 0.02);
}

TEST_P(InBFloat, GradientsGoThroughAChangeOfDtype) {
  Tensor x = images({3, 5}, 1).to(device()).set_requires_grad(true);
  const Tensor y = convert_dtype(x, DType::kBFloat16);
  EXPECT_EQ(y.dtype(), DType::kBFloat16);
  y.backward(Tensor::full({3, 5}, 0.3, {DType::kBFloat16, device()}));
  EXPECT_EQ(x.grad().dtype(), DType::kFloat32);
  EXPECT_EQ(x.grad().to_vector<float>(),
            std::vector<float>(15, static_cast<float>(BFloat16(0.3F))));
}

// Rows of two bytes an element, of odd and even length.
TEST_P(InBFloat, RowsAreMovedWhole) {
  for (const std::int64_t length : {1, 2, 3, 31, 257, 1024}) {
    const Tensor values = images({5, length}, 1).to(DType::kBFloat16);
    const auto given = values.to_vector<float>();
    const Tensor from = values.to(device());
    const std::vector<std::int64_t> rows = {4, 0, 2};
    Tensor gathered = Tensor::zeros({3, length}, from.options());
    kernels::gather_rows(device(), from.view(), rows, gathered.view());
    const auto result = gathered.to_vector<float>();
    const auto last = slice(from, 1, length - 1, length).to_vector<float>();
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::int64_t i = 0; i < length; ++i)
        ASSERT_EQ(result[r * static_cast<std::size_t>(length) + static_cast<std::size_t>(i)],
                  given[static_cast<std::size_t>(rows[r] * length + i)]);
    for (std::size_t r = 0; r < 5; ++r)
      ASSERT_EQ(last[r], given[(r + 1) * static_cast<std::size_t>(length) - 1]);
  }
}

TEST_P(InBFloat, TheCpuComputesWithNoBFloat16) {
  if (GetParam() != DeviceType::kCpu) GTEST_SKIP() << "CUDA does";
  const Tensor x = Tensor::full({2, 3}, 1).to(DType::kBFloat16);
  test::expect_error([&] { add(x, x); }, {"bfloat16", "CUDA"});
}

}  // namespace
}  // namespace concord
