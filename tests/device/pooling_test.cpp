#include "kernels/pooling.h"

#include <cmath>

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Pooling);

constexpr MemoryFormat kFormats[] = {MemoryFormat::kPlain, MemoryFormat::kChannelsLast};

// On the device in `format`; plain tensors begin `offset` elements behind a boundary.
Tensor place(Device device, const Tensor& values, MemoryFormat format, std::int64_t offset) {
  if (format == MemoryFormat::kPlain) return test::unaligned_on(device, values, offset);
  return values.in_format(format).to(device);
}
Tensor missing(const Shape& shape, const Tensor& like, std::int64_t offset) {
  const Tensor values = Tensor::full(shape, NAN, {.dtype = like.dtype()});
  return place(like.device(), values, like.format(), offset);
}

struct MaxCase {
  Shape x;
  MaxPool2dOptions options;
};
// Windows that overlap, touch and lie apart; padding; lanes of 1, 2 and 4 channels; one window of
// more cells than a byte can number.
const MaxCase kMaxCases[] = {
    {{2, 4, 9, 7}, {{3, 3}, {2, 2}, {1, 1}}},    {{1, 8, 6, 8}, {{2, 2}, {2, 2}, {0, 0}}},
    {{2, 3, 7, 11}, {{2, 3}, {3, 4}, {0, 1}}},   {{1, 6, 5, 5}, {{5, 4}, {1, 2}, {2, 2}}},
    {{1, 1, 1, 1}, {{1, 1}, {1, 1}, {0, 0}}},    {{1, 37, 3, 3}, {{3, 3}, {2, 1}, {1, 0}}},
    {{1, 4, 18, 19}, {{17, 16}, {1, 1}, {1, 2}}}};

Shape output_of(const MaxCase& c) {
  const auto& o = c.options;
  return {c.x[0], c.x[1], (c.x[2] + 2 * o.padding.height - o.kernel.height) / o.stride.height + 1,
          (c.x[3] + 2 * o.padding.width - o.kernel.width) / o.stride.width + 1};
}

// The first maximum of every window in row-major order, and the gradient that it gets.
struct MaxReference {
  std::vector<double> y;
  std::vector<double> cell;
  std::vector<double> dx;
};
MaxReference max_reference(const MaxCase& c, const std::vector<double>& x,
                           const std::vector<double>& dy) {
  MaxReference result;
  result.dx.assign(x.size(), 0);
  const Shape out = output_of(c);
  const auto& o = c.options;
  for (std::int64_t map = 0; map < out[0] * out[1]; ++map) {
    for (std::int64_t i = 0; i < out[2]; ++i) {
      for (std::int64_t j = 0; j < out[3]; ++j) {
        std::int64_t best = -1;
        std::int64_t best_cell = -1;
        for (std::int64_t r = 0; r < o.kernel.height; ++r) {
          for (std::int64_t s = 0; s < o.kernel.width; ++s) {
            const std::int64_t h = i * o.stride.height - o.padding.height + r;
            const std::int64_t v = j * o.stride.width - o.padding.width + s;
            if (h < 0 || h >= c.x[2] || v < 0 || v >= c.x[3]) continue;
            const std::int64_t at = (map * c.x[2] + h) * c.x[3] + v;
            if (best >= 0 && x[at] <= x[best]) continue;
            best = at;
            best_cell = r * o.kernel.width + s;
          }
        }
        result.dx[best] += dy[result.y.size()];
        result.y.push_back(x[best]);
        result.cell.push_back(static_cast<double>(best_cell));
      }
    }
  }
  return result;
}

