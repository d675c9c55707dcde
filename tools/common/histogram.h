#pragma once
// Histograms of tensors in TensorBoard's buckets.

#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace concord::tool {

// Of finite values. Bucket i counts those in [limits[i - 1], limits[i]), the first all below
// limits[0]. A run of empty buckets stands as one.
struct Histogram {
  double min = 0;
  double max = 0;
  std::int64_t count = 0;
  double sum = 0;
  double sum_of_squares = 0;
  std::vector<double> limits;
  std::vector<double> counts;
};

// The limits that TensorFlow's own summaries have (core/lib/histogram): 0, +-1e-12 1.1^k below
// 1e20, and +-the largest double at the ends.
const std::vector<double>& histogram_limits();

// Of a floating tensor on any device, in any format. The same bits for any number of threads. What
// is not finite is left out.
Histogram histogram_of(const Tensor& values);

}  // namespace concord::tool
