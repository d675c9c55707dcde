#include "engine/ops/arithmetic.h"

#include "engine/autograd.h"
#include "kernels/arithmetic.h"

namespace concord {
namespace {

void check_operands(const char* operation, const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device(),
        "{}: operands differ: {} {} on {} and {} {} on {}", operation, a.shape().to_string(),
        name_of(a.dtype()), name_of(a.device()), b.shape().to_string(), name_of(b.dtype()),
        name_of(b.device()));
}

Tensor scaled(Tensor a, double factor) {
  const kernels::ConstView from = a.view();
  Tensor result = reuse_or_empty_like(a);
  kernels::scale(from.device, from, factor, result.view());
  return result;
}

Tensor product(const Tensor& a, const Tensor& b) {
  const Tensor other = b.in_format(a.format());
  Tensor result = empty_like(a);
  kernels::multiply(a.device(), a.view(), other.view(), result.view());
  return result;
}

}  // namespace

// dL/da = dL/db = dL/dy
Tensor add(const Tensor& a, const Tensor& b) {
  check_operands("add", a, b);
  const Tensor other = b.in_format(a.format());
  Tensor y = empty_like(a);
  kernels::add(a.device(), a.view(), other.view(), y.view());
  return record("add", y, {a, b}, [](Tensor dy) -> std::vector<Tensor> { return {dy, dy}; });
}

// dL/da = dL/dy, dL/db = -dL/dy
Tensor subtract(const Tensor& a, const Tensor& b) { return add(a, scale(b, -1)); }

// dL/da = b * dL/dy, dL/db = a * dL/dy
Tensor multiply(const Tensor& a, const Tensor& b) {
  check_operands("multiply", a, b);
  Tensor y = product(a, b);
  const Tensor saved_a = needs_gradient(b) ? a.detach() : Tensor();
  const Tensor saved_b = needs_gradient(a) ? b.detach() : Tensor();
  return record("multiply", y, {a, b}, [saved_a, saved_b](Tensor dy) -> std::vector<Tensor> {
    return {saved_b.defined() ? product(dy, saved_b) : Tensor(),
            saved_a.defined() ? product(dy, saved_a) : Tensor()};
  });
}

// dL/da = factor * dL/dy
Tensor scale(const Tensor& a, double factor) {
  Tensor y = empty_like(a);
  kernels::scale(a.device(), a.view(), factor, y.view());
  return record("scale", y, {a}, [factor](Tensor dy) -> std::vector<Tensor> {
    return {scaled(std::move(dy), factor)};
  });
}

// dL/da_i = dL/dy
Tensor sum(const Tensor& a) {
  Tensor y = Tensor::empty({}, {compute_dtype(a.dtype()), a.device()});
  kernels::sum(a.device(), a.view(), y.view());
  return record("sum", y, {a},
                [shape = a.shape(), options = a.options()](Tensor dy) -> std::vector<Tensor> {
                  return {Tensor::full(shape, dy.item(), options)};
                });
}

Tensor mean(const Tensor& a) {
  check(a.numel() > 0, "mean: of an empty tensor of shape {}", a.shape().to_string());
  return scale(sum(a), 1.0 / static_cast<double>(a.numel()));
}

}  // namespace concord
