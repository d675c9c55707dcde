#include "engine/layers.h"

#include <algorithm>

#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::random_tensor;

template <class T>
std::vector<std::string> names_of(const std::vector<Named<T>>& entries) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries) names.push_back(name);
  return names;
}
using Names = std::vector<std::string>;

Tensor image(std::uint64_t stream, const Shape& shape = {3, 4, 5, 6}) {
  return random_tensor(shape, stream).to(DType::kFloat32);
}

TEST(Layers, NamesAndShapesAreTorchs) {
  random::Generator generator(1);
  Sequential net(
      {std::make_shared<Conv2d>(
           Conv2dLayer{
               .in_channels = 4, .out_channels = 6, .kernel = {3, 2}, .options = {.groups = 2}},
           generator),
       std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = 6}), std::make_shared<ReLU>(),
       std::make_shared<Linear>(6, 5, generator)});
  EXPECT_EQ(names_of(net.named_state()),
            (Names{"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias",
                   "1.running_mean", "1.running_var", "1.num_batches_tracked"}));
  const auto state = net.named_state();
  EXPECT_EQ(state[0].second.shape(), Shape({6, 2, 3, 2}));
  EXPECT_EQ(state[4].second.shape(), Shape({5, 6}));
  EXPECT_EQ(state[8].second.shape(), Shape());
  EXPECT_EQ(state[8].second.dtype(), DType::kInt64);
  EXPECT_EQ(state[2].second.to_vector<float>(), std::vector<float>(6, 1.0F));
  EXPECT_EQ(state[3].second.to_vector<float>(), std::vector<float>(6, 0.0F));
  EXPECT_EQ(state[7].second.to_vector<float>(), std::vector<float>(6, 1.0F));
}

// Moments of many draws, to five standard errors.
void expect_moments(const Tensor& tensor, double deviation, double bound) {
  const auto values = tensor.to_vector<double>();
  const double n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (double v : values) {
    sum += v;
    squares += v * v;
    ASSERT_LE(std::abs(v), bound);
  }
  EXPECT_LE(std::abs(sum / n), 5 * deviation / std::sqrt(n));
  EXPECT_NEAR(squares / n, deviation * deviation, 5 * deviation * deviation * std::sqrt(2 / n));
}

TEST(Layers, Initialization) {
  random::Generator generator(2);
  const auto weights = [&](Initialization initialization) {
    Conv2d conv({.in_channels = 40,
                 .out_channels = 60,
                 .kernel = {3, 3},
                 .options = {.groups = 2},
                 .initialization = initialization},
                generator);
    return conv.named_parameters();
  };
  // U(-b, b) with b = 1 / sqrt(20 * 9) has deviation b / sqrt(3).
  const double bound = 1 / std::sqrt(180.0);
  auto parameters = weights(Initialization::kDefault);
  expect_moments(parameters[0].second, bound / std::sqrt(3.0), bound);
  expect_moments(parameters[1].second, bound / std::sqrt(3.0), bound);
  parameters = weights(Initialization::kKaimingNormal);
  expect_moments(parameters[0].second, std::sqrt(2.0 / (60 * 9)), 1);
  EXPECT_EQ(parameters[1].second.to_vector<float>(), std::vector<float>(60, 0.0F));
  parameters = weights(Initialization::kSmallNormal);
  expect_moments(parameters[0].second, 0.01, 0.1);

  Linear linear(50, 70, generator);
  expect_moments(linear.named_parameters()[0].second, 1 / std::sqrt(150.0), 1 / std::sqrt(50.0));
  expect_moments(linear.named_parameters()[1].second, 1 / std::sqrt(150.0), 1 / std::sqrt(50.0));
}

class Outputs : public ForwardObserver {
 public:
  void after(const Module&, const Tensor& output) override {
    outputs.push_back(output.to_vector<float>());
  }
  std::vector<std::vector<float>> outputs;
};

