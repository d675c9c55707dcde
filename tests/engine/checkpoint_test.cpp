#include "engine/checkpoint.h"

#include "engine/layers.h"
#include "engine/ops/loss.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using test::expect_error;
using test::read_bytes;
using test::TemporaryFolder;

// A network with everything that a run has to carry on: running statistics and dropout.
std::shared_ptr<Sequential> small_network(random::Generator& generator, std::int64_t width = 8) {
  const Conv2dLayer conv = {
      .in_channels = 3, .out_channels = width, .kernel = {3, 3}, .options = {.padding = {1, 1}}};
  return std::make_shared<Sequential>(std::vector<ModulePtr>{
      std::make_shared<Conv2d>(conv, generator),
      std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = width}), std::make_shared<ReLU>(),
      std::make_shared<Dropout>(0.3, generator), std::make_shared<Flatten>(),
      std::make_shared<Linear>(width * 20, 5, generator)});
}

using Make = std::function<std::unique_ptr<Optimizer>(std::vector<Named<Tensor>>)>;
const std::vector<std::pair<std::string, Make>> kMakers = {
    {"adam", [](auto p) { return make_adam(p, {.weight_decay = 1e-4}); }},
    {"sgd", [](auto p) { return make_sgd(p, {.momentum = 0.9, .weight_decay = 1e-4}); }}};

void train(Sequential& net, Optimizer& optimizer, int begin, int end) {
  for (int step = begin; step < end; ++step) {
    const std::uint64_t stream = 50 + static_cast<std::uint64_t>(step);
    const Tensor x = test::random_tensor({6, 3, 4, 5}, stream).to(DType::kFloat32);
    const Tensor labels = Tensor::of<std::int64_t>({6}, {0, 1, 2, 3, 4, step % 5});
    cross_entropy(net(x), labels).backward();
    optimizer.step(0.05);
  }
}

std::vector<std::vector<double>> values_of(const Module& module) {
  std::vector<std::vector<double>> result;
  for (const auto& [name, tensor] : module.named_state())
    result.push_back(tensor.to_vector<double>());
  return result;
}

TEST(Checkpoint, AResumedRunGivesTheSameBits) {
  const TemporaryFolder folder;
  for (const auto& [name, make] : kMakers) {
    SCOPED_TRACE(name);
    random::Generator generator(4);
    const auto straight = small_network(generator);
    const auto optimizer = make(straight->named_parameters());
    train(*straight, *optimizer, 0, 6);

    {
      random::Generator first_generator(4);
      const auto first = small_network(first_generator);
      const auto first_optimizer = make(first->named_parameters());
      train(*first, *first_optimizer, 0, 3);
      save_checkpoint(folder / "last", *first, first_optimizer.get(),
                      {.epoch = 1,
                       .step = 2,
                       .generator = first_generator,
                       .metrics = R"({"best": 0.5})",
                       .configuration = R"({"arch": "small"})"});
    }

    random::Generator second_generator(999);  // another start: everything must come from the file
    const auto second = small_network(second_generator);
    const auto second_optimizer = make(second->named_parameters());
    const TrainingState state = load_checkpoint(folder / "last", *second, second_optimizer.get());
    second_generator = state.generator;
    EXPECT_EQ(state.epoch, 1);
    EXPECT_EQ(state.step, 2);
    EXPECT_EQ(state.metrics, R"({"best": 0.5})");
    EXPECT_EQ(state.configuration, R"({"arch": "small"})");
    train(*second, *second_optimizer, 3, 6);
    EXPECT_EQ(values_of(*second), values_of(*straight));
    EXPECT_EQ(second_generator.offset(), generator.offset());
  }
}

TEST(Checkpoint, StateAloneIsReadWithoutANetwork) {
  const TemporaryFolder folder;
  random::Generator generator(4);
  const auto net = small_network(generator);
  generator.set_state(~std::uint64_t{0}, 12345678901234567890U);
  save_checkpoint(folder / "a", *net, nullptr, {.epoch = 7, .generator = generator});
  const TrainingState state = read_training_state(folder / "a");
  EXPECT_EQ(state.epoch, 7);
  EXPECT_EQ(state.generator.seed(), ~std::uint64_t{0});
  EXPECT_EQ(state.generator.offset(), 12345678901234567890U);
  EXPECT_EQ(state.configuration, "{}");
}

TEST(Checkpoint, MetricsAndConfigurationAreObjects) {
  const TemporaryFolder folder;
  random::Generator generator(4);
  const auto net = small_network(generator);
  expect_error([&] { save_checkpoint(folder / "a", *net, nullptr, {.metrics = "{"}); },
               {"metrics must be a JSON object"});
  expect_error([&] { save_checkpoint(folder / "a", *net, nullptr, {.configuration = "[]"}); },
               {"configuration must be a JSON object"});
  EXPECT_TRUE(folder.listing().empty());
}

// --- files that do not fit ---

