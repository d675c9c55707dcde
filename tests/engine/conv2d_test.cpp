#include "engine/ops/conv2d.h"

#include "engine/autograd.h"
#include "engine/ops/activation.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/shape.h"
#include "tests/engine/reference.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/relative_error.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_close;
using test::random_tensor;
using test::relative_error;

struct ConvolutionCase {
  Shape x;
  Shape weight;
  Conv2dOptions options;
  Shape y;
};

const std::vector<ConvolutionCase> kCases = {
    // One of everything; 1x1 maps; one channel; one sample.
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {}, {1, 1, 1, 1}},
    {{2, 3, 5, 7}, {4, 3, 3, 3}, {}, {2, 4, 3, 5}},
    {{1, 3, 1, 1}, {2, 3, 3, 3}, {.padding = {1, 1}}, {1, 2, 1, 1}},
    {{3, 1, 6, 5}, {1, 1, 2, 3}, {.stride = {2, 1}}, {3, 1, 3, 3}},
    // Stride beyond the kernel; a kernel as large as the padded image.
    {{2, 2, 9, 8}, {3, 2, 2, 2}, {.stride = {4, 3}}, {2, 3, 2, 3}},
    {{2, 2, 3, 4}, {2, 2, 5, 6}, {.padding = {1, 1}}, {2, 2, 1, 1}},
    // Nothing square.
    {{2, 2, 7, 9},
     {3, 2, 3, 2},
     {.stride = {2, 1}, .padding = {0, 2}, .dilation = {2, 3}},
     {2, 3, 2, 10}},
    // Groups: 2 of 2 channels, depthwise, one output of two channels each.
    {{2, 4, 4, 3}, {6, 2, 3, 1}, {.padding = {1, 0}, .groups = 2}, {2, 6, 4, 3}},
    {{2, 3, 4, 4}, {3, 1, 3, 3}, {.padding = {1, 1}, .groups = 3}, {2, 3, 4, 4}},
    {{1, 4, 3, 3}, {2, 2, 2, 2}, {.stride = {2, 2}, .padding = {1, 1}, .groups = 2}, {1, 2, 2, 2}},
    // First layer of a network (3 channels to vectors), strided, large kernel.
    {{2, 3, 9, 7}, {16, 3, 5, 5}, {.stride = {4, 2}, .padding = {2, 2}}, {2, 16, 3, 4}},
    {{1, 1, 6, 5}, {16, 1, 3, 3}, {.padding = {1, 1}}, {1, 16, 6, 5}},
    // Blocked channels, and a few beside a block.
    {{1, 16, 3, 4}, {16, 16, 3, 3}, {.padding = {1, 1}}, {1, 16, 3, 4}},
    {{2, 32, 2, 3}, {16, 32, 1, 1}, {}, {2, 16, 2, 3}},
    {{1, 16, 5, 4}, {32, 16, 1, 1}, {.stride = {2, 2}}, {1, 32, 3, 2}},
    {{2, 16, 3, 3}, {2, 16, 3, 3}, {.padding = {1, 1}}, {2, 2, 3, 3}},
    {{1, 5, 4, 4}, {16, 5, 3, 3}, {.padding = {1, 1}}, {1, 16, 4, 4}},
    {{1, 24, 3, 3}, {8, 24, 3, 3}, {.stride = {2, 2}, .padding = {1, 1}}, {1, 8, 2, 2}},
    // Blocked groups: 4 and 8 channels each (merged), 16 (not), depthwise, uneven (2 to 4).
    {{1, 32, 4, 3}, {32, 4, 3, 3}, {.padding = {1, 1}, .groups = 8}, {1, 32, 4, 3}},
    {{1, 32, 5, 4},
     {32, 8, 3, 3},
     {.stride = {2, 2}, .padding = {1, 1}, .groups = 4},
     {1, 32, 3, 2}},
    {{1, 32, 3, 3}, {32, 16, 3, 3}, {.padding = {1, 1}, .groups = 2}, {1, 32, 3, 3}},
    {{2, 32, 3, 4}, {32, 1, 3, 3}, {.padding = {1, 1}, .groups = 32}, {2, 32, 3, 4}},
    {{1, 16, 4, 4}, {32, 2, 3, 3}, {.padding = {1, 1}, .groups = 8}, {1, 32, 4, 4}},
    // Winograd's shapes, with tiles of 4x4 that fit and that do not.
    {{1, 16, 4, 4}, {16, 16, 3, 3}, {.padding = {1, 1}}, {1, 16, 4, 4}},
    {{2, 16, 5, 7}, {16, 16, 3, 3}, {}, {2, 16, 3, 5}},
    {{1, 16, 1, 1}, {16, 16, 3, 3}, {.padding = {1, 1}}, {1, 16, 1, 1}},
};

