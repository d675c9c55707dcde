#include "kernels/arithmetic.h"

#include <cmath>

#include "kernels/cpu/elementwise.h"

namespace concord::kernels {
namespace {

void add_cpu(ConstView a, ConstView b, View result) {
  with_float(a, "add", [&]<class T>(T) {
    map_elements(a.as<T>(), b.as<T>(), result.as<T>(), a.numel(), [](T x, T y) { return x + y; });
  });
}

void multiply_cpu(ConstView a, ConstView b, View result) {
  with_float(a, "multiply", [&]<class T>(T) {
    map_elements(a.as<T>(), b.as<T>(), result.as<T>(), a.numel(), [](T x, T y) { return x * y; });
  });
}

void scale_cpu(ConstView a, double factor, View result) {
  with_float(a, "scale", [&]<class T>(T) {
    const T by = static_cast<T>(factor);
    map_elements(a.as<T>(), result.as<T>(), a.numel(), [by](T x) { return by * x; });
  });
}

void sum_cpu(ConstView a, View result) {
  with_float(a, "sum", [&]<class T>(T) {
    const T* values = a.as<T>();
    *result.as<T>() = static_cast<T>(
        sum_elements(a.numel(), [=](std::int64_t i) { return static_cast<double>(values[i]); }));
  });
}

bool all_finite_cpu(ConstView a) {
  bool finite = true;
  with_float(a, "all_finite", [&]<class T>(T) {
    const T* values = a.as<T>();
    // x - x is 0 for a finite x and NaN for all others, so one sum tells.
    finite = sum_elements(a.numel(), [=](std::int64_t i) {
               return static_cast<double>(values[i] - values[i]);
             }) == 0.0;
  });
  return finite;
}

const Registration registrations[] = {
    {add, DeviceType::kCpu, add_cpu},
    {multiply, DeviceType::kCpu, multiply_cpu},
    {scale, DeviceType::kCpu, scale_cpu},
    {sum, DeviceType::kCpu, sum_cpu},
    {all_finite, DeviceType::kCpu, all_finite_cpu},
};

}  // namespace
}  // namespace concord::kernels
