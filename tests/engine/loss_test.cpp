#include "engine/ops/loss.h"

#include <algorithm>

#include "engine/ops/arithmetic.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord {
namespace {

using test::check_case;
using test::expect_close;
using test::expect_error;
using test::random_tensor;
using Values = std::vector<double>;

const std::vector<Shape> kLogits = {{1, 1}, {1, 7}, {5, 1}, {3, 4}, {17, 33}};

Tensor labels_for(const Shape& logits) {
  random::Stream numbers(test::kSeed, 40);
  std::vector<std::int64_t> labels;
  for (std::int64_t n = 0; n < logits[0]; ++n)
    labels.push_back(
        static_cast<std::int64_t>(numbers.below(static_cast<std::uint64_t>(logits[1]))));
  return Tensor::of({logits[0]}, labels);
}

// softmax(row / tau) straight from the definition; for logits of moderate size.
Values naive_softmax(const Values& logits, std::size_t row, std::size_t classes, double tau) {
  Values result(classes);
  double total = 0;
  for (std::size_t m = 0; m < classes; ++m)
    total += result[m] = std::exp(logits[row * classes + m] / tau);
  for (double& p : result) p /= total;
  return result;
}

TEST(Loss, Gradients) {
  for (const Shape& shape : kLogits) {
    const std::string at = " " + shape.to_string();
    const Tensor logits = random_tensor(shape, 1, -3, 3);
    const Tensor other = random_tensor(shape, 2, -3, 3);
    const Tensor labels = labels_for(shape);
    check_case({"cross_entropy" + at,
                [=](const auto& in) { return cross_entropy(in[0], labels); },
                {logits}});
    for (const double tau : {1.0, 4.0})
      check_case({"distillation_loss" + at,
                  [=](const auto& in) { return distillation_loss(in[0], in[1], tau); },
                  {logits, other},
                  {true, false}});
  }
  for (const Shape& shape : {Shape{1}, Shape{3, 20}, Shape{2, 16, 3, 5}, Shape{2, 3, 5, 7}}) {
    const std::string at = " " + shape.to_string();
    const Tensor a = random_tensor(shape, 1, -3, 3);
    const Tensor b = random_tensor(shape, 2, 0, 1);
    const auto mse = [](const auto& in) { return mse_loss(in[0], in[1]); };
    check_case({"mse_loss" + at, mse, {a, b}});
    check_case({"mse_loss to a constant" + at, mse, {a, b}, {true, false}});
    check_case({"mse_loss of a constant" + at, mse, {a, b}, {false, true}});
    check_case({"binary_cross_entropy" + at,
                [](const auto& in) { return binary_cross_entropy_with_logits(in[0], in[1]); },
                {a, b},
                {true, false}});
  }
}

TEST(Loss, AgreesWithDefinition) {
  for (const Shape& shape : kLogits) {
    const Tensor logits = random_tensor(shape, 1, -3, 3);
    const Tensor teacher = random_tensor(shape, 2, -3, 3);
    const Tensor labels = labels_for(shape);
    const Values z = logits.to_vector<double>();
    const Values t = teacher.to_vector<double>();
    const auto y = labels.to_vector<std::int64_t>();
    const auto samples = static_cast<std::size_t>(shape[0]);
    const auto classes = static_cast<std::size_t>(shape[1]);
    const double tau = 2.5;
    double entropy = 0;
    double distilled = 0;
    for (std::size_t n = 0; n < samples; ++n) {
      entropy -= std::log(naive_softmax(z, n, classes, 1)[static_cast<std::size_t>(y[n])]);
      const Values student = naive_softmax(z, n, classes, tau);
      const Values wanted = naive_softmax(t, n, classes, tau);
      for (std::size_t m = 0; m < classes; ++m)
        distilled -= tau * tau * wanted[m] * std::log(student[m]);
    }
    const auto count = static_cast<double>(samples);
    EXPECT_NEAR(cross_entropy(logits, labels).item(), entropy / count, 1e-13);
    EXPECT_NEAR(distillation_loss(logits, teacher, tau).item(), distilled / count, 1e-12);

    double square = 0;
    double binary = 0;
    for (std::size_t i = 0; i < z.size(); ++i) {
      square += (z[i] - t[i]) * (z[i] - t[i]);
      const double p = 1 / (1 + std::exp(-z[i]));
      const double target = (t[i] + 3) / 6;
      binary -= target * std::log(p) + (1 - target) * std::log(1 - p);
    }
    Values targets = t;
    for (double& v : targets) v = (v + 3) / 6;
    const auto elements = static_cast<double>(z.size());
    EXPECT_NEAR(mse_loss(logits, teacher).item(), square / elements, 1e-13);
    EXPECT_NEAR(binary_cross_entropy_with_logits(logits, Tensor::of(shape, targets)).item(),
                binary / elements, 1e-13);
  }
}

TEST(Loss, KnownValues) {
  const Tensor logits = Tensor::of<double>({1, 3}, {1.0, 2.0, 3.0});
  const Tensor label = Tensor::of<std::int64_t>({1}, {2});
  EXPECT_NEAR(cross_entropy(logits, label).item(), 0.40760596444438013, 1e-15);
  // A network that says nothing: log of the number of classes.
  EXPECT_NEAR(cross_entropy(Tensor::zeros({4, 200}, {.dtype = DType::kFloat64}),
                            Tensor::of<std::int64_t>({4}, {0, 7, 100, 199}))
                  .item(),
              std::log(200.0), 1e-14);
  EXPECT_NEAR(binary_cross_entropy_with_logits(Tensor::zeros({5}), Tensor::full({5}, 0.3)).item(),
              std::log(2.0), 1e-7);
}

// Logits far beyond what exp can hold, in float32.
TEST(Loss, LargeLogitsStayFinite) {
  Tensor z = Tensor::of<float>({2, 2}, {1e4F, -1e4F, -3e4F, 2e4F}).set_requires_grad(true);
  const Tensor loss = cross_entropy(z, Tensor::of<std::int64_t>({2}, {0, 0}));
  // float32 has steps of 0.002 there.
  EXPECT_NEAR(loss.item(), 2.5e4, 1e-2);
  loss.backward();
  EXPECT_EQ(z.grad().to_vector<float>(), (std::vector<float>{0.0F, 0.0F, -0.5F, 0.5F}));

  Tensor b = Tensor::of<float>({3}, {1e4F, -1e4F, 1e4F}).set_requires_grad(true);
  const Tensor binary = binary_cross_entropy_with_logits(b, Tensor::of<float>({3}, {1, 0, 0}));
  EXPECT_NEAR(binary.item(), 1e4 / 3, 1e-3);
  binary.backward();
  EXPECT_EQ(b.grad().to_vector<float>(), (std::vector<float>{0.0F, 0.0F, 1.0F / 3}));
}

TEST(Loss, NanIsNotHidden) {
  const float nan = std::nanf("");
  const Tensor logits = Tensor::of<float>({1, 3}, {1.0F, nan, 2.0F});
  const Tensor zeros = Tensor::zeros({1, 3});
  EXPECT_TRUE(std::isnan(cross_entropy(logits, Tensor::of<std::int64_t>({1}, {0})).item()));
  EXPECT_TRUE(std::isnan(binary_cross_entropy_with_logits(logits, zeros).item()));
  EXPECT_TRUE(std::isnan(mse_loss(logits, zeros).item()));
  EXPECT_TRUE(std::isnan(distillation_loss(logits, zeros, 1).item()));
}

TEST(Loss, TeacherIsAConstant) {
  Tensor teacher = random_tensor({2, 3}, 1).set_requires_grad(true);
  const Tensor student = random_tensor({2, 3}, 2);
  EXPECT_FALSE(distillation_loss(student, teacher, 1.0).tracked());
}

TEST(Loss, Errors) {
  const Tensor logits = Tensor::zeros({3, 4});
  const auto with_label = [&](std::int64_t label) {
    cross_entropy(logits, Tensor::of<std::int64_t>({3}, {0, label, 1}));
  };
  expect_error([&] { with_label(4); }, {"cross_entropy", "label 4", "sample 1", "[0, 4)"});
  expect_error([&] { with_label(-1); }, {"cross_entropy", "label -1", "sample 1"});
  expect_error([&] { cross_entropy(logits, Tensor::zeros({3})); }, {"int64", "float32"});
  expect_error(
      [&] {
        cross_entropy(logits, Tensor::of<std::int64_t>({2}, {0, 1}));
      },
      {"cross_entropy", "3x4", "2"});
  expect_error([&] { mse_loss(logits, Tensor::zeros({4, 3})); }, {"mse_loss", "3x4", "4x3"});
  expect_error([&] { distillation_loss(logits, logits, 0); }, {"tau", "0"});
  Tensor targets = Tensor::zeros({3, 4}).set_requires_grad(true);
  expect_error([&] { binary_cross_entropy_with_logits(logits, targets); }, {"constants"});
}

}  // namespace
}  // namespace concord
