#include "engine/ops/conv2d.h"

#include <utility>

#include "engine/autograd.h"
#include "engine/ops/shape.h"
#include "engine/saved_tensor.h"

namespace concord {
namespace {

std::string describe(const Tensor& x, const Tensor& weight, const Conv2dOptions& options) {
  return fmt::format("(input {}, weight {}{})", x.shape().to_string(), weight.shape().to_string(),
                     options.groups == 1 ? "" : fmt::format(", groups {}", options.groups));
}

std::int64_t output_size(std::int64_t input, std::int64_t kernel, std::int64_t stride,
                         std::int64_t padding, std::int64_t dilation) {
  const std::int64_t room = input + 2 * padding - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

void check_operands(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Conv2dOptions& options) {
  const std::string both = describe(x, weight, options);
  check(x.shape().rank() == 4 && weight.shape().rank() == 4,
        "conv2d: input [N,C,H,W] and weight [O,C/groups,R,S] expected {}", both);
  check(options.stride.height > 0 && options.stride.width > 0 && options.dilation.height > 0 &&
            options.dilation.width > 0 && options.padding.height >= 0 && options.padding.width >= 0,
        "conv2d: stride {}x{} and dilation {}x{} must be positive, padding {}x{} not negative",
        options.stride.height, options.stride.width, options.dilation.height,
        options.dilation.width, options.padding.height, options.padding.width);
  check(weight.numel() > 0, "conv2d: the weight is empty {}", both);
  check(weight.format() == MemoryFormat::kPlain, "conv2d: the weight must be plain, it is {} {}",
        name_of(weight.format()), both);
  check(options.groups > 0 && weight.dim(0) % options.groups == 0,
        "conv2d: {} groups do not divide the weight's {} outputs {}", options.groups, weight.dim(0),
        both);
  check(x.dim(1) == weight.dim(1) * options.groups,
        "conv2d: input has {} channels, weight expects {} {}", x.dim(1),
        weight.dim(1) * options.groups, both);
  check(!bias.defined() || bias.shape() == Shape{weight.dim(0)},
        "conv2d: bias of shape {}, weight expects {} values {}",
        bias.defined() ? bias.shape().to_string() : "", weight.dim(0), both);
  check(weight.dtype() == compute_dtype(x.dtype()) &&
            (!bias.defined() || bias.dtype() == weight.dtype()),
        "conv2d: input is {}, weight is {}{} {}", name_of(x.dtype()), name_of(weight.dtype()),
        bias.defined() ? fmt::format(", bias is {}", name_of(bias.dtype())) : "", both);
}

kernels::ConstView optional_view(const Tensor& tensor) {
  return tensor.defined() ? tensor.view() : kernels::ConstView();
}

// x in the format that the convolution wants, and what its result will be.
struct Prepared {
  Tensor x;
  Shape y;
  TensorOptions y_options;
};

Prepared prepare(const Tensor& given, const Tensor& weight, const Tensor& bias,
                 const Conv2dOptions& options) {
  check_operands(given, weight, bias, options);
  const std::int64_t height = output_size(given.dim(2), weight.dim(2), options.stride.height,
                                          options.padding.height, options.dilation.height);
  const std::int64_t width = output_size(given.dim(3), weight.dim(3), options.stride.width,
                                         options.padding.width, options.dilation.width);
  check(height > 0 && width > 0,
        "conv2d: the kernel is larger than the padded input, the output would be empty {}, padding "
        "{}x{}, dilation {}x{}",
        describe(given, weight, options), options.padding.height, options.padding.width,
        options.dilation.height, options.dilation.width);

  const kernels::Conv2dFormats formats = kernels::conv2d_formats(
      given.device(), given.shape(), given.format(), given.dtype(), weight.shape(), options);
  const Tensor x = convert_format(given, formats.input);
  return {x, {x.dim(0), weight.dim(0), height, width}, {x.dtype(), x.device(), formats.output}};
}

}  // namespace

// dL/dx: every dL/dy spread over the inputs it came from, by the same weights;
// dL/dweight[o,c,r,s] = sum over n,i,j of dL/dy[n,o,i,j] x[n,...,i*stride - padding + r*dilation,
// ...]; dL/dbias[o] = sum over n,i,j of dL/dy.
Tensor conv2d(const Tensor& given, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options) {
  const Prepared p = prepare(given, weight, bias, options);
  const Tensor& x = p.x;
  Tensor y = Tensor::empty(p.y, p.y_options);
  kernels::conv2d_forward(x.device(), x.view(), weight.view(), optional_view(bias), options,
                          kernels::Conv2dEpilogue{}, y.view());

  const bool weight_wanted = needs_gradient(weight);
  const bool bias_wanted = needs_gradient(bias);
  const bool x_wanted = needs_gradient(x);
  return record("conv2d", y, {x, weight, bias},
                [saved_x = weight_wanted || bias_wanted ? SavedTensor(x) : SavedTensor(),
                 saved_weight = x_wanted ? weight.detach() : Tensor(), x_shape = x.shape(),
                 x_format = x.format(), weight_shape = weight.shape(), weight_wanted, bias_wanted,
                 options](Tensor dy) mutable -> std::vector<Tensor> {
                  Tensor dx;
                  Tensor d_weight;
                  Tensor d_bias;
                  const TensorOptions plain{compute_dtype(dy.dtype()), dy.device()};
                  if (saved_x.defined()) {
                    d_weight = Tensor::empty(weight_shape, plain);
                    if (bias_wanted) d_bias = Tensor::empty({weight_shape[0]}, plain);
                    // Freed at the end of this block, so that dx can take its memory.
                    const Tensor again = std::exchange(saved_x, {}).get();
                    kernels::conv2d_backward_weights(dy.device(), again.view(), dy.view(), options,
                                                     d_weight.view(),
                                                     bias_wanted ? d_bias.view() : kernels::View());
                    if (!weight_wanted) d_weight = {};
                  }
                  if (saved_weight.defined()) {
                    dx = Tensor::empty(x_shape, {dy.dtype(), dy.device(), x_format});
                    kernels::conv2d_backward_data(dy.device(), dy.view(), saved_weight.view(),
                                                  options, dx.view());
                  }
                  return {dx, d_weight, d_bias};
                });
}

Tensor conv2d_inference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Conv2dOptions& options, bool relu, Tensor residual) {
  for (const Tensor* operand : {&x, &weight, &bias, &std::as_const(residual)})
    check(!needs_gradient(*operand),
          "conv2d_inference: a gradient is wanted, which this operation does not record; use "
          "conv2d and what follows it");
  const Prepared p = prepare(x, weight, bias, options);
  const bool adds = residual.defined();
  Tensor y;
  if (adds) {
    check(residual.shape() == p.y && residual.dtype() == p.y_options.dtype &&
              residual.device() == p.y_options.device,
          "conv2d_inference: residual {} {} on {} must have the result's shape {} {} on {}",
          residual.shape().to_string(), name_of(residual.dtype()), name_of(residual.device()),
          p.y.to_string(), name_of(p.y_options.dtype), name_of(p.y_options.device));
    if (residual.format() != p.y_options.format) residual = residual.in_format(p.y_options.format);
    y = residual.unique() ? residual.detach() : residual.clone();
  } else {
    y = Tensor::empty(p.y, p.y_options);
  }
  kernels::conv2d_forward(p.x.device(), p.x.view(), weight.view(), optional_view(bias), options,
                          kernels::Conv2dEpilogue{.add = adds, .relu = relu}, y.view());
  return y;
}

}  // namespace concord
