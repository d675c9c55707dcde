#pragma once
// The Trans-Net's own operations on maps [N,C,H,W] of any memory format. A scale s is [N,C] or [C]
// and of the maps' dtype, a gate p has one element. Formulas: engine/ops/gated_stage.h.

#include <vector>

#include "kernels/kernel.h"

namespace concord::kernels {

// s = sqrt(variance count / (count - 1)) + 1e-5, or 1 where count is 1: `count` values are behind
// each biased variance (float64, from mean_and_variance).
inline Kernel<void(ConstView variance, std::int64_t count, View s)> scale_from_variance{
    "scale_from_variance"};

// y = v / s; y may be v.
inline Kernel<void(ConstView v, ConstView s, View y)> divide_by_scale{"divide_by_scale"};

// y = x + p relu(h / s)
inline Kernel<void(ConstView x, ConstView h, ConstView s, ConstView p, View y)> gated_stage_forward{
    "gated_stage_forward"};
// dh = dy p [h > 0] / s, dp = sum(dy relu(h / s)), in one sweep. dh may be dy; either may be
// absent.
inline Kernel<void(ConstView dy, ConstView h, ConstView s, ConstView p, View dh, View dp)>
    gated_stage_backward{"gated_stage_backward"};

// y = p [h > 0] / s v
inline Kernel<void(ConstView v, ConstView h, ConstView s, ConstView p, View y)> frozen_stage{
    "frozen_stage"};

// value = sum_i alpha_i p_i^2
inline Kernel<void(ConstView p, const std::vector<double>& alpha, View value)> gate_penalty_forward{
    "gate_penalty_forward"};
// dp_i = 2 alpha_i p_i dy, with dy of one element.
inline Kernel<void(ConstView p, const std::vector<double>& alpha, ConstView dy, View dp)>
    gate_penalty_backward{"gate_penalty_backward"};

}  // namespace concord::kernels
