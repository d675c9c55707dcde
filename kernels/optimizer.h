#pragma once
// Updates of parameters, each in one pass over its elements. All operands of a parameter are plain,
// of one shape and floating dtype; anything else throws. The formulas stand in engine/optimizer.h.

#include <cmath>
#include <span>

#include "kernels/kernel.h"

namespace concord::kernels {

struct SgdStep {
  double learning_rate = 0;
  double momentum = 0;
  double weight_decay = 0;
  // Where given, in the device's memory, this stands for learning_rate when the kernel runs; not on
  // the CPU.
  const double* learning_rate_at = nullptr;
};
// `momentum_buffer` may be absent when momentum is 0; it starts as zeros.
inline Kernel<void(ConstView gradient, View parameter, View momentum_buffer, const SgdStep& step)>
    sgd_step{"sgd_step"};

struct SgdOperands {
  ConstView gradient;
  View parameter;
  View momentum_buffer;  // may be absent when momentum is 0
};
// sgd_step for many parameters, which share no memory: a network has a hundred small ones, each of
// them less work than the launch of a kernel.
inline Kernel<void(std::span<const SgdOperands> operands, const SgdStep& step)> sgd_steps{
    "sgd_steps"};

// What Adam's bias corrections make of the learning rate and of the root of exp_avg_sq at update t.
struct AdamFactors {
  double rate = 0;  // lr / (1 - beta1^t)
  double root = 0;  // sqrt(1 - beta2^t)
};
struct AdamStep {
  double learning_rate = 0;
  double beta1 = 0;
  double beta2 = 0;
  double eps = 0;
  double weight_decay = 0;
  std::int64_t step = 1;  // t, 1 at the first update
  // Where given, in the device's memory, this stands for factors() when the kernel runs; not on the
  // CPU.
  const AdamFactors* factors_at = nullptr;

  AdamFactors factors() const {
    const auto t = static_cast<double>(step);
    return {learning_rate / (1 - std::pow(beta1, t)), std::sqrt(1 - std::pow(beta2, t))};
  }
};
inline Kernel<void(ConstView gradient, View parameter, View exp_avg, View exp_avg_sq,
                   const AdamStep& step)>
    adam_step{"adam_step"};

struct AdamOperands {
  ConstView gradient;
  View parameter;
  View exp_avg;
  View exp_avg_sq;
};
// adam_step for many parameters, which share no memory.
inline Kernel<void(std::span<const AdamOperands> operands, const AdamStep& step)> adam_steps{
    "adam_steps"};

// For the CPU's definitions, which read all numbers from the step itself.
inline void check_by_value(const char* kernel, const void* at) {
  check(at == nullptr, "{}: the CPU captures no steps; give the step's numbers by value", kernel);
}

// Throws unless `operand` is plain and of the parameter's shape and dtype; for the definitions.
inline void check_operand(const char* kernel, const View& parameter, const ConstView& operand) {
  check(operand.shape == parameter.shape && operand.dtype == parameter.dtype &&
            operand.format == MemoryFormat::kPlain && parameter.format == MemoryFormat::kPlain,
        "{}: parameter {} {} {} and operand {} {} {} differ or are not plain", kernel,
        parameter.shape.to_string(), name_of(parameter.dtype), name_of(parameter.format),
        operand.shape.to_string(), name_of(operand.dtype), name_of(operand.format));
}

}  // namespace concord::kernels
