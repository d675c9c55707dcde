#include "engine/ops/activation.h"

#include "engine/autograd.h"
#include "kernels/activation.h"

namespace concord {

// dL/dx = dL/dy where y > 0, else 0
Tensor relu(const Tensor& x) {
  Tensor y = empty_like(x);
  kernels::relu_forward(x.device(), x.view(), y.view());
  return record("relu", y, {x}, [y = y.detach()](Tensor dy) -> std::vector<Tensor> {
    const kernels::ConstView from = dy.view();
    Tensor dx = reuse_or_empty_like(dy);
    kernels::relu_backward(y.device(), y.view(), from, dx.view());
    return {dx};
  });
}

// dL/dx = dL/dy * y * (1 - y)
Tensor sigmoid(const Tensor& x) {
  Tensor y = empty_like(x);
  kernels::sigmoid_forward(x.device(), x.view(), y.view());
  return record("sigmoid", y, {x}, [y = y.detach()](Tensor dy) -> std::vector<Tensor> {
    const kernels::ConstView from = dy.view();
    Tensor dx = reuse_or_empty_like(dy);
    kernels::sigmoid_backward(y.device(), y.view(), from, dx.view());
    return {dx};
  });
}

}  // namespace concord
