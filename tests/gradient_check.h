#pragma once
// One declarative case per operation: float64 gradients against central differences under a random
// cotangent, float32 against float64, and the blocked and channels-last formats against plain.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "engine/autograd.h"
#include "engine/tensor.h"
#include "kernels/philox.h"

namespace concord::test {

// Every random tensor of a test comes from here; the seed is printed with a failure.
inline constexpr std::uint64_t kSeed = 20240607;

inline constexpr MemoryFormat kMemoryFormats[] = {MemoryFormat::kPlain, MemoryFormat::kChannelsLast,
                                                  MemoryFormat::kBlocked8,
                                                  MemoryFormat::kBlocked16};

// Values uniform in [low, high). Those nearer to zero than `gap` are pushed away from it, so that
// differences do not step over a kink at 0.
inline Tensor random_tensor(const Shape& shape, std::uint64_t stream, double low = -1,
                            double high = 1, double gap = 0) {
  random::Stream numbers(kSeed, stream);
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (double& value : values) {
    value = numbers.uniform(low, high);
    if (std::abs(value) < gap) value = value < 0 ? value - gap : value + gap;
  }
  return Tensor::of(shape, values);
}

// Fails with the first worst element unless |a - b| <= tolerance * max(1, max|b|). A NaN fails.
inline void expect_close(const Tensor& actual, const Tensor& expected, double tolerance,
                         const std::string& what) {
  ASSERT_EQ(actual.shape(), expected.shape()) << what;
  const auto a = actual.to_vector<double>();
  const auto b = expected.to_vector<double>();
  double scale = 1;
  for (double v : b) scale = std::max(scale, std::abs(v));
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(std::abs(a[i] - b[i]) <= tolerance * scale)
        << what << ": element " << i << " of " << expected.shape().to_string() << " is " << a[i]
        << ", expected " << b[i] << " (seed " << kSeed << ")";
  }
}

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

struct GradientCase {
  std::string name;
  Function function;
  std::vector<Tensor> inputs;  // float64
  // Which inputs are differentiated; all when empty.
  std::vector<bool> differentiate = {};
  // Step of the central difference; its error is of order step^2 and rounding / step.
  double step = 1e-5;
  double tolerance = 1e-6;
  // float32 against float64, values and gradients: sums of a few hundred products of size 1.
  double float32_tolerance = 2e-5;
};

inline bool differentiated(const GradientCase& test, std::size_t i) {
  return test.differentiate.empty() || test.differentiate[i];
}

struct Outcome {
  Tensor value;
  std::vector<Tensor> gradients;
};

// Runs the function and its backward pass with inputs of the given dtype and format.
inline Outcome run(const GradientCase& test, DType dtype, MemoryFormat format) {
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    const Tensor& given = test.inputs[i];
    Tensor input = given;
    if (given.dtype() == DType::kFloat64) {
      input = given.to(dtype);
      if (i == 0 && supports(format, given.shape())) input = input.in_format(format);
      if (input.shares_storage(given)) input = input.clone();
      input.set_requires_grad(differentiated(test, i));
    }
    inputs.push_back(input);
  }
  Outcome outcome;
  outcome.value = test.function(inputs);
  const Tensor cotangent = random_tensor(outcome.value.shape(), 999).to(dtype);
  outcome.value.backward(cotangent);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    outcome.gradients.push_back(differentiated(test, i) ? inputs[i].grad() : Tensor());
  return outcome;
}

// d(sum(cotangent * f)) / d(input element) by central differences.
inline void check_numerically(const GradientCase& test, const Outcome& exact) {
  const Tensor cotangent = random_tensor(exact.value.shape(), 999);
  const std::vector<double> weights = cotangent.to_vector<double>();
  const auto objective = [&](const std::vector<Tensor>& inputs) {
    const NoGradGuard no_grad;
    const auto values = test.function(inputs).to_vector<double>();
    double total = 0;
    for (std::size_t i = 0; i < values.size(); ++i) total += weights[i] * values[i];
    return total;
  };
  for (std::size_t i = 0; i < test.inputs.size(); ++i) {
    if (!differentiated(test, i)) continue;
    ASSERT_TRUE(exact.gradients[i].defined()) << test.name << ": input " << i << " has no gradient";
    std::vector<Tensor> inputs = test.inputs;
    inputs[i] = test.inputs[i].clone();
    double* values = inputs[i].data<double>();
    std::vector<double> numeric(static_cast<std::size_t>(inputs[i].numel()));
    for (std::size_t k = 0; k < numeric.size(); ++k) {
      const double before = values[k];
      values[k] = before + test.step;
      const double above = objective(inputs);
      values[k] = before - test.step;
      const double below = objective(inputs);
      values[k] = before;
      numeric[k] = (above - below) / (2 * test.step);
    }
    expect_close(exact.gradients[i], Tensor::of(inputs[i].shape(), numeric), test.tolerance,
                 test.name + ": gradient of input " + std::to_string(i));
  }
}

// The whole case. The function is run in plain float64 (checked numerically), then in float32 in
// every memory format that the first input supports, against float64.
inline void check_case(const GradientCase& test) {
  SCOPED_TRACE(test.name);
  const Outcome exact = run(test, DType::kFloat64, MemoryFormat::kPlain);
  check_numerically(test, exact);
  for (MemoryFormat format : kMemoryFormats) {
    if (!supports(format, test.inputs[0].shape())) continue;
    const std::string label = test.name + " float32 " + std::string(name_of(format));
    const Outcome single = run(test, DType::kFloat32, format);
    expect_close(single.value, exact.value, test.float32_tolerance, label + ": value");
    for (std::size_t i = 0; i < test.inputs.size(); ++i) {
      if (!differentiated(test, i)) continue;
      ASSERT_TRUE(single.gradients[i].defined()) << label;
      expect_close(single.gradients[i], exact.gradients[i], test.float32_tolerance,
                   label + ": gradient of input " + std::to_string(i));
    }
  }
}

}  // namespace concord::test
