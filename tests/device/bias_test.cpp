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
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      for (const MemoryFormat format : kFormats) {
        if (dtype == DType::kFloat64 && format != MemoryFormat::kPlain) continue;  // not on the CPU
        const std::string what = shape.to_string() + " " + std::string(name_of(format));
        const Tensor x = random_tensor(shape.with(1, 3), 1);
        const Tensor weight = random_tensor({shape[1], 3, 1, 1}, 2);
        const Tensor bias = random_tensor({shape[1]}, 3);
        const Tensor dy = random_tensor(shape, 4);
        const Tensor before = random_tensor(shape, 5);
        for (const bool adds : {false, true}) {
          Tensor expected = before.clone();
          const kernels::Conv2dEpilogue epilogue = {.add = adds, .relu = true};
          kernels::conv2d_forward(Device{}, x.view(), weight.view(), bias.view(), Conv2dOptions{},
                                  epilogue, expected.view());
          in_every_order([&] {
            Tensor y = before.to(dtype).in_format(format).to(device());
            const Tensor image = x.to(dtype).in_format(format).to(device());
            kernels::conv2d_forward(device(), image.view(), weight.to(dtype).to(device()).view(),
                                    bias.to(dtype).to(device()).view(), Conv2dOptions{}, epilogue,
                                    y.view());
            EXPECT_LT(relative_error(y, expected), dtype == DType::kFloat32 ? 1e-6 : 1e-15) << what;
          });
        }
        in_every_order([&] {
          Tensor d_weight = Tensor::full(weight.shape(), NAN, {.dtype = dtype}).to(device());
          Tensor d_bias = Tensor::full(bias.shape(), NAN, {.dtype = dtype}).to(device());
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
          EXPECT_LT(relative_error(d_bias, sums), dtype == DType::kFloat32 ? 1e-6 : 1e-14) << what;
        });
      }
    }
  }
}

TEST_P(Bias, OfALinearLayer) {
  for (const std::int64_t samples : {1, 9}) {
    for (const std::int64_t features : {1, 31, 33, 257}) {
      for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
        const Tensor x = random_tensor({samples, 3}, 1);
        const Tensor weight = random_tensor({features, 3}, 2);
        const Tensor bias = random_tensor({features}, 3);
        const Tensor dy = random_tensor({samples, features}, 4);
        Tensor expected = Tensor::empty({samples, features}, {.dtype = DType::kFloat64});
        Tensor sums = Tensor::empty({features}, {.dtype = DType::kFloat64});
        kernels::linear_forward(Device{}, x.view(), weight.view(), bias.view(), expected.view());
        kernels::linear_backward_bias(Device{}, dy.view(), sums.view());
        const double tolerance = dtype == DType::kFloat32 ? 5e-7 : 1e-14;
        in_every_order([&] {
          Tensor y = Tensor::full({samples, features}, NAN, {.dtype = dtype}).to(device());
          Tensor d_bias = Tensor::full({features}, NAN, {.dtype = dtype}).to(device());
          kernels::linear_forward(device(), x.to(dtype).to(device()).view(),
                                  weight.to(dtype).to(device()).view(),
                                  bias.to(dtype).to(device()).view(), y.view());
          kernels::linear_backward_bias(device(), dy.to(dtype).to(device()).view(), d_bias.view());
          EXPECT_LT(relative_error(y, expected), tolerance) << samples << "x" << features;
          EXPECT_LT(relative_error(d_bias, sums), tolerance) << samples << "x" << features;
        });
      }
    }
  }
}

}  // namespace
}  // namespace concord
