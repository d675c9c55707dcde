#include "engine/optimizer.h"

#include "kernels/parallel.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::random_tensor;

constexpr int kSteps = 7;
// Two parameters, one of them longer than what a thread takes at least.
const std::vector<Shape> kShapes = {{3, 5}, {40001}};
constexpr double kRates[kSteps] = {0.1, 0.1, 0.05, 0.2, 0.01, 0.01, 0.3};

std::vector<Named<Tensor>> parameters_of(DType dtype) {
  std::vector<Named<Tensor>> parameters;
  for (std::size_t i = 0; i < kShapes.size(); ++i) {
    Tensor parameter = random_tensor(kShapes[i], 10 + i).to(dtype).clone();
    parameter.set_requires_grad(true);
    parameters.emplace_back("p" + std::to_string(i), parameter);
  }
  return parameters;
}

Tensor gradient_at(std::size_t parameter, int step) {
  return random_tensor(kShapes[parameter], 100 + 10 * parameter + static_cast<std::size_t>(step));
}

// Element by element in double, from the formulas of Kingma and Ba and of torch.optim's manual.
using Update = std::function<void(double& w, double g, double* state, double rate, int t)>;

std::vector<std::vector<double>> expected_after(const Update& update) {
  std::vector<std::vector<double>> result;
  for (std::size_t i = 0; i < kShapes.size(); ++i) {
    std::vector<double> w = random_tensor(kShapes[i], 10 + i).to_vector<double>();
    std::vector<double> state(2 * w.size());
    for (int step = 0; step < kSteps; ++step) {
      const auto g = gradient_at(i, step).to_vector<double>();
      for (std::size_t k = 0; k < w.size(); ++k)
        update(w[k], g[k], &state[2 * k], kRates[step], step + 1);
    }
    result.push_back(std::move(w));
  }
  return result;
}

void run_steps(Optimizer& optimizer, std::vector<Named<Tensor>>& parameters, int begin, int end) {
  for (int step = begin; step < end; ++step) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Tensor& parameter = parameters[i].second;
      parameter.set_grad(gradient_at(i, step).to(parameter.dtype()));
    }
    optimizer.step(kRates[step]);
    for (const auto& [name, parameter] : parameters)
      ASSERT_FALSE(parameter.grad().defined()) << "the gradient is dropped";
  }
}

using Make = std::function<std::unique_ptr<Optimizer>(std::vector<Named<Tensor>>)>;

void check_optimizer(const Make& make, const Update& update) {
  const auto expected = expected_after(update);
  for (DType dtype : {DType::kFloat64, DType::kFloat32}) {
    auto parameters = parameters_of(dtype);
    const auto optimizer = make(parameters);
    run_steps(*optimizer, parameters, 0, kSteps);
    for (std::size_t i = 0; i < kShapes.size(); ++i)
      // float32: seven roundings of numbers of size 1, for Adam also of the quotient of two small
      // ones.
      test::expect_close(parameters[i].second, Tensor::of(kShapes[i], expected[i]),
                         dtype == DType::kFloat64 ? 1e-13 : 5e-6, parameters[i].first);
  }
}

Make sgd(double momentum, double weight_decay) {
  return [=](auto parameters) {
    return make_sgd(parameters, {.momentum = momentum, .weight_decay = weight_decay});
  };
}

void check_sgd(double momentum, double weight_decay) {
  check_optimizer(sgd(momentum, weight_decay),
                  [=](double& w, double g, double* buffer, double rate, int t) {
                    const double d = g + weight_decay * w;
                    *buffer = t == 1 ? d : momentum * *buffer + d;
                    w = w - rate * *buffer;
                  });
}

TEST(Sgd, FollowsTheFormula) {
  check_sgd(0, 0);
  check_sgd(0, 0.1);
  check_sgd(0.9, 0);
  check_sgd(0.9, 0.1);
}

TEST(Adam, FollowsTheFormula) {
  for (double weight_decay : {0.0, 0.1}) {
    const AdamOptions options = {.weight_decay = weight_decay};
    check_optimizer([=](auto parameters) { return make_adam(parameters, options); },
                    [=](double& w, double g, double* state, double rate, int t) {
                      const double d = g + weight_decay * w;
                      state[0] = 0.9 * state[0] + 0.1 * d;
                      state[1] = 0.999 * state[1] + 0.001 * d * d;
                      const double m = state[0] / (1 - std::pow(0.9, t));
                      const double v = state[1] / (1 - std::pow(0.999, t));
                      w = w - rate * m / (std::sqrt(v) + 1e-8);
                    });
  }
}

