// Steps that are captured and replayed, against the same steps run one by one: the same bits. On
// the host runner AddressSanitizer sees what a replay uses and the graph does not own.

#include "kernels/graph.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <thread>

#include "engine/autograd.h"
#include "engine/device_graph.h"
#include "engine/graphed_step.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "models/trans_net.h"
#include "tests/device/small_classifier.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::images;
using test::SmallClassifier;

class Graphs : public test::OnDevice {
 protected:
  Tensor on_device(const Shape& shape, double value) const {
    return Tensor::full(shape, value, {.device = device()});
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Graphs, ::testing::Values(DeviceType::kCuda),
                         test::name_of_device);

using Bits = std::vector<std::vector<double>>;

Bits bits_of(const std::vector<Named<Tensor>>& tensors) {
  Bits bits;
  for (const auto& [name, tensor] : tensors) bits.push_back(tensor.to_vector<double>());
  return bits;
}

// Bit for bit; a message of one line for networks of many numbers.
void expect_equal(const Bits& actual, const Bits& expected, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].size(), expected[i].size()) << what << ", tensor " << i;
    for (std::size_t j = 0; j < actual[i].size(); ++j)
      ASSERT_EQ(std::bit_cast<std::uint64_t>(actual[i][j]),
                std::bit_cast<std::uint64_t>(expected[i][j]))
          << what << ", tensor " << i << ", element " << j << ": " << actual[i][j] << " and "
          << expected[i][j];
  }
}

// A training of a network, in graphs or not, that can be left and gone on with.
class Training {
 public:
  virtual ~Training() = default;

  // Step `number` on `samples` images; which of both it is decides its data and learning rate.
  void step(std::uint64_t number, std::int64_t samples) {
    losses.push_back(step_->run(inputs(number, samples)).front().item());
    replays += step_->replayed() ? 1 : 0;
    step_->update(*optimizer_, 0.1 * std::pow(0.8, static_cast<double>(number)));
  }
  // As a checkpoint does.
  void go_on_from(Training& other) {
    std::map<std::string, Tensor> state;
    for (const auto& [name, tensor] : other.optimizer_->state()) state.emplace(name, tensor);
    optimizer_->load_state(state);
    const auto from = other.module().named_state();
    auto to = module().named_state();
    for (std::size_t i = 0; i < to.size(); ++i) to[i].second.copy_from(from[i].second);
    generator().set_state(other.generator().seed(), other.generator().offset());
  }
  // Everything that a checkpoint would hold.
  Bits state() {
    Bits bits = bits_of(module().named_state());
    for (auto& more : bits_of(optimizer_->state())) bits.push_back(std::move(more));
    bits.push_back({static_cast<double>(generator().offset())});
    bits.push_back(losses);
    return bits;
  }
  virtual Module& module() = 0;
  virtual random::Generator& generator() = 0;
  virtual std::vector<Tensor> inputs(std::uint64_t number, std::int64_t samples) = 0;

  std::vector<double> losses;
  int replays = 0;

 protected:
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<GraphedStep> step_;
};

class ClassifierTraining final : public Training {
 public:
  ClassifierTraining(Device device, bool graphs) : device_(device) {
    classifier_.net.to(device);
    optimizer_ =
        make_sgd(classifier_.net.named_parameters(), {.momentum = 0.9, .weight_decay = 1e-3});
    step_.emplace(device, graphs, [this](const std::vector<Tensor>& inputs) {
      const Tensor loss = cross_entropy(classifier_.net(inputs[0]), inputs[1]);
      loss.backward();
      return std::vector<Tensor>{loss.detach()};
    });
  }
  Sequential& module() override { return classifier_.net; }
  random::Generator& generator() override { return classifier_.generator(); }
  std::vector<Tensor> inputs(std::uint64_t number, std::int64_t samples) override {
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < samples; ++i)
      labels.push_back((i + static_cast<std::int64_t>(number)) % 4);
    return {images({samples, 3, 7, 6}, number).to(device_),
            Tensor::of({samples}, labels).to(device_)};
  }

 private:
  Device device_;
  SmallClassifier classifier_;
};