std::string name_of_case(const ConvolutionCase& c) {
  return "conv2d " + c.x.to_string() + " by " + c.weight.to_string() + " groups " +
         std::to_string(c.options.groups);
}

struct Inputs {
  Tensor x;
  Tensor weight;
  Tensor bias;
  Tensor dy;
};

Inputs inputs_of(const ConvolutionCase& c) {
  return {random_tensor(c.x, 1), random_tensor(c.weight, 2), random_tensor({c.weight[0]}, 3),
          random_tensor(c.y, 4)};
}

struct Results {
  Tensor y;
  Tensor dx;
  Tensor d_weight;
  Tensor d_bias;
};

Results run(const Inputs& inputs, const Conv2dOptions& options, DType dtype) {
  Tensor x = inputs.x.to(dtype).clone();
  Tensor weight = inputs.weight.to(dtype).clone();
  Tensor bias = inputs.bias.to(dtype).clone();
  for (Tensor* leaf : {&x, &weight, &bias}) leaf->set_requires_grad(true);
  const Tensor y = conv2d(x, weight, bias, options);
  y.backward(inputs.dy.to(dtype));
  return {y, x.grad(), weight.grad(), bias.grad()};
}

// The error as a fraction of the largest value, gradients included.
void expect_results(const Results& actual, const test::Conv2dReference& expected, double tolerance,
                    const std::string& what) {
  expect_close(actual.y, expected.y, tolerance, what + ": value");
  expect_close(actual.dx, expected.dx, tolerance, what + ": dx");
  expect_close(actual.d_weight, expected.d_weight, tolerance, what + ": d_weight");
  expect_close(actual.d_bias, expected.d_bias, tolerance, what + ": d_bias");
}

// Restores the process-wide choice.
class AlgorithmGuard {
 public:
  explicit AlgorithmGuard(ConvolutionAlgorithm algorithm) {
    kernels::set_convolution_algorithm(algorithm);
  }
  ~AlgorithmGuard() { kernels::set_convolution_algorithm(before_); }
  AlgorithmGuard(const AlgorithmGuard&) = delete;
  AlgorithmGuard& operator=(const AlgorithmGuard&) = delete;

 private:
  ConvolutionAlgorithm before_ = kernels::convolution_algorithm();
};

TEST(Conv2d, Gradients) {
  for (const ConvolutionCase& c : kCases) {
    const Inputs in = inputs_of(c);
    check_case({name_of_case(c),
                [&](const auto& i) { return conv2d(i[0], i[1], i[2], c.options); },
                {in.x, in.weight, in.bias}});
  }
}

TEST(Conv2d, GradientsWithoutBias) {
  for (std::size_t i : {std::size_t{1}, std::size_t{12}, std::size_t{18}}) {
    const ConvolutionCase& c = kCases[i];
    const Inputs in = inputs_of(c);
    check_case({name_of_case(c) + " without bias",
                [&](const auto& x) { return conv2d(x[0], x[1], {}, c.options); },
                {in.x, in.weight}});
  }
}

TEST(Conv2d, AgreesWithReference) {
  for (const ConvolutionCase& c : kCases) {
    const Inputs in = inputs_of(c);
    const auto expected = test::conv2d_reference(in.x, in.weight, in.bias, in.dy, c.options);
    // float64: sums of a few hundred products.
    expect_results(run(in, c.options, DType::kFloat64), expected, 1e-13, name_of_case(c));
    for (auto algorithm : {ConvolutionAlgorithm::kAuto, ConvolutionAlgorithm::kDirect,
                           ConvolutionAlgorithm::kWinograd}) {
      const AlgorithmGuard guard(algorithm);
      expect_results(run(in, c.options, DType::kFloat32), expected, 2e-5,
                     name_of_case(c) + " algorithm " + std::to_string(static_cast<int>(algorithm)));
    }
  }
}

// What conv2d_inference is made of, one operation after the other.
Tensor in_steps(const Inputs& in, const Conv2dOptions& options, bool rectify,
                const Tensor& residual) {
  Tensor y = conv2d(in.x, in.weight, in.bias, options);
  if (residual.defined()) y = add(y, residual);
  return rectify ? relu(y) : y;
}

