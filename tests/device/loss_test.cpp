#include "kernels/loss.h"

#include <algorithm>
#include <cmath>

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Loss);

// Rows of a warp and of a block, fewer and more of them than a block holds.
constexpr std::int64_t kRows[] = {1, 3, 5};
constexpr std::int64_t kColumns[] = {1, 10, 31, 33, 256, 257, 1025};

// Terms of the size of 1 to 10 whose exponentials are float32: some units in the last place of the
// sum. Of the largest value, or of 1 where that is smaller.
double tolerance(DType dtype) { return test::tolerance_of(dtype, 4e-7, 4e-15); }

void expect_near(double actual, double expected, DType dtype) {
  EXPECT_NEAR(actual, expected, tolerance(dtype) * std::max(1.0, std::abs(expected)));
}

// Of the largest expected element.
void expect_near(const Tensor& actual, const std::vector<double>& expected, DType dtype) {
  const auto values = actual.to_vector<double>();
  double scale = 0;
  for (double value : expected) scale = std::max(scale, std::abs(value));
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(values[i], expected[i], tolerance(dtype) * scale) << "element " << i;
}

Tensor missing(const Shape& shape, DType dtype, Device device, std::int64_t offset = 0) {
  return test::unaligned_on(device, Tensor::full(shape, NAN, {.dtype = dtype}), offset);
}

// log softmax of `count` values over tau.
std::vector<double> log_softmax(const double* row, std::int64_t count, double tau) {
  const double most = *std::max_element(row, row + count) / tau;
  double sum = 0;
  for (std::int64_t m = 0; m < count; ++m) sum += std::exp(row[m] / tau - most);
  std::vector<double> result;
  for (std::int64_t m = 0; m < count; ++m) result.push_back(row[m] / tau - most - std::log(sum));
  return result;
}

// Calls body(rows, columns, dtype, offset) for all of them.
template <class Body>
void for_each_matrix(Device device, Body body) {
  for (const std::int64_t rows : kRows) {
    for (const std::int64_t columns : kColumns) {
      for (const DType dtype : test::dtypes_on(device)) {
        SCOPED_TRACE(testing::Message() << rows << "x" << columns << " " << name_of(dtype));
        body(rows, columns, dtype, rows % 2);
      }
    }
  }
}

TEST_P(Loss, CrossEntropy) {
  in_every_order([&] {
    for_each_matrix(device(), [&](std::int64_t rows, std::int64_t columns, DType dtype,
                                  std::int64_t offset) {
      const Tensor logits = random_tensor({rows, columns}, 1, -8, 8).to(dtype);
      const Tensor dy = random_tensor({1}, 2, 1, 2).to(compute_dtype(dtype));
      const auto values = logits.to_vector<double>();
      std::vector<std::int64_t> labels;
      for (std::int64_t n = 0; n < rows; ++n) labels.push_back((n * 7 + columns - 1) % columns);
      double expected = 0;
      std::vector<double> gradient;
      for (std::int64_t n = 0; n < rows; ++n) {
        const auto log_p = log_softmax(&values[n * columns], columns, 1);
        expected -= log_p[labels[n]] / rows;
        for (std::int64_t m = 0; m < columns; ++m)
          gradient.push_back(dy.item() / rows * (std::exp(log_p[m]) - (m == labels[n] ? 1 : 0)));
      }
      const Tensor x = test::unaligned_on(device(), logits, offset);
      const Tensor wanted = Tensor::of(Shape{rows}, labels).to(device());
      const Tensor weight = dy.to(device());
      Tensor loss = missing({}, compute_dtype(dtype), device());
      Tensor log_sum = missing({rows}, DType::kFloat64, device());
      Tensor dx = missing({rows, columns}, dtype, device(), offset);
      kernels::cross_entropy_forward(device(), x.view(), wanted.view(), loss.view(),
                                     log_sum.view());
      kernels::cross_entropy_backward(device(), x.view(), wanted.view(),
                                      std::as_const(log_sum).view(), weight.view(), dx.view());
      expect_near(loss.item(), expected, compute_dtype(dtype));
      expect_near(dx, gradient, dtype);
    });
  });
}

