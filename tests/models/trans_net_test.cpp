#include "models/trans_net.h"

#include <map>

#include "engine/autograd.h"
#include "engine/checkpoint.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/models/naive_trans_net.h"
#include "tests/temporary_folder.h"

namespace concord {
namespace {

using test::expect_error;
using test::Maps;
using test::NaiveTransNet;
using test::Over;
using test::Values;

// Fails unless |a - b| <= tolerance * max|b|; a NaN fails.
void expect_near(const Values& a, const Values& b, double tolerance, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  double largest = 0;
  for (double v : b) largest = std::max(largest, std::abs(v));
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_TRUE(std::abs(a[i] - b[i]) <= tolerance * largest)
        << what << ": element " << i << " is " << a[i] << ", expected " << b[i]
        << ", the largest is " << largest << " (seed " << test::kSeed << ")";
}

Maps maps_of(const Tensor& tensor) {
  const auto size = [&](std::size_t axis) { return static_cast<std::size_t>(tensor.dim(axis)); };
  return {size(0), size(1), size(2), size(3), tensor.to_vector<double>()};
}

struct Variant {
  std::string name;
  TransNetOptions options;
  Shape input;  // [N,C_in,H,W]
};

// Every norm, with and without entry, at a few sizes, odd ones among them.
std::vector<Variant> variants(std::int64_t orders) {
  std::vector<Variant> result;
  const auto add = [&](std::string name, TransNetOptions options, const Shape& input) {
    options.channels_in = input[1];
    if (options.channels_out == 0) options.channels_out = input[1];
    result.push_back({std::move(name), options, input});
  };
  const std::string k = "K" + std::to_string(orders);
  for (StageNorm stage : {StageNorm::kSample, StageNorm::kBatch}) {
    const std::string by = k + (stage == StageNorm::kSample ? "_sample" : "_batch");
    add(by, {.orders = orders, .stage_norm = stage}, {2, 3, 4, 5});
    add(by + "_1x1", {.orders = orders, .stage_norm = stage}, {4, 5, 1, 1});
    add(by + "_wide", {.orders = orders, .stage_norm = stage}, {2, 16, 6, 6});
    for (bool affine : {false, true}) {
      const std::string kind = affine ? "_affine" : "";
      add(by + "_instance" + kind,
          {.orders = orders,
           .input_norm = InputNorm::kInstanceNorm,
           .affine = affine,
           .stage_norm = stage},
          {2, 3, 3, 4});
      add(by + "_batchnorm" + kind,
          {.orders = orders,
           .input_norm = InputNorm::kBatchNorm,
           .affine = affine,
           .stage_norm = stage},
          {3, 3, 3, 2});
    }
  }
  add(k + "_entry", {.channels_out = 4, .orders = orders}, {2, 3, 4, 3});
  add(k + "_kernel1", {.orders = orders, .kernel = 1, .padding = 0}, {2, 4, 3, 3});
  add(k + "_kernel5", {.orders = orders, .kernel = 5, .padding = 2}, {1, 2, 7, 3});
  add(k + "_one_channel", {.orders = orders}, {1, 1, 3, 3});
  add(k + "_entry_batchnorm",
      {.channels_out = 2, .orders = orders, .input_norm = InputNorm::kBatchNorm, .affine = true},
      {2, 3, 4, 4});
  add(k + "_entry_1x1", {.channels_out = 6, .orders = orders}, {3, 4, 1, 1});
  return result;
}

// A net whose gates and affine parameters are not where they start.
std::unique_ptr<TransNet> make_net(const Variant& variant, std::uint64_t seed = test::kSeed) {
  random::Generator generator(seed);
  auto net = std::make_unique<TransNet>(variant.options, generator);
  std::uint64_t stream = 400;
  for (auto& [name, tensor] : net->named_parameters())
    if (tensor.shape().rank() == 1)
      tensor.copy_from(test::random_tensor(tensor.shape(), stream++, -1, 1, 0.2));
  return net;
}

Tensor input_of(const Variant& variant) {
  // Not centred: the mean is not subtracted.
  return test::random_tensor(variant.input, 300, -1, 2).to(DType::kFloat32);
}

std::map<std::string, Tensor> parameters_of(const Module& module) {
  std::map<std::string, Tensor> result;
  for (const auto& [name, tensor] : module.named_parameters()) result[name] = tensor;
  return result;
}

// The same network in plain loops.
NaiveTransNet naive_of(const TransNet& net) {
  const TransNetOptions& options = net.options();
  const auto parameters = parameters_of(net);
  const auto values = [&](const std::string& name) {
    return parameters.at(name).to_vector<double>();
  };
  NaiveTransNet naive;
  naive.channels = static_cast<std::size_t>(options.channels_out);
  naive.kernel = static_cast<std::size_t>(options.kernel);
  for (std::int64_t i = 0; i < options.orders; ++i)
    naive.weights.push_back(values("linearLayers_conv." + std::to_string(i) + ".weight"));
  if (options.orders > 1) naive.q = values("nonLinearLayers_p_pre");
  if (options.channels_in != options.channels_out) naive.entry = values("entry.weight");
  naive.standardize = options.input_norm != InputNorm::kScale;
  naive.input_over = options.input_norm == InputNorm::kBatchNorm ? Over::kBatch : Over::kMap;
  naive.gamma = options.affine ? values("linearLayers_bn.weight") : Values(naive.channels, 1);
  naive.beta = options.affine ? values("linearLayers_bn.bias") : Values(naive.channels, 0);
  naive.stage_over = options.stage_norm == StageNorm::kBatch ? Over::kBatch : Over::kMap;
  return naive;
}

class Orders1To5 : public ::testing::TestWithParam<std::int64_t> {
 protected:
  void for_each_variant(void (*run)(const Variant&)) {
    for (const Variant& variant : variants(GetParam())) {
      SCOPED_TRACE(variant.name);
      run(variant);
      if (HasFatalFailure()) return;
    }
  }
};

// In training, so that StageNorm::kBatch takes the batch's own scales.
void check_forward(const Variant& variant) {
  const auto net = make_net(variant);
  const Tensor x = input_of(variant);
  const auto pass = naive_of(*net).run(maps_of(x));
  expect_near((*net)(x).to_vector<double>(), pass.y.values, 1e-5, "y");
}
TEST_P(Orders1To5, ForwardAgreesWithPlainLoops) { for_each_variant(check_forward); }

// The least |h / s| that a ReLU sees.
double distance_to_kink(const NaiveTransNet::Pass& pass) {
  double least = 1;
  for (std::size_t i = 0; i < pass.h.size(); ++i)
    for (double v : test::divided(pass.h[i], pass.s[i]).values)
      least = std::min(least, std::abs(v));
  return least;
}

void check_gradients(const Variant& variant) {
  const Tensor x = input_of(variant);
  // Neither a difference nor the rounding of float32 may step over a kink: of the thousands of
  // values behind the ReLUs one often lies too near to it, and other weights are drawn.
  std::unique_ptr<TransNet> net;
  double distance = 0;
  for (std::uint64_t seed = test::kSeed; distance < 1e-4 && seed < test::kSeed + 50; ++seed) {
    net = make_net(variant, seed);
    distance = distance_to_kink(naive_of(*net).run(maps_of(x)));
  }
  ASSERT_GE(distance, 1e-4) << "no weights away from the kinks";
  const Shape output = x.shape().with(1, variant.options.channels_out);
  const Tensor target = test::random_tensor(output, 301).to(DType::kFloat32);
  const std::vector<double> alpha(static_cast<std::size_t>(variant.options.orders - 1), 0.7);
  add(mse_loss((*net)(x), target), gate_penalty(net->gates(), alpha)).backward();

  NaiveTransNet naive = naive_of(*net);
  const Maps given = maps_of(x);
  const NaiveTransNet::Pass frozen = naive.run(given);
  const Values wanted = target.to_vector<double>();
  const auto loss = [&] {
    const auto pass = naive.run(given, &frozen);
    double sum = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      sum += (pass.y.values[i] - wanted[i]) * (pass.y.values[i] - wanted[i]);
    sum /= static_cast<double>(wanted.size());
    for (std::size_t i = 0; i < alpha.size(); ++i) sum += alpha[i] * naive.gate(i) * naive.gate(i);
    return sum;
  };
  for (const auto& [name, tensor] : net->named_parameters()) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    const Values exact = tensor.grad().to_vector<double>();
    Values* values = name == "nonLinearLayers_p_pre"    ? &naive.q
                     : name == "entry.weight"           ? &naive.entry
                     : name == "linearLayers_bn.weight" ? &naive.gamma
                     : name == "linearLayers_bn.bias"
                         ? &naive.beta
                         : &naive.weights[static_cast<std::size_t>(
                               std::stoi(name.substr(std::string("linearLayers_conv.").size())))];
    // Some twenty elements of a parameter, spread over it.
    const std::size_t stride = 1 + values->size() / 20;
    Values some, differences;
    constexpr double kStep = 1e-6;
    for (std::size_t i = 0; i < values->size(); i += stride) {
      const double before = (*values)[i];
      (*values)[i] = before + kStep;
      const double above = loss();
      (*values)[i] = before - kStep;
      const double below = loss();
      (*values)[i] = before;
      differences.push_back((above - below) / (2 * kStep));
      some.push_back(exact[i]);
    }
    expect_near(some, differences, 1e-4, name);
  }
}
TEST_P(Orders1To5, GradientsAgreeWithDifferencesOfPlainLoops) { for_each_variant(check_gradients); }

void check_orders(const Variant& variant) {
  const auto net = make_net(variant);
  const Tensor x = input_of(variant);
  if (variant.options.stage_norm == StageNorm::kBatch) (*net)(x);  // takes the scales whole
  const Orders orders = net->disentangle(x);
  const NaiveTransNet naive = naive_of(*net);
  const auto pass = naive.run(maps_of(x));
  expect_near(orders.y.to_vector<double>(), pass.y.values, 1e-5, "y");
  ASSERT_EQ(orders.orders.size(), static_cast<std::size_t>(variant.options.orders));
  Values sum(pass.y.values.size());
  for (std::size_t k = 0; k < orders.orders.size(); ++k) {
    const Values order = orders.orders[k].to_vector<double>();
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += order[i];
    expect_near(order, naive.order(pass, k).values, 1e-5, "x(" + std::to_string(k) + ")");
  }
  expect_near(sum, orders.y.to_vector<double>(), 1e-5, "sum of the orders");

  net->set_training(false);
  const NoGradGuard no_grad;
  EXPECT_EQ((*net)(x).to_vector<float>(), orders.y.to_vector<float>()) << "y is the forward pass";
}
TEST_P(Orders1To5, OrdersAgreeWithPlainLoopsAndSumToY) { for_each_variant(check_orders); }

// Every subset of the orders, by plain loops.
void check_sums_of_orders(const Variant& variant) {
  const auto net = make_net(variant);
  const Tensor x = input_of(variant);
  if (variant.options.stage_norm == StageNorm::kBatch) (*net)(x);  // takes the scales whole
  const NaiveTransNet naive = naive_of(*net);
  const auto pass = naive.run(maps_of(x));
  const auto orders = static_cast<std::size_t>(variant.options.orders);
  for (unsigned subset = 1; subset < 1U << orders; ++subset) {
    std::vector<std::int64_t> chosen;
    Values expected(pass.y.values.size());
    for (std::size_t k = orders; k-- > 0;) {
      if ((subset >> k & 1U) == 0) continue;
      chosen.push_back(static_cast<std::int64_t>(k));
      const Values order = naive.order(pass, k).values;
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += order[i];
    }
    expect_near(net->sum_of_orders(x, chosen).to_vector<double>(), expected, 1e-5,
                "subset " + std::to_string(subset));
    if (chosen.size() == orders) {
      EXPECT_EQ(net->sum_of_orders(x, chosen).to_vector<float>(),
                net->disentangle(x).y.to_vector<float>());
    }
  }
}
TEST_P(Orders1To5, SumsOfOrdersAgreeWithPlainLoops) { for_each_variant(check_sums_of_orders); }

// The running scales then differ from the batch's own; the sum holds with any frozen scale.
void check_orders_of_other_data(const Variant& variant) {
  const auto net = make_net(variant);
  for (std::uint64_t batch = 0; batch < 3; ++batch)
    (*net)(test::random_tensor(variant.input, 310 + batch, -2, 3).to(DType::kFloat32));
  const Orders orders = net->disentangle(input_of(variant));
  Values sum(static_cast<std::size_t>(orders.y.numel()));
  for (const Tensor& order : orders.orders) {
    const Values values = order.to_vector<double>();
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
  }
  expect_near(sum, orders.y.to_vector<double>(), 1e-5, "sum of the orders");
}
TEST_P(Orders1To5, OrdersSumToYInEvaluationOfOtherData) {
  for_each_variant(check_orders_of_other_data);
}

INSTANTIATE_TEST_SUITE_P(TransNet, Orders1To5, ::testing::Range<std::int64_t>(1, 6));

TEST(TransNet, NamesInitializationAndGates) {
  random::Generator generator(3);
  const TransNet net({.channels_in = 24, .channels_out = 32, .orders = 4}, generator);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : net.named_state()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"nonLinearLayers_p_pre", "linearLayers_conv.0.weight",
                                      "linearLayers_conv.1.weight", "linearLayers_conv.2.weight",
                                      "linearLayers_conv.3.weight", "entry.weight"}));
  EXPECT_EQ(net.gates().to_vector<float>(), std::vector<float>(3, 0.5F));
  for (const auto& [name, tensor] : net.named_parameters()) {
    if (tensor.shape().rank() != 4) continue;
    double squares = 0;
    for (double v : tensor.to_vector<double>()) squares += v * v;
    const double fan_out = static_cast<double>(32 * tensor.dim(2) * tensor.dim(3));
    EXPECT_NEAR(squares / static_cast<double>(tensor.numel()), 2 / fan_out, 0.2 / fan_out) << name;
  }
}

