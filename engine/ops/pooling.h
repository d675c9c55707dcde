#pragma once

#include "engine/tensor.h"
#include "kernels/conv2d.h"

namespace concord {

struct MaxPool2dOptions {
  Size2d kernel = {2, 2};
  Size2d stride = {2, 2};
  Size2d padding = {0, 0};
};

// y[n,c,i,j] = max of x over the window at (i stride - padding, j stride - padding), cells outside
// the image left out. The gradient goes to the first maximum in row-major order. Any memory format.
Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& options);

// Averages over rows floor(i H / out) .. ceil((i+1) H / out) - 1, columns likewise: the output has
// the wanted size whatever the input's. Any memory format.
Tensor adaptive_avg_pool2d(const Tensor& x, Size2d output);

}  // namespace concord
