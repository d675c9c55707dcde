#pragma once
// Pooling of [N,C,H,W] float32 and float64 tensors (on CUDA bfloat16 too), differentiable. The
// result is in the memory format of the input.

#include "engine/tensor.h"
#include "kernels/pooling.h"

namespace concord {

// y[n,c,i,j] = max of x over the window at (i stride - padding, j stride - padding), cells outside
// the image left out; NaN where the window holds one. Output height
//   floor((H + 2 padding - kernel) / stride) + 1, width likewise.
// The gradient goes to the first maximum in row-major order. Throws where padding exceeds half the
// kernel (a window could be empty) and where the output would be empty.
Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& options);

// Averages over rows floor(i H / out) .. ceil((i+1) H / out) - 1, columns likewise: the output has
// the wanted size whatever the input's. Throws unless both sizes are positive.
Tensor adaptive_avg_pool2d(const Tensor& x, Size2d output);

}  // namespace concord