// More rows than the grid has room for at once.
TEST_P(Loss, CrossEntropyOfManyRows) {
  constexpr std::int64_t kMany = 132 * 8 * 4 + 5;
  const Tensor logits = random_tensor({kMany, 2}, 1, -8, 8);
  const auto values = logits.to_vector<double>();
  double expected = 0;
  for (std::int64_t n = 0; n < kMany; ++n) expected -= log_softmax(&values[n * 2], 2, 1)[0] / kMany;
  const Tensor labels = Tensor::of(Shape{kMany}, std::vector<std::int64_t>(kMany)).to(device());
  Tensor loss = missing({}, DType::kFloat64, device());
  Tensor log_sum = missing({kMany}, DType::kFloat64, device());
  kernels::cross_entropy_forward(device(), logits.to(device()).view(), labels.view(), loss.view(),
                                 log_sum.view());
  expect_near(loss.item(), expected, DType::kFloat64);
}

TEST_P(Loss, CrossEntropyOfExtremeLogits) {
  for (const std::int64_t columns : {3, 300}) {
    std::vector<float> row(static_cast<std::size_t>(columns), -INFINITY);
    row[static_cast<std::size_t>(columns - 2)] = 1e30F;
    row[static_cast<std::size_t>(columns - 1)] = 1e30F;
    const Tensor logits = Tensor::of(Shape{1, columns}, row).to(device());
    const Tensor labels = Tensor::of<std::int64_t>({1}, {columns - 1}).to(device());
    const Tensor dy = Tensor::full({}, 1).to(device());
    Tensor loss = missing({}, DType::kFloat32, device());
    Tensor log_sum = missing({1}, DType::kFloat64, device());
    Tensor dx = missing({1, columns}, DType::kFloat32, device());
    kernels::cross_entropy_forward(device(), logits.view(), labels.view(), loss.view(),
                                   log_sum.view());
    kernels::cross_entropy_backward(device(), logits.view(), labels.view(),
                                    std::as_const(log_sum).view(), dy.view(), dx.view());
    // log 2 is lost beside 1e30, in double too.
    EXPECT_EQ(loss.item(), 0);
    std::vector<float> gradient(static_cast<std::size_t>(columns), 0);
    gradient[static_cast<std::size_t>(columns - 2)] = 1;
    EXPECT_EQ(dx.to_vector<float>(), gradient);
  }
}

TEST_P(Loss, CrossEntropyOfNaN) {
  for (const std::int64_t columns : {3, 300}) {
    for (const std::int64_t where : {std::int64_t{0}, std::int64_t{1}, columns - 1}) {
      std::vector<float> row(static_cast<std::size_t>(columns), 1);
      row[static_cast<std::size_t>(where)] = NAN;
      const Tensor logits = Tensor::of(Shape{1, columns}, row).to(device());
      const Tensor labels = Tensor::of<std::int64_t>({1}, {1}).to(device());
      Tensor loss = Tensor::zeros({}).to(device());
      Tensor log_sum = Tensor::zeros({1}, {.dtype = DType::kFloat64}).to(device());
      kernels::cross_entropy_forward(device(), logits.view(), labels.view(), loss.view(),
                                     log_sum.view());
      EXPECT_TRUE(std::isnan(loss.item())) << where << " of " << columns;
    }
  }
}

TEST_P(Loss, CrossEntropyOfALabelOutside) {
  for (const std::int64_t columns : {3, 300}) {
    for (const std::int64_t label : {std::int64_t{-1}, columns}) {
      const Tensor logits = random_tensor({2, columns}, 1).to(DType::kFloat32).to(device());
      const Tensor labels = Tensor::of<std::int64_t>({2}, {1, label}).to(device());
      const Tensor dy = Tensor::full({}, 1).to(device());
      Tensor loss = Tensor::zeros({}).to(device());
      Tensor log_sum = Tensor::zeros({2}, {.dtype = DType::kFloat64}).to(device());
      Tensor dx = Tensor::zeros({2, columns}).to(device());
      const auto forward = [&] {
        kernels::cross_entropy_forward(device(), logits.view(), labels.view(), loss.view(),
                                       log_sum.view());
      };
      if (GetParam() == DeviceType::kCpu) {
        test::expect_error(forward, {"of sample 1 is outside"});
        continue;
      }
      forward();
      kernels::cross_entropy_backward(device(), logits.view(), labels.view(),
                                      std::as_const(log_sum).view(), dy.view(), dx.view());
      EXPECT_TRUE(std::isnan(loss.item()));
      const auto gradient = dx.to_vector<double>();
      for (std::int64_t m = 0; m < columns; ++m) {
        EXPECT_FALSE(std::isnan(gradient[m]));
        EXPECT_TRUE(std::isnan(gradient[columns + m]));
      }
    }
  }
}