class Misfit : public ::testing::Test {
 protected:
  // The tensors of a network like `net_`, to be changed and written.
  std::vector<Named<Tensor>> other_state() {
    random::Generator generator(5);
    std::vector<Named<Tensor>> state = small_network(generator)->named_state();
    for (auto& [name, tensor] : state) tensor = tensor.clone();
    return state;
  }
  // Loading what was written must fail so, and change nothing.
  void expect_misfit(const std::vector<std::string>& parts) {
    const auto before = values_of(*net_);
    expect_error([&] { load_parameters(folder_ / "a", *net_); }, parts);
    EXPECT_EQ(values_of(*net_), before);
  }
  void write(const std::vector<Named<Tensor>>& tensors,
             const std::map<std::string, std::string>& metadata = {}) {
    write_safetensors(folder_ / "a", tensors, metadata);
  }

  TemporaryFolder folder_;
  random::Generator generator_{4};
  std::shared_ptr<Sequential> net_ = small_network(generator_);
};

TEST_F(Misfit, AnotherShapeIsNamedFirstInTheModulesOrder) {
  random::Generator generator(5);
  save_checkpoint(folder_ / "a", *small_network(generator, 4), nullptr,
                  {.configuration = R"({"arch": "narrow"})"});
  expect_misfit({(folder_ / "a").string(), "arch narrow", "tensor 0.weight is 4x3x3x3 in the file",
                 "8x3x3x3 here"});
}

TEST_F(Misfit, AMissingTensor) {
  auto state = other_state();
  std::erase_if(state, [](const auto& entry) { return entry.first == "5.bias"; });
  write(state);
  expect_misfit({"no tensor 5.bias", "is 5 here", "5.weight"});
}

TEST_F(Misfit, ATensorTooMany) {
  auto state = other_state();
  state.emplace_back("6.weight", Tensor::zeros({2, 3}));
  write(state);
  expect_misfit({"holds a tensor 6.weight of shape 2x3", "no place"});
}

TEST_F(Misfit, AnotherDtype) {
  auto state = other_state();
  for (auto& [name, tensor] : state)
    if (name == "5.bias") tensor = Tensor::zeros({5}, {.dtype = DType::kInt64});
  write(state);
  expect_misfit({"5.bias", "int64 in the file", "float32 here"});
}

TEST_F(Misfit, TwoNamesForOneParameter) {
  auto state = other_state();
  state.emplace_back("module.5.bias", Tensor::zeros({5}));
  write(state);
  expect_misfit({"5.bias", "module.5.bias", "same parameter"});
}

TEST_F(Misfit, DataParallelNamesFloat64AndNoBatchCountAreFine) {
  auto state = other_state();
  std::vector<Named<Tensor>> written;
  for (auto& [name, tensor] : state) {
    if (name == "1.num_batches_tracked") continue;
    // Where a whole network is wrapped, and where a part of it is ("features.module.0.weight").
    const std::string renamed =
        name[0] == '0' ? "module." + name : name.substr(0, 2) + "module." + name.substr(2);
    written.emplace_back(renamed, tensor.to(DType::kFloat64));
  }
  write(written);
  train(*net_, *make_sgd(net_->named_parameters(), {}), 0, 1);
  load_parameters(folder_ / "a", *net_);
  random::Generator generator(5);
  EXPECT_EQ(values_of(*net_), values_of(*small_network(generator)));
}

TEST_F(Misfit, WeightsAloneAreNoCheckpoint) {
  write(other_state());
  expect_error([&] { load_checkpoint(folder_ / "a", *net_, nullptr); },
               {"not a checkpoint", "\"epoch\""});
  expect_error([&] { read_training_state(folder_ / "a"); }, {"not a checkpoint"});
  write(other_state(), {{"epoch", "-1"}});
  expect_error([&] { read_training_state(folder_ / "a"); }, {"\"-1\"", "epoch"});
  write(other_state(), {{"epoch", "1"},
                        {"step", "0"},
                        {"generator_seed", "1"},
                        {"generator_offset", "1"},
                        {"metrics", "[1"}});
  expect_error([&] { read_training_state(folder_ / "a"); }, {"metrics"});
}

TEST_F(Misfit, AnotherOptimizersState) {
  random::Generator generator(5);
  const auto other = small_network(generator);
  const auto sgd = make_sgd(other->named_parameters(), {.momentum = 0.9});
  save_checkpoint(folder_ / "a", *other, sgd.get(), {});
  const auto before = values_of(*net_);
  const auto adam = make_adam(net_->named_parameters(), {});
  expect_error([&] { load_checkpoint(folder_ / "a", *net_, adam.get()); },
               {(folder_ / "a").string(), "exp_avg/0.weight", "another optimiser"});
  EXPECT_EQ(values_of(*net_), before);
  load_parameters(folder_ / "a", *net_);  // the optimiser's tensors are not the network's
  EXPECT_EQ(values_of(*net_), values_of(*other));
}

}  // namespace
}  // namespace concord