TEST(Adam, OtherBetasAndEps) {
  const AdamOptions options = {.beta1 = 0.5, .beta2 = 0.7, .eps = 0.3};
  check_optimizer([=](auto parameters) { return make_adam(parameters, options); },
                  [](double& w, double g, double* state, double rate, int t) {
                    state[0] = 0.5 * state[0] + 0.5 * g;
                    state[1] = 0.7 * state[1] + 0.3 * g * g;
                    const double m = state[0] / (1 - std::pow(0.5, t));
                    const double v = state[1] / (1 - std::pow(0.7, t));
                    w = w - rate * m / (std::sqrt(v) + 0.3);
                  });
}

const std::vector<std::pair<std::string, Make>> kMakers = {
    {"sgd", sgd(0, 0.01)},
    {"momentum", sgd(0.9, 0.01)},
    {"adam", [](auto p) { return make_adam(p, {.weight_decay = 0.01}); }}};

std::vector<std::vector<float>> values_of(const std::vector<Named<Tensor>>& parameters) {
  std::vector<std::vector<float>> result;
  for (const auto& [name, parameter] : parameters) result.push_back(parameter.to_vector<float>());
  return result;
}

TEST(Optimizer, BitsDoNotDependOnThreads) {
  const int before = thread_count();
  for (const auto& [name, make] : kMakers) {
    std::vector<std::vector<std::vector<float>>> results;
    for (int threads : {1, 3}) {
      set_thread_count(threads);
      auto parameters = parameters_of(DType::kFloat32);
      const auto optimizer = make(parameters);
      run_steps(*optimizer, parameters, 0, kSteps);
      results.push_back(values_of(parameters));
    }
    EXPECT_EQ(results[0], results[1]) << name;
  }
  set_thread_count(before);
}

TEST(Optimizer, StateCarriesTheRunOn) {
  for (const auto& [name, make] : kMakers) {
    auto straight = parameters_of(DType::kFloat32);
    const auto one = make(straight);
    run_steps(*one, straight, 0, kSteps);

    auto broken = parameters_of(DType::kFloat32);
    const auto first = make(broken);
    run_steps(*first, broken, 0, 3);
    std::map<std::string, Tensor> state;
    for (const auto& [key, tensor] : first->state()) state[key] = tensor.clone();
    const auto second = make(broken);
    second->load_state(state);
    run_steps(*second, broken, 3, kSteps);
    EXPECT_EQ(values_of(straight), values_of(broken)) << name;
  }
}

TEST(Optimizer, ParametersWithoutGradientStay) {
  for (const auto& [name, make] : kMakers) {
    auto parameters = parameters_of(DType::kFloat32);
    const auto before = values_of(parameters);
    const auto optimizer = make(parameters);
    parameters[1].second.set_grad(Tensor::full(kShapes[1], 1));
    optimizer->step(0.1);
    EXPECT_EQ(values_of(parameters)[0], before[0]) << name;
    EXPECT_NE(values_of(parameters)[1], before[1]) << name;
  }
}

TEST(Optimizer, FrozenParametersHaveNoState) {
  auto parameters = parameters_of(DType::kFloat32);
  parameters[0].second.set_requires_grad(false);
  const auto optimizer = make_sgd(parameters, {.momentum = 0.9});
  const auto state = optimizer->state();
  ASSERT_EQ(state.size(), 2U);
  EXPECT_EQ(state[0].first, "momentum_buffer/p1");
  EXPECT_EQ(state[1].first, "step");
}

TEST(Optimizer, ForeignStateIsRefusedAndChangesNothing) {
  auto parameters = parameters_of(DType::kFloat32);
  const auto adam = make_adam(parameters, {});
  std::map<std::string, Tensor> state;
  for (const auto& [key, tensor] : adam->state())
    state[key] = tensor.dtype() == DType::kInt64 ? tensor.clone() : Tensor::full(tensor.shape(), 9);
  auto missing = state;
  missing.erase("exp_avg_sq/p1");
  test::expect_error([&] { adam->load_state(missing); }, {"exp_avg_sq/p1", "40001"});
  auto reshaped = state;
  reshaped["exp_avg_sq/p1"] = Tensor::zeros({2, 2});
  test::expect_error([&] { adam->load_state(reshaped); }, {"exp_avg_sq/p1", "2x2", "40001"});
  auto extra = state;
  extra["momentum_buffer/p0"] = Tensor::zeros({3, 5});
  test::expect_error([&] { adam->load_state(extra); }, {"momentum_buffer/p0"});
  for (const auto& [key, tensor] : adam->state())
    for (double value : tensor.to_vector<double>()) ASSERT_EQ(value, 0) << key;
}

