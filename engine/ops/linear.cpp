#include "engine/ops/linear.h"

#include "engine/autograd.h"
#include "kernels/linear.h"

namespace concord {
namespace {

void check_operands(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const std::string both =
      fmt::format("(input {}, weight {})", x.shape().to_string(), weight.shape().to_string());
  check(x.shape().rank() == 2 && weight.shape().rank() == 2,
        "linear: input [N,I] and weight [O,I] expected {}; flatten maps first", both);
  check(x.dim(1) == weight.dim(1), "linear: input has {} features, weight expects {} {}", x.dim(1),
        weight.dim(1), both);
  check(weight.numel() > 0, "linear: the weight is empty {}", both);
  check(!bias.defined() || bias.shape() == Shape{weight.dim(0)},
        "linear: bias of shape {}, weight expects {} values {}",
        bias.defined() ? bias.shape().to_string() : "", weight.dim(0), both);
  check(weight.dtype() == compute_dtype(x.dtype()) &&
            (!bias.defined() || bias.dtype() == weight.dtype()),
        "linear: input is {}, weight is {} {}", name_of(x.dtype()), name_of(weight.dtype()), both);
}

Tensor product(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu) {
  check_operands(x, weight, bias);
  Tensor y = Tensor::empty({x.dim(0), weight.dim(0)}, {x.dtype(), x.device()});
  kernels::linear_forward(x.device(), x.view(), weight.view(),
                          bias.defined() ? bias.view() : kernels::ConstView(), relu, y.view());
  return y;
}

}  // namespace

Tensor weight_gradient(const Tensor& x, const Tensor& dy) {
  Tensor d_weight = Tensor::empty({dy.dim(1), x.dim(1)}, {compute_dtype(dy.dtype()), dy.device()});
  kernels::linear_backward_weights(dy.device(), x.view(), dy.view(), d_weight.view());
  return d_weight;
}

// dL/dx = dL/dy weight, dL/dweight = dL/dy^T x, dL/dbias = sum over N of dL/dy
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor y = product(x, weight, bias, false);

  // A parameter's gradient is many times larger than x and dy where the batch is small (vgg16's
  // FC6 at 8 images: 411 MB against 1).
  constexpr std::int64_t kTimesLarger = 4;
  // Not where x is an input: its owner may overwrite it before somebody asks.
  const bool puts_off = needs_gradient(weight) && weight.node() == nullptr && x.node() != nullptr &&
                        kTimesLarger * (x.numel() + y.numel()) <= weight.numel();
  return record("linear", y, {x, weight, bias},
                [saved_x = needs_gradient(weight) ? x.detach() : Tensor(),
                 parameter = puts_off ? weight : Tensor(),
                 saved_weight = needs_gradient(x) ? weight.detach() : Tensor(),
                 bias_wanted = needs_gradient(bias),
                 inputs = x.dim(1)](const Tensor& dy) mutable -> std::vector<Tensor> {
                  const TensorOptions options{dy.dtype(), dy.device()};
                  const std::int64_t outputs = dy.dim(1);
                  Tensor dx;
                  Tensor d_weight;
                  Tensor d_bias;
                  // Nor where dy is the caller's.
                  if (parameter.defined() && dy.unique())
                    parameter.put_off_grad([saved_x, dy, x_version = saved_x.version()] {
                      check(saved_x.version() == x_version,
                            "linear: its input was overwritten before the weight's gradient was "
                            "asked for; ask for grad() first");
                      return weight_gradient(saved_x, dy);
                    });
                  else if (saved_x.defined())
                    d_weight = weight_gradient(saved_x, dy);
                  if (bias_wanted) {
                    d_bias = Tensor::empty({outputs}, {compute_dtype(dy.dtype()), dy.device()});
                    kernels::linear_backward_bias(dy.device(), dy.view(), d_bias.view());
                  }
                  if (saved_weight.defined()) {
                    dx = Tensor::empty({dy.dim(0), inputs}, options);
                    kernels::linear_backward_data(dy.device(), dy.view(), saved_weight.view(),
                                                  dx.view());
                  }
                  return {dx, d_weight, d_bias};
                });
}

Tensor linear_relu_inference(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(!needs_gradient(x) && !needs_gradient(weight) && !needs_gradient(bias),
        "linear_relu_inference: a gradient is wanted, which this operation does not record; use "
        "linear and relu");
  return product(x, weight, bias, true);
}

}  // namespace concord
