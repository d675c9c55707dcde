#include "kernels/activation.h"
#include "kernels/cuda/elementwise.h"

namespace concord::cuda {
namespace {

struct Relu {
  template <class T>
  __device__ T operator()(T x) const {
    return x <= T(0) ? T(0) : x;  // written so that the comparison with a NaN keeps it
  }
};
struct ReluBackward {
  template <class T>
  __device__ T operator()(T y, T dy) const {
    return y > T(0) ? dy : T(0);
  }
};
struct Sigmoid {
  template <class T>
  __device__ T operator()(T x) const {
    return T(1) / (T(1) + exp(-x));
  }
};
struct SigmoidBackward {
  template <class T>
  __device__ T operator()(T y, T dy) const {
    return dy * y * (T(1) - y);
  }
};

template <class Function>
void map_unary(ConstView x, View y) {
  kernels::with_storage(x, "activation", [&]<class T>(T) {
    map_elements(x.as<T>(), y.as<T>(), x.numel(), Function{});
  });
}
template <class Function>
void map_binary(ConstView a, ConstView b, View result) {
  kernels::with_storage(a, "activation", [&]<class T>(T) {
    map_elements(a.as<T>(), b.as<T>(), result.as<T>(), a.numel(), Function{});
  });
}

const kernels::Registration registrations[] = {
    {kernels::relu_forward, DeviceType::kCuda, map_unary<Relu>},
    {kernels::relu_backward, DeviceType::kCuda, map_binary<ReluBackward>},
    {kernels::sigmoid_forward, DeviceType::kCuda, map_unary<Sigmoid>},
    {kernels::sigmoid_backward, DeviceType::kCuda, map_binary<SigmoidBackward>},
};

}  // namespace
}  // namespace concord::cuda