TEST(TransNet, NamesOfTheVariants) {
  random::Generator generator(3);
  const TransNet net({.channels_in = 4,
                      .channels_out = 4,
                      .orders = 2,
                      .input_norm = InputNorm::kBatchNorm,
                      .affine = true,
                      .stage_norm = StageNorm::kBatch},
                     generator);
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : net.named_state()) shapes[name] = tensor.shape();
  EXPECT_EQ(shapes.size(), 7U);
  EXPECT_EQ(shapes.at("linearLayers_bn.weight"), Shape({4}));
  EXPECT_EQ(shapes.at("linearLayers_bn.bias"), Shape({4}));
  EXPECT_EQ(shapes.at("nonLinearLayers_norm"), Shape({2, 4}));
  EXPECT_EQ(shapes.at("running_times"), Shape({2}));
}

TEST(TransNet, OneOrderHasNoGates) {
  random::Generator generator(3);
  TransNet net({.channels_in = 4, .channels_out = 4, .orders = 1}, generator);
  EXPECT_EQ(net.named_state().size(), 1U);
  EXPECT_EQ(net.gates().shape(), Shape({0}));
  EXPECT_EQ(net.gate_logits().shape(), Shape({0}));
  EXPECT_EQ(gate_penalty(net.gates(), {}).item(), 0);
}

