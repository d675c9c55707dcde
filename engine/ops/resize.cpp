#include "engine/ops/resize.h"

#include "engine/autograd.h"
#include "kernels/resize.h"

namespace concord {

// With y = R x, R the linear map of the declaration: dL/dx = R^T dL/dy.
Tensor resize_bilinear(const Tensor& x, Size2d output) {
  check(x.shape().rank() == 4 && x.dim(2) > 0 && x.dim(3) > 0,
        "resize_bilinear: maps [N,C,H,W] expected, the tensor has shape {}", x.shape().to_string());
  check(output.height > 0 && output.width > 0,
        "resize_bilinear: the output of {}x{} for maps {} has no pixels", output.height,
        output.width, x.shape().to_string());
  if (x.dim(2) == output.height && x.dim(3) == output.width) return x;
  Tensor y = Tensor::empty({x.dim(0), x.dim(1), output.height, output.width}, x.options());
  kernels::resize_bilinear_forward(x.device(), x.view(), y.view());
  return record("resize_bilinear", y, {x},
                [shape = x.shape()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::empty(shape, dy.options());
                  kernels::resize_bilinear_backward(dy.device(), dy.view(), dx.view());
                  return {dx};
                });
}

}  // namespace concord