TEST_P(Pooling, Max) {
  in_every_order([&] {
    for (const MaxCase& c : kMaxCases) {
      for (const DType dtype : test::dtypes_on(device())) {
        for (const MemoryFormat format : kFormats) {
          for (const std::int64_t offset : {0, 1}) {
            if (offset > 0 && format != MemoryFormat::kPlain) continue;
            SCOPED_TRACE(testing::Message() << c.x.to_string() << " " << name_of(dtype) << " "
                                            << name_of(format) << ", offset " << offset);
            // Eighths, so that maxima are often equal.
            const Tensor drawn = random_tensor(c.x, 1, -1, 1);
            auto rounded = drawn.to_vector<double>();
            for (double& value : rounded) value = std::round(value * 8) / 8;
            const Tensor values = Tensor::of(c.x, rounded).to(dtype);
            const Shape shape = output_of(c);
            const Tensor gradients = random_tensor(shape, 2, -1, 1).to(dtype);
            const auto expected = max_reference(c, rounded, gradients.to_vector<double>());
            const Tensor x = place(device(), values, format, offset);
            const Tensor dy = place(device(), gradients, format, offset);
            const bool small = c.options.kernel.height * c.options.kernel.width <= 256;
            const DType index_type = small ? DType::kUInt8 : DType::kInt64;
            Tensor index = Tensor::zeros(shape, {index_type, device(), format});
            Tensor y = missing(shape, x, offset);
            Tensor without = missing(shape, x, offset);
            Tensor dx = missing(c.x, x, offset);
            kernels::max_pool2d_forward(device(), x.view(), c.options, y.view(), index.view());
            kernels::max_pool2d_forward(device(), x.view(), c.options, without.view(),
                                        kernels::View());
            kernels::max_pool2d_backward(device(), dy.view(), std::as_const(index).view(),
                                         c.options, dx.view());
            EXPECT_EQ(y.to_vector<double>(), expected.y);
            EXPECT_EQ(without.to_vector<double>(), expected.y);
            // By the CPU's memory order, which to_vector undoes for floating types alone.
            const Tensor on_host = index.to(Device{});
            const std::int64_t pixels = shape[2] * shape[3];
            for (std::int64_t i = 0; i < shape.numel(); ++i) {
              const std::int64_t map = i / pixels;
              const std::int64_t at =
                  format == MemoryFormat::kPlain
                      ? i
                      : (map / shape[1] * pixels + i % pixels) * shape[1] + map % shape[1];
              const double cell = small ? static_cast<double>(on_host.data<std::uint8_t>()[at])
                                        : static_cast<double>(on_host.data<std::int64_t>()[at]);
              ASSERT_EQ(cell, expected.cell[i]) << "index " << i;
            }
            // Sums of at most 25 gradients, mostly of one.
            const auto sums = dx.to_vector<double>();
            const double unit = test::tolerance_of(dtype, 1e-6, 1e-14);
            for (std::size_t i = 0; i < sums.size(); ++i)
              ASSERT_NEAR(sums[i], expected.dx[i], unit * std::max(1.0, std::abs(expected.dx[i])))
                  << "gradient " << i;
          }
        }
      }
    }
  });
}