class TransNetTraining final : public Training {
 public:
  TransNetTraining(Device device, bool graphs, StageNorm norm)
      : generator_(5),
        net_({.channels_in = 4,
              .channels_out = 5,
              .input_norm = InputNorm::kBatchNorm,
              .stage_norm = norm},
             generator_) {
    net_.to(device);
    optimizer_ = make_adam(net_.named_parameters(), {.weight_decay = 1e-4});
    step_.emplace(device, graphs, [this](const std::vector<Tensor>& inputs) {
      const Tensor mse = mse_loss(net_(inputs[0]), inputs[1]);
      const Tensor loss = add(mse, gate_penalty(net_.gates(), {0.1, 0.1}));
      loss.backward();
      return std::vector<Tensor>{loss.detach()};
    });
  }
  Module& module() override { return net_; }
  random::Generator& generator() override { return generator_; }
  std::vector<Tensor> inputs(std::uint64_t number, std::int64_t samples) override {
    return {images({samples, 4, 5, 7}, 10 + number).to(net_.device()),
            images({samples, 5, 5, 7}, 50 + number).to(net_.device())};
  }

 private:
  random::Generator generator_;
  TransNet net_;
};

// Layers whose weights' gradients are put off until the update asks for them: the graph of the
// update computes them from what that of the pass left.
class WideTraining final : public Training {
 public:
  WideTraining(Device device, bool graphs) : generator_(7) {
    for (const ModulePtr& module : std::vector<ModulePtr>{
             std::make_shared<Linear>(8, 200, generator_), std::make_shared<ReLU>(),
             std::make_shared<Linear>(200, 300, generator_),
             std::make_shared<Dropout>(0.5, generator_),
             std::make_shared<Linear>(300, 200, generator_)})
      net_.append(module);
    net_.to(device);
    optimizer_ = make_adam(net_.named_parameters(), {});
    step_.emplace(device, graphs, [this](const std::vector<Tensor>& inputs) {
      const Tensor loss = mse_loss(net_(inputs[0]), inputs[1]);
      loss.backward();
      return std::vector<Tensor>{loss.detach()};
    });
  }
  Module& module() override { return net_; }
  random::Generator& generator() override { return generator_; }
  std::vector<Tensor> inputs(std::uint64_t number, std::int64_t samples) override {
    return {images({samples, 8}, 10 + number).to(net_.device()),
            images({samples, 200}, 50 + number).to(net_.device())};
  }

 private:
  random::Generator generator_;
  Sequential net_;
};

// Epochs of four batches of which the last is smaller. The captured shape is replayed from the
// fifth step on, the other runs as it is.
constexpr std::int64_t kSamples[] = {3, 3, 3, 2, 3, 3, 3, 2, 3, 3};
constexpr int kReplays = 5;

