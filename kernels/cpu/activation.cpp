#include "kernels/activation.h"

#include <cmath>

#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/select.h"

namespace concord::kernels {
namespace {

void relu_forward_cpu(ConstView x, View y) {
  with_float(x, "relu", [&]<class T>(T) {
    // Written so that the comparison with a NaN keeps it.
    map_elements(x.as<T>(), y.as<T>(), x.numel(), [](T v) { return v <= T(0) ? T(0) : v; });
  });
}

void relu_backward_cpu(ConstView y, ConstView dy, View dx) {
  with_float(y, "relu", [&]<class T>(T) {
    map_elements(y.as<T>(), dy.as<T>(), dx.as<T>(), y.numel(),
                 [](T v, T d) { return where_positive(v, d); });
  });
}

void sigmoid_forward_cpu(ConstView x, View y) {
  with_float(x, "sigmoid", [&]<class T>(T) {
    map_elements(x.as<T>(), y.as<T>(), x.numel(), [](T v) { return T(1) / (T(1) + std::exp(-v)); });
  });
}

void sigmoid_backward_cpu(ConstView y, ConstView dy, View dx) {
  with_float(y, "sigmoid", [&]<class T>(T) {
    map_elements(y.as<T>(), dy.as<T>(), dx.as<T>(), y.numel(),
                 [](T v, T d) { return d * v * (T(1) - v); });
  });
}

const Registration registrations[] = {
    {relu_forward, DeviceType::kCpu, relu_forward_cpu},
    {relu_backward, DeviceType::kCpu, relu_backward_cpu},
    {sigmoid_forward, DeviceType::kCpu, sigmoid_forward_cpu},
    {sigmoid_backward, DeviceType::kCpu, sigmoid_backward_cpu},
};

}  // namespace
}  // namespace concord::kernels
