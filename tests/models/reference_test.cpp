// Agreement with tensors that the original implementation computed (PyTorch 1.13, float32;
// README.md beside them): every tensor of every file. They are not part of the repository; where
// they are absent the tests are skipped, and trans_net_test.cpp checks the same formulas against
// plain loops.

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>

#include "analysis/channel_variance.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "engine/optimizer.h"
#include "engine/safetensors.h"
#include "models/trans_net.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

namespace fs = std::filesystem;

// Stated beside the tensors: values 1e-5, gradients 1e-4 of the largest element.
constexpr double kValues = 1e-5;
constexpr double kGradients = 1e-4;

fs::path reference_folder() {
  const char* shared = std::getenv("CONCORD_SHARED");
  const fs::path root = shared != nullptr ? shared : fs::path(CONCORD_SOURCE_DIR) / ".." / "shared";
  return root / "reference";
}

// max|a - b| / max|b|; NaN where there is one.
double error_of(const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape(), "shapes {} and {} differ", a.shape().to_string(),
        b.shape().to_string());
  const auto x = a.to_vector<double>();
  const auto y = b.to_vector<double>();
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(x[i] - y[i]);
    if (std::isnan(error)) return error;
    worst = std::max(worst, error);
    largest = std::max(largest, std::abs(y[i]));
  }
  return worst / largest;
}

// One file; remembers which of its tensors were compared or used.
class Reference : public ::testing::Test {
 protected:
  void open(const std::string& name) {
    file_.emplace(reference_folder() / (name + ".safetensors"));
    used_.clear();
  }
  bool absent() const { return !fs::exists(reference_folder() / "README.md"); }

  Tensor tensor(const std::string& name) {
    used_.insert(name);
    return file_->tensor(name);
  }
  void expect(const std::string& name, const Tensor& actual, double tolerance) {
    const double error = error_of(actual, tensor(name));
    EXPECT_TRUE(error <= tolerance) << file_->path().filename() << " " << name << ": " << error;
    RecordProperty(file_->path().stem().string() + "." + name, fmt::format("{:.2e}", error));
  }
  void expect_all_used() {
    for (const std::string& name : file_->names())
      EXPECT_TRUE(used_.contains(name)) << name << " was not compared";
  }

  std::optional<SafetensorsFile> file_;
  std::set<std::string> used_;
};

// A Trans-Net with the parameters init.* of the file.
std::unique_ptr<TransNet> initial_net(const std::function<Tensor(const std::string&)>& tensor) {
  const std::int64_t channels = tensor("x").dim(1);
  random::Generator generator(0);
  auto net = std::make_unique<TransNet>(
      TransNetOptions{.channels_in = channels, .channels_out = channels, .orders = 3}, generator);
  for (auto& [name, parameter] : net->named_parameters())
    parameter.copy_from(tensor("init." + name));
  return net;
}

class ReferenceTransNet : public Reference, public ::testing::WithParamInterface<std::string> {};

