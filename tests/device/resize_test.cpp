#include "kernels/resize.h"

#include <cmath>

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Resize);

struct Case {
  Shape x;
  Shape y;
};
// Enlarged, reduced, one axis each way, from one pixel and to one, by much (threads share a
// rectangle), and so wide that the coordinates' numerators need 64 bits.
const Case kCases[] = {{{2, 4, 5, 7}, {2, 4, 10, 14}},   {{1, 3, 11, 13}, {1, 3, 4, 5}},
                       {{1, 5, 3, 9}, {1, 5, 7, 2}},     {{2, 8, 1, 1}, {2, 8, 9, 11}},
                       {{1, 2, 6, 7}, {1, 2, 1, 1}},     {{1, 1, 1, 1}, {1, 1, 1, 1}},
                       {{1, 37, 2, 3}, {1, 37, 3, 4}},   {{1, 4, 2, 2}, {1, 4, 41, 37}},
                       {{1, 140, 2, 1}, {1, 140, 3, 3}}, {{3, 2, 4, 4}, {3, 2, 4, 4}},
                       {{1, 6, 17, 2}, {1, 6, 5, 31}}};

// R[i][h] of an axis: y = R x.
std::vector<std::vector<double>> resize_matrix(std::int64_t inputs, std::int64_t outputs) {
  std::vector<std::vector<double>> weight;
  for (std::int64_t i = 0; i < outputs; ++i) {
    std::vector<double> row(static_cast<std::size_t>(inputs), 0);
    const double ratio = static_cast<double>(inputs) / static_cast<double>(outputs);
    const double source = std::max(0.0, (static_cast<double>(i) + 0.5) * ratio - 0.5);
    const auto low = static_cast<std::int64_t>(source);
    const double part = source - static_cast<double>(low);
    row[low] += 1 - part;
    row[std::min(low + 1, inputs - 1)] += part;
    weight.push_back(row);
  }
  return weight;
}

Tensor place(Device device, const Tensor& values, MemoryFormat format) {
  if (format == MemoryFormat::kPlain) return test::unaligned_on(device, values);
  return values.in_format(format).to(device);
}

void check_resize(Device device, const Case& c, DType dtype) {
  const Tensor values = random_tensor(c.x, 1).to(dtype);
  const Tensor gradients = random_tensor(c.y, 2).to(dtype);
  const auto from = values.to_vector<double>();
  const auto back = gradients.to_vector<double>();
  const auto rows = resize_matrix(c.x[2], c.y[2]);
  const auto columns = resize_matrix(c.x[3], c.y[3]);
  std::vector<double> y_expected(back.size(), 0);
  std::vector<double> dx_expected(from.size(), 0);
  for (std::int64_t k = 0; k < c.y.numel(); ++k) {
    const std::int64_t map = k / (c.y[2] * c.y[3]);
    const auto& row = rows[k / c.y[3] % c.y[2]];
    const auto& column = columns[k % c.y[3]];
    for (std::int64_t h = 0; h < c.x[2]; ++h) {
      for (std::int64_t v = 0; v < c.x[3]; ++v) {
        const std::int64_t at = (map * c.x[2] + h) * c.x[3] + v;
        y_expected[k] += row[h] * column[v] * from[at];
        dx_expected[at] += row[h] * column[v] * back[k];
      }
    }
  }
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    SCOPED_TRACE(testing::Message() << c.x.to_string() << " to " << c.y.to_string() << " "
                                    << name_of(dtype) << " " << name_of(format));
    const Tensor x = place(device, values, format);
    const Tensor dy = place(device, gradients, format);
    Tensor y = place(device, Tensor::full(c.y, NAN, {.dtype = dtype}), format);
    Tensor dx = place(device, Tensor::full(c.x, NAN, {.dtype = dtype}), format);
    kernels::resize_bilinear_forward(device, x.view(), y.view());
    kernels::resize_bilinear_backward(device, dy.view(), dx.view());
    // Values of at most 1, coordinates of at most 40 in the reference; a gradient is the sum of up
    // to 1,500 of them.
    const double unit = test::tolerance_of(dtype, 3e-7, 2e-14);
    test::expect_close(y, Tensor::of(c.y, y_expected), unit, "y");
    test::expect_close(dx, Tensor::of(c.x, dx_expected), unit * 10, "dx");
  }
}

TEST_P(Resize, Bilinear) {
  in_every_order([&] {
    for (const Case& c : kCases)
      for (const DType dtype : test::dtypes_on(device())) check_resize(device(), c, dtype);
  });
}

// Against the CPU in double, since a matrix would be large.
TEST_P(Resize, BilinearOfWideMaps) {
  const Case c = {{1, 1, 1, 33001}, {1, 1, 1, 40009}};
  const Tensor values = random_tensor(c.x, 1);
  const Tensor gradients = random_tensor(c.y, 2);
  Tensor y_expected = Tensor::full(c.y, NAN, {.dtype = DType::kFloat64});
  Tensor dx_expected = Tensor::full(c.x, NAN, {.dtype = DType::kFloat64});
  kernels::resize_bilinear_forward(Device{}, values.view(), y_expected.view());
  kernels::resize_bilinear_backward(Device{}, gradients.view(), dx_expected.view());
  const Tensor x = values.to(device());
  const Tensor dy = gradients.to(device());
  Tensor y = Tensor::full(c.y, NAN, {.dtype = DType::kFloat64}).to(device());
  Tensor dx = Tensor::full(c.x, NAN, {.dtype = DType::kFloat64}).to(device());
  kernels::resize_bilinear_forward(device(), x.view(), y.view());
  kernels::resize_bilinear_backward(device(), dy.view(), dx.view());
  // The CPU's coordinates, of up to 33,001 in double.
  test::expect_close(y, y_expected, 2e-11, "y");
  test::expect_close(dx, dx_expected, 2e-11, "dx");
}

TEST_P(Resize, KeepsNaN) {
  const Tensor x = Tensor::of<float>({1, 1, 1, 4}, {0, NAN, 2, 3}).to(device());
  Tensor y = Tensor::zeros({1, 1, 1, 8}).to(device());
  kernels::resize_bilinear_forward(device(), x.view(), y.view());
  std::vector<bool> found;
  for (const float value : y.to_vector<float>()) found.push_back(std::isnan(value));
  EXPECT_EQ(found, (std::vector<bool>{true, true, true, true, true, false, false, false}));
}

TEST_P(Resize, EmptyBatches) {
  const Tensor x = Tensor::empty({0, 4, 4, 4}, {DType::kFloat32, device()});
  Tensor y = Tensor::empty({0, 4, 2, 2}, {DType::kFloat32, device()});
  Tensor dx = Tensor::empty({0, 4, 4, 4}, {DType::kFloat32, device()});
  kernels::resize_bilinear_forward(device(), x.view(), y.view());
  kernels::resize_bilinear_backward(device(), std::as_const(y).view(), dx.view());
}

TEST_P(Resize, BlockedFormatsAreErrorsOnCuda) {
  if (GetParam() != DeviceType::kCuda) return;
  Tensor tensor = Tensor::zeros({1, 8, 4, 4}, {DType::kFloat32, device()});
  kernels::View x = tensor.view();
  x.format = MemoryFormat::kBlocked8;
  test::expect_error([&] { kernels::resize_bilinear_forward(device(), x, x); },
                     {"resize_bilinear", "1x8x4x4"});
}

}  // namespace
}  // namespace concord
