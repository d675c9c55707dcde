#include "kernels/optimizer.h"

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using kernels::AdamOperands;
using kernels::AdamStep;
using kernels::SgdOperands;
using kernels::SgdStep;
using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(OptimizerKernels);

// A parameter with what belongs to it, as float64 on the host and as a dtype on the device.
struct Operands {
  std::vector<double> w, g, first, second;
  Tensor parameter, gradient, first_state, second_state;
};

Operands operands_of(Device device, std::int64_t size, DType dtype, std::int64_t offset,
                     std::uint64_t stream) {
  Operands o;
  const auto make = [&](std::vector<double>& values, Tensor& tensor, std::uint64_t which,
                        double low) {
    const Tensor host = random_tensor({size}, 10 * stream + which, low, 1).to(dtype);
    values = host.to_vector<double>();
    tensor = test::unaligned_on(device, host, offset);
  };
  make(o.w, o.parameter, 0, -1);
  make(o.g, o.gradient, 1, -1);
  make(o.first, o.first_state, 2, -1);
  make(o.second, o.second_state, 3, 0);  // a sum of squares
  return o;
}

// Three roundings of numbers of size 1; Adam's quotient is of size 1 too, its rate is 0.1.
double tolerance(DType dtype) { return dtype == DType::kFloat32 ? 1e-6 : 1e-15; }

void expect_values(const Tensor& tensor, const std::vector<double>& expected,
                   const std::string& what) {
  const auto values = tensor.to_vector<double>();
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(values[i], expected[i],
                tolerance(tensor.dtype()) * std::max(1.0, std::abs(expected[i])))
        << what << ", element " << i << " of " << values.size();
}

constexpr SgdStep kSgd = {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01};
constexpr AdamStep kAdam = {.learning_rate = 0.1,
                            .beta1 = 0.9,
                            .beta2 = 0.99,
                            .eps = 1e-3,
                            .weight_decay = 0.01,
                            .step = 3};

void expect_sgd(const Operands& o, const SgdStep& step, const std::string& what) {
  std::vector<double> w = o.w;
  std::vector<double> v = o.first;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double moved = step.momentum * v[i] + (o.g[i] + step.weight_decay * w[i]);
    w[i] -= step.learning_rate * moved;
    if (step.momentum != 0) v[i] = moved;
  }
  expect_values(o.parameter, w, what + ": parameter");
  expect_values(o.first_state, v, what + ": momentum_buffer");
  expect_values(o.gradient, o.g, what + ": gradient");
}

void expect_adam(const Operands& o, const AdamStep& step, const std::string& what) {
  const auto t = static_cast<double>(step.step);
  std::vector<double> w = o.w;
  std::vector<double> m = o.first;
  std::vector<double> v = o.second;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const double g = o.g[i] + step.weight_decay * w[i];
    m[i] = step.beta1 * m[i] + (1 - step.beta1) * g;
    v[i] = step.beta2 * v[i] + (1 - step.beta2) * g * g;
    w[i] -= step.learning_rate / (1 - std::pow(step.beta1, t)) * m[i] /
            (std::sqrt(v[i]) / std::sqrt(1 - std::pow(step.beta2, t)) + step.eps);
  }
  expect_values(o.parameter, w, what + ": parameter");
  expect_values(o.first_state, m, what + ": exp_avg");
  expect_values(o.second_state, v, what + ": exp_avg_sq");
  expect_values(o.gradient, o.g, what + ": gradient");
}

// Awkward sizes, and ones about a chunk of 4096.
constexpr std::int64_t kSizes[] = {1, 3, 31, 33, 257, 1023, 1025, 4095, 4096, 4097, 9001};

void for_each_case(const std::function<void(std::int64_t, DType, std::int64_t)>& body) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64})
    for (const std::int64_t size : kSizes)
      for (const std::int64_t offset : {0, 1}) body(size, dtype, offset);
}

std::string text_of(std::int64_t size, DType dtype, std::int64_t offset) {
  return std::to_string(size) + " " + std::string(name_of(dtype)) + " from " +
         std::to_string(offset);
}

TEST_P(OptimizerKernels, Sgd) {
  in_every_order([&] {
    for_each_case([&](std::int64_t size, DType dtype, std::int64_t offset) {
      Operands o = operands_of(device(), size, dtype, offset, 1);
      kernels::sgd_step(device(), std::as_const(o.gradient).view(), o.parameter.view(),
                        o.first_state.view(), kSgd);
      expect_sgd(o, kSgd, text_of(size, dtype, offset));
    });
  });
}

