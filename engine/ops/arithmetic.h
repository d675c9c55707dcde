#pragma once
// Elementwise arithmetic and full reductions on float32 and float64 tensors, and on
// bfloat16 ones on CUDA (their sum is float32). All are differentiable. Operands of different
// memory formats are brought to the format of the first.

#include "engine/tensor.h"

namespace concord {

// a + b. Equal shapes and dtypes; throws otherwise.
Tensor add(const Tensor& a, const Tensor& b);
// a - b
Tensor subtract(const Tensor& a, const Tensor& b);
// a * b, elementwise
Tensor multiply(const Tensor& a, const Tensor& b);
// factor * a
Tensor scale(const Tensor& a, double factor);
// The sum of all elements, accumulated in double: shape scalar.
Tensor sum(const Tensor& a);
// sum(a) / numel(a); throws for an empty tensor.
Tensor mean(const Tensor& a);

}  // namespace concord