TEST(TransNet, FixedGatesStayWhereTheyStart) {
  random::Generator generator(3);
  TransNet net({.channels_in = 4, .channels_out = 4, .fixed_gates = true}, generator);
  const auto optimizer = make_adam(net.named_parameters(), {.weight_decay = 0.1});
  const Tensor x = test::random_tensor({2, 4, 3, 3}, 7).to(DType::kFloat32);
  const auto before = parameters_of(net).at("linearLayers_conv.0.weight").to_vector<float>();
  mse_loss(net(x), x).backward();
  optimizer->step(0.1);
  EXPECT_EQ(net.gates().to_vector<float>(), std::vector<float>(2, 0.5F));
  EXPECT_NE(parameters_of(net).at("linearLayers_conv.0.weight").to_vector<float>(), before);
}

TEST(TransNet, RunningScalesTakeTheFirstBatchWholeThenATenth) {
  random::Generator generator(3);
  TransNet net({.channels_in = 3, .channels_out = 3, .orders = 3, .stage_norm = StageNorm::kBatch},
               generator);
  const NaiveTransNet naive = naive_of(net);
  Values input, first, second;  // the rows expected
  for (std::uint64_t batch = 0; batch < 3; ++batch) {
    const Tensor x = test::random_tensor({2, 3, 4, 4}, 20 + batch, -1, 2).to(DType::kFloat32);
    net(x);
    const auto pass = naive.run(maps_of(x));
    const auto follow = [&](Values& running, const Values& now) {
      running.resize(3);
      for (std::size_t c = 0; c < 3; ++c)
        running[c] = batch == 0 ? now[c] : 0.9 * running[c] + 0.1 * now[c];
    };
    follow(input, pass.input_scale);
    follow(first, pass.s[0]);
    follow(second, pass.s[1]);
  }
  const auto buffers = net.named_buffers();
  ASSERT_EQ(buffers[0].first, "nonLinearLayers_norm");
  Values expected = first;
  expected.insert(expected.end(), second.begin(), second.end());
  expected.insert(expected.end(), input.begin(), input.end());
  expect_near(buffers[0].second.to_vector<double>(), expected, 1e-6, "running scales");
  EXPECT_EQ(buffers[1].second.to_vector<std::int64_t>(), (std::vector<std::int64_t>{3, 3, 3}));

  // Evaluation and disentangling use them and leave them.
  net.set_training(false);
  const auto before = buffers[0].second.to_vector<float>();
  const Tensor x = test::random_tensor({1, 3, 4, 4}, 30).to(DType::kFloat32);
  const auto alone = net(x).to_vector<float>();
  net.disentangle(x);
  EXPECT_EQ(buffers[0].second.to_vector<float>(), before);
  const Tensor pair = test::random_tensor({2, 3, 4, 4}, 30).to(DType::kFloat32);  // x comes first
  const auto both = net(pair).to_vector<float>();
  for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(both[i], alone[i], 1e-6);
}

