#include "engine/ops/pooling.h"

#include "engine/autograd.h"

namespace concord {
namespace {

// Where the window has more cells, a byte does not hold its number.
constexpr std::int64_t kMostByteCells = 256;

void check_options(const Tensor& x, const MaxPool2dOptions& o) {
  check(x.shape().rank() == 4, "max_pool2d: input [N,C,H,W] expected, not {}",
        x.shape().to_string());
  check(o.kernel.height > 0 && o.kernel.width > 0 && o.stride.height > 0 && o.stride.width > 0,
        "max_pool2d: kernel {}x{} and stride {}x{} must be positive", o.kernel.height,
        o.kernel.width, o.stride.height, o.stride.width);
  check(o.padding.height >= 0 && o.padding.width >= 0 && 2 * o.padding.height <= o.kernel.height &&
            2 * o.padding.width <= o.kernel.width,
        "max_pool2d: padding {}x{} must be between 0 and half the kernel {}x{}", o.padding.height,
        o.padding.width, o.kernel.height, o.kernel.width);
  check(x.dim(2) + 2 * o.padding.height >= o.kernel.height &&
            x.dim(3) + 2 * o.padding.width >= o.kernel.width && x.dim(2) > 0 && x.dim(3) > 0,
        "max_pool2d: kernel {}x{} is larger than the padded input, the output would be empty "
        "(input {}, padding {}x{})",
        o.kernel.height, o.kernel.width, x.shape().to_string(), o.padding.height, o.padding.width);
}

}  // namespace

// dL/dx[h,w] = the sum of dL/dy over the windows whose maximum is (h,w)
Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& options) {
  check_options(x, options);
  const Size2d output = {
      (x.dim(2) + 2 * options.padding.height - options.kernel.height) / options.stride.height + 1,
      (x.dim(3) + 2 * options.padding.width - options.kernel.width) / options.stride.width + 1};
  const Shape shape{x.dim(0), x.dim(1), output.height, output.width};
  Tensor y = Tensor::empty(shape, x.options());
  Tensor index;
  if (needs_gradient(x)) {
    const bool small = options.kernel.height * options.kernel.width <= kMostByteCells;
    index = Tensor::empty(shape, {small ? DType::kUInt8 : DType::kInt64, x.device(), x.format()});
  }
  kernels::max_pool2d_forward(x.device(), x.view(), options, y.view(),
                              index.defined() ? index.view() : kernels::View());
  return record("max_pool2d", y, {x},
                [index, options, x_shape = x.shape()](Tensor dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::empty(x_shape, dy.options());
                  kernels::max_pool2d_backward(dy.device(), dy.view(), index.view(), options,
                                               dx.view());
                  return {dx};
                });
}

// dL/dx[h,w] = the sum of dL/dy / cells over the windows that hold (h,w)
Tensor adaptive_avg_pool2d(const Tensor& x, Size2d output) {
  check(x.shape().rank() == 4 && x.dim(2) > 0 && x.dim(3) > 0,
        "adaptive_avg_pool2d: input [N,C,H,W] with H and W positive expected, not {}",
        x.shape().to_string());
  check(output.height > 0 && output.width > 0,
        "adaptive_avg_pool2d: output size {}x{} must be positive", output.height, output.width);
  Tensor y = Tensor::empty({x.dim(0), x.dim(1), output.height, output.width}, x.options());
  kernels::adaptive_avg_pool2d_forward(x.device(), x.view(), y.view());
  return record("adaptive_avg_pool2d", y, {x},
                [x_shape = x.shape()](Tensor dy) -> std::vector<Tensor> {
                  Tensor dx = Tensor::empty(x_shape, dy.options());
                  kernels::adaptive_avg_pool2d_backward(dy.device(), dy.view(), dx.view());
                  return {dx};
                });
}

}  // namespace concord