// A loss of pairs and its gradient for every awkward size, aligned and not.
template <class Forward, class Backward>
void check_pairs(Device device, const std::function<double(double, double)>& term,
                 const std::function<double(double, double)>& gradient_of, Forward forward,
                 Backward backward) {
  for (const DType dtype : test::dtypes_on(device)) {
    for (const std::int64_t size : test::kAwkwardSizes) {
      const Tensor a = random_tensor({size}, 1, -9, 9).to(dtype);
      const Tensor b = random_tensor({size}, 2, 0, 1).to(dtype);
      const Tensor dy = random_tensor({1}, 3, 1, 2).to(compute_dtype(dtype));
      const auto left = a.to_vector<double>();
      const auto right = b.to_vector<double>();
      double expected = 0;
      std::vector<double> gradient;
      for (std::size_t i = 0; i < left.size(); ++i) {
        expected += term(left[i], right[i]) / size;
        gradient.push_back(dy.item() / size * gradient_of(left[i], right[i]));
      }
      double aligned = NAN;
      for (const std::int64_t offset : {0, 1}) {
        SCOPED_TRACE(testing::Message() << size << " " << name_of(dtype) << ", offset " << offset);
        const Tensor on_a = test::unaligned_on(device, a, offset);
        const Tensor on_b = test::unaligned_on(device, b, offset);
        const Tensor weight = dy.to(device);
        Tensor loss = missing({}, compute_dtype(dtype), device);
        Tensor da = missing({size}, dtype, device, offset);
        forward(on_a.view(), on_b.view(), loss.view());
        backward(on_a.view(), on_b.view(), weight.view(), da.view());
        expect_near(loss.item(), expected, compute_dtype(dtype));
        expect_near(da, gradient, dtype);
        // Alignment changes no bit.
        if (offset == 0) aligned = loss.item();
        EXPECT_EQ(loss.item(), aligned);
      }
    }
  }
}

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

TEST_P(Loss, BinaryCrossEntropyWithLogits) {
  in_every_order([&] {
    check_pairs(
        device(),
        [](double z, double t) {
          return -t * std::log(sigmoid(z)) - (1 - t) * std::log(sigmoid(-z));
        },
        [](double z, double t) { return sigmoid(z) - t; },
        [&](auto... views) {
          kernels::binary_cross_entropy_with_logits_forward(device(), views...);
        },
        [&](auto... views) {
          kernels::binary_cross_entropy_with_logits_backward(device(), views...);
        });
  });
}

TEST_P(Loss, BinaryCrossEntropyOfExtremeLogits) {
  const std::vector<float> z = {-2000, 2000, 2000, -2000, NAN};
  const std::vector<float> t = {0, 1, 0, 1, 0};
  const std::vector<double> loss_of = {0, 0, 2000, 2000, NAN};
  for (std::size_t i = 0; i < z.size(); ++i) {
    const Tensor logits = Tensor::of<float>({1}, {z[i]}).to(device());
    const Tensor targets = Tensor::of<float>({1}, {t[i]}).to(device());
    const Tensor dy = Tensor::full({}, 1).to(device());
    Tensor loss = Tensor::full({}, -1).to(device());
    Tensor dx = Tensor::full({1}, -9).to(device());
    kernels::binary_cross_entropy_with_logits_forward(device(), logits.view(), targets.view(),
                                                      loss.view());
    kernels::binary_cross_entropy_with_logits_backward(device(), logits.view(), targets.view(),
                                                       dy.view(), dx.view());
    if (std::isnan(z[i])) {
      EXPECT_TRUE(std::isnan(loss.item()));
      EXPECT_TRUE(std::isnan(dx.item()));
    } else {
      EXPECT_EQ(loss.item(), loss_of[i]);
      EXPECT_EQ(dx.item(), (z[i] > 0 ? 1 : 0) - t[i]);
    }
  }
}