TEST(Conv2d, InferenceIsItsSteps) {
  for (const ConvolutionCase& c : kCases) {
    const Inputs in = inputs_of(c);
    const Inputs single = {
        in.x.to(DType::kFloat32), in.weight.to(DType::kFloat32), in.bias.to(DType::kFloat32), {}};
    for (bool adds : {false, true}) {
      for (bool rectifies : {false, true}) {
        const Tensor residual = adds ? random_tensor(c.y, 9) : Tensor();
        const Tensor expected = in_steps(in, c.options, rectifies, residual);
        const std::string what =
            name_of_case(c) + (adds ? " + residual" : "") + (rectifies ? " relu" : "");
        expect_close(conv2d_inference(in.x, in.weight, in.bias, c.options, rectifies, residual),
                     expected, 1e-13, what + " float64");
        for (auto algorithm : {ConvolutionAlgorithm::kAuto, ConvolutionAlgorithm::kDirect,
                               ConvolutionAlgorithm::kWinograd}) {
          const AlgorithmGuard guard(algorithm);
          // Held by nobody else, and by us as well, who must find it unchanged.
          const Tensor held = adds ? residual.to(DType::kFloat32) : Tensor();
          expect_close(
              conv2d_inference(single.x, single.weight, single.bias, c.options, rectifies, held),
              expected, 2e-5, what);
          if (!adds) continue;
          EXPECT_EQ(held.to_vector<float>(), residual.to(DType::kFloat32).to_vector<float>());
          const Tensor formatted =
              conv2d(single.x, single.weight, single.bias, c.options);  // for its format
          expect_close(conv2d_inference(single.x, single.weight, single.bias, c.options, rectifies,
                                        residual.to(DType::kFloat32).in_format(formatted.format())),
                       expected, 2e-5, what + " handed over");
        }
      }
    }
  }
}

TEST(Conv2d, InferenceTakesTheResidualsMemory) {
  const Tensor x = random_tensor({1, 3, 5, 5}, 1), weight = random_tensor({2, 3, 1, 1}, 2);
  Tensor residual = random_tensor({1, 2, 5, 5}, 3);
  const void* const memory = std::as_const(residual).view().data;
  const Tensor held = conv2d_inference(x, weight, {}, {}, false, residual);
  EXPECT_NE(held.view().data, memory);
  const Tensor taken = conv2d_inference(x, weight, {}, {}, false, std::move(residual));
  EXPECT_EQ(taken.view().data, memory);
  EXPECT_EQ(taken.to_vector<double>(), held.to_vector<double>());
}

TEST(Conv2d, InferenceErrors) {
  const Tensor x = random_tensor({1, 3, 5, 5}, 1);
  Tensor weight = random_tensor({2, 3, 1, 1}, 2);
  test::expect_error(
      [&] {
        conv2d_inference(x, weight, {}, {}, true, random_tensor({1, 2, 5, 4}, 3));
      },
      {"conv2d_inference: residual", "1x2x5x4", "1x2x5x5"});
  weight.set_requires_grad(true);
  test::expect_error([&] { conv2d_inference(x, weight, {}, {}, true); }, {"a gradient is wanted"});
  const NoGradGuard no_gradients;
  EXPECT_NO_THROW(conv2d_inference(x, weight, {}, {}, true));
}

// Sizes of real layers, where the rule chooses Winograd, against the float64 path (which the test
// above holds to the reference).
TEST(Conv2d, WinogradError) {
  const std::vector<ConvolutionCase> cases = {
      {{8, 64, 28, 28}, {64, 64, 3, 3}, {.padding = {1, 1}}, {8, 64, 28, 28}},
      {{2, 128, 28, 28}, {64, 128, 3, 3}, {.padding = {1, 1}}, {2, 64, 28, 28}},
      {{8, 256, 13, 13}, {256, 256, 3, 3}, {.padding = {1, 1}}, {8, 256, 13, 13}},
  };
  for (const ConvolutionCase& c : cases) {
    const Inputs in = inputs_of(c);
    const Results exact = run(in, c.options, DType::kFloat64);
    for (auto algorithm : {ConvolutionAlgorithm::kDirect, ConvolutionAlgorithm::kAuto}) {
      const AlgorithmGuard guard(algorithm);
      const bool direct = algorithm == ConvolutionAlgorithm::kDirect;
      const Results single = run(in, c.options, DType::kFloat32);
      // Measured with AVX-512: y and dx 3.5e-7 direct, 2.2e-6 by Winograd, whose transforms of 4x4
      // tiles cancel digits; d_weight, one long sum over the pixels, 1.5e-6 direct and 1.6e-6 by
      // Winograd. AVX2's direct convolution is at 1.2e-6.
      const double tolerance = 6e-6;
      const std::string what = name_of_case(c) + (direct ? " direct" : " winograd");
      const auto expect_near = [&](const std::string& result, double error) {
        EXPECT_TRUE(error <= tolerance) << what << ' ' << result << ": " << error;
        RecordProperty(result + ' ' + what, fmt::format("{:.2e}", error));
      };
      expect_near("y", relative_error(single.y, exact.y));
      expect_near("dx", relative_error(single.dx, exact.dx));
      expect_near("d_weight", relative_error(single.d_weight, exact.d_weight));
    }
  }
}

