#pragma once

#include "engine/tensor.h"

namespace concord {

// x as a network computes with it under --precision (kernels/precision.h): in bfloat16 where that
// is chosen and x is float32 on a CUDA device, else x itself. Differentiable. Operations then go by
// the dtype of their input, parameters staying float32.
Tensor in_network_precision(const Tensor& x);

}  // namespace concord