TEST_P(Loss, MeanSquaredError) {
  in_every_order([&] {
    check_pairs(
        device(), [](double a, double b) { return (a - b) * (a - b); },
        [](double a, double b) { return 2 * (a - b); },
        [&](auto... views) { kernels::mse_loss_forward(device(), views...); },
        [&](auto... views) { kernels::mse_loss_backward(device(), views...); });
  });
}

// Over more than one block, in every order of threads: the same bits.
TEST_P(Loss, MeanSquaredErrorRepeatsItsBits) {
  const Tensor a = random_tensor({70001}, 1).to(DType::kFloat32).to(device());
  const Tensor b = random_tensor({70001}, 2).to(DType::kFloat32).to(device());
  std::vector<double> losses;
  in_every_order([&] {
    Tensor loss = missing({}, DType::kFloat32, device());
    kernels::mse_loss_forward(device(), a.view(), b.view(), loss.view());
    losses.push_back(loss.item());
  });
  for (double loss : losses) EXPECT_EQ(loss, losses[0]);
  const auto left = a.to_vector<double>();
  const auto right = b.to_vector<double>();
  double mean = 0;
  for (std::size_t i = 0; i < left.size(); ++i)
    mean += (left[i] - right[i]) * (left[i] - right[i]) / static_cast<double>(left.size());
  EXPECT_NEAR(losses[0], mean, 1e-6);  // terms and result are float32
}

TEST_P(Loss, Distillation) {
  in_every_order([&] {
    for_each_matrix(
        device(), [&](std::int64_t rows, std::int64_t columns, DType dtype, std::int64_t offset) {
          const double tau = 3;
          const Tensor student = random_tensor({rows, columns}, 1, -8, 8).to(dtype);
          const Tensor teacher = random_tensor({rows, columns}, 2, -8, 8).to(dtype);
          const Tensor dy = random_tensor({1}, 3, 1, 2).to(compute_dtype(dtype));
          const auto s = student.to_vector<double>();
          const auto t = teacher.to_vector<double>();
          double expected = 0;
          double scale = 0;
          std::vector<double> gradient;
          for (std::int64_t n = 0; n < rows; ++n) {
            const auto log_p = log_softmax(&s[n * columns], columns, tau);
            const auto log_q = log_softmax(&t[n * columns], columns, tau);
            for (std::int64_t m = 0; m < columns; ++m) {
              expected -= tau * tau / rows * std::exp(log_q[m]) * log_p[m];
              const double weight = dy.item() * tau / rows;
              gradient.push_back(weight * (std::exp(log_p[m]) - std::exp(log_q[m])));
              scale = std::max(scale, weight * std::exp(log_p[m]));
            }
          }
          const Tensor on_student = test::unaligned_on(device(), student, offset);
          const Tensor on_teacher = test::unaligned_on(device(), teacher, offset);
          const Tensor weight = dy.to(device());
          Tensor loss = missing({}, compute_dtype(dtype), device());
          Tensor d_student = missing({rows, columns}, dtype, device(), offset);
          kernels::distillation_loss_forward(device(), on_student.view(), on_teacher.view(), tau,
                                             loss.view());
          kernels::distillation_loss_backward(device(), on_student.view(), on_teacher.view(), tau,
                                              weight.view(), d_student.view());
          expect_near(loss.item(), expected, compute_dtype(dtype));
          // The difference of two probabilities, each good to some units in its last place.
          const auto values = d_student.to_vector<double>();
          for (std::size_t i = 0; i < values.size(); ++i)
            ASSERT_NEAR(values[i], gradient[i], tolerance(dtype) * scale) << "element " << i;
        });
  });
}

TEST_P(Loss, DistillationOfNaN) {
  const Tensor good = Tensor::of<float>({1, 3}, {1, 2, 3}).to(device());
  const Tensor bad = Tensor::of<float>({1, 3}, {1, NAN, 3}).to(device());
  for (const bool in_student : {false, true}) {
    Tensor loss = Tensor::zeros({}).to(device());
    kernels::distillation_loss_forward(device(), (in_student ? bad : good).view(),
                                       (in_student ? good : bad).view(), 2.0, loss.view());
    EXPECT_TRUE(std::isnan(loss.item()));
  }
}

}  // namespace
}  // namespace concord
