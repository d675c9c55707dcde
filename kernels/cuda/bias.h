#pragma once

#include "kernels/view.h"

namespace concord::cuda {

// y[n,c,...] = y + bias[c] where bias is given, then relu (NaN stays NaN) where asked for. y is
// [N,C] or [N,C,H,W] in any memory format.
void add_bias(const kernels::View& y, const kernels::ConstView& bias, bool relu);

// sums[c] = the sum of x over everything but the channels, accumulated in double.
void sum_per_channel(const kernels::ConstView& x, const kernels::View& sums);

}  // namespace concord::cuda