// The rule chooses Winograd where it wins and not where it loses: told apart by the bits, which the
// two algorithms round differently.
TEST(Conv2d, WinogradWhereItWins) {
  const auto bits = [](const ConvolutionCase& c, ConvolutionAlgorithm algorithm) {
    const AlgorithmGuard guard(algorithm);
    return run(inputs_of(c), c.options, DType::kFloat32).y.to_vector<float>();
  };
  const ConvolutionCase wide{{8, 64, 28, 28}, {64, 64, 3, 3}, {.padding = {1, 1}}, {8, 64, 28, 28}};
  const ConvolutionCase tiny{{1, 64, 4, 4}, {64, 64, 3, 3}, {.padding = {1, 1}}, {1, 64, 4, 4}};
  const auto direct = bits(wide, ConvolutionAlgorithm::kDirect);
  const auto winograd = bits(wide, ConvolutionAlgorithm::kWinograd);
  if (direct == winograd) GTEST_SKIP() << "this machine has no AVX2";
  EXPECT_EQ(bits(wide, ConvolutionAlgorithm::kAuto), winograd);
  EXPECT_NE(bits(tiny, ConvolutionAlgorithm::kWinograd), bits(tiny, ConvolutionAlgorithm::kDirect));
  EXPECT_EQ(bits(tiny, ConvolutionAlgorithm::kAuto), bits(tiny, ConvolutionAlgorithm::kDirect));
  // Of a map smaller than a tile most of the tile is thrown away, however many there are.
  const ConvolutionCase vectors{
      {64, 64, 1, 1}, {64, 64, 3, 3}, {.padding = {1, 1}}, {64, 64, 1, 1}};
  EXPECT_NE(bits(vectors, ConvolutionAlgorithm::kWinograd),
            bits(vectors, ConvolutionAlgorithm::kDirect));
  EXPECT_EQ(bits(vectors, ConvolutionAlgorithm::kAuto),
            bits(vectors, ConvolutionAlgorithm::kDirect));
}

TEST(Conv2d, SameBitsTwice) {
  const ConvolutionCase c{{8, 64, 14, 14}, {64, 64, 3, 3}, {.padding = {1, 1}}, {8, 64, 14, 14}};
  const Inputs in = inputs_of(c);
  for (auto algorithm : {ConvolutionAlgorithm::kDirect, ConvolutionAlgorithm::kWinograd}) {
    const AlgorithmGuard guard(algorithm);
    const Results first = run(in, c.options, DType::kFloat32);
    const Results second = run(in, c.options, DType::kFloat32);
    EXPECT_EQ(first.y.to_vector<float>(), second.y.to_vector<float>());
    EXPECT_EQ(first.dx.to_vector<float>(), second.dx.to_vector<float>());
    EXPECT_EQ(first.d_weight.to_vector<float>(), second.d_weight.to_vector<float>());
    EXPECT_EQ(first.d_bias.to_vector<float>(), second.d_bias.to_vector<float>());
  }
}

TEST(Conv2d, LayersAgreeOnTheirFormat) {
  const auto layer = [](const Tensor& x, std::int64_t outputs, std::int64_t groups) {
    return conv2d(x, Tensor::full({outputs, x.dim(1) / groups, 3, 3}, 0.01), {},
                  {.padding = {1, 1}, .groups = groups});
  };
  const Tensor first = layer(Tensor::zeros({2, 3, 8, 8}), 64, 1);
  const Tensor second = layer(first, 128, 1);
  const Tensor grouped = layer(second, 128, 32);
  const auto wanted = [](const Tensor& x, const Shape& weight, std::int64_t groups) {
    return kernels::conv2d_formats(x.device(), x.shape(), x.format(), x.dtype(), weight,
                                   Conv2dOptions{.groups = groups})
        .input;
  };
  EXPECT_EQ(wanted(first, {128, 64, 3, 3}, 1), first.format());
  EXPECT_EQ(wanted(second, {128, 4, 3, 3}, 32), second.format());
  EXPECT_EQ(grouped.format(), second.format());
}