TEST(Layers, BatchNormAndReluGiveTheSameFusedAndObserved) {
  for (bool training : {true, false}) {
    const auto make = [] {
      return std::make_shared<Sequential>(
          std::vector<ModulePtr>{std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = 4}),
                                 std::make_shared<ReLU>()});
    };
    const auto fused = make();
    const auto observed = make();
    fused->set_training(training);
    observed->set_training(training);
    Tensor x1 = image(3), x2 = image(3);
    x1.set_requires_grad(true);
    x2.set_requires_grad(true);
    const Tensor y1 = (*fused)(x1);
    Outputs outputs;
    const Tensor y2 = (*observed)(x2);
    ASSERT_EQ(outputs.outputs.size(), 3U) << "norm, relu and the sequence";
    float least = 0;
    for (float v : outputs.outputs[0]) least = std::min(least, v);
    EXPECT_LT(least, 0) << "the norm's own output is shown";
    EXPECT_EQ(y1.to_vector<float>(), y2.to_vector<float>());
    const Tensor cotangent = image(4);
    y1.backward(cotangent);
    y2.backward(cotangent);
    test::expect_close(x1.grad(), x2.grad(), 1e-6, "gradient");
    for (std::size_t i = 0; i < 5; ++i)
      EXPECT_EQ(fused->named_state()[i].second.to_vector<double>(),
                observed->named_state()[i].second.to_vector<double>());
    EXPECT_EQ(fused->named_state()[4].second.item(), training ? 1 : 0) << "batches tracked";
  }
}

// A convolution, its norm with statistics that are not 0 and 1, and a ReLU.
class ConvolutionAndNorm {
 public:
  explicit ConvolutionAndNorm(bool bias, bool affine = true)
      : generator_(1),
        convolution(std::make_shared<Conv2d>(Conv2dLayer{.in_channels = 4,
                                                         .out_channels = 16,
                                                         .kernel = {3, 3},
                                                         .options = {.padding = {1, 1}},
                                                         .bias = bias},
                                             generator_)),
        norm(std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = 16, .affine = affine})),
        net({convolution, norm, std::make_shared<ReLU>()}) {
    for (int i = 0; i < 3; ++i) net(image(20 + static_cast<std::uint64_t>(i)));
    for (auto& [name, tensor] : norm->named_parameters())
      tensor.copy_from(random_tensor(tensor.shape(), 30, 0.5, 2).to(DType::kFloat32));
    net.set_training(false);
  }

  // One pass, and what an observer sees of three.
  Tensor fused(const Tensor& x) {
    const NoGradGuard no_gradients;
    return net(x);
  }
  Tensor in_steps(const Tensor& x) {
    const NoGradGuard no_gradients;
    const Outputs observer;
    return net(x);
  }
  void expect_same(const std::string& what) {
    const Tensor x = image(40);
    test::expect_close(fused(x), in_steps(x), 1e-5, what);
  }

 private:
  random::Generator generator_;

 public:
  std::shared_ptr<Conv2d> convolution;
  std::shared_ptr<BatchNorm2d> norm;
  Sequential net;
};

TEST(Layers, EvaluationFoldsTheNorm) {
  for (bool bias : {false, true})
    for (bool affine : {false, true})
      ConvolutionAndNorm(bias, affine).expect_same(fmt::format("bias {}, affine {}", bias, affine));
}

// What was folded must not outlive any of what it was folded from.
TEST(Layers, FoldedNormFollowsItsSources) {
  ConvolutionAndNorm pair(true);
  pair.expect_same("at first");
  for (auto& [name, tensor] : pair.net.named_state()) {
    if (tensor.dtype() != DType::kFloat32) continue;
    const Tensor before = pair.fused(image(40));
    tensor.copy_from(random_tensor(tensor.shape(), 50, 0.5, 2).to(DType::kFloat32));
    const Tensor after = pair.fused(image(40));
    EXPECT_NE(before.to_vector<float>(), after.to_vector<float>()) << name;
    pair.expect_same(name + " changed");
  }
  pair.net.set_training(true);
  pair.net(image(41));
  pair.net.set_training(false);
  pair.expect_same("after another training pass");
}

