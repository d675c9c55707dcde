#pragma once
// Operations that move elements; differentiable. The result of reshape, flatten, concat and slice
// is plain except where stated.

#include <vector>

#include "engine/tensor.h"

namespace concord {

// x in another memory format.
Tensor convert_format(const Tensor& x, MemoryFormat format);
// x as another floating dtype.
Tensor convert_dtype(const Tensor& x, DType dtype);
// The same elements in row-major order under another shape; shares storage when x is plain.
Tensor reshape(const Tensor& x, const Shape& shape);
// [N, ...] -> [N, rest]
Tensor flatten(const Tensor& x);
// Joins tensors that agree in all axes but `axis`. Keeps the common memory format when the joint
// axis is 0 and all share one; plain otherwise.
Tensor concat(const std::vector<Tensor>& parts, std::size_t axis);
// Elements [begin, end) of `axis`.
Tensor slice(const Tensor& x, std::size_t axis, std::int64_t begin, std::int64_t end);

}  // namespace concord
