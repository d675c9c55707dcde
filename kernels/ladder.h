#pragma once
// Ladders: one kernel written several times, from what one writes first up to what the engine runs,
// each rung changing one thing of the one below. They are there to be read and measured
// (docs/kernels.md); the engine calls none of them.

#include <span>

#include "kernels/kernel.h"

namespace concord::kernels {

template <class Signature>
struct Rung {
  const char* name;    // "2_coalesced"
  const char* change;  // one sentence: what it does other than the rung below
  Signature* run;
};

// The rungs that a device has, lowest first; the highest calls the engine's own kernel. The CPU has
// no ladder.
template <class Signature>
using Ladder = Kernel<std::span<const Rung<Signature>>()>;

// y = x + p relu(h / s): kernels::gated_stage_forward, and like it in all arguments.
inline Ladder<void(ConstView x, ConstView h, ConstView s, ConstView p, View y)> gated_stage_ladder{
    "LADDER/gated_stage"};

// Batch norm in training: mean and biased variance (float64, [C]) of x [N,C] or [N,C,H,W] over all
// but the channels, as kernels::mean_and_variance, then y = weight (x - mean) / sqrt(variance +
// eps) + bias, as kernels::normalize_forward. weight and bias are [C] and of x's dtype. Without y
// only the statistics are computed. Throws for an empty x.
inline Ladder<void(ConstView x, ConstView weight, ConstView bias, double eps, View mean,
                   View variance, View y)>
    batch_norm_ladder{"LADDER/batch_norm"};

}  // namespace concord::kernels
