#pragma once

#include "engine/tensor.h"

namespace concord {

// y = x weight^T + bias: x [N,I], weight [O,I], bias [O] or undefined, y [N,O]. float32 or float64.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace concord
