#pragma once
// The Trans-Net's own operations on maps [N,C,H,W] of any memory format. A scale s is [N,C] or [C]
// and of the maps' dtype (float32 beside bfloat16 maps), a gate p has one element. Formulas:
// engine/ops/gated_stage.h.

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

// A mask over maps: bit i % 32 of the 32-bit word i / 32 says whether the ReLU lets element i of
// the buffer through (i in memory order). It is 0 for h <= 0 and behind the last element; a NaN is
// let through, so that it is not lost. It is held in bytes, uint8 [mask_bytes(elements)].
inline constexpr std::int64_t mask_bytes(std::int64_t elements) { return (elements + 31) / 32 * 4; }
// Throws unless `mask` is one for `maps`, naming the kernel.
inline void check_mask(const char* kernel, const ConstView& maps, const ConstView& mask) {
  check(mask.dtype == DType::kUInt8 && mask.numel() == mask_bytes(maps.numel()),
        "{}: the mask of maps {} is uint8 of {} bytes, not {} {}", kernel, maps.shape.to_string(),
        mask_bytes(maps.numel()), name_of(mask.dtype), mask.shape.to_string());
}

// gated_stage_forward, and the mask of h.
inline Kernel<void(ConstView x, ConstView h, ConstView s, ConstView p, View y, View mask)>
    masked_stage{"masked_stage"};
// y = p mask / s v, with the mask of maps in the memory format of v; y may be v.
inline Kernel<void(ConstView v, ConstView mask, ConstView s, ConstView p, View y)> frozen_stage{
    "frozen_stage"};

// value = sum_i alpha_i p_i^2
inline Kernel<void(ConstView p, const std::vector<double>& alpha, View value)> gate_penalty_forward{
    "gate_penalty_forward"};
// dp_i = 2 alpha_i p_i dy, with dy of one element.
inline Kernel<void(ConstView p, const std::vector<double>& alpha, ConstView dy, View dp)>
    gate_penalty_backward{"gate_penalty_backward"};

}  // namespace concord::kernels
