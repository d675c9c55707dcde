#pragma once

#include "kernels/kernel.h"

namespace concord::kernels {

// mean[c] = the mean of x[:,c,:,:] and squares[c] = sum (x[:,c,:,:] - mean[c])^2, in two passes in
// double: x [N,C,...] of any memory format, float32 or float64, with at least one value a channel;
// mean and squares float64 [C].
inline Kernel<void(ConstView x, View mean, View squares)> channel_moments{"channel_moments"};

}  // namespace concord::kernels