// A training pass between the two halves of one in evaluation moves the running scales.
TEST(TransNet, BackwardUsesTheScalesOfItsForward) {
  const Tensor x = test::random_tensor({2, 3, 4, 4}, 20).to(DType::kFloat32);
  std::vector<std::vector<float>> gradients;
  for (const bool interrupted : {false, true}) {
    random::Generator generator(3);
    TransNet net(
        {.channels_in = 3, .channels_out = 3, .orders = 2, .stage_norm = StageNorm::kBatch},
        generator);
    net(x);
    net.set_training(false);
    const Tensor loss = mse_loss(net(x), x);
    net.set_training(true);
    if (interrupted) net(scale(x, 100));
    loss.backward();
    gradients.push_back(
        parameters_of(net).at("linearLayers_conv.0.weight").grad().to_vector<float>());
  }
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST(TransNet, ACheckpointHoldsAllOfIt) {
  const test::TemporaryFolder folder;
  random::Generator generator(3);
  const TransNetOptions options = {.channels_in = 5,
                                   .channels_out = 3,
                                   .input_norm = InputNorm::kBatchNorm,
                                   .affine = true,
                                   .stage_norm = StageNorm::kBatch};
  TransNet one(options, generator);
  const Tensor x = test::random_tensor({2, 5, 4, 4}, 20).to(DType::kFloat32);
  one(x);
  save_checkpoint(folder / "a", one, nullptr, {});
  TransNet two(options, generator);
  load_parameters(folder / "a", two);
  EXPECT_EQ(one.disentangle(x).y.to_vector<float>(), two.disentangle(x).y.to_vector<float>());
}

TEST(TransNet, BadOptionsAndInputs) {
  random::Generator generator(3);
  const auto make = [&](TransNetOptions options) {
    if (options.channels_in == 0) options.channels_in = options.channels_out = 4;
    return std::make_unique<TransNet>(options, generator);
  };
  expect_error([&] { make({.orders = 0}); }, {"0 orders"});
  expect_error([&] { make({.kernel = 4, .padding = 1}); }, {"kernel 4 with padding 1"});
  expect_error([&] { make({.kernel = 3, .padding = 0}); }, {"kernel 3 with padding 0"});
  expect_error([&] { make({.channels_in = 3}); }, {"3 input and 0 output channels"});
  expect_error([&] { (*make({}))(Tensor::zeros({2, 5, 3, 3})); }, {"2x5x3x3", "[N,4,H,W]"});
  expect_error([&] { make({})->disentangle(Tensor::zeros({2, 4})); }, {"2x4", "[N,4,H,W]"});
  const Tensor x = Tensor::full({2, 4, 3, 3}, 1);
  expect_error([&] { make({})->sum_of_orders(x, {}); }, {"no orders", "0 to 2"});
  expect_error([&] { make({})->sum_of_orders(x, {0, 3}); }, {"no order 3", "0 to 2"});
  expect_error([&] { make({})->sum_of_orders(x, {-1}); }, {"no order -1"});
  expect_error([&] { make({})->sum_of_orders(x, {1, 0, 1}); }, {"order 1 twice"});
  expect_error(
      [&] {
        (*make({.input_norm = InputNorm::kInstanceNorm}))(Tensor::zeros({2, 4, 1, 1}));
      },
      {"instance norm", "one pixel", "2x4x1x1"});
}

}  // namespace
}  // namespace concord
