// Biases of convolutions and linear layers, and the epilogue of a convolution: our own kernels
// around those of cuDNN and cuBLAS.

#include <cmath>

#include "kernels/conv2d.h"
#include "kernels/linear.h"
#include "tests/device/support.h"

namespace concord {
namespace {

using test::random_tensor;
using test::relative_error;

CONCORD_ON_EVERY_DEVICE(Bias);

constexpr MemoryFormat kFormats[] = {MemoryFormat::kPlain, MemoryFormat::kChannelsLast};

TEST_P(Bias, OfAConvolution) {
  // Maps of 1, 31 and 33 pixels; channels that fill no warp, one, and a little more.
  const Shape outputs[] = {{2, 5, 1, 1}, {1, 31, 1, 31}, {3, 33, 3, 11}, {2, 64, 5, 5}};
  for (const Shape& shape : outputs) {
    for (const DType dtype : test::dtypes_on(device())) {
      for (const MemoryFormat format : kFormats) {
        if (dtype == DType::kFloat64 && format != MemoryFormat::kPlain) continue;  // not on the CPU
        const DType parameter = compute_dtype(dtype);
        const std::string what = shape.to_string() + " " + std::string(name_of(format));
        // What the device is given, in float64: the weight is rounded as images are.
        const auto given = [&](const Shape& of, std::uint64_t stream) {
          const Tensor drawn = random_tensor(of, stream);
          return dtype == DType::kBFloat16 ? drawn.to(dtype).to(DType::kFloat64) : drawn;
        };
        const Tensor x = given(shape.with(1, 3), 1);
        const Tensor weight = given({shape[1], 3, 1, 1}, 2);
        const Tensor bias = random_tensor({shape[1]}, 3);
        const Tensor dy = given(shape, 4);
        const Tensor before = given(shape, 5);
        for (const bool adds : {false, true}) {
          Tensor expected = before.clone();
          const kernels::Conv2dEpilogue epilogue = {.add = adds, .relu = true};
          kernels::conv2d_forward(Device{}, x.view(), weight.view(), bias.view(), Conv2dOptions{},
                                  epilogue, expected.view());
          in_every_order([&] {
            Tensor y = before.to(dtype).in_format(format).to(device());
            const Tensor image = x.to(dtype).in_format(format).to(device());
            kernels::conv2d_forward(
                device(), image.view(), weight.to(parameter).to(device()).view(),
                bias.to(parameter).to(device()).view(), Conv2dOptions{}, epilogue, y.view());
            // Rounded before the bias and after it.
            EXPECT_LT(relative_error(y, expected), 2 * test::tolerance_of(dtype, 5e-7, 5e-16))
                << what;
          });
        }
        in_every_order([&] {
          Tensor d_weight = Tensor::full(weight.shape(), NAN, {.dtype = parameter}).to(device());
          Tensor d_bias = Tensor::full(bias.shape(), NAN, {.dtype = parameter}).to(device());
          const Tensor image = x.to(dtype).in_format(format).to(device());
          const Tensor gradient = dy.to(dtype).in_format(format).to(device());
          kernels::conv2d_backward_weights(device(), image.view(), gradient.view(), Conv2dOptions{},
                                           d_weight.view(), d_bias.view());
          Tensor sums = Tensor::zeros(bias.shape(), {.dtype = DType::kFloat64});
          const auto values = dy.to_vector<double>();
          const std::int64_t pixels = shape[2] * shape[3];
          for (std::int64_t i = 0; i < dy.numel(); ++i)
            sums.data<double>()[i / pixels % shape[1]] += values[static_cast<std::size_t>(i)];
          // Sums of at most 99 values; the CPU's are in float32.
          EXPECT_LT(relative_error(d_bias, sums), dtype == DType::kFloat64 ? 1e-14 : 1e-6) << what;
        });
      }
    }
  }
}

TEST_P(Bias, OfALinearLayer) {
  for (const std::int64_t samples : {1, 9}) {
    for (const std::int64_t features : {1, 31, 33, 257}) {
      for (const DType dtype : test::dtypes_on(device())) {
        const DType parameter = compute_dtype(dtype);
        const auto given = [&](const Shape& of, std::uint64_t stream) {
          const Tensor drawn = random_tensor(of, stream);
          return dtype == DType::kBFloat16 ? drawn.to(dtype).to(DType::kFloat64) : drawn;
        };
        const Tensor x = given({samples, 3}, 1);
        const Tensor weight = given({features, 3}, 2);
        const Tensor bias = random_tensor({features}, 3);
        const Tensor dy = given({samples, features}, 4);
        const TensorOptions in_double = {.dtype = DType::kFloat64};
        Tensor expected = Tensor::empty({samples, features}, in_double);
        Tensor dx_expected = Tensor::empty({samples, 3}, in_double);
        Tensor d_weight_expected = Tensor::empty({features, 3}, in_double);
        Tensor sums = Tensor::empty({features}, in_double);
        kernels::linear_backward_data(Device{}, dy.view(), weight.view(), dx_expected.view());
        kernels::linear_backward_weights(Device{}, x.view(), dy.view(), d_weight_expected.view());
        kernels::linear_backward_bias(Device{}, dy.view(), sums.view());
        // Of many samples nothing is aligned to more than an element.
        const std::int64_t offset = samples > 1 ? 1 : 0;
        const auto on_device = [&](const Tensor& tensor, DType as) {
          return test::unaligned_on(device(), tensor.to(as), offset);
        };
        const auto missing = [&](const Shape& shape, DType as) {
          return on_device(Tensor::full(shape, NAN), as);
        };
        in_every_order([&] {
          const Tensor on_x = on_device(x, dtype);
          const Tensor on_dy = on_device(dy, dtype);
          const Tensor on_weight = on_device(weight, parameter);
          const Tensor on_bias = on_device(bias, parameter);
          // In bfloat16 sum, bias and result may each be rounded.
          const double tolerance = 3 * test::tolerance_of(dtype, 2e-7, 4e-15);
          const double of_sums = test::tolerance_of(parameter, 1e-6, 1e-14);
          for (const bool relu : {false, true}) {
            kernels::linear_forward(Device{}, x.view(), weight.view(), bias.view(), relu,
                                    expected.view());
            Tensor y = missing({samples, features}, dtype);
            kernels::linear_forward(device(), on_x.view(), on_weight.view(), on_bias.view(), relu,
                                    y.view());
            EXPECT_LT(relative_error(y, expected), tolerance) << samples << "x" << features;
          }
          Tensor dx = missing({samples, 3}, dtype);
          Tensor d_weight = missing({features, 3}, parameter);
          Tensor d_bias = missing({features}, parameter);
          kernels::linear_backward_data(device(), on_dy.view(), on_weight.view(), dx.view());
          kernels::linear_backward_weights(device(), on_x.view(), on_dy.view(), d_weight.view());
          kernels::linear_backward_bias(device(), on_dy.view(), d_bias.view());
          // Of up to 257 products.
          EXPECT_LT(relative_error(dx, dx_expected), test::tolerance_of(dtype, 2e-6, 1e-14))
              << samples << "x" << features;
          EXPECT_LT(relative_error(d_weight, d_weight_expected), of_sums) << features;
          EXPECT_LT(relative_error(d_bias, sums), of_sums) << samples << "x" << features;
        });
      }
    }
  }
}

}  // namespace
}  // namespace concord
