// Winograd's convolution in every format and for both instruction sets, against the float64 path
// (im2col and matrix products), which tests/engine/conv2d_test.cpp holds to naive loops.

#include "kernels/cpu/winograd.h"

#include <cmath>

#include "engine/ops/conv2d.h"
#include "engine/ops/shape.h"
#include "kernels/parallel.h"
#include "tests/gradient_check.h"
#include "tests/relative_error.h"

namespace concord::kernels {
namespace {

using test::random_tensor;
using test::relative_error;

struct WinogradCase {
  Shape x;
  std::int64_t outputs = 0;
  Size2d padding = {1, 1};

  Shape y() const {
    return {x[0], outputs, x[2] + 2 * padding.height - 2, x[3] + 2 * padding.width - 2};
  }
  Shape weight() const { return {outputs, x[1], 3, 3}; }
  std::string name() const {
    return x.to_string() + " to " + std::to_string(outputs) + ", padding " +
           std::to_string(padding.height) + "x" + std::to_string(padding.width);
  }
};

struct Results {
  Tensor y;
  Tensor dx;
  Tensor d_weight;
  Tensor d_bias;
};

float* data_of(const Tensor& tensor) {
  return static_cast<float*>(const_cast<void*>(tensor.view().data));
}

// All three passes, results filled with NaN first: what is not written shows.
Results run(const WinogradCase& c, MemoryFormat format) {
  const Tensor x = convert_format(random_tensor(c.x, 1).to(DType::kFloat32), format);
  const Tensor weight = random_tensor(c.weight(), 2).to(DType::kFloat32);
  const Tensor bias = random_tensor({c.outputs}, 3).to(DType::kFloat32);
  const Tensor dy = convert_format(random_tensor(c.y(), 4).to(DType::kFloat32), format);
  const TensorOptions image = {.format = format};
  const Results results = {Tensor::full(c.y(), NAN, image), Tensor::full(c.x, NAN, image),
                           Tensor::full(c.weight(), NAN), Tensor::full({c.outputs}, NAN)};
  const ConvolutionSetup setup = {c.x, format, c.weight(), c.y(), format, {.padding = c.padding}};
  EXPECT_TRUE(winograd_supports(setup)) << c.name();
  run_winograd(Pass::kForward, setup,
               {data_of(x), data_of(weight), data_of(bias), data_of(results.y)});
  run_winograd(Pass::kBackwardData, setup,
               {data_of(results.dx), data_of(weight), nullptr, data_of(dy)});
  run_winograd(Pass::kBackwardWeights, setup,
               {data_of(x), data_of(results.d_weight), data_of(results.d_bias), data_of(dy)});
  return results;
}

Results exact(const WinogradCase& c) {
  Tensor x = random_tensor(c.x, 1);
  Tensor weight = random_tensor(c.weight(), 2);
  Tensor bias = random_tensor({c.outputs}, 3);
  for (Tensor* leaf : {&x, &weight, &bias}) leaf->set_requires_grad(true);
  const Tensor y = conv2d(x, weight, bias, {.padding = c.padding});
  y.backward(random_tensor(c.y(), 4));
  return {y, x.grad(), weight.grad(), bias.grad()};
}

void expect_near(const Results& actual, const Results& expected, double tolerance,
                 const std::string& what) {
  EXPECT_TRUE(relative_error(actual.y, expected.y) <= tolerance) << what << ": y";
  EXPECT_TRUE(relative_error(actual.dx, expected.dx) <= tolerance) << what << ": dx";
  EXPECT_TRUE(relative_error(actual.d_weight, expected.d_weight) <= tolerance)
      << what << ": d_weight";
  EXPECT_TRUE(relative_error(actual.d_bias, expected.d_bias) <= tolerance) << what << ": d_bias";
}

std::vector<MemoryFormat> formats_of(const WinogradCase& c) {
  std::vector<MemoryFormat> formats;
  for (MemoryFormat format :
       {MemoryFormat::kChannelsLast, MemoryFormat::kBlocked8, MemoryFormat::kBlocked16}) {
    const ConvolutionSetup setup = {c.x, format, c.weight(), c.y(), format, {.padding = c.padding}};
    if (supports(format, c.x) && supports(format, c.y()) && winograd_supports(setup))
      formats.push_back(format);
  }
  return formats;
}

TEST(Winograd, UnwrittenResultsShow) {
  const Tensor expected = Tensor::full({3}, 1.0);
  EXPECT_EQ(relative_error(Tensor::of<float>({3}, {1, 1, 1}), expected), 0);
  for (int i = 0; i < 3; ++i) {
    std::vector<float> values = {1, 1, 1};
    values[static_cast<std::size_t>(i)] = NAN;
    EXPECT_EQ(relative_error(Tensor::of<float>({3}, values), expected), INFINITY) << i;
  }
}

// Errors of a sum of some hundred products, after transforms that cancel digits.
constexpr double kTolerance = 1e-5;

TEST(Winograd, AgreesWithReference) {
  const std::vector<WinogradCase> cases = {
      // Maps smaller than a tile, of whole tiles, of a pixel more; nothing square.
      {{1, 16, 1, 1}, 16},
      {{1, 16, 4, 4}, 16},
      {{2, 16, 5, 9}, 32},
      {{3, 32, 7, 3}, 16},
      // Every padding there is a sense in, and the image without any.
      {{1, 16, 6, 7}, 16, {0, 0}},
      {{1, 16, 6, 7}, 16, {2, 0}},
      {{1, 16, 3, 5}, 16, {3, 4}},
      {{1, 16, 3, 3}, 16, {0, 0}},
      // Channels that fill no vector (channels-last), or some vectors and a half.
      {{2, 1, 6, 6}, 1},
      {{1, 3, 9, 8}, 20},
      {{1, 17, 5, 5}, 33},
      {{1, 24, 6, 6}, 40},
      // Five vectors of outputs: a panel and a narrower one, of either instruction set.
      {{1, 48, 8, 8}, 80},
      // More tiles than a block of them, not a multiple of the register tile.
      {{5, 16, 30, 26}, 16},
      // Batches laid side by side: full and unfilled canvases, maps below a tile, other paddings.
      {{8, 16, 14, 14}, 16},
      {{7, 16, 13, 6}, 16},
      {{9, 16, 1, 2}, 16},
      {{6, 32, 9, 5}, 16, {0, 2}},
      {{5, 16, 5, 6}, 16, {2, 0}},
      {{11, 20, 3, 6}, 3, {4, 3}},
      // By tiles, in several panels and several chunks of steps.
      {{1, 160, 40, 40}, 80},
      // So many tiles that the gradient of the weight is summed in slices.
      {{2, 16, 48, 48}, 32},
  };
  for (const WinogradCase& c : cases) {
    const Results expected = exact(c);
    const auto formats = formats_of(c);
    for (MemoryFormat format : formats)
      expect_near(run(c, format), expected, kTolerance,
                  c.name() + ", " + std::string(name_of(format)));
    EXPECT_TRUE(onednn::vector_lanes() == 1 || !formats.empty()) << c.name();
  }
}

// Layers so wide that the weights pass in panels of outputs; in chunks of the inner loops' steps;
// and in several rounds of tiles.
TEST(Winograd, WideLayers) {
  const std::vector<WinogradCase> cases = {{{1, 288, 7, 6}, 176}, {{1, 512, 88, 88}, 128}};
  for (const WinogradCase& c : cases) {
    const Results expected = exact(c);
    for (MemoryFormat format : formats_of(c))
      expect_near(run(c, format), expected, kTolerance,
                  c.name() + ", " + std::string(name_of(format)));
  }
}

// The 3x3 layers of the networks at 224x224 and the Trans-Nets between them. Errors are recorded
// (--gtest_output=json:FILE) and quoted in docs/results/cpu.md.
TEST(Winograd, ErrorOfLayers) {
  if (onednn::vector_lanes() == 1) GTEST_SKIP() << "this machine has no AVX2";
  // Of the largest value; measured with AVX-512: at most 2.6e-6.
  constexpr double kMost = 6e-6;
  const std::vector<std::pair<std::int64_t, std::int64_t>> layers = {
      {64, 112}, {64, 56},  {128, 56}, {128, 28}, {256, 28},
      {256, 14}, {256, 13}, {512, 28}, {512, 14}, {512, 7}};
  for (const auto& [channels, size] : layers) {
    const WinogradCase c = {{1, channels, size, size}, channels};
    const Results expected = exact(c);
    const Results actual = run(c, onednn::vector_format());
    const auto error_of = [&](const char* what, const Tensor& a, const Tensor& e) {
      const double error = relative_error(a, e);
      EXPECT_TRUE(error <= kMost) << c.name() << ' ' << what << ": " << error;
      RecordProperty(fmt::format("{} of {}x{}x{}", what, channels, size, size),
                     fmt::format("{:.1e}", error));
    };
    error_of("y", actual.y, expected.y);
    error_of("dx", actual.dx, expected.dx);
    error_of("d_weight", actual.d_weight, expected.d_weight);
  }
}

TEST(Winograd, ThreadsDoNotChangeBits) {
  const int before = thread_count();
  const std::vector<WinogradCase> cases = {
      {{2, 16, 48, 48}, 32}, {{1, 288, 7, 6}, 176}, {{2, 32, 9, 10}, 48}, {{1, 160, 20, 20}, 80}};
  for (const WinogradCase& c : cases) {
    for (MemoryFormat format : formats_of(c)) {
      std::vector<std::vector<float>> bits;
      for (int threads : {1, 2, 3, 5}) {
        set_thread_count(threads);
        const Results results = run(c, format);
        std::vector<float> all;
        for (const Tensor& tensor : {results.y, results.dx, results.d_weight, results.d_bias}) {
          const auto values = tensor.to_vector<float>();
          all.insert(all.end(), values.begin(), values.end());
        }
        bits.push_back(all);
      }
      for (std::size_t i = 1; i < bits.size(); ++i)
        EXPECT_EQ(bits[i], bits[0]) << c.name() << ", " << name_of(format);
    }
  }
  set_thread_count(before);
}

TEST(Winograd, WhatItSupports) {
  if (onednn::vector_lanes() == 1) GTEST_SKIP() << "this machine has no AVX2";
  const ConvolutionSetup good = {{1, 16, 8, 8}, MemoryFormat::kBlocked8, {16, 16, 3, 3},
                                 {1, 16, 8, 8}, MemoryFormat::kBlocked8, {.padding = {1, 1}}};
  EXPECT_TRUE(winograd_supports(good));
  const auto refuses = [&](auto change) {
    ConvolutionSetup setup = good;
    change(setup);
    EXPECT_FALSE(winograd_supports(setup));
  };
  refuses([](ConvolutionSetup& s) { s.weight = {16, 16, 3, 1}; });
  refuses([](ConvolutionSetup& s) { s.weight = {16, 16, 5, 5}; });
  refuses([](ConvolutionSetup& s) { s.options.stride = {1, 2}; });
  refuses([](ConvolutionSetup& s) { s.options.dilation = {2, 1}; });
  refuses([](ConvolutionSetup& s) { s.options.groups = 2; });
  refuses([](ConvolutionSetup& s) { s.x_format = s.y_format = MemoryFormat::kPlain; });
  refuses([](ConvolutionSetup& s) { s.y_format = MemoryFormat::kChannelsLast; });
}

}  // namespace
}  // namespace concord::kernels