TEST_P(ReferenceTransNet, EveryTensor) {
  if (absent()) GTEST_SKIP() << reference_folder() << " is absent";
  open(GetParam());
  const auto net = initial_net([&](const std::string& name) { return tensor(name); });
  const Tensor x = tensor("x");
  const Tensor target = tensor("target");
  const std::string alpha_text = file_->metadata().at("alpha");  // "[8.0, 8.0]"
  const double alpha = std::stod(alpha_text.substr(1));
  ASSERT_EQ(file_->metadata().at("optimizer"),
            "adam lr=1e-3 weight_decay=1e-4 betas=(0.9,0.999) eps=1e-8");
  const int steps = std::stoi(file_->metadata().at("steps"));

  const Orders orders = net->disentangle(x);
  expect("eval.y", orders.y, kValues);
  const Tensor expected = tensor("eval.orders");
  for (std::int64_t k = 0; k < 3; ++k) {
    const double error = error_of(orders.orders[static_cast<std::size_t>(k)],
                                  expected.rows(k, k + 1).reshaped(orders.y.shape()));
    EXPECT_TRUE(error <= kValues) << "eval.orders " << k << ": " << error;
  }

  const auto optimizer = make_adam(net->named_parameters(), {.weight_decay = 1e-4});
  std::vector<float> losses;
  for (int step = 0; step < steps; ++step) {
    const Tensor y = (*net)(x);
    const Tensor mse = mse_loss(y, target);
    const Tensor loss = add(mse, gate_penalty(net->gates(), {alpha, alpha}));
    losses.push_back(static_cast<float>(loss.item()));
    loss.backward();
    if (step == 0) {
      expect("train.y", y.detach(), kValues);
      expect("train.mse", mse.detach().reshaped({1}), kValues);
      expect("train.loss", loss.detach().reshaped({1}), kValues);
      for (const auto& [name, parameter] : net->named_parameters())
        expect("grad." + name, parameter.grad(), kGradients);
    }
    optimizer->step(1e-3);
  }
  expect("train.losses", Tensor::of({steps}, losses), kValues);
  for (const auto& [name, parameter] : net->named_parameters())
    expect("after." + name, parameter.detach(), kValues);
  expect_all_used();
}
INSTANTIATE_TEST_SUITE_P(Files, ReferenceTransNet,
                         ::testing::Values("trans_net_c8_s6", "trans_net_c12_s5_alpha8",
                                           "trans_net_fc_c16_s1"),
                         [](const auto& tested) { return tested.param; });

TEST_F(Reference, Variance) {
  if (absent()) GTEST_SKIP() << reference_folder() << " is absent";
  open("variance_c6_s5");
  const auto net = initial_net([&](const std::string& name) { return tensor(name); });
  const Tensor x = tensor("x");
  const Tensor target = tensor("target");
  const Tensor expected = tensor("orders");
  Tensor var_orders = Tensor::zeros({3});
  ChannelVariance delta;
  std::vector<ChannelVariance> variances(3);
  constexpr std::int64_t kBatch = 7;  // does not divide the 20 images
  Tensor y = empty_like(target);
  for (std::int64_t begin = 0; begin < 20; begin += kBatch) {
    const std::int64_t end = std::min<std::int64_t>(20, begin + kBatch);
    const Orders orders = net->disentangle(x.rows(begin, end));
    y.rows(begin, end).copy_from(orders.y);
    delta.add(subtract(target.rows(begin, end), orders.y));
    for (std::size_t k = 0; k < 3; ++k) {
      variances[k].add(orders.orders[k]);
      const auto row = static_cast<std::int64_t>(k);
      const double error = error_of(
          orders.orders[k], expected.rows(row, row + 1).reshaped(x.shape()).rows(begin, end));
      EXPECT_TRUE(error <= kValues) << "orders " << k << ": " << error;
    }
  }
  for (std::size_t k = 0; k < 3; ++k)
    var_orders.data<float>()[k] = static_cast<float>(variances[k].result());
  expect("y", y, kValues);
  expect("var_orders", var_orders, kValues);
  expect("var_delta", Tensor::full({1}, delta.result()), kValues);
  expect_all_used();
}

TEST_F(Reference, Distillation) {
  if (absent()) GTEST_SKIP() << reference_folder() << " is absent";
  open("distillation");
  const Tensor teacher = tensor("teacher");
  for (int tau : {1, 4}) {
    Tensor student = tensor("student").clone();
    student.set_requires_grad(true);
    const Tensor loss = distillation_loss(student, teacher, tau);
    loss.backward();
    const std::string at = "tau" + std::to_string(tau);
    expect(at + ".loss", loss.detach().reshaped({1}), kValues);
    expect(at + ".grad_student", student.grad(), kGradients);
  }
  expect_all_used();
}

}  // namespace
}  // namespace concord