// A frozen operand gets no gradient, and nothing is computed or kept for it.
TEST(Conv2d, FrozenOperands) {
  const Inputs in = inputs_of(kCases[1]);
  for (int wanted = 0; wanted < 3; ++wanted) {
    Tensor leaves[3] = {in.x.clone(), in.weight.clone(), in.bias.clone()};
    leaves[wanted].set_requires_grad(true);
    conv2d(leaves[0], leaves[1], leaves[2], kCases[1].options).backward(in.dy);
    const Results all = run(in, kCases[1].options, DType::kFloat64);
    const Tensor expected[3] = {all.dx, all.d_weight, all.d_bias};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(leaves[i].grad().defined(), i == wanted);
    EXPECT_EQ(leaves[wanted].grad().to_vector<double>(), expected[wanted].to_vector<double>());
  }
}

TEST(Conv2d, EmptyBatch) {
  for (DType dtype : {DType::kFloat32, DType::kFloat64}) {
    Tensor x = Tensor::zeros({0, 3, 5, 5}, {.dtype = dtype});
    Tensor weight = Tensor::full({2, 3, 3, 3}, 1.0, {.dtype = dtype});
    Tensor bias = Tensor::full({2}, 1.0, {.dtype = dtype});
    for (Tensor* leaf : {&x, &weight, &bias}) leaf->set_requires_grad(true);
    const Tensor y = conv2d(x, weight, bias);
    EXPECT_EQ(y.shape(), (Shape{0, 2, 3, 3}));
    y.backward(Tensor::zeros(y.shape(), {.dtype = dtype}));
    EXPECT_EQ(x.grad().shape(), x.shape());
    EXPECT_EQ(weight.grad().to_vector<double>(), std::vector<double>(54, 0.0));
    EXPECT_EQ(bias.grad().to_vector<double>(), std::vector<double>(2, 0.0));
  }
}

std::string error_of(const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const Conv2dOptions& options = {}) {
  try {
    conv2d(x, weight, bias, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Conv2d, Errors) {
  const Tensor x = Tensor::zeros({8, 3, 16, 16});
  EXPECT_EQ(error_of(x, Tensor::zeros({128, 64, 3, 3}), {}),
            "conv2d: input has 3 channels, weight expects 64 (input 8x3x16x16, weight 128x64x3x3)");
  EXPECT_EQ(error_of(x, Tensor::zeros({128, 2, 3, 3}), {}, {.groups = 2}),
            "conv2d: input has 3 channels, weight expects 4 (input 8x3x16x16, weight 128x2x3x3, "
            "groups 2)");
  EXPECT_EQ(error_of(x, Tensor::zeros({4, 1, 3, 3}), {}, {.groups = 3}),
            "conv2d: 3 groups do not divide the weight's 4 outputs (input 8x3x16x16, weight "
            "4x1x3x3, groups 3)");
  EXPECT_EQ(error_of(x, Tensor::zeros({4, 3, 3, 3}), Tensor::zeros({3})),
            "conv2d: bias of shape 3, weight expects 4 values (input 8x3x16x16, weight 4x3x3x3)");
  EXPECT_EQ(error_of(x, Tensor::zeros({4, 3, 19, 3}), {}, {.padding = {1, 1}}),
            "conv2d: the kernel is larger than the padded input, the output would be empty (input "
            "8x3x16x16, weight 4x3x19x3), padding 1x1, dilation 1x1");
  EXPECT_EQ(error_of(x, Tensor::zeros({4, 3, 3, 3}, {.dtype = DType::kFloat64}), {}),
            "conv2d: input is float32, weight is float64 (input 8x3x16x16, weight 4x3x3x3)");
  EXPECT_EQ(error_of(Tensor::zeros({1, 16, 4, 4}),
                     Tensor::zeros({16, 16, 3, 3}, {.format = MemoryFormat::kBlocked16}), {}),
            "conv2d: the weight must be plain, it is blocked16 (input 1x16x4x4, weight 16x16x3x3)");
  EXPECT_EQ(error_of(x, Tensor::zeros({4, 3, 3, 3}), {}, {.stride = {0, 1}}),
            "conv2d: stride 0x1 and dilation 1x1 must be positive, padding 0x0 not negative");
  EXPECT_EQ(error_of(Tensor::zeros({3, 16, 16}), Tensor::zeros({4, 3, 3, 3}), {}),
            "conv2d: input [N,C,H,W] and weight [O,C/groups,R,S] expected (input 3x16x16, weight "
            "4x3x3x3)");
}

}  // namespace
}  // namespace concord
