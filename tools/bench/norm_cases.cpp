#include "kernels/norm.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

struct Operands {
  Tensor x, y, dy, residual, mean, variance, weight, bias;
  Tensor dx, d_residual, d_weight, d_bias;
};

// Statistics per channel, or per sample and channel (`per_sample`, instance norm).
Operands operands_of(const Setting& s, const Shape& maps, MemoryFormat format, bool per_sample) {
  Operands o;
  o.x = random_maps(s, maps, format);
  o.y = empty_like(o.x);
  o.dy = random_maps(s, maps, format);
  o.residual = random_maps(s, maps, format);
  const Shape moments = per_sample ? Shape{maps[0], maps[1]} : Shape{maps[1]};
  o.mean = empty_tensor(s, moments, MemoryFormat::kPlain, DType::kFloat64);
  o.variance = empty_like(o.mean);
  kernels::mean_and_variance(s.device, o.x.view(), o.mean.view(), o.variance.view());
  o.weight = random_tensor(s, {maps[1]});
  o.bias = random_tensor(s, {maps[1]});
  o.dx = empty_like(o.x);
  o.d_residual = empty_like(o.x);
  o.d_weight = empty_like(o.weight);
  o.d_bias = empty_like(o.bias);
  return o;
}

kernels::NormArguments arguments_of(const Operands& o, bool relu) {
  return {.x = o.x.view(),
          .mean = o.mean.view(),
          .variance = o.variance.view(),
          .weight = o.weight.view(),
          .bias = o.bias.view(),
          .eps = 1e-5,
          .relu = relu};
}

// What a normalisation does besides: "", "relu" or "add+relu" (the end of a residual block).
struct Fused {
  const char* name;
  bool relu;
  bool residual;
};
constexpr Fused kFused[] = {{"", false, false}, {"/relu", true, false}, {"/add+relu", true, true}};

void add_moments(CaseList& list, const Shape& maps, MemoryFormat format, bool per_sample,
                 const char* used_by) {
  list.add(kernels::mean_and_variance, text_of(maps, format) + (per_sample ? "/per-sample" : ""),
           used_by, [s = list.setting(), maps, format, per_sample] {
             Operands o = operands_of(s, maps, format, per_sample);
             return Work{[o]() mutable {
                           kernels::mean_and_variance(o.x.device(), o.x.view(), o.mean.view(),
                                                      o.variance.view());
                         },
                         4.0 * static_cast<double>(o.x.numel()), bytes_of({o.x})};
           });
}

void add_normalize(CaseList& list, const Shape& maps, MemoryFormat format, const Fused& fused,
                   const char* used_by) {
  const std::string text = text_of(maps, format) + fused.name;
  list.add(kernels::normalize_forward, text, used_by, [s = list.setting(), maps, format, fused] {
    Operands o = operands_of(s, maps, format, false);
    const double flops = 2.0 + fused.relu + fused.residual;
    return Work{[o, fused]() mutable {
                  kernels::normalize_forward(
                      o.x.device(), arguments_of(o, fused.relu),
                      fused.residual ? std::as_const(o.residual).view() : kernels::ConstView(),
                      o.y.view());
                },
                flops * static_cast<double>(o.x.numel()),
                bytes_of({o.x, o.y}) + (fused.residual ? bytes_of({o.residual}) : 0)};
  });
  for (const bool constant : {false, true}) {
    if (constant && fused.residual) continue;
    list.add(kernels::normalize_backward, text + (constant ? "/constant" : "/training"),
             constant ? "batch norm kept in evaluation" : used_by,
             [s = list.setting(), maps, format, fused, constant] {
               Operands o = operands_of(s, maps, format, false);
               const double flops = 8.0 + fused.relu;
               return Work{[o, fused, constant]() mutable {
                             kernels::NormGradients gradients{.dx = o.dx.view(),
                                                              .residual = {},
                                                              .weight = o.d_weight.view(),
                                                              .bias = o.d_bias.view()};
                             if (fused.residual) gradients.residual = o.d_residual.view();
                             kernels::normalize_backward(
                                 o.x.device(), arguments_of(o, fused.relu),
                                 fused.residual ? std::as_const(o.y).view() : kernels::ConstView(),
                                 o.dy.view(), constant, gradients);
                           },
                           flops * static_cast<double>(o.x.numel()),
                           bytes_of({o.x, o.dy, o.dx}) +
                               (fused.residual ? bytes_of({o.y, o.d_residual}) : 0)};
             });
  }
}

}  // namespace

void add_norm_cases(CaseList& list) {
  const std::int64_t batch = list.batch();
  const Shape vgg_1 = {batch, 64, 224, 224};
  const Shape vgg_4 = {batch, 512, 28, 28};
  const Shape resnet_1 = {batch, 256, 56, 56};
  const Shape resnet_3 = {batch, 1024, 14, 14};
  const auto blocked = [&](const Shape& maps) { return network_format(list.setting(), maps); };

  add_moments(list, vgg_1, blocked(vgg_1), false, "vgg_bn block 1");
  for (const MemoryFormat format : all_formats(list.setting(), vgg_4)) {
    add_moments(list, vgg_4, format, false, "vgg_bn block 4");
    add_moments(list, vgg_4, format, true, "Trans-Net: the scales s");
  }
  for (const Fused& fused : kFused) {
    if (!fused.residual) {
      add_normalize(list, vgg_1, blocked(vgg_1), fused, "vgg_bn block 1");
      for (const MemoryFormat format : all_formats(list.setting(), vgg_4))
        add_normalize(list, vgg_4, format, fused, "vgg_bn block 4");
    }
    add_normalize(list, resnet_1, blocked(resnet_1), fused, "resnet50 layer1");
    add_normalize(list, resnet_3, blocked(resnet_3), fused, "resnet50 layer3");
  }
  list.add(kernels::update_running_moments, "512", "vgg_bn blocks 4 and 5", [s = list.setting()] {
    const Shape shape = {512};
    Tensor mean = Tensor::full(shape, 1, {DType::kFloat64, s.device});
    Tensor variance = Tensor::full(shape, 1, {DType::kFloat64, s.device});
    Tensor running_mean = random_tensor(s, shape);
    Tensor running_var = random_tensor(s, shape);
    return Work{[mean, variance, running_mean, running_var]() mutable {
                  kernels::update_running_moments(mean.device(), mean.view(), variance.view(), 6272,
                                                  0.1, running_mean.view(), running_var.view());
                },
                7.0 * 512,
                bytes_of({mean, variance, running_mean, running_var}) +
                    bytes_of({running_mean, running_var})};
  });
}

}  // namespace concord::bench