// Lanes of 16 bytes where every buffer allows them; else, whichever it is that does not, the same.
TEST_P(Pooling, UnalignedChannelsLast) {
  const Shape shape = {1, 4, 5, 6};
  const Shape out = {1, 4, 2, 3};
  const MaxPool2dOptions options = {{3, 2}, {2, 2}, {0, 0}};
  const Tensor values = random_tensor(shape, 1).to(DType::kFloat32).to(device());
  std::vector<std::vector<double>> results;
  for (const std::int64_t which : {0, 1, 2, 3, 4}) {
    // One buffer begins an element behind a boundary.
    const auto buffer = [&](std::int64_t number, const Shape& of, DType dtype) {
      const std::int64_t offset = which == number ? 1 : 0;
      return Tensor::zeros({of.numel() + offset}, {dtype, device()})
          .rows(offset, offset + of.numel())
          .reshaped(of);
    };
    const auto channels_last = [](auto view) {
      view.format = MemoryFormat::kChannelsLast;
      return view;
    };
    Tensor x = buffer(1, shape, DType::kFloat32);
    x.copy_from(values);
    Tensor y = buffer(2, out, DType::kFloat32);
    Tensor index = buffer(3, out, DType::kUInt8);
    Tensor dx = buffer(4, shape, DType::kFloat32);
    Tensor mean = buffer(2, out, DType::kFloat32);
    Tensor dx_of_mean = buffer(4, shape, DType::kFloat32);
    kernels::max_pool2d_forward(device(), channels_last(x.view()), options, channels_last(y.view()),
                                channels_last(index.view()));
    kernels::max_pool2d_backward(device(), channels_last(y.view()), channels_last(index.view()),
                                 options, channels_last(dx.view()));
    kernels::adaptive_avg_pool2d_forward(device(), channels_last(x.view()),
                                         channels_last(mean.view()));
    kernels::adaptive_avg_pool2d_backward(device(), channels_last(mean.view()),
                                          channels_last(dx_of_mean.view()));
    std::vector<double> found;
    for (const Tensor* tensor : {&y, &dx, &mean, &dx_of_mean})
      for (const double value : tensor->to_vector<double>()) found.push_back(value);
    results.push_back(found);
    EXPECT_EQ(found, results[0]) << "unaligned: " << which;
  }
}

TEST_P(Pooling, MaxOfNaN) {
  const MaxPool2dOptions options = {{1, 4}, {1, 4}, {0, 0}};
  const Tensor x =
      Tensor::of<float>({1, 1, 1, 12}, {1, NAN, 3, 2, NAN, 5, 6, 7, -INFINITY, -INFINITY, -1, NAN})
          .to(device());
  Tensor y = Tensor::zeros({1, 1, 1, 3}).to(device());
  Tensor index = Tensor::zeros({1, 1, 1, 3}, {.dtype = DType::kUInt8}).to(device());
  kernels::max_pool2d_forward(device(), x.view(), options, y.view(), index.view());
  for (const float value : y.to_vector<float>()) EXPECT_TRUE(std::isnan(value));
  const Tensor on_host = index.to(Device{});
  const std::uint8_t* cells = on_host.data<std::uint8_t>();
  EXPECT_EQ((std::vector<int>(cells, cells + 3)), (std::vector<int>{1, 0, 3}));
}

struct Resized {
  Shape x;
  Size2d y;
};
// To one pixel, to fewer, to as many, to more; windows that share cells; more cells than a block
// has threads; more lanes than a block is wide.
const Resized kAverageCases[] = {
    {{2, 4, 7, 7}, {1, 1}},   {{3, 5, 7, 9}, {3, 4}},   {{1, 8, 3, 2}, {5, 7}},
    {{1, 1, 1, 1}, {1, 1}},   {{2, 6, 4, 4}, {4, 4}},   {{1, 2, 47, 53}, {1, 1}},
    {{1, 4, 61, 67}, {2, 1}}, {{1, 140, 3, 5}, {1, 2}}, {{2, 37, 8, 9}, {1, 1}},
    {{7, 13, 2, 11}, {1, 3}}, {{1, 3, 1, 1100}, {1, 1}}};

// weight[i] lists what of an axis of `inputs` cells output i averages.
std::vector<std::vector<double>> average_matrix(std::int64_t inputs, std::int64_t outputs) {
  std::vector<std::vector<double>> weight;
  for (std::int64_t i = 0; i < outputs; ++i) {
    const std::int64_t begin = i * inputs / outputs;
    const std::int64_t end = ((i + 1) * inputs + outputs - 1) / outputs;
    std::vector<double> row(static_cast<std::size_t>(inputs), 0);
    for (std::int64_t h = begin; h < end; ++h) row[h] = 1.0 / static_cast<double>(end - begin);
    weight.push_back(row);
  }
  return weight;
}

