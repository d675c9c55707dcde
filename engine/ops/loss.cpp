#include "engine/ops/loss.h"

#include "engine/autograd.h"
#include "kernels/loss.h"

namespace concord {
namespace {

void check_pair(const char* operation, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), "{}: operands differ: {} {} and {} {}",
        operation, a.shape().to_string(), name_of(a.dtype()), b.shape().to_string(),
        name_of(b.dtype()));
  check(a.numel() > 0, "{}: no mean over an empty tensor of shape {}", operation,
        a.shape().to_string());
}

void check_logits(const char* operation, const Tensor& logits) {
  check(logits.shape().rank() == 2 && logits.numel() > 0, "{}: logits [N,M] expected, not {}",
        operation, logits.shape().to_string());
}

Tensor scalar_like(const Tensor& x) {
  return Tensor::empty({}, {compute_dtype(x.dtype()), x.device()});
}

}  // namespace

// dL/dlogits[n,m] = dL/dy / N (softmax(logits[n])[m] - [m = labels[n]])
Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  check_logits("cross_entropy", logits);
  check(labels.dtype() == DType::kInt64 && labels.shape() == Shape{logits.dim(0)},
        "cross_entropy: labels must be int64 of shape {} for logits {}, they are {} {}",
        logits.dim(0), logits.shape().to_string(), name_of(labels.dtype()),
        labels.shape().to_string());
  Tensor y = scalar_like(logits);
  Tensor log_sum = Tensor::empty({logits.dim(0)}, {DType::kFloat64, logits.device()});
  kernels::cross_entropy_forward(logits.device(), logits.view(), labels.view(), y.view(),
                                 log_sum.view());
  return record("cross_entropy", y, {logits},
                [logits = logits.detach(), labels = labels.detach(),
                 log_sum](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = empty_like(logits);
                  kernels::cross_entropy_backward(logits.device(), logits.view(), labels.view(),
                                                  log_sum.view(), dy.view(), dx.view());
                  return {dx};
                });
}

// dL/dz = dL/dy / count (sigmoid(z) - t)
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& targets) {
  check_pair("binary_cross_entropy_with_logits", logits, targets);
  check(!needs_gradient(targets),
        "binary_cross_entropy_with_logits: targets are constants here and get no gradient; detach "
        "them");
  const Tensor wanted = targets.in_format(logits.format());
  Tensor y = scalar_like(logits);
  kernels::binary_cross_entropy_with_logits_forward(logits.device(), logits.view(), wanted.view(),
                                                    y.view());
  return record("binary_cross_entropy_with_logits", y, {logits},
                [logits = logits.detach(),
                 wanted = wanted.detach()](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = empty_like(logits);
                  kernels::binary_cross_entropy_with_logits_backward(
                      logits.device(), logits.view(), wanted.view(), dy.view(), dx.view());
                  return {dx};
                });
}

// dL/da = 2 dL/dy / count (a - b) = -dL/db
Tensor mse_loss(const Tensor& a, const Tensor& b) {
  check_pair("mse_loss", a, b);
  const Tensor other = b.in_format(a.format());
  Tensor y = scalar_like(a);
  kernels::mse_loss_forward(a.device(), a.view(), other.view(), y.view());
  return record(
      "mse_loss", y, {a, b},
      [a = a.detach(), b = other.detach(), a_wanted = needs_gradient(a),
       b_wanted = needs_gradient(b)](const Tensor& dy) -> std::vector<Tensor> {
        const auto difference = [&](const Tensor& from, const Tensor& to) {
          Tensor gradient = empty_like(from);
          kernels::mse_loss_backward(from.device(), from.view(), to.view(), dy.view(),
                                     gradient.view());
          return gradient;
        };
        return {a_wanted ? difference(a, b) : Tensor(), b_wanted ? difference(b, a) : Tensor()};
      });
}

// dL/dstudent = dL/dy tau / N (softmax(student / tau) - softmax(teacher / tau))
Tensor distillation_loss(const Tensor& student, const Tensor& teacher, double tau) {
  check_logits("distillation_loss", student);
  check_pair("distillation_loss", student, teacher);
  check(tau > 0, "distillation_loss: the temperature tau is {}, it must be positive", tau);
  Tensor y = scalar_like(student);
  kernels::distillation_loss_forward(student.device(), student.view(), teacher.view(), tau,
                                     y.view());
  return record("distillation_loss", y, {student},
                [student = student.detach(), teacher = teacher.detach(),
                 tau](const Tensor& dy) -> std::vector<Tensor> {
                  Tensor dx = empty_like(student);
                  kernels::distillation_loss_backward(student.device(), student.view(),
                                                      teacher.view(), tau, dy.view(), dx.view());
                  return {dx};
                });
}

}  // namespace concord
