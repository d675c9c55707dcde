#pragma once

#include "engine/tensor.h"
#include "kernels/conv2d.h"

namespace concord {

// Bilinear resize of maps [N,C,H,W] with half-pixel centres (PyTorch's interpolate, mode bilinear,
// align_corners=False, no antialias): source = max(0, (i + .5) H/out - .5). Any memory format.
Tensor resize_bilinear(const Tensor& x, Size2d output);

}  // namespace concord
