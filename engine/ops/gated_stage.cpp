#include "engine/ops/gated_stage.h"

#include "engine/autograd.h"
#include "kernels/gated_stage.h"
#include "kernels/norm.h"

namespace concord {
namespace {

// Per sample and channel where `shape` is [N,C], per channel where it is [C].
Tensor scale_of(const char* operation, const Tensor& v, bool per_sample) {
  check(v.shape().rank() >= 2 && v.numel() > 0,
        "{}: maps [N,C,H,W] expected, the tensor has shape {}", operation, v.shape().to_string());
  const Shape shape = per_sample ? Shape{v.dim(0), v.dim(1)} : Shape{v.dim(1)};
  Tensor mean = Tensor::empty(shape, {DType::kFloat64, v.device()});
  Tensor variance = empty_like(mean);
  kernels::mean_and_variance(v.device(), v.view(), mean.view(), variance.view());
  Tensor s = Tensor::empty(shape, {compute_dtype(v.dtype()), v.device()});
  kernels::scale_from_variance(v.device(), std::as_const(variance).view(),
                               v.numel() / shape.numel(), s.view());
  return s;
}

void check_scale(const char* operation, const Tensor& v, const Tensor& s) {
  check(v.shape().rank() >= 2, "{}: maps [N,C,H,W] expected, the tensor has shape {}", operation,
        v.shape().to_string());
  const bool fits = s.shape() == Shape{v.dim(1)} || s.shape() == Shape{v.dim(0), v.dim(1)};
  check(fits && s.dtype() == compute_dtype(v.dtype()),
        "{}: the scale of maps {} {} must be [N,C] or [C] of {}, it is {} {}", operation,
        v.shape().to_string(), name_of(v.dtype()), name_of(compute_dtype(v.dtype())),
        s.shape().to_string(), name_of(s.dtype()));
}

void check_gate(const char* operation, const Tensor& x, const Tensor& p) {
  check(p.numel() == 1 && p.dtype() == compute_dtype(x.dtype()),
        "{}: a gate of one {} element expected, p is {} {}", operation,
        name_of(compute_dtype(x.dtype())), p.shape().to_string(), name_of(p.dtype()));
}

void check_stage(const char* operation, const Tensor& x, const Tensor& h, const Tensor& s,
                 const Tensor& p) {
  check(x.shape() == h.shape() && x.dtype() == h.dtype(), "{}: operands differ: {} {} and h {} {}",
        operation, x.shape().to_string(), name_of(x.dtype()), h.shape().to_string(),
        name_of(h.dtype()));
  check_scale(operation, h, s);
  check_gate(operation, x, p);
}

}  // namespace

Tensor sample_scale(const Tensor& v) { return scale_of("sample_scale", v, true); }
Tensor batch_scale(const Tensor& v) { return scale_of("batch_scale", v, false); }

// dL/dv = dL/dy / s
Tensor divide_by_scale(const Tensor& v, const Tensor& s) {
  check_scale("divide_by_scale", v, s);
  Tensor y = empty_like(v);
  kernels::divide_by_scale(v.device(), v.view(), s.view(), y.view());
  return record("divide_by_scale", y, {v}, [s = s.detach()](Tensor dy) -> std::vector<Tensor> {
    const kernels::ConstView from = dy.view();
    Tensor dv = reuse_or_empty_like(dy);
    kernels::divide_by_scale(from.device, from, s.view(), dv.view());
    return {dv};
  });
}

namespace {

// Of h the gradient of p alone wants more than the mask.
Tensor with_fixed_gate(const Tensor& x, const Tensor& h, const Tensor& s, const Tensor& p) {
  const MaskedStage stage = masked_stage(x, h, s, p);
  return record("gated_stage", stage.y, {x, h},
                [mask = stage.mask.bits, s = s.detach(), p = p.detach(),
                 x_wanted = needs_gradient(x)](Tensor dy) -> std::vector<Tensor> {
                  const kernels::ConstView from = dy.view();
                  Tensor dx, dh;
                  if (x_wanted) dx = dy;
                  dh = reuse_or_empty_like(dy);  // a new one where dx holds dy
                  kernels::frozen_stage(from.device, from, mask.view(), s.view(), p.view(),
                                        dh.view());
                  return {dx, dh};
                });
}

}  // namespace

// dL/dx = dL/dy, dL/dh = dL/dy p [h > 0] / s, dL/dp = sum(dL/dy relu(h / s))
Tensor gated_stage(const Tensor& x, const Tensor& h, const Tensor& s, const Tensor& p) {
  check_stage("gated_stage", x, h, s, p);
  if (needs_gradient(h) && !needs_gradient(p)) return with_fixed_gate(x, h, s, p);
  const Tensor gated = h.in_format(x.format());
  Tensor y = empty_like(x);
  kernels::gated_stage_forward(x.device(), x.view(), gated.view(), s.view(), p.view(), y.view());
  return record("gated_stage", y, {x, h, p},
                [h = gated.detach(), s = s.detach(), p = p.detach(), x_wanted = needs_gradient(x),
                 h_wanted = needs_gradient(h),
                 p_wanted = needs_gradient(p)](Tensor dy) -> std::vector<Tensor> {
                  const kernels::ConstView from = dy.view();
                  Tensor dx, dh, dp;
                  if (x_wanted) dx = dy;
                  if (h_wanted) dh = reuse_or_empty_like(dy);  // a new one where dx holds dy
                  if (p_wanted) dp = empty_like(p);
                  if (h_wanted || p_wanted)
                    kernels::gated_stage_backward(from.device, from, h.view(), s.view(), p.view(),
                                                  h_wanted ? dh.view() : kernels::View{},
                                                  p_wanted ? dp.view() : kernels::View{});
                  return {dx, dh, dp};
                });
}

MaskedStage masked_stage(const Tensor& x, const Tensor& h, const Tensor& s, const Tensor& p) {
  check_stage("masked_stage", x, h, s, p);
  const Tensor gated = h.in_format(x.format());
  MaskedStage result;
  result.y = empty_like(x);
  result.mask.shape = x.shape();
  result.mask.format = x.format();
  result.mask.bits = Tensor::empty({kernels::mask_bytes(x.numel())}, {DType::kUInt8, x.device()});
  kernels::masked_stage(x.device(), x.view(), gated.view(), s.view(), p.view(), result.y.view(),
                        result.mask.bits.view());
  return result;
}

Tensor frozen_stage(const Tensor& v, const ReluMask& mask, const Tensor& s, const Tensor& p) {
  check(v.shape() == mask.shape, "frozen_stage: a mask of maps {} for maps {}",
        mask.shape.to_string(), v.shape().to_string());
  check_scale("frozen_stage", v, s);
  check_gate("frozen_stage", v, p);
  const Tensor from = v.in_format(mask.format);
  Tensor y = empty_like(from);
  kernels::frozen_stage(v.device(), from.view(), mask.bits.view(), s.view(), p.view(), y.view());
  return y;
}

// dL/dp_i = 2 alpha_i p_i dL/dy
Tensor gate_penalty(const Tensor& p, const std::vector<double>& alpha) {
  check(p.shape().rank() == 1 && p.dim(0) == static_cast<std::int64_t>(alpha.size()),
        "gate_penalty: gates of shape {} and {} values of alpha: one for each gate is needed",
        p.shape().to_string(), alpha.size());
  Tensor y = Tensor::empty({}, {p.dtype(), p.device()});
  kernels::gate_penalty_forward(p.device(), p.view(), alpha, y.view());
  return record("gate_penalty", y, {p}, [p = p.detach(), alpha](Tensor dy) -> std::vector<Tensor> {
    Tensor dp = empty_like(p);
    kernels::gate_penalty_backward(p.device(), p.view(), alpha, std::as_const(dy).view(),
                                   dp.view());
    return {dp};
  });
}

}  // namespace concord
