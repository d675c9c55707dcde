#include "engine/ops/linear.h"

#include <span>

#include "engine/ops/activation.h"
#include "engine/ops/arithmetic.h"
#include "tests/engine/reference.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_close;
using test::random_tensor;

struct LinearCase {
  std::int64_t samples;
  std::int64_t inputs;
  std::int64_t outputs;
};
const std::vector<LinearCase> kCases = {{1, 1, 1}, {1, 7, 5},   {3, 1, 4},
                                        {5, 6, 1}, {2, 33, 17}, {17, 16, 32}};

TEST(Linear, Gradients) {
  for (const auto& [samples, inputs, outputs] : kCases) {
    const Tensor x = random_tensor({samples, inputs}, 1);
    const Tensor weight = random_tensor({outputs, inputs}, 2);
    const Tensor bias = random_tensor({outputs}, 3);
    const std::string name = "linear " + x.shape().to_string() + " to " + std::to_string(outputs);
    check_case(
        {name, [](const auto& in) { return linear(in[0], in[1], in[2]); }, {x, weight, bias}});
    check_case({name + " without bias",
                [](const auto& in) { return linear(in[0], in[1], {}); },
                {x, weight}});
  }
}

TEST(Linear, AgreesWithReference) {
  for (const auto& [samples, inputs, outputs] : kCases) {
    const Tensor x = random_tensor({samples, inputs}, 1);
    const Tensor weight = random_tensor({outputs, inputs}, 2);
    const Tensor bias = random_tensor({outputs}, 3);
    const Tensor dy = random_tensor({samples, outputs}, 4);
    const auto expected = test::linear_reference(x, weight, bias, dy);
    for (DType dtype : {DType::kFloat64, DType::kFloat32}) {
      Tensor leaves[3] = {x.to(dtype).clone(), weight.to(dtype).clone(), bias.to(dtype).clone()};
      for (Tensor& leaf : leaves) leaf.set_requires_grad(true);
      const Tensor y = linear(leaves[0], leaves[1], leaves[2]);
      y.backward(dy.to(dtype));
      // Sums of at most 33 products of size 1: a few units in the last place.
      const double tolerance = dtype == DType::kFloat64 ? 1e-14 : 5e-6;
      expect_close(y, expected.y, tolerance, "y");
      expect_close(leaves[0].grad(), expected.dx, tolerance, "dx");
      expect_close(leaves[1].grad(), expected.d_weight, tolerance, "d_weight");
      expect_close(leaves[2].grad(), expected.d_bias, tolerance, "d_bias");
    }
  }
}

TEST(Linear, EmptyBatch) {
  Tensor x = Tensor::zeros({0, 3});
  Tensor weight = Tensor::full({2, 3}, 1.0);
  Tensor bias = Tensor::full({2}, 1.0);
  for (Tensor* leaf : {&x, &weight, &bias}) leaf->set_requires_grad(true);
  const Tensor y = linear(x, weight, bias);
  EXPECT_EQ(y.shape(), (Shape{0, 2}));
  y.backward(Tensor::zeros({0, 2}));
  EXPECT_EQ(weight.grad().to_vector<float>(), std::vector<float>(6, 0.0F));
  EXPECT_EQ(bias.grad().to_vector<float>(), std::vector<float>(2, 0.0F));
}

// A layer behind a relu whose weight's gradient (1 MiB) is many times larger than x and dy.
class LargeWeight {
 public:
  LargeWeight() {
    for (Tensor* leaf : {&x, &weight}) leaf->set_requires_grad(true);
  }
  // dy comes to the layer from an operation behind it, not from the caller, who may keep it.
  void backward() { scale(linear(relu(x), weight, {}), 1.0).backward(dy); }

  Tensor x = random_tensor({2, 512}, 1).to(DType::kFloat32);
  Tensor weight = random_tensor({512, 512}, 2).to(DType::kFloat32);
  Tensor dy = random_tensor({2, 512}, 3).to(DType::kFloat32);
  Tensor d_weight = test::linear_reference(relu(x).to(DType::kFloat64), weight.to(DType::kFloat64),
                                           Tensor::zeros({512}, {.dtype = DType::kFloat64}),
                                           dy.to(DType::kFloat64))
                        .d_weight;
};

TEST(Linear, PutsALargeWeightGradientOff) {
  const auto in_use = [] { return kernels::memory_statistics(Device{}).in_use; };
  LargeWeight layer;
  const std::size_t before = in_use();
  layer.backward();
  EXPECT_LT(in_use() - before, layer.weight.bytes() / 8);
  expect_close(layer.weight.grad(), layer.d_weight, 5e-6, "d_weight");
  EXPECT_GE(in_use() - before, layer.weight.bytes());
  expect_close(layer.weight.grad(), layer.d_weight, 5e-6, "d_weight asked for again");
  layer.weight.set_grad({});
  EXPECT_FALSE(layer.weight.grad().defined());
}

TEST(Linear, DoesNotPutOffWhatTheCallerMayOverwrite) {
  LargeWeight layer;
  linear(relu(layer.x), layer.weight, {}).backward(layer.dy);
  layer.dy.fill(0);
  expect_close(layer.weight.grad(), layer.d_weight, 5e-6, "d_weight of a cotangent given by hand");
}

TEST(Linear, SaysThatAnInputWasOverwritten) {
  LargeWeight layer;
  Tensor h = relu(layer.x);
  scale(linear(h, layer.weight, {}), 1.0).backward(layer.dy);
  h.fill(0);
  EXPECT_THROW(layer.weight.grad(), Error);
  EXPECT_THROW(layer.weight.grad(), Error) << "asked for again";
}

TEST(Linear, AddsToAWeightGradientThatWasPutOff) {
  LargeWeight layer;
  for (int i = 0; i < 3; ++i) layer.backward();
  Tensor expected = layer.d_weight.clone();
  for (double& value : std::span(expected.data<double>(), 512U * 512U)) value *= 3;
  expect_close(layer.weight.grad(), expected, 5e-6, "three times");
  layer.backward();
  layer.weight.set_grad({});
  layer.backward();
  expect_close(layer.weight.grad(), layer.d_weight, 5e-6, "dropped between");
}

TEST(Linear, SameBitsTwice) {
  const Tensor x = random_tensor({32, 1000}, 1).to(DType::kFloat32);
  const Tensor weight = random_tensor({100, 1000}, 2).to(DType::kFloat32);
  EXPECT_EQ(linear(x, weight, {}).to_vector<float>(), linear(x, weight, {}).to_vector<float>());
}

std::string error_of(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  try {
    linear(x, weight, bias);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Linear, Errors) {
  EXPECT_EQ(error_of(Tensor::zeros({2, 3}), Tensor::zeros({5, 4}), {}),
            "linear: input has 3 features, weight expects 4 (input 2x3, weight 5x4)");
  EXPECT_EQ(error_of(Tensor::zeros({2, 3, 1, 1}), Tensor::zeros({5, 3}), {}),
            "linear: input [N,I] and weight [O,I] expected (input 2x3x1x1, weight 5x3); flatten "
            "maps first");
  EXPECT_EQ(error_of(Tensor::zeros({2, 3}), Tensor::zeros({5, 3}), Tensor::zeros({3})),
            "linear: bias of shape 3, weight expects 5 values (input 2x3, weight 5x3)");
  EXPECT_EQ(error_of(Tensor::zeros({2, 3}), Tensor::zeros({5, 3}, {.dtype = DType::kFloat64}), {}),
            "linear: input is float32, weight is float64 (input 2x3, weight 5x3)");
}

}  // namespace
}  // namespace concord
