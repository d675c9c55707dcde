#pragma once
// Products of linear layers: x [N,I], weight [O,I], bias [O], y [N,O], all plain. Results are
// overwritten. float32 and float64; on CUDA x and y may be bfloat16, beside weights, biases and
// gradients of these in float32.

#include "kernels/kernel.h"

namespace concord::kernels {

// y = x weight^T + bias, then relu where asked for; bias may be absent. The relu takes NaN to 0
// where the device's library does.
inline Kernel<void(ConstView x, ConstView weight, ConstView bias, bool relu, View y)>
    linear_forward{"linear_forward"};
// dx = dy weight
inline Kernel<void(ConstView dy, ConstView weight, View dx)> linear_backward_data{
    "linear_backward_data"};
// d_weight = dy^T x
inline Kernel<void(ConstView x, ConstView dy, View d_weight)> linear_backward_weights{
    "linear_backward_weights"};
// d_bias = the sum of dy over N
inline Kernel<void(ConstView dy, View d_bias)> linear_backward_bias{"linear_backward_bias"};

}  // namespace concord::kernels
