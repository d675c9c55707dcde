// Whole networks: training steps on the device against the same steps on the CPU.

#include <cmath>

#include "engine/ops/arithmetic.h"
#include "engine/ops/gated_stage.h"
#include "engine/ops/loss.h"
#include "engine/optimizer.h"
#include "models/trans_net.h"
#include "tests/device/small_classifier.h"

namespace concord {
namespace {

using test::images;
using test::relative_error;
using test::SmallClassifier;

CONCORD_ON_EVERY_DEVICE(NetworkOn);

struct Outcome {
  std::vector<double> losses;
  std::vector<Named<Tensor>> state;
  Tensor logits;  // in evaluation, at the end
};

Outcome train_classifier(Device device, bool channels_last) {
  SmallClassifier classifier;
  classifier.net.to(device);
  const auto optimizer =
      make_sgd(classifier.net.named_parameters(), {.momentum = 0.9, .weight_decay = 1e-3});
  Outcome outcome;
  const Tensor labels = Tensor::of<std::int64_t>({3}, {0, 3, 1}).to(device);
  const auto input = [&](std::uint64_t stream) {
    Tensor x = images({3, 3, 7, 6}, stream);
    if (channels_last) x = x.in_format(MemoryFormat::kChannelsLast);
    return x.to(device);
  };
  for (std::uint64_t step = 0; step < 3; ++step) {
    const Tensor loss = cross_entropy(classifier.net(input(step)), labels);
    outcome.losses.push_back(loss.item());
    loss.backward();
    optimizer->step(0.1);
  }
  const NoGradGuard no_gradients;
  classifier.net.set_training(false);
  outcome.logits = classifier.net(input(9)).to(Device{});
  classifier.net.to(Device{});
  outcome.state = classifier.net.named_state();
  return outcome;
}

// Three steps amplify a rounding error of 1e-7 somewhat.
constexpr double kTolerance = 2e-5;

void expect_same(const Outcome& actual, const Outcome& expected) {
  for (std::size_t i = 0; i < expected.losses.size(); ++i)
    EXPECT_NEAR(actual.losses[i], expected.losses[i], kTolerance) << "step " << i;
  for (std::size_t i = 0; i < expected.state.size(); ++i)
    EXPECT_LE(relative_error(actual.state[i].second, expected.state[i].second), kTolerance)
        << expected.state[i].first;
  EXPECT_LE(relative_error(actual.logits, expected.logits), kTolerance) << "logits";
}

TEST_P(NetworkOn, TrainsAClassifierAsTheCpuDoes) {
  const Outcome expected = train_classifier(Device{}, false);
  EXPECT_NE(expected.losses[0], expected.losses[2]);
  for (const bool channels_last : {false, true}) {
    SCOPED_TRACE(channels_last ? "channels-last" : "plain");
    expect_same(train_classifier(device(), channels_last), expected);
  }
}

TEST_P(NetworkOn, GivesTheSameBitsTwice) {
  const Outcome once = train_classifier(device(), false);
  const Outcome again = train_classifier(device(), false);
  EXPECT_EQ(once.losses, again.losses);
  for (std::size_t i = 0; i < once.state.size(); ++i)
    EXPECT_EQ(once.state[i].second.to_vector<double>(), again.state[i].second.to_vector<double>())
        << once.state[i].first;
}

// What evaluation folded on one device must not be used on another, nor after the parameters
// changed elsewhere.
TEST_P(NetworkOn, FoldedNormsFollowTheNetworkThatMoves) {
  const NoGradGuard no_gradients;
  const Tensor x = images({2, 3, 7, 6}, 1);
  SmallClassifier classifier;
  classifier.net.set_training(false);
  const auto logits = [&](Device on) {
    classifier.net.to(on);
    return classifier.net(x.to(on)).to(Device{});
  };
  const Tensor first = logits(Device{});
  EXPECT_LE(relative_error(logits(device()), first), 1e-5);
  EXPECT_LE(relative_error(logits(Device{}), first), 1e-6);
  for (auto& [name, parameter] : classifier.net.named_parameters())
    parameter.copy_from(images(parameter.shape(), 7));
  const Tensor changed = logits(Device{});
  EXPECT_GT(relative_error(changed, first), 1e-3);
  EXPECT_LE(relative_error(logits(device()), changed), 1e-5);
}

Outcome train_trans_net(Device device, InputNorm input_norm, StageNorm stage_norm) {
  random::Generator generator(5);
  TransNet net(
      {.channels_in = 4, .channels_out = 5, .input_norm = input_norm, .stage_norm = stage_norm},
      generator);
  net.to(device);
  const auto optimizer = make_adam(net.named_parameters(), {});
  const std::vector<double> alpha(2, 0.1);
  Outcome outcome;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const Tensor b = images({2, 5, 5, 7}, 20 + step).to(device);
    const Tensor mse = mse_loss(net(images({2, 4, 5, 7}, 10 + step)), b);
    const Tensor loss = add(mse, gate_penalty(net.gates(), alpha));
    outcome.losses.push_back(loss.item());
    loss.backward();
    optimizer->step(1e-2);
  }
  net.set_training(false);
  const Orders orders = net.disentangle(images({2, 4, 5, 7}, 30));
  outcome.logits = orders.y.to(Device{});
  Tensor sum = orders.orders[0].to(Device{}).clone();
  for (std::size_t k = 1; k < orders.orders.size(); ++k)
    sum = add(sum, orders.orders[k].to(Device{}));
  EXPECT_LE(relative_error(sum, outcome.logits), 1e-5) << "the orders sum to y";
  net.to(Device{});
  outcome.state = net.named_state();
  return outcome;
}

TEST_P(NetworkOn, TrainsATransNetAsTheCpuDoes) {
  for (const InputNorm input_norm : {InputNorm::kInstanceNorm, InputNorm::kBatchNorm}) {
    for (const StageNorm stage_norm : {StageNorm::kSample, StageNorm::kBatch}) {
      SCOPED_TRACE(fmt::format("input norm {}, stage norm {}", static_cast<int>(input_norm),
                               static_cast<int>(stage_norm)));
      expect_same(train_trans_net(device(), input_norm, stage_norm),
                  train_trans_net(Device{}, input_norm, stage_norm));
    }
  }
}

}  // namespace
}  // namespace concord
