#pragma once
// Elementwise activations. Results may overwrite an argument of the same shape.

#include "kernels/kernel.h"

namespace concord::kernels {

// y = max(x, 0); NaN stays NaN.
inline Kernel<void(ConstView x, View y)> relu_forward{"relu_forward"};
// dx = dy where y > 0, else 0, with y the result of the forward pass.
inline Kernel<void(ConstView y, ConstView dy, View dx)> relu_backward{"relu_backward"};
// y = 1 / (1 + exp(-x))
inline Kernel<void(ConstView x, View y)> sigmoid_forward{"sigmoid_forward"};
// dx = dy * y * (1 - y)
inline Kernel<void(ConstView y, ConstView dy, View dx)> sigmoid_backward{"sigmoid_backward"};

}  // namespace concord::kernels