template <class Make>
void expect_same_training(Make make) {
  const auto eager = make(false);
  const auto graphs = make(true);
  const auto resumed = make(true);
  for (std::uint64_t step = 0; step < std::size(kSamples); ++step) {
    eager->step(step, kSamples[step]);
    graphs->step(step, kSamples[step]);
    if (step == 5) resumed->go_on_from(*graphs);
    if (step > 5) resumed->step(step, kSamples[step]);
    expect_equal(graphs->state(), eager->state(), fmt::format("step {}", step));
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_EQ(eager->replays, 0);
  EXPECT_EQ(graphs->replays, kReplays);
  EXPECT_NE(eager->losses.front(), eager->losses.back());
  resumed->losses = eager->losses;
  expect_equal(resumed->state(), eager->state(), "resumed");
}

TEST_P(Graphs, TrainAClassifierToTheSameBits) {
  expect_same_training(
      [&](bool graphs) { return std::make_unique<ClassifierTraining>(device(), graphs); });
}

TEST_P(Graphs, TrainATransNetToTheSameBits) {
  for (const StageNorm norm : {StageNorm::kSample, StageNorm::kBatch})
    expect_same_training(
        [&](bool graphs) { return std::make_unique<TransNetTraining>(device(), graphs, norm); });
}

TEST_P(Graphs, TrainATransNetInBFloat16ToTheSameBits) {
  const test::InBFloat16 precision;
  expect_same_training([&](bool graphs) {
    return std::make_unique<TransNetTraining>(device(), graphs, StageNorm::kBatch);
  });
}

TEST_P(Graphs, TrainWithGradientsThatArePutOff) {
  expect_same_training(
      [&](bool graphs) { return std::make_unique<WideTraining>(device(), graphs); });
}

// Another batch size for good is captured in turn, and the first again after it.
TEST_P(Graphs, FollowAShapeThatChangesForGood) {
  ClassifierTraining eager(device(), false);
  ClassifierTraining graphs(device(), true);
  for (std::uint64_t step = 0; step < 18; ++step) {
    const std::int64_t samples = step < 6 || step >= 12 ? 3 : 2;
    const int before = graphs.replays;
    eager.step(step, samples);
    graphs.step(step, samples);
    EXPECT_EQ(graphs.replays - before, step % 6 >= 3 ? 1 : 0) << "step " << step;
  }
  expect_equal(graphs.state(), eager.state(), "at the end");
}

// What evaluation folds of the parameters is folded anew after they changed in a replay.
TEST_P(Graphs, ReplaysCountAsChangesOfTheParameters) {
  ClassifierTraining eager(device(), false);
  ClassifierTraining graphs(device(), true);
  const auto logits = [&](ClassifierTraining& training) {
    const NoGradGuard no_gradients;
    training.module().set_training(false);
    const auto values = training.module()(training.inputs(99, 3)[0]).to_vector<double>();
    training.module().set_training(true);
    return values;
  };
  std::vector<double> last;
  for (std::uint64_t step = 0; step < 7; ++step) {
    eager.step(step, 3);
    graphs.step(step, 3);
    const auto now = logits(graphs);
    EXPECT_EQ(now, logits(eager)) << "step " << step;
    EXPECT_NE(now, last) << "step " << step;
    last = now;
  }
  EXPECT_EQ(graphs.replays, 4);
}

// The loss is known before the update: who stops there has the parameters of before.
TEST_P(Graphs, ALossThatIsNoNumberStopsBeforeTheUpdate) {
  Tensor weight = on_device({3}, 2).set_requires_grad(true);
  const auto optimizer = make_sgd({{"weight", weight}}, {});
  GraphedStep step(device(), true, [&](const std::vector<Tensor>& inputs) {
    const Tensor loss = mse_loss(weight, inputs[0]);
    loss.backward();
    return std::vector<Tensor>{loss.detach()};
  });
  for (int i = 0; i < GraphedStep::kWarmUps + 2; ++i) {
    step.run({on_device({3}, 1)});
    step.update(*optimizer, 0.1);
  }
  const auto before = weight.to_vector<double>();
  EXPECT_TRUE(std::isnan(step.run({on_device({3}, NAN)}).front().item()));
  EXPECT_TRUE(step.replayed());
  EXPECT_EQ(weight.to_vector<double>(), before);
  test::expect_error([&] { step.run({on_device({3}, 1)}); }, {"without an update"});
}

// y = a + a, whatever a holds when it is replayed; nothing is done before.
TEST_P(Graphs, ReadTheirInputsAtEachReplay) {
  in_every_order([&] {
    Tensor a = on_device({1000}, 1);
    Tensor y = on_device({1000}, 0);
    DeviceGraph graph(device(), [&] {
      const Tensor sum = add(a, a);
      y.copy_from(sum);
    });
    EXPECT_EQ(y.to_vector<double>(), std::vector<double>(1000, 0));
    for (const double value : {1.0, -3.0}) {
      a.fill(value);
      graph.replay();
      EXPECT_EQ(y.to_vector<double>(), std::vector<double>(1000, 2 * value));
    }
  });
}

TEST_P(Graphs, NumbersAndCountersOfEachReplay) {
  double number = 1;
  int count = 0;
  kernels::Replayed<double> given{0};
  Tensor y = on_device({1}, 0).to(DType::kFloat64);
  DeviceGraph graph(device(), [&] {
    on_every_step([&count] { ++count; });
    given = value_of_step<double>([&] { return number * count; });
    kernels::copy(device(), y.view().data, given.at, sizeof(double));
  });
  EXPECT_EQ(count, 0);
  const std::uint64_t version = y.version();
  for (const int times : {1, 2, 3}) {
    number = 10 * times;
    graph.replay();
    EXPECT_EQ(count, times);
    EXPECT_EQ(y.item(), number * times);
  }
  EXPECT_EQ(y.version(), version + 3);
  EXPECT_EQ(value_of_step<double>([&] { return number; }).value, number) << "outside of a capture";
}

TEST_P(Graphs, RefuseToWaitForTheDevice) {
  const Tensor a = on_device({3}, 1);
  const auto refused = [&](const std::function<void()>& work, const char* what) {
    test::expect_error([&] { DeviceGraph(device(), work); },
                       {what, "cannot wait for the device or exchange data with the host"});
    EXPECT_FALSE(kernels::capturing());
    EXPECT_EQ(add(a, a).to_vector<double>(), std::vector<double>(3, 2)) << "as before";
  };
  refused([&] { add(a, a).to_vector<double>(); }, "copy_to_host");
  refused([&] { Tensor::of<std::int64_t>({1}, {7}).to(device()); }, "copy_from_host");
  refused([&] { kernels::synchronize(device()); }, "synchronize");
  test::expect_error(
      [&] { DeviceGraph(device(), [&] { DeviceGraph(device(), [&] { add(a, a); }); }); },
      {"cannot capture another"});

  SmallClassifier classifier;
  classifier.net.to(device());
  GraphedStep step(device(), true, [&](const std::vector<Tensor>& inputs) {
    const Tensor loss = cross_entropy(classifier.net(inputs[0]), inputs[1]);
    loss.backward();
    loss.item();
    return std::vector<Tensor>{};
  });
  const auto optimizer = make_sgd(classifier.net.named_parameters(), {});
  const std::vector<Tensor> inputs = {images({2, 3, 7, 6}, 1).to(device()),
                                      Tensor::of<std::int64_t>({2}, {0, 1}).to(device())};
  for (int i = 0; i < GraphedStep::kWarmUps; ++i) {
    step.run(inputs);
    step.update(*optimizer, 0.1);
  }
  test::expect_error([&] { step.run(inputs); }, {"copy_to_host", "captured as a graph"});
}

// What was made before and let go within, what is made within and stays, and results that outlive
// the graph.
TEST_P(Graphs, OwnWhatTheirReplaysUse) {
  const std::size_t before = kernels::memory_statistics(device()).in_use;
  {
    Tensor kept;
    std::optional<Tensor> a = on_device({1000}, 3);
    {
      Tensor y = on_device({1000}, 0);
      DeviceGraph graph(device(), [&] {
        kept = add(*a, *a);
        y.copy_from(add(kept, add(kept, *a)));
        a.reset();
      });
      const Tensor other = on_device({1000}, 9);  // would lie where a was, were it free
      for (int i = 0; i < 2; ++i) {
        graph.replay();
        EXPECT_EQ(y.to_vector<double>(), std::vector<double>(1000, 15));
        EXPECT_EQ(other.to_vector<double>(), std::vector<double>(1000, 9));
      }
    }
    EXPECT_EQ(kept.to_vector<double>(), std::vector<double>(1000, 6)) << "outlives the graph";
    EXPECT_GT(kernels::memory_statistics(device()).in_use, before);
  }
  EXPECT_EQ(kernels::memory_statistics(device()).in_use, before);
}

// The work of other threads is done at once and not recorded.
TEST_P(Graphs, AreOfOneThread) {
  Tensor a = on_device({100}, 1);
  Tensor b = on_device({100}, 1);
  DeviceGraph graph(device(), [&] {
    a.copy_from(add(a, a));
    std::thread([&] {
      b.copy_from(add(b, b));
      EXPECT_EQ(b.to_vector<double>(), std::vector<double>(100, 2));
    }).join();
  });
  graph.replay();
  graph.replay();
  EXPECT_EQ(a.to_vector<double>(), std::vector<double>(100, 4));
  EXPECT_EQ(b.to_vector<double>(), std::vector<double>(100, 2));
}

TEST_P(Graphs, StoreValues) {
  for (const std::size_t words : {1, 3, 255, 256, 257, 512, 600}) {
    std::vector<std::int64_t> values(words);
    for (std::size_t i = 0; i < words; ++i) values[i] = static_cast<std::int64_t>(i) * 1000003 - 7;
    Tensor to = Tensor::full({static_cast<std::int64_t>(words) + 1}, -1, {DType::kInt64, device()});
    kernels::store(device(), std::as_bytes(std::span(values)), to.view().data);
    values.push_back(-1);
    EXPECT_EQ(to.to_vector<std::int64_t>(), values);
  }
  Tensor to = on_device({4}, 0);
  const std::array<std::byte, 12> odd = {};
  test::expect_error([&] { kernels::store(device(), odd, to.view().data); },
                     {"store", "12 bytes", "multiples of 8"});
}

TEST(GraphsOfTheCpu, AreAnError) {
  test::expect_error([] { DeviceGraph(Device{}, [] {}); }, {"cpu", "graphs need a CUDA device"});
  const auto nothing = [](const std::vector<Tensor>& inputs) { return inputs; };
  test::expect_error([&] { GraphedStep(Device{}, true, nothing); },
                     {"cpu", "graphs need a CUDA device"});
}

}  // namespace
}  // namespace concord