TEST_P(OptimizerKernels, SgdWithoutMomentum) {
  SgdStep step = kSgd;
  step.momentum = 0;
  in_every_order([&] {
    for_each_case([&](std::int64_t size, DType dtype, std::int64_t offset) {
      Operands o = operands_of(device(), size, dtype, offset, 1);
      kernels::sgd_step(device(), std::as_const(o.gradient).view(), o.parameter.view(),
                        kernels::View{}, step);
      expect_sgd(o, step, text_of(size, dtype, offset));
    });
  });
}

TEST_P(OptimizerKernels, Adam) {
  in_every_order([&] {
    for_each_case([&](std::int64_t size, DType dtype, std::int64_t offset) {
      Operands o = operands_of(device(), size, dtype, offset, 1);
      kernels::adam_step(device(), std::as_const(o.gradient).view(), o.parameter.view(),
                         o.first_state.view(), o.second_state.view(), kAdam);
      expect_adam(o, kAdam, text_of(size, dtype, offset));
    });
  });
}

// More parameters than one launch takes, of both dtypes, aligned and not, some of them empty.
std::vector<Operands> many(Device device) {
  std::vector<Operands> all;
  for (std::int64_t i = 0; i < 200; ++i) {
    const std::int64_t size = i % 50 == 7 ? 4097 + i : i * i % 67;
    all.push_back(operands_of(device, size, i % 7 == 3 ? DType::kFloat64 : DType::kFloat32, i % 2,
                              static_cast<std::uint64_t>(i)));
  }
  return all;
}

TEST_P(OptimizerKernels, ManyParametersOfSgd) {
  for (const double momentum : {0.0, 0.9}) {
    SgdStep step = kSgd;
    step.momentum = momentum;
    in_every_order([&] {
      std::vector<Operands> all = many(device());
      std::vector<SgdOperands> operands;
      for (Operands& o : all)
        operands.push_back({std::as_const(o.gradient).view(), o.parameter.view(),
                            momentum == 0 ? kernels::View{} : o.first_state.view()});
      kernels::sgd_steps(device(), operands, step);
      for (std::size_t i = 0; i < all.size(); ++i)
        expect_sgd(all[i], step, "parameter " + std::to_string(i));
    });
  }
}

TEST_P(OptimizerKernels, ManyParametersOfAdam) {
  in_every_order([&] {
    std::vector<Operands> all = many(device());
    std::vector<AdamOperands> operands;
    for (Operands& o : all)
      operands.push_back({std::as_const(o.gradient).view(), o.parameter.view(),
                          o.first_state.view(), o.second_state.view()});
    kernels::adam_steps(device(), operands, kAdam);
    for (std::size_t i = 0; i < all.size(); ++i)
      expect_adam(all[i], kAdam, "parameter " + std::to_string(i));
  });
}

TEST_P(OptimizerKernels, None) {
  kernels::sgd_steps(device(), std::span<const SgdOperands>{}, kSgd);
  kernels::adam_steps(device(), std::span<const AdamOperands>{}, kAdam);
}

// A gradient that is no number reaches the parameter and its states, and no neighbour.
TEST_P(OptimizerKernels, NaN) {
  Operands o = operands_of(device(), 9, DType::kFloat32, 0, 1);
  std::vector<float> g = o.gradient.to_vector<float>();
  g[5] = NAN;
  o.gradient = Tensor::of({9}, g).to(device());
  kernels::sgd_step(device(), std::as_const(o.gradient).view(), o.parameter.view(),
                    o.first_state.view(), kSgd);
  const auto w = o.parameter.to_vector<float>();
  for (std::size_t i = 0; i < w.size(); ++i) EXPECT_EQ(std::isnan(w[i]), i == 5) << i;
  Operands adam = operands_of(device(), 9, DType::kFloat32, 0, 1);
  kernels::adam_step(device(), std::as_const(o.gradient).view(), adam.parameter.view(),
                     adam.first_state.view(), adam.second_state.view(), kAdam);
  for (const Tensor& tensor : {adam.parameter, adam.first_state, adam.second_state}) {
    const auto values = tensor.to_vector<float>();
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(std::isnan(values[i]), i == 5) << i;
  }
}

TEST_P(OptimizerKernels, Errors) {
  Tensor w = Tensor::zeros({4}, {.device = device()});
  const Tensor g = Tensor::zeros({5}, {.device = device()});
  Tensor v = Tensor::zeros({4}, {DType::kFloat64, device()});
  test::expect_error([&] { kernels::sgd_step(device(), g.view(), w.view(), v.view(), kSgd); },
                     {"sgd_step", "parameter 4 float32 plain", "operand 5 float32 plain"});
  test::expect_error(
      [&] {
        kernels::adam_step(device(), std::as_const(w).view(), w.view(), w.view(), v.view(), kAdam);
      },
      {"adam_step", "operand 4 float64 plain"});
}

}  // namespace
}  // namespace concord
