#include <limits>

#include "engine/ops/activation.h"
#include "engine/ops/arithmetic.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_close;
using test::random_tensor;

const std::vector<Shape> kShapes = {{1, 1, 1, 1}, {2, 3, 5, 7}, {3, 16, 2, 3}, {5}, {2, 1025}};

TEST(Elementwise, Gradients) {
  for (const Shape& shape : kShapes) {
    const std::string at = " " + shape.to_string();
    const Tensor a = random_tensor(shape, 1, -2, 2, 0.01);
    const Tensor b = random_tensor(shape, 2);
    check_case({"relu" + at, [](const auto& in) { return relu(in[0]); }, {a}});
    check_case({"sigmoid" + at, [](const auto& in) { return sigmoid(in[0]); }, {a}});
    // The scale hands over a gradient that may be overwritten.
    check_case({"relu in place" + at, [](const auto& in) { return scale(relu(in[0]), 2); }, {a}});
    check_case(
        {"sigmoid in place" + at, [](const auto& in) { return scale(sigmoid(in[0]), 2); }, {a}});
    check_case({"add" + at, [](const auto& in) { return add(in[0], in[1]); }, {a, b}});
    check_case({"subtract" + at, [](const auto& in) { return subtract(in[0], in[1]); }, {a, b}});
    check_case({"multiply" + at, [](const auto& in) { return multiply(in[0], in[1]); }, {a, b}});
    check_case({"scale" + at, [](const auto& in) { return scale(in[0], -2.5); }, {a}});
    check_case({"sum" + at, [](const auto& in) { return sum(in[0]); }, {a}});
    check_case({"mean" + at, [](const auto& in) { return mean(in[0]); }, {a}});
  }
}

TEST(Elementwise, AgreesWithDefinition) {
  std::vector<Shape> shapes = kShapes;
  shapes.push_back({4, 48, 17, 19});  // more elements than one thread takes
  for (const Shape& shape : shapes) {
    const Tensor a = random_tensor(shape, 1, -20, 20);
    const Tensor b = random_tensor(shape, 2, -3, 3);
    const auto x = a.to_vector<double>();
    const auto y = b.to_vector<double>();
    const auto each = [&](auto f) {
      std::vector<double> values;
      for (std::size_t i = 0; i < x.size(); ++i) values.push_back(f(x[i], y[i]));
      return Tensor::of(shape, values);
    };
    double total = 0;
    for (double v : y) total += v;
    for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
      // One rounding of the operands and one of the result; sums are taken in double.
      const double tolerance = dtype == DType::kFloat64 ? 1e-14 : 3e-7;
      for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast,
                                        MemoryFormat::kBlocked8, MemoryFormat::kBlocked16}) {
        if (!supports(format, shape)) continue;
        const std::string at = " " + shape.to_string() + " " + std::string(name_of(dtype)) + " " +
                               std::string(name_of(format));
        const Tensor u = a.to(dtype).in_format(format);
        const Tensor v = b.to(dtype);  // brought to the format of the first operand
        expect_close(relu(u), each([](double p, double) { return std::max(p, 0.0); }), tolerance,
                     "relu" + at);
        expect_close(sigmoid(u),
                     each([](double p, double) { return 0.5 * (1 + std::tanh(p / 2)); }), tolerance,
                     "sigmoid" + at);
        expect_close(add(u, v), each([](double p, double q) { return p + q; }), tolerance,
                     "add" + at);
        expect_close(subtract(u, v), each([](double p, double q) { return p - q; }), tolerance,
                     "subtract" + at);
        expect_close(multiply(u, v), each([](double p, double q) { return p * q; }), tolerance,
                     "multiply" + at);
        expect_close(scale(u, -2.5), each([](double p, double) { return -2.5 * p; }), tolerance,
                     "scale" + at);
        // Numbers of size 3, each rounded to float32 at worst by 2^-24 of itself.
        const auto count = static_cast<double>(shape.numel());
        const double rounding = dtype == DType::kFloat64 ? 1e-15 : 0x1p-23;
        EXPECT_NEAR(sum(v).item(), total, 3 * count * rounding) << at;
        EXPECT_NEAR(mean(v).item(), total / count, 3 * rounding) << at;
        EXPECT_EQ(multiply(u, v).format(), format);
      }
    }
  }
}

