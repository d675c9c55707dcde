#pragma once

#include "engine/tensor.h"
#include "kernels/conv2d.h"

namespace concord {

// Cross-correlation of x [N,C,H,W] with weight [O,C/groups,R,S], plus bias [O] where defined:
//   y[n,o,i,j] = bias[o] + sum over c,r,s of
//       weight[o,c,r,s] * x[n, g*C/groups + c, i*stride - padding + r*dilation, j*... + s*...]
// with g = o / (O/groups) and x zero outside. Output height
//   floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1, width likewise.
// float32 or float64, or on CUDA x and y in bfloat16 beside float32 parameters. On the CPU x is
// brought to the format that the convolution wants, and y comes in the one it makes: between
// convolutions no conversion is left. Throws on disagreeing shapes and on an empty output, quoting
// both shapes.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dOptions& options = {});

// relu?(conv2d(x, weight, bias) [+ residual]), for inference: each element is finished before it is
// stored. residual: undefined or of the result's shape; the result takes its memory where nobody
// else holds it. The relu may take a NaN in the sum to 0 (on the CPU oneDNN's does, Winograd's does
// not). Throws as conv2d does, and where a gradient would have to be recorded.
Tensor conv2d_inference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Conv2dOptions& options, bool relu, Tensor residual = {});

}  // namespace concord
