#pragma once
// Normalisations of [N,C,H,W] (or [N,C]) tensors of any memory format, float32 or float64, or on
// CUDA bfloat16 beside float32 parameters and statistics.

#include "engine/tensor.h"

namespace concord {

struct BatchNormOptions {
  // true: normalise by the batch's mean and biased variance and move the running statistics;
  // false (evaluation or frozen): normalise by the running statistics, which get no gradient.
  bool training = true;
  double momentum = 0.1;  // running = (1 - momentum) running + momentum batch (unbiased variance)
  double eps = 1e-5;
  // Apply relu to the result, in the same pass.
  bool relu = false;
};

// y = weight_c (x - mean_c) / sqrt(var_c + eps) + bias_c [+ residual] [then relu].
// weight and bias [C], or both undefined (1 and 0). running_mean and running_var [C] are updated in
// place when training and defined; without them the batch's statistics are used in any mode.
// residual: undefined or of x's shape; it receives the gradient too.
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor running_mean,
                  Tensor running_var, const BatchNormOptions& options, const Tensor& residual = {});

// The same per sample and channel over H x W, without running statistics (torch InstanceNorm2d).
// Throws on 1x1 maps, where the variance is of one value, as PyTorch does in training.
Tensor instance_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

}  // namespace concord
