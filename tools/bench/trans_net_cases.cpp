// The Trans-Net's own kernels at the maps that the experiments compare.

#include "kernels/gated_stage.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

struct Operands {
  Tensor x, h, s, p, y, dp, mask;
  double elements = 0;
};

Operands operands_of(const Setting& setting, const Shape& maps, MemoryFormat format) {
  Operands o;
  o.x = random_maps(setting, maps, format);
  o.h = random_maps(setting, maps, format);
  o.s = Tensor::full({maps[0], maps[1]}, 1.5, {DType::kFloat32, setting.device});
  o.p = Tensor::full({1}, 0.5, {DType::kFloat32, setting.device});
  o.y = empty_like(o.x);
  o.dp = empty_like(o.p);
  o.mask = Tensor::zeros({kernels::mask_bytes(o.x.numel())}, {DType::kUInt8, setting.device});
  o.elements = static_cast<double>(o.x.numel());
  return o;
}

void add_stages(CaseList& list, const Shape& maps, MemoryFormat format) {
  const std::string text = text_of(maps, format);
  const auto operands = [s = list.setting(), maps, format] { return operands_of(s, maps, format); };
  list.add(kernels::divide_by_scale, text, "Trans-Net: its input", [operands] {
    Operands o = operands();
    return Work{[o]() mutable {
                  kernels::divide_by_scale(o.x.device(), o.x.view(), o.s.view(), o.y.view());
                },
                o.elements, bytes_of({o.x, o.s, o.y})};
  });
  list.add(kernels::gated_stage_forward, text, "Trans-Net: norm, ReLU, gate and sum", [operands] {
    Operands o = operands();
    return Work{[o]() mutable {
                  kernels::gated_stage_forward(o.x.device(), o.x.view(), o.h.view(), o.s.view(),
                                               o.p.view(), o.y.view());
                },
                4 * o.elements, bytes_of({o.x, o.h, o.s, o.y})};
  });
  list.add(kernels::gated_stage_backward, text, "Trans-Net: gradients of h and p", [operands] {
    Operands o = operands();
    return Work{[o]() mutable {
                  kernels::gated_stage_backward(o.x.device(), o.x.view(), o.h.view(), o.s.view(),
                                                o.p.view(), o.y.view(), o.dp.view());
                },
                5 * o.elements, bytes_of({o.x, o.h, o.s, o.y})};
  });
  list.add(kernels::frozen_stage, text, "Trans-Net: replay of the orders", [operands] {
    Operands o = operands();
    return Work{[o]() mutable {
                  kernels::frozen_stage(o.x.device(), o.x.view(), o.mask.view(), o.s.view(),
                                        o.p.view(), o.y.view());
                },
                2 * o.elements, bytes_of({o.x, o.mask, o.s, o.y})};
  });
  list.add(kernels::masked_stage, text, "Trans-Net: the stage whose mask is replayed", [operands] {
    Operands o = operands();
    return Work{[o]() mutable {
                  kernels::masked_stage(o.x.device(), o.x.view(), o.h.view(), o.s.view(),
                                        o.p.view(), o.y.view(), o.mask.view());
                },
                4 * o.elements, bytes_of({o.x, o.h, o.mask, o.s, o.y})};
  });
}

}  // namespace

void add_trans_net_cases(CaseList& list) {
  const std::int64_t batch = list.batch();
  const Shape large = {batch, 512, 28, 28};
  for (const MemoryFormat format : all_formats(list.setting(), large))
    add_stages(list, large, format);
  for (const Shape& maps :
       {Shape{batch, 512, 14, 14}, Shape{batch, 256, 14, 14}, Shape{batch, 1024, 14, 14}})
    add_stages(list, maps, network_format(list.setting(), maps));

  list.add(kernels::scale_from_variance, fmt::format("{}x512", batch), "Trans-Net: s of variances",
           [s = list.setting()] {
             const Shape shape = {s.batch_size, 512};
             Tensor variance = Tensor::full(shape, 2, {DType::kFloat64, s.device});
             Tensor scale = empty_tensor(s, shape);
             return Work{[variance, scale]() mutable {
                           kernels::scale_from_variance(variance.device(), variance.view(), 784,
                                                        scale.view());
                         },
                         3.0 * static_cast<double>(shape.numel()), bytes_of({variance, scale})};
           });
  const auto gates = [s = list.setting()] { return random_tensor(s, {2}); };
  const std::vector<double> alpha = {0.1, 0.1};
  list.add(kernels::gate_penalty_forward, "2", "Trans-Net: the penalty of the loss",
           [gates, alpha, s = list.setting()] {
             Tensor p = gates();
             Tensor value = empty_tensor(s, {});
             return Work{[p, value, alpha]() mutable {
                           kernels::gate_penalty_forward(p.device(), p.view(), alpha, value.view());
                         },
                         6, bytes_of({p, value})};
           });
  list.add(kernels::gate_penalty_backward, "2", "Trans-Net: the penalty of the loss",
           [gates, alpha, s = list.setting()] {
             Tensor p = gates();
             Tensor dp = empty_like(p);
             Tensor dy = Tensor::full({}, 1, {DType::kFloat32, s.device});
             return Work{[p, dp, dy, alpha]() mutable {
                           kernels::gate_penalty_backward(p.device(), p.view(), alpha, dy.view(),
                                                          dp.view());
                         },
                         6, bytes_of({p, dp, dy})};
           });
}

}  // namespace concord::bench
