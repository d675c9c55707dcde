#include "kernels/linear.h"

#include <algorithm>

#include "kernels/activation.h"
#include "kernels/cpu/gemm.h"

namespace concord::kernels {
namespace {

void linear_forward_cpu(ConstView x, ConstView weight, ConstView bias, bool relu, View y) {
  const std::int64_t samples = x.shape[0];
  const std::int64_t inputs = x.shape[1];
  const std::int64_t outputs = weight.shape[0];
  if (y.numel() == 0) return;
  with_float(x, "linear", [&]<class T>(T) {
    if (bias) {
      for (std::int64_t n = 0; n < samples; ++n)
        std::copy_n(bias.as<T>(), outputs, y.as<T>() + n * outputs);
    }
    gemm(Factor<T>{x.as<T>(), samples, inputs}, Factor<T>{weight.as<T>(), outputs, inputs, true},
         bias ? Into::kAdd : Into::kOverwrite, y.as<T>());
    if (relu) relu_forward(y.device, y, y);
  });
}

void linear_backward_data_cpu(ConstView dy, ConstView weight, View dx) {
  const std::int64_t samples = dy.shape[0];
  const std::int64_t outputs = weight.shape[0];
  const std::int64_t inputs = weight.shape[1];
  if (dx.numel() == 0) return;
  with_float(dy, "linear", [&]<class T>(T) {
    gemm(Factor<T>{dy.as<T>(), samples, outputs}, Factor<T>{weight.as<T>(), outputs, inputs},
         Into::kOverwrite, dx.as<T>());
  });
}

void linear_backward_weights_cpu(ConstView x, ConstView dy, View d_weight) {
  const std::int64_t samples = x.shape[0];
  with_float(dy, "linear", [&]<class T>(T) {
    if (samples == 0) {
      std::fill_n(d_weight.as<T>(), d_weight.numel(), T(0));
      return;
    }
    gemm(Factor<T>{dy.as<T>(), samples, dy.shape[1], true},
         Factor<T>{x.as<T>(), samples, x.shape[1]}, Into::kOverwrite, d_weight.as<T>());
  });
}

void linear_backward_bias_cpu(ConstView dy, View d_bias) {
  const std::int64_t samples = dy.shape[0];
  const std::int64_t outputs = dy.shape[1];
  with_float(dy, "linear", [&]<class T>(T) {
    const T* from = dy.as<T>();
    T* to = d_bias.as<T>();
    std::fill_n(to, outputs, T(0));
    for (std::int64_t n = 0; n < samples; ++n)
      for (std::int64_t o = 0; o < outputs; ++o) to[o] += from[n * outputs + o];
  });
}

const Registration registrations[] = {
    {linear_forward, DeviceType::kCpu, linear_forward_cpu},
    {linear_backward_data, DeviceType::kCpu, linear_backward_data_cpu},
    {linear_backward_weights, DeviceType::kCpu, linear_backward_weights_cpu},
    {linear_backward_bias, DeviceType::kCpu, linear_backward_bias_cpu},
};

}  // namespace
}  // namespace concord::kernels
