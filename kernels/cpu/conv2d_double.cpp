// float64 convolution for references and gradient checks: im2col and matrix products, one
// sample and group at a time. Any option; plain format.
//
//   forward            y = W col(x) + bias
//   backward, data     dx = col^T(W^T dy)
//   backward, weights  dW = sum over samples of dy col(x)^T
//
// with W [O/g, C/g R S], col(x) [C/g R S, H' W'] and y [O/g, H' W'] for each of g groups.

#include <algorithm>
#include <memory>
#include <numeric>

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/gemm.h"
#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

// Elements of col worth a thread.
constexpr std::int64_t kGrain = 1 << 14;

// The sizes of one sample and group.
struct Part {
  explicit Part(const ConvolutionSetup& setup)
      : channels(setup.weight[1]),
        outputs(setup.weight[0] / setup.options.groups),
        kernel{setup.weight[2], setup.weight[3]},
        input{setup.x[2], setup.x[3]},
        output{setup.y[2], setup.y[3]},
        options(setup.options) {}

  std::int64_t taps() const { return kernel.height * kernel.width; }
  std::int64_t rows() const { return channels * taps(); }
  std::int64_t columns() const { return output.height * output.width; }

  std::int64_t channels;
  std::int64_t outputs;
  Size2d kernel;
  Size2d input;
  Size2d output;
  Conv2dOptions options;
};

// For a row (channel, r, s) of col: body(column, pixel of the channel) for each column whose tap
// lies inside the image.
template <class Body>
void for_each_tap(const Part& part, std::int64_t tap, Body body) {
  const Conv2dOptions& o = part.options;
  const std::int64_t r = tap / part.kernel.width;
  const std::int64_t s = tap % part.kernel.width;
  for (std::int64_t i = 0; i < part.output.height; ++i) {
    const std::int64_t h = i * o.stride.height - o.padding.height + r * o.dilation.height;
    if (h < 0 || h >= part.input.height) continue;
    for (std::int64_t j = 0; j < part.output.width; ++j) {
      const std::int64_t w = j * o.stride.width - o.padding.width + s * o.dilation.width;
      if (w < 0 || w >= part.input.width) continue;
      body(i * part.output.width + j, h * part.input.width + w);
    }
  }
}

void image_to_columns(const Part& part, const double* x, double* col) {
  const std::int64_t pixels = part.input.height * part.input.width;
  parallel_for(part.rows(), kGrain / part.columns(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const double* channel = x + row / part.taps() * pixels;
      double* to = col + row * part.columns();
      std::fill_n(to, part.columns(), 0.0);
      for_each_tap(part, row % part.taps(),
                   [=](std::int64_t column, std::int64_t pixel) { to[column] = channel[pixel]; });
    }
  });
}

// The transpose: adds every column to the pixels it was taken from. Channels share no pixel.
void columns_to_image(const Part& part, const double* col, double* x) {
  const std::int64_t pixels = part.input.height * part.input.width;
  parallel_for(part.channels, kGrain / (part.taps() * part.columns()),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t c = begin; c < end; ++c) {
                   double* channel = x + c * pixels;
                   std::fill_n(channel, pixels, 0.0);
                   for (std::int64_t tap = 0; tap < part.taps(); ++tap) {
                     const double* from = col + (c * part.taps() + tap) * part.columns();
                     for_each_tap(part, tap, [=](std::int64_t column, std::int64_t pixel) {
                       channel[pixel] += from[column];
                     });
                   }
                 }
               });
}

}  // namespace

void run_convolution_double(Pass pass, const ConvolutionSetup& setup,
                            const ConvolutionBuffers<double>& buffers) {
  check(setup.x_format == MemoryFormat::kPlain && setup.y_format == MemoryFormat::kPlain,
        "conv2d: float64 operands must be in plain format, not {} and {}", name_of(setup.x_format),
        name_of(setup.y_format));
  const Part part(setup);
  const std::int64_t groups = setup.options.groups;
  const std::int64_t x_size = part.channels * part.input.height * part.input.width;
  const std::int64_t y_size = part.outputs * part.columns();
  const std::int64_t weight_size = part.outputs * part.rows();
  const auto scratch = std::make_unique_for_overwrite<double[]>(
      static_cast<std::size_t>(part.rows() * part.columns()));
  double* const col = scratch.get();
  const Factor<double> col_factor{col, part.rows(), part.columns()};

  for (std::int64_t n = 0; n < setup.x[0]; ++n) {
    for (std::int64_t g = 0; g < groups; ++g) {
      double* const x = buffers.x + (n * groups + g) * x_size;
      double* const y = buffers.y + (n * groups + g) * y_size;
      double* const weight = buffers.weight + g * weight_size;
      double* const bias = buffers.bias == nullptr ? nullptr : buffers.bias + g * part.outputs;
      const Factor<double> weight_factor{weight, part.outputs, part.rows()};
      const Factor<double> y_factor{y, part.outputs, part.columns()};

      if (pass == Pass::kBackwardData) {
        gemm({weight, part.outputs, part.rows(), true}, y_factor, Into::kOverwrite, col);
        columns_to_image(part, col, x);
        continue;
      }
      image_to_columns(part, x, col);
      if (pass == Pass::kForward) {
        for (std::int64_t o = 0; o < part.outputs; ++o) {
          double* const row = y + o * part.columns();
          if (!buffers.epilogue.add) std::fill_n(row, part.columns(), 0.0);
          for (std::int64_t i = 0; bias != nullptr && i < part.columns(); ++i) row[i] += bias[o];
        }
        gemm(weight_factor, col_factor, Into::kAdd, y);
        continue;
      }
      gemm(y_factor, {col, part.rows(), part.columns(), true},
           n == 0 ? Into::kOverwrite : Into::kAdd, weight);
      for (std::int64_t o = 0; bias != nullptr && o < part.outputs; ++o) {
        const double* row = y + o * part.columns();
        bias[o] = std::accumulate(row, row + part.columns(), n == 0 ? 0.0 : bias[o]);
      }
    }
  }
  if (buffers.epilogue.relu) end_convolution(buffers.y, setup.y.numel(), {.relu = true}, buffers.y);
}

}  // namespace concord::kernels
