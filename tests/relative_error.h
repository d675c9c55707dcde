#pragma once

#include <cmath>

#include "engine/tensor.h"

namespace concord::test {

// The largest error as a fraction of the largest expected value; infinite where a value is no
// number (every later comparison with a NaN maximum would be false, and lose it) or the shapes
// differ.
inline double relative_error(const Tensor& actual, const Tensor& expected) {
  if (actual.shape() != expected.shape()) return INFINITY;
  const auto a = actual.to_vector<double>();
  const auto b = expected.to_vector<double>();
  double error = 0;
  double scale = 1e-300;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return INFINITY;
    error = std::max(error, std::abs(a[i] - b[i]));
    scale = std::max(scale, std::abs(b[i]));
  }
  return error / scale;
}

}  // namespace concord::test
