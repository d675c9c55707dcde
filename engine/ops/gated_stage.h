#pragma once
// The Trans-Net's own operations. Source: Liang et al., Knowledge Consistency between Neural
// Networks and Beyond, ICLR 2020, section 3, in the form of its published code. Any memory format,
// float32 or float64, or on CUDA bfloat16 maps beside float32 scales and gates; maps x, h
// [N,C,H,W].

#include <vector>

#include "engine/tensor.h"

namespace concord {

// s(v) [N,C]: per sample and channel the UNBIASED standard deviation over H x W, plus 1e-5 outside
// the root; 1 where H x W is 1. A constant to the gradient.
Tensor sample_scale(const Tensor& v);
// s(v) [C]: the same over N x H x W of the batch (1 when that is a single value).
Tensor batch_scale(const Tensor& v);

// v / s, with s [N,C] or [C] a constant: dL/dv = dL/dy / s.
Tensor divide_by_scale(const Tensor& v, const Tensor& s);

// y = x + p relu(h / s): x and h of one shape, s [N,C] or [C] a constant, p a tensor of one
// element.
//   dL/dx = dL/dy,  dL/dh = dL/dy p [h > 0] / s,  dL/dp = sum(dL/dy relu(h / s)).
Tensor gated_stage(const Tensor& x, const Tensor& h, const Tensor& s, const Tensor& p);

// Which elements of h a ReLU lets through: [h > 0], a NaN too. A bit each, in the memory order of
// maps of such a shape and format (kernels/gated_stage.h).
struct ReluMask {
  Tensor bits;
  Shape shape;
  MemoryFormat format = MemoryFormat::kPlain;
};

// gated_stage together with the mask of h, for a replay. Not differentiable (evaluation only):
// nothing is recorded.
struct MaskedStage {
  Tensor y;
  ReluMask mask;
};
MaskedStage masked_stage(const Tensor& x, const Tensor& h, const Tensor& s, const Tensor& p);

// y = p mask / s * v: the stage with its ReLU frozen, as in the replay of the orders of fuzziness.
// Not differentiable either.
Tensor frozen_stage(const Tensor& v, const ReluMask& mask, const Tensor& s, const Tensor& p);

// sum_i alpha_i p_i^2 of p [K-1] (K-1 may be 0: the result is 0): scalar. dL/dp_i = 2 alpha_i p_i.
Tensor gate_penalty(const Tensor& p, const std::vector<double>& alpha);

}  // namespace concord
