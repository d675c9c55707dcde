#pragma once
// Bilinear resizing of maps [N,C,H,W], any memory format; formula: engine/ops/resize.h. CUDA takes
// plain and channels-last tensors whose maps (channels-last: samples) have at most 2^30 elements,
// and throws for others.

#include "kernels/kernel.h"

namespace concord::kernels {

// x and y in one format, of their own heights and widths.
inline Kernel<void(ConstView x, View y)> resize_bilinear_forward{"resize_bilinear_forward"};
// dx = the transpose of the forward pass applied to dy.
inline Kernel<void(ConstView dy, View dx)> resize_bilinear_backward{"resize_bilinear_backward"};

}  // namespace concord::kernels