TEST(Elementwise, SigmoidOfLargeNumbers) {
  const auto y = sigmoid(Tensor::of<float>({3}, {-200.0F, 0.0F, 200.0F})).to_vector<float>();
  EXPECT_EQ(y, (std::vector<float>{0.0F, 0.5F, 1.0F}));
}

TEST(Elementwise, ReluKeepsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto y = relu(Tensor::of<float>({3}, {nan, -1.0F, 2.0F})).to_vector<float>();
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 0.0F);
  EXPECT_EQ(y[2], 2.0F);
}

// The sign is told by bits: of either zero and of the smallest and the largest numbers.
TEST(Elementwise, ReluGradientAtTheEdges) {
  const auto check_as = [](auto zero) {
    using T = decltype(zero);
    using Limits = std::numeric_limits<T>;
    const std::vector<T> values = {T(0),          -T(0),          Limits::denorm_min(),
                                   Limits::max(), -Limits::max(), Limits::infinity(),
                                   T(1),          T(-1),          -Limits::infinity()};
    Tensor x = Tensor::of<T>({9}, values);
    x.set_requires_grad(true);
    sum(relu(x)).backward();
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(x.grad().to_vector<T>()[i], values[i] > 0 ? T(1) : T(0)) << values[i];
  };
  check_as(float{});
  check_as(double{});
}

TEST(Elementwise, ShapesMustAgree) {
  EXPECT_THROW(add(Tensor::zeros({2, 3}), Tensor::zeros({3, 2})), Error);
  EXPECT_THROW(add(Tensor::zeros({2}), Tensor::zeros({2}, {.dtype = DType::kFloat64})), Error);
}

TEST(Autograd, SharedInputAccumulates) {
  Tensor a = Tensor::of<double>({2}, {3.0, -4.0});
  a.set_requires_grad(true);
  sum(multiply(a, add(a, a))).backward();  // d(2 a^2)/da = 4 a
  EXPECT_EQ(a.grad().to_vector<double>(), (std::vector<double>{12.0, -16.0}));
  sum(a).backward();
  EXPECT_EQ(a.grad().to_vector<double>(), (std::vector<double>{13.0, -15.0}));
}

TEST(Autograd, SecondBackwardIsRefused) {
  Tensor a = Tensor::of<double>({1}, {3.0});
  a.set_requires_grad(true);
  const Tensor y = multiply(a, a);
  y.backward();
  EXPECT_THROW(y.backward(), Error);
}

TEST(Autograd, NoGradRecordsNothing) {
  Tensor a = Tensor::of<double>({1}, {3.0});
  a.set_requires_grad(true);
  {
    const NoGradGuard no_grad;
    EXPECT_FALSE(relu(a).tracked());
  }
  EXPECT_TRUE(relu(a).tracked());
}

TEST(Autograd, BuffersAreFreedDuringBackward) {
  const std::int64_t count = 1 << 20;
  Tensor a = Tensor::full({count}, 0.5);
  a.set_requires_grad(true);
  const auto in_use = [] { return kernels::memory_statistics(Device{}).in_use; };
  const std::size_t before = in_use();
  Tensor y = a;
  for (int i = 0; i < 8; ++i) y = sigmoid(y);
  y = sum(y);
  const std::size_t recorded = in_use() - before;
  y.backward();
  EXPECT_GE(recorded, 8U * 4 * count);
  // The gradient of a is all that is left, though y is still held.
  EXPECT_LE(in_use() - before, 4U * count + 4096);
}

}  // namespace
}  // namespace concord
