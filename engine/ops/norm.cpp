#include "engine/ops/norm.h"

#include "engine/autograd.h"
#include "engine/saved_tensor.h"
#include "kernels/norm.h"

namespace concord {
namespace {

void check_arguments(const char* operation, const Tensor& x, const Tensor& weight,
                     const Tensor& bias) {
  check(x.shape().rank() == 2 || x.shape().rank() == 4,
        "{}: input [N,C] or [N,C,H,W] expected, it has shape {}", operation, x.shape().to_string());
  check(x.numel() > 0, "{}: input of shape {} is empty", operation, x.shape().to_string());
  check(weight.defined() == bias.defined(),
        "{}: weight and bias must both be given, or neither (input {})", operation,
        x.shape().to_string());
  if (!weight.defined()) return;
  for (const Tensor* parameter : {&weight, &bias}) {
    check(parameter->shape() == Shape{x.dim(1)} && parameter->dtype() == compute_dtype(x.dtype()),
          "{}: input {} {} has {} channels, {} is {} {}", operation, x.shape().to_string(),
          name_of(x.dtype()), x.dim(1), parameter == &weight ? "weight" : "bias",
          parameter->shape().to_string(), name_of(parameter->dtype()));
  }
}

// What a backward pass may need of the forward pass.
struct Saved {
  Tensor x;
  Tensor y;  // where relu was fused and x does not tell what it let through
  Tensor weight;
  Tensor bias;
  Tensor mean;
  Tensor variance;
  double eps = 0;
  bool relu = false;
  bool constant_statistics = false;
  bool x_wanted = false;
  bool affine_wanted = false;
  bool residual_wanted = false;
};

kernels::ConstView optional_view(const Tensor& tensor) {
  return tensor.defined() ? tensor.view() : kernels::ConstView{};
}

kernels::NormArguments arguments_of(const Saved& saved) {
  return {optional_view(saved.x),
          saved.mean.view(),
          saved.variance.view(),
          optional_view(saved.weight),
          optional_view(saved.bias),
          saved.eps,
          saved.relu};
}

// The gradients of {x, weight, bias, residual}.
std::vector<Tensor> backward(const Saved& saved, Tensor dy) {
  const kernels::ConstView from = dy.view();
  const TensorOptions options{compute_dtype(dy.dtype()), dy.device()};
  Tensor dx, d_weight, d_bias, d_residual;
  kernels::NormGradients gradients;
  if (saved.affine_wanted) {
    const Shape channels{dy.dim(1)};
    d_weight = Tensor::empty(channels, options);
    d_bias = Tensor::empty(channels, options);
    gradients.weight = d_weight.view();
    gradients.bias = d_bias.view();
  }
  // Without relu the residual's gradient is dy itself.
  const bool masks_residual = saved.residual_wanted && saved.relu;
  if (saved.x_wanted) {
    dx = saved.residual_wanted ? empty_like(dy) : reuse_or_empty_like(dy);
    gradients.dx = dx.view();
  }
  if (masks_residual) {
    d_residual = reuse_or_empty_like(dy);
    gradients.residual = d_residual.view();
  }
  kernels::normalize_backward(from.device, arguments_of(saved), optional_view(saved.y), from,
                              saved.constant_statistics, gradients);
  if (saved.residual_wanted && !masks_residual) d_residual = std::move(dy);
  return {dx, d_weight, d_bias, d_residual};
}

// The pass that both normalisations share once mean and variance are known. `saved` comes with
// those, eps, relu and constant_statistics.
Tensor normalize(const char* operation, const Tensor& x, const Tensor& weight, const Tensor& bias,
                 const Tensor& residual, Saved saved) {
  const Tensor added = residual.defined() ? residual.in_format(x.format()) : Tensor();
  Tensor y = empty_like(x);
  if (weight.defined()) saved.weight = weight.detach();
  if (bias.defined()) saved.bias = bias.detach();
  kernels::NormArguments arguments = arguments_of(saved);
  arguments.x = x.view();
  kernels::normalize_forward(x.device(), arguments, optional_view(added), y.view());

  saved.x_wanted = needs_gradient(x);
  saved.affine_wanted = needs_gradient(weight) || needs_gradient(bias);
  saved.residual_wanted = needs_gradient(residual);
  // Where the residual alone is wanted, nothing flows through the statistics, and x is not kept.
  if (!saved.x_wanted && !saved.affine_wanted) saved.constant_statistics = true;
  if (!saved.constant_statistics || saved.affine_wanted) saved.x = x.detach();
  if (saved.relu && (residual.defined() || !saved.x.defined())) saved.y = y.detach();
  y = record(operation, y, {x, weight, bias, residual},
             [saved](Tensor dy) { return backward(saved, std::move(dy)); });
  // A convolution behind a fused relu would keep y beside the x that is kept here: half of what a
  // network's training step holds. One more sweep in the backward pass costs little beside its own.
  if (saved.relu && saved.x.defined() && !residual.defined()) {
    offer_recomputation(y, [saved = std::move(saved)] {
      Tensor again = empty_like(saved.x);
      kernels::normalize_forward(again.device(), arguments_of(saved), kernels::ConstView(),
                                 again.view());
      return again;
    });
  }
  return y;
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor running_mean,
                  Tensor running_var, const BatchNormOptions& options, const Tensor& residual) {
  check_arguments("batch_norm", x, weight, bias);
  const Shape channels{x.dim(1)};
  const bool has_running = running_mean.defined();
  check(has_running == running_var.defined(),
        "batch_norm: running_mean and running_var must both be given, or neither (input {})",
        x.shape().to_string());
  if (has_running) {
    check(running_mean.shape() == channels && running_var.shape() == channels,
          "batch_norm: input {} has {} channels, running_mean has shape {}, running_var {}",
          x.shape().to_string(), x.dim(1), running_mean.shape().to_string(),
          running_var.shape().to_string());
  }
  if (residual.defined()) {
    check(residual.shape() == x.shape() && residual.dtype() == x.dtype(),
          "batch_norm: residual {} {} must have the input's shape {} {}",
          residual.shape().to_string(), name_of(residual.dtype()), x.shape().to_string(),
          name_of(x.dtype()));
  }

  Saved saved;
  saved.eps = options.eps;
  saved.relu = options.relu;
  saved.constant_statistics = !options.training && has_running;
  if (saved.constant_statistics) {
    // Copies: a later training pass moves the running statistics.
    saved.mean = running_mean.detach().clone().to(DType::kFloat64);
    saved.variance = running_var.detach().clone().to(DType::kFloat64);
  } else {
    const std::int64_t count = x.numel() / x.dim(1);
    check(count > 1,
          "batch_norm: Expected more than 1 value per channel when training, got input {}; use a "
          "larger batch or evaluation mode",
          x.shape().to_string());
    saved.mean = Tensor::empty(channels, {DType::kFloat64, x.device()});
    saved.variance = empty_like(saved.mean);
    kernels::mean_and_variance(x.device(), x.view(), saved.mean.view(), saved.variance.view());
    if (options.training && has_running)
      kernels::update_running_moments(x.device(), std::as_const(saved.mean).view(),
                                      std::as_const(saved.variance).view(), count, options.momentum,
                                      running_mean.view(), running_var.view());
  }
  return normalize("batch_norm", x, weight, bias, residual, std::move(saved));
}

Tensor instance_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check_arguments("instance_norm", x, weight, bias);
  check(x.shape().rank() == 4 && x.dim(2) * x.dim(3) > 1,
        "instance_norm: Expected more than 1 spatial element per map, got input {}; use another "
        "normalisation on 1x1 maps",
        x.shape().to_string());
  Saved saved;
  saved.eps = eps;
  saved.mean = Tensor::empty({x.dim(0), x.dim(1)}, {DType::kFloat64, x.device()});
  saved.variance = empty_like(saved.mean);
  kernels::mean_and_variance(x.device(), x.view(), saved.mean.view(), saved.variance.view());
  return normalize("instance_norm", x, weight, bias, {}, std::move(saved));
}

}  // namespace concord
