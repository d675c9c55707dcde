// Numbers of PyTorch for weights and images by a formula (make_pytorch_goldens.py): logits of each
// family of architectures, losses of a small residual classifier and of a Trans-Net in training.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "engine/optimizer.h"
#include "models/network.h"
#include "models/residual_block.h"
#include "models/trans_net.h"
#include "tests/models/pytorch_goldens.h"
#include "tests/models/quick_network.h"

namespace concord::test {
namespace {

void fill(Tensor& tensor, std::uint32_t seed, double centre, double bound) {
  float* values = tensor.data<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    seed = seed * 1664525U + 1013904223U;  // Numerical Recipes' linear congruence
    values[i] = static_cast<float>(centre + bound * (static_cast<double>(seed) / 0x1p31 - 1));
  }
}

// The tensors in the order of their names.
void fill(Module& module) {
  std::vector<Named<Tensor>> state = module.named_state();
  std::erase_if(state, [](const auto& entry) { return entry.second.dtype() != DType::kFloat32; });
  std::sort(state.begin(), state.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::uint32_t seed = 0;
  for (auto& [name, tensor] : state) {
    const bool vector = tensor.shape().rank() == 1;
    if (name.ends_with("running_var") || (name.ends_with("weight") && vector))
      fill(tensor, ++seed, 1, 0.3);
    else if (vector)
      fill(tensor, ++seed, 0, 0.1);
    else
      fill(tensor, ++seed, 0, std::sqrt(6 / static_cast<double>(tensor.numel() / tensor.dim(0))));
  }
}

Tensor images(std::uint32_t seed, const Shape& shape) {
  Tensor result = Tensor::empty(shape);
  fill(result, seed, 0, 1.7);
  return result;
}

class LogitsOfPytorch : public ::testing::TestWithParam<LogitsGolden> {};

TEST_P(LogitsOfPytorch, AreOurs) {
  const auto& [arch, size, expected] = GetParam();
  const std::shared_ptr<Network> network = network_structure(arch, 5);
  fill(*network);
  network->set_training(false);
  const NoGradGuard no_grad;
  const auto logits = (*network)(images(500, {2, 3, size, size})).to_vector<double>();
  ASSERT_EQ(logits.size(), expected.size());
  const double largest =
      std::abs(*std::max_element(expected.begin(), expected.end(),
                                 [](double a, double b) { return std::abs(a) < std::abs(b); }));
  // float32 through up to fifty layers, each a rounding of sums of hundreds of terms.
  for (std::size_t i = 0; i < logits.size(); ++i)
    EXPECT_TRUE(std::abs(logits[i] - expected[i]) <= 2e-5 * largest)
        << i << ": " << logits[i] << " for " << expected[i];
}
INSTANTIATE_TEST_SUITE_P(Archs, LogitsOfPytorch, ::testing::ValuesIn(kLogitsGoldens),
                         [](const auto& tested) { return std::string(tested.param.arch); });

// What 20 steps make of float32's roundings in networks as shallow as these; PyTorch's own float32
// is 2e-7 from its float64.
constexpr double kLossTolerance = 5e-6;

void expect_losses(const std::vector<double>& losses, const std::vector<double>& expected) {
  ASSERT_EQ(losses.size(), expected.size());
  for (std::size_t i = 0; i < losses.size(); ++i)
    EXPECT_TRUE(std::abs(losses[i] - expected[i]) <= kLossTolerance * expected[i])
        << "step " << i << ": " << losses[i] << " for " << expected[i];
}

TEST(LossesOfPytorch, OfASmallResidualClassifier) {
  random::Generator generator(1);
  Sequential network;
  const std::vector<ModulePtr> modules = {
      std::make_shared<Conv2d>(Conv2dLayer{.in_channels = 3,
                                           .out_channels = 6,
                                           .kernel = {3, 3},
                                           .options = {.padding = {1, 1}},
                                           .bias = false},
                               generator),
      std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = 6}),
      std::make_shared<ReLU>(),
      std::make_shared<MaxPool2d>(MaxPool2dOptions{}),
      std::make_shared<ResidualBlock>(
          ResidualBlockOptions{.in_channels = 6, .width = 10, .out_channels = 10, .stride = 2},
          generator),
      std::make_shared<AdaptiveAvgPool2d>(Size2d{2, 2}),
      std::make_shared<Flatten>(),
      std::make_shared<Linear>(40, 4, generator)};
  for (const ModulePtr& module : modules) network.append(module);
  fill(network);
  network.set_training(true);
  const auto optimizer =
      make_sgd(network.named_parameters(), {.momentum = 0.9, .weight_decay = 1e-4});
  std::vector<double> losses;
  for (std::uint32_t step = 0; step < kClassifierLosses.size(); ++step) {
    std::vector<std::int64_t> labels;
    for (std::uint32_t i = 0; i < 8; ++i) labels.push_back((3 * step + i) % 4);
    const Tensor loss =
        cross_entropy(network(images(1000 + step, {8, 3, 12, 12})), Tensor::of({8}, labels));
    losses.push_back(loss.item());
    loss.backward();
    optimizer->step(0.01);
  }
  expect_losses(losses, kClassifierLosses);
}

TEST(LossesOfPytorch, OfATransNet) {
  random::Generator generator(1);
  TransNet network({.channels_in = 16, .channels_out = 16}, generator);
  fill(network);
  network.set_training(true);
  const auto optimizer = make_adam(network.named_parameters(), {.weight_decay = 1e-4});
  std::vector<double> losses;
  for (std::uint32_t step = 0; step < kTransNetLosses.size(); ++step) {
    const Tensor mse =
        mse_loss(network(images(2000 + step, {3, 16, 5, 7})), images(3000 + step, {3, 16, 5, 7}));
    const Tensor loss = add(mse, gate_penalty(network.gates(), {0.1, 0.1}));
    losses.push_back(loss.item());
    loss.backward();
    optimizer->step(0.01);
  }
  expect_losses(losses, kTransNetLosses);
}

}  // namespace
}  // namespace concord::test
