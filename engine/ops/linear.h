#pragma once

#include "engine/tensor.h"

namespace concord {

// y = x weight^T + bias: x [N,I], weight [O,I], bias [O] or undefined, y [N,O]. float32
// or float64, or on CUDA x and y in bfloat16 beside float32 parameters.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

// relu(linear(x, weight, bias)), for inference, in one pass where the device's library has one
// (there it may take a NaN in the sum to 0). Throws as linear does, and where a gradient would have
// to be recorded.
Tensor linear_relu_inference(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace concord
