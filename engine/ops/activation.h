#pragma once
// Activations: elementwise, any shape and memory format, float32 and float64 (on CUDA bfloat16
// too), differentiable.

#include "engine/tensor.h"

namespace concord {

// max(x, 0). The gradient at 0 is 0, as in PyTorch.
Tensor relu(const Tensor& x);
// 1 / (1 + exp(-x))
Tensor sigmoid(const Tensor& x);

}  // namespace concord
