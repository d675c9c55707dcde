#include "kernels/activation.h"

#include <cmath>

#include "tests/device/support.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Activation);

// Runs a unary or binary kernel on aligned and unaligned buffers of every awkward size and compares
// it with `expected` element by element.
template <class Run>
void check_elementwise(Device device, const std::function<double(double, double)>& expected,
                       Run run) {
  for (const DType dtype : test::dtypes_on(device)) {
    for (const std::int64_t size : test::kAwkwardSizes) {
      const Tensor a = random_tensor({size}, 1, -3, 3).to(dtype);
      const Tensor b = random_tensor({size}, 2, -3, 3).to(dtype);
      const auto left = a.to_vector<double>();
      const auto right = b.to_vector<double>();
      for (const std::int64_t offset : {0, 1}) {
        const Tensor on_a = test::unaligned_on(device, a, offset);
        const Tensor on_b = test::unaligned_on(device, b, offset);
        Tensor y = test::unaligned_on(device, Tensor::full({size}, NAN, {.dtype = dtype}), offset);
        run(on_a, on_b, y);
        const auto values = y.to_vector<double>();
        // A few units in the last place.
        const double unit = test::tolerance_of(dtype, 4e-7, 1e-15);
        for (std::size_t i = 0; i < values.size(); ++i) {
          const double value = expected(left[i], right[i]);
          ASSERT_NEAR(values[i], value, unit * std::max(1.0, std::abs(value)))
              << "element " << i << " of " << size << ", offset " << offset;
        }
      }
    }
  }
}

TEST_P(Activation, Relu) {
  in_every_order([&] {
    check_elementwise(
        device(), [](double x, double) { return std::max(x, 0.0); },
        [&](const Tensor& x, const Tensor&, Tensor& y) {
          kernels::relu_forward(device(), x.view(), y.view());
        });
    check_elementwise(
        device(), [](double y, double dy) { return y > 0 ? dy : 0.0; },
        [&](const Tensor& y, const Tensor& dy, Tensor& dx) {
          kernels::relu_backward(device(), y.view(), dy.view(), dx.view());
        });
  });
}

TEST_P(Activation, ReluKeepsNaN) {
  Tensor x = Tensor::of<float>({5}, {NAN, -1, 2, -INFINITY, INFINITY}).to(device());
  kernels::relu_forward(device(), std::as_const(x).view(), x.view());
  const auto y = x.to_vector<float>();
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ((std::vector<float>{y.begin() + 1, y.end()}), (std::vector<float>{0, 2, 0, INFINITY}));
}

TEST_P(Activation, Sigmoid) {
  in_every_order([&] {
    check_elementwise(
        device(), [](double x, double) { return 1 / (1 + std::exp(-x)); },
        [&](const Tensor& x, const Tensor&, Tensor& y) {
          kernels::sigmoid_forward(device(), x.view(), y.view());
        });
    check_elementwise(
        device(), [](double y, double dy) { return dy * y * (1 - y); },
        [&](const Tensor& y, const Tensor& dy, Tensor& dx) {
          kernels::sigmoid_backward(device(), y.view(), dy.view(), dx.view());
        });
  });
}

}  // namespace
}  // namespace concord
