#include "kernels/arithmetic.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/reduce.h"

namespace concord::cuda {
namespace {

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Multiply {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a * b;
  }
};
template <class T>
struct Scale {
  T factor;
  __device__ T operator()(T a) const { return factor * a; }
};
template <class T>
struct Element {
  const T* values;
  __device__ double operator()(std::int64_t i) const { return static_cast<double>(values[i]); }
};
// x - x is 0 for finite x, else NaN.
template <class T>
struct NotFinite {
  const T* values;
  __device__ double operator()(std::int64_t i) const {
    const auto value = static_cast<Compute<T>>(values[i]);
    return value - value == 0 ? 0.0 : 1.0;
  }
};

template <class Function>
void map_binary(ConstView a, ConstView b, View result) {
  kernels::with_storage(a, "arithmetic", [&]<class T>(T) {
    map_elements(a.as<T>(), b.as<T>(), result.as<T>(), a.numel(), Function{});
  });
}

void scale_cuda(ConstView a, double factor, View result) {
  kernels::with_storage(a, "scale", [&]<class T>(T) {
    map_elements(a.as<T>(), result.as<T>(), a.numel(),
                 Scale<Compute<T>>{static_cast<Compute<T>>(factor)});
  });
}

void sum_cuda(ConstView a, View result) {
  kernels::with_storage(a, "sum", [&]<class T>(T) {
    sum_elements(a.numel(), Element<T>{a.as<T>()}, Identity{}, result.as<Compute<T>>());
  });
}

bool all_finite_cuda(ConstView a) {
  double found = 0;
  kernels::with_storage(a, "all_finite", [&]<class T>(T) {
    const Scratch count(sizeof(double));
    sum_elements(a.numel(), NotFinite<T>{a.as<T>()}, Identity{}, count.as<double>());
    kernels::copy_to_host(a.device, &found, count.as<double>(), sizeof(double));
  });
  return found == 0;
}

const kernels::Registration registrations[] = {
    {kernels::add, DeviceType::kCuda, map_binary<Add>},
    {kernels::multiply, DeviceType::kCuda, map_binary<Multiply>},
    {kernels::scale, DeviceType::kCuda, scale_cuda},
    {kernels::sum, DeviceType::kCuda, sum_cuda},
    {kernels::all_finite, DeviceType::kCuda, all_finite_cuda},
};

}  // namespace
}  // namespace concord::cuda