TEST(Layers, FoldedNormRecordsWhereAGradientIsWanted) {
  ConvolutionAndNorm pair(true);
  Tensor x = image(40);
  pair.fused(x);
  x.set_requires_grad(true);
  const Tensor y = pair.net(x);
  y.backward(random_tensor(y.shape(), 42).to(DType::kFloat32));
  EXPECT_TRUE(x.grad().defined());
  for (const auto& [name, parameter] : pair.net.named_parameters())
    EXPECT_TRUE(parameter.grad().defined()) << name;
}

TEST(Layers, FoldedNormDoesNotHideNaN) {
  for (const char* name : {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_var"}) {
    ConvolutionAndNorm pair(true);
    for (auto& [key, tensor] : pair.net.named_state())
      if (key == name) tensor.fill(NAN);
    const auto values = pair.fused(image(40)).to_vector<float>();
    EXPECT_TRUE(std::ranges::all_of(values, [](float v) { return std::isnan(v); })) << name;
  }
}

TEST(Layers, FrozenBatchNormKeepsItsStatistics) {
  BatchNorm2d norm({.channels = 4});
  norm.freeze_mode();
  norm.set_training(true);
  norm(image(5));
  const auto state = norm.named_state();
  EXPECT_EQ(state[2].second.to_vector<float>(), std::vector<float>(4, 0.0F));
  EXPECT_EQ(state[4].second.item(), 0);
}

TEST(Layers, BatchNormWithoutRunningStatisticsUsesTheBatchInAnyMode) {
  BatchNorm2d norm({.channels = 4, .affine = false, .running_statistics = false});
  EXPECT_TRUE(norm.named_state().empty());
  const auto trained = norm(image(6)).to_vector<float>();
  norm.set_training(false);
  EXPECT_EQ(norm(image(6)).to_vector<float>(), trained);
}

TEST(Layers, DropoutDrawsFromTheRunsGenerator) {
  random::Generator generator(9);
  Dropout dropout(0.5, generator);
  const Tensor x = Tensor::full({1000}, 1);
  const auto first = dropout(x).to_vector<float>();
  const auto second = dropout(x).to_vector<float>();
  EXPECT_NE(first, second);
  EXPECT_EQ(generator.offset(), 2U);
  generator.set_state(9, 1);
  EXPECT_EQ(dropout(x).to_vector<float>(), second);
  dropout.set_training(false);
  EXPECT_EQ(dropout(x).to_vector<float>(), x.to_vector<float>());
  EXPECT_EQ(generator.offset(), 2U) << "evaluation draws nothing";
  test::expect_error([&] { Dropout(1, generator); }, {"p is 1"});
}

TEST(Layers, BadSizes) {
  random::Generator generator(9);
  test::expect_error(
      [&] { Conv2d({.in_channels = 3, .out_channels = 4, .options = {.groups = 2}}, generator); },
      {"3 input and 4 output channels", "2 groups"});
  test::expect_error([&] { Linear(0, 4, generator); }, {"0 input"});
}

TEST(Layers, SmallestInput) {
  random::Generator generator(9);
  const Conv2d conv({.in_channels = 1,
                     .out_channels = 1,
                     .kernel = {11, 3},
                     .options = {.padding = {2, 1}, .dilation = {1, 3}}},
                    generator);
  EXPECT_EQ(conv.smallest_input(), (Size2d{7, 5}));
  EXPECT_EQ(MaxPool2d({.kernel = {3, 3}, .padding = {1, 0}}).smallest_input(), (Size2d{1, 3}));
}

}  // namespace
}  // namespace concord
