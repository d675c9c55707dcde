#include "kernels/optimizer.h"

#include <cmath>

#include "kernels/cpu/elementwise.h"

namespace concord::kernels {
namespace {

void sgd_step_cpu(ConstView gradient, View parameter, View momentum_buffer, const SgdStep& step) {
  check_by_value("sgd_step", step.learning_rate_at);
  check_operand("sgd_step", parameter, gradient);
  if (step.momentum != 0) check_operand("sgd_step", parameter, momentum_buffer);
  with_float(parameter, "sgd_step", [&]<class T>(T) {
    const T rate = static_cast<T>(step.learning_rate);
    const T decay = static_cast<T>(step.weight_decay);
    const T momentum = static_cast<T>(step.momentum);
    const T* g = gradient.as<T>();
    T* w = parameter.as<T>();
    T* v = momentum == T(0) ? nullptr : momentum_buffer.as<T>();
    parallel_for(parameter.numel(), kElementwiseGrain, [=](std::int64_t begin, std::int64_t end) {
      if (v == nullptr) {
        for (std::int64_t i = begin; i < end; ++i) w[i] -= rate * (g[i] + decay * w[i]);
        return;
      }
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        v[i] = momentum * v[i] + (g[i] + decay * w[i]);
        w[i] -= rate * v[i];
      }
    });
  });
}

void adam_step_cpu(ConstView gradient, View parameter, View exp_avg, View exp_avg_sq,
                   const AdamStep& step) {
  check_by_value("adam_step", step.factors_at);
  check_operand("adam_step", parameter, gradient);
  check_operand("adam_step", parameter, exp_avg);
  check_operand("adam_step", parameter, exp_avg_sq);
  const auto [rate, root] = step.factors();
  with_float(parameter, "adam_step", [&]<class T>(T) {
    const T decay = static_cast<T>(step.weight_decay);
    const T beta1 = static_cast<T>(step.beta1);
    const T rest1 = static_cast<T>(1 - step.beta1);
    const T beta2 = static_cast<T>(step.beta2);
    const T rest2 = static_cast<T>(1 - step.beta2);
    const T eps = static_cast<T>(step.eps);
    const T correction = static_cast<T>(root);
    const T update = static_cast<T>(rate);
    const T* g = gradient.as<T>();
    T* w = parameter.as<T>();
    T* m = exp_avg.as<T>();
    T* v = exp_avg_sq.as<T>();
    parallel_for(parameter.numel(), kElementwiseGrain, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) {
        const T decayed = g[i] + decay * w[i];
        m[i] = beta1 * m[i] + rest1 * decayed;
        v[i] = beta2 * v[i] + rest2 * decayed * decayed;
        w[i] -= update * (m[i] / (std::sqrt(v[i]) / correction + eps));
      }
    });
  });
}

void sgd_steps_cpu(std::span<const SgdOperands> operands, const SgdStep& step) {
  for (const SgdOperands& o : operands)
    sgd_step_cpu(o.gradient, o.parameter, o.momentum_buffer, step);
}

void adam_steps_cpu(std::span<const AdamOperands> operands, const AdamStep& step) {
  for (const AdamOperands& o : operands)
    adam_step_cpu(o.gradient, o.parameter, o.exp_avg, o.exp_avg_sq, step);
}

const Registration registrations[] = {
    {sgd_step, DeviceType::kCpu, sgd_step_cpu},
    {sgd_steps, DeviceType::kCpu, sgd_steps_cpu},
    {adam_step, DeviceType::kCpu, adam_step_cpu},
    {adam_steps, DeviceType::kCpu, adam_steps_cpu},
};

}  // namespace
}  // namespace concord::kernels
