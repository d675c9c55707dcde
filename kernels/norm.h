#pragma once
// Normalisation of each channel, or of each channel of each sample, in any memory format.

#include "kernels/kernel.h"

namespace concord::kernels {

// Mean and biased variance of x [N,C,H,W], float64: per channel over N,H,W where they are [C], per
// sample and channel over H,W where they are [N,C]. The variance does not suffer from a large mean.
inline Kernel<void(ConstView x, View mean, View variance)> mean_and_variance{"mean_and_variance"};

// running = (1 - momentum) running + momentum batch; the variance made unbiased by
// count / (count - 1), `count` values having gone into each.
inline Kernel<void(ConstView mean, ConstView variance, std::int64_t count, double momentum,
                   View running_mean, View running_var)>
    update_running_moments{"update_running_moments"};

// What the two passes share. mean and variance are float64, [C] or [N,C].
struct NormArguments {
  ConstView x;
  ConstView mean;
  ConstView variance;
  ConstView weight;  // [C]; absent: 1
  ConstView bias;    // [C]; absent: 0
  double eps = 0;
  bool relu = false;
};

// y = weight (x - mean) / sqrt(variance + eps) + bias [+ residual] [then relu]. residual may be
// absent. NaN stays NaN.
inline Kernel<void(const NormArguments& arguments, ConstView residual, View y)> normalize_forward{
    "normalize_forward"};

struct NormGradients {
  View dx;        // may be dy's buffer, if d_residual is absent
  View residual;  // may be dy's buffer
  View weight;    // [C]
  View bias;      // [C]
};

// With g = dy where y > 0, else 0 (without relu: g = dy), M values behind each mean and variance,
// and x' = (x - mean) / sqrt(variance + eps):
//   residual = g,  bias = sum g,  weight = sum g x',
//   dx = weight / sqrt(variance + eps) (g - (sum g + x' sum g x') / M), or without the part in
//   brackets where the statistics are constants.
// Gradients that are absent are left out; so may x be where only g and dx of constant statistics
// are wanted. y is asked for where relu was applied to a sum with a residual, or x is absent; else
// its sign is computed from x, and no y need be kept for the backward pass.
inline Kernel<void(const NormArguments& arguments, ConstView y, ConstView dy,
                   bool constant_statistics, const NormGradients& gradients)>
    normalize_backward{"normalize_backward"};

}  // namespace concord::kernels