TEST(Optimizer, OptionsOutsideTheirRange) {
  test::expect_error([] { make_sgd({}, {.momentum = 1}); }, {"momentum is 1"});
  test::expect_error([] { make_sgd({}, {.weight_decay = -1}); }, {"weight decay is -1"});
  test::expect_error([] { make_adam({}, {.beta1 = 1}); }, {"beta1 is 1"});
  test::expect_error([] { make_adam({}, {.beta2 = std::nan("")}); }, {"beta2 is nan"});
  test::expect_error([] { make_adam({}, {.eps = -1}); }, {"eps is -1"});
  test::expect_error([] { make_sgd({}, {})->step(std::nan("")); }, {"learning rate is nan"});
}

TEST(LearningRateSchedule, Constant) {
  const LearningRateSchedule schedule("constant", 0.01, 3);
  EXPECT_EQ(schedule.at(0), 0.01);
  EXPECT_EQ(schedule.at(2), 0.01);
}

TEST(LearningRateSchedule, LogspaceIsEvenInTheLogarithm) {
  const LearningRateSchedule schedule("logspace:2", 1e-4, 5);  // numpy.logspace(-4, -6, 5)
  const double expected[] = {1e-4, 3.1622776601683795e-5, 1e-5, 3.1622776601683795e-6, 1e-6};
  for (int e = 0; e < 5; ++e) EXPECT_NEAR(schedule.at(e), expected[e], 1e-12 * expected[e]);
  EXPECT_EQ(LearningRateSchedule("logspace:2", 0.5, 1).at(0), 0.5);
  EXPECT_EQ(LearningRateSchedule("logspace:0", 0.5, 9).at(8), 0.5);
}

TEST(LearningRateSchedule, StepFallsEverySoManyEpochs) {
  const LearningRateSchedule schedule("step:60:0.3", 0.01, 300);
  EXPECT_EQ(schedule.at(59), 0.01);
  EXPECT_NEAR(schedule.at(60), 0.003, 1e-15);
  EXPECT_NEAR(schedule.at(299), 0.01 * 0.3 * 0.3 * 0.3 * 0.3, 1e-16);
}

TEST(LearningRateSchedule, MalformedTextSaysWhatIsAccepted) {
  for (const char* text :
       {"",           "cosine",      "constant:1",    "logspace",     "logspace:",
        "logspace:x", "logspace:-1", "logspace:2 ",   "logspace:nan", "logspace:inf",
        "step",       "step:60",     "step:60:",      "step:0:0.3",   "step:1.5:0.3",
        "step:60:0",  "step:60:-1",  "step:60:0.3:1", "step:x:0.3",   "step:1e300:0.5"}) {
    SCOPED_TRACE(text);
    test::expect_error([&] { LearningRateSchedule(text, 0.01, 10); },
                       {"\"" + std::string(text) + "\"", "logspace:DECADES", "step:EPOCHS:FACTOR"});
  }
  test::expect_error([] { LearningRateSchedule("constant", 0, 10); }, {"learning rate: 0"});
  test::expect_error([] { LearningRateSchedule("constant", 0.1, 0); }, {"0 epochs"});
}

// Gradients that were put off are computed when they are asked for: of large ones only one is held,
// small ones are held beside others.
TEST(Optimizer, HoldsOneLargeGradientAtATime) {
  constexpr std::int64_t kMany = 1 << 20;
  constexpr std::int64_t kSizes[] = {3 * kMany, 3 * kMany, 7, 5 * kMany, 9, 6 * kMany, 3 * kMany};
  std::vector<Named<Tensor>> parameters;
  std::vector<std::size_t> in_use;  // before a gradient is computed
  for (const std::int64_t size : kSizes) {
    Tensor parameter = Tensor::zeros({size});
    parameter.set_requires_grad(true);
    parameter.put_off_grad([&in_use, size] {
      in_use.push_back(kernels::memory_statistics(Device{}).in_use);
      return Tensor::full({size}, 1);
    });
    parameters.emplace_back("p" + std::to_string(parameters.size()), parameter);
  }
  make_sgd(parameters, {})->step(0.5);
  ASSERT_EQ(in_use.size(), parameters.size());
  for (std::size_t i = 0; i < in_use.size(); ++i) {
    const std::size_t own = 4 * static_cast<std::size_t>(kSizes[i]);
    // The pool may hand out blocks that are larger by an eighth.
    EXPECT_LE(in_use[i] - in_use[0] + own, std::max(own, std::size_t{18} << 20))
        << "parameter " << i;
  }
  for (const auto& [name, parameter] : parameters) {
    const auto values = parameter.to_vector<float>();
    EXPECT_EQ(std::count(values.begin(), values.end(), -0.5F), parameter.numel()) << name;
  }
}

}  // namespace
}  // namespace concord