TEST_P(Pooling, AdaptiveAverage) {
  in_every_order([&] {
    for (const auto& [shape, size] : kAverageCases) {
      const Shape out = {shape[0], shape[1], size.height, size.width};
      const auto rows = average_matrix(shape[2], size.height);
      const auto columns = average_matrix(shape[3], size.width);
      for (const DType dtype : test::dtypes_on(device())) {
        const Tensor values = random_tensor(shape, 1).to(dtype);
        const Tensor gradients = random_tensor(out, 2).to(dtype);
        const auto from = values.to_vector<double>();
        const auto back = gradients.to_vector<double>();
        std::vector<double> y_expected(back.size(), 0);
        std::vector<double> dx_expected(from.size(), 0);
        for (std::int64_t k = 0; k < out.numel(); ++k) {
          const std::int64_t map = k / (size.height * size.width);
          const auto& row = rows[k / size.width % size.height];
          const auto& column = columns[k % size.width];
          for (std::int64_t h = 0; h < shape[2]; ++h) {
            for (std::int64_t v = 0; v < shape[3]; ++v) {
              const std::int64_t at = (map * shape[2] + h) * shape[3] + v;
              y_expected[k] += row[h] * column[v] * from[at];
              dx_expected[at] += row[h] * column[v] * back[k];
            }
          }
        }
        for (const MemoryFormat format : kFormats) {
          const std::int64_t offset = format == MemoryFormat::kPlain ? 1 : 0;
          SCOPED_TRACE(testing::Message() << shape.to_string() << " to " << out.to_string() << " "
                                          << name_of(dtype) << " " << name_of(format));
          const Tensor x = place(device(), values, format, offset);
          const Tensor dy = place(device(), gradients, format, offset);
          Tensor y = missing(out, x, offset);
          Tensor dx = missing(shape, x, offset);
          kernels::adaptive_avg_pool2d_forward(device(), x.view(), y.view());
          kernels::adaptive_avg_pool2d_backward(device(), dy.view(), dx.view());
          // Of values of at most 1: the rounding of a sum of up to 4,000, over their count.
          const double unit = test::tolerance_of(dtype, 2e-7, 4e-16);
          test::expect_close(y, Tensor::of(out, y_expected), unit, "y");
          test::expect_close(dx, Tensor::of(shape, dx_expected), unit * 4, "dx");
        }
      }
    }
  });
}

TEST_P(Pooling, EmptyBatches) {
  const Tensor x = Tensor::empty({0, 4, 4, 4}, {DType::kFloat32, device()});
  Tensor y = Tensor::empty({0, 4, 2, 2}, {DType::kFloat32, device()});
  Tensor dx = Tensor::empty({0, 4, 4, 4}, {DType::kFloat32, device()});
  Tensor index = Tensor::empty({0, 4, 2, 2}, {DType::kUInt8, device()});
  kernels::max_pool2d_forward(device(), x.view(), MaxPool2dOptions{}, y.view(), index.view());
  kernels::adaptive_avg_pool2d_forward(device(), x.view(), y.view());
  kernels::adaptive_avg_pool2d_backward(device(), std::as_const(y).view(), dx.view());
}

TEST_P(Pooling, BlockedFormatsAreErrorsOnCuda) {
  if (GetParam() != DeviceType::kCuda) return;
  Tensor tensor = Tensor::zeros({1, 8, 4, 4}, {DType::kFloat32, device()});
  kernels::View x = tensor.view();
  x.format = MemoryFormat::kBlocked8;
  test::expect_error([&] { kernels::adaptive_avg_pool2d_forward(device(), x, x); },
                     {"adaptive_avg_pool2d", "1x8x4x4"});
  test::expect_error(
      [&] { kernels::max_pool2d_forward(device(), x, MaxPool2dOptions{}, x, kernels::View()); },
      {"max_pool2d", "1x8x4x4"});
}

}  // namespace
}  // namespace concord
