#pragma once
// Pooling of [N,C,H,W] in any memory format, y in x's. The formulas stand in engine/ops/pooling.h.
// float32 and float64. Results are overwritten. CUDA takes plain and channels-last tensors whose
// maps (channels-last: samples) have at most 2^30 elements, and throws for others.

#include "kernels/conv2d.h"

namespace concord {

struct MaxPool2dOptions {
  Size2d kernel = {2, 2};
  Size2d stride = {2, 2};
  Size2d padding = {0, 0};
};

namespace kernels {

// index: of y's shape and format, the cell of the window (row * kernel width + column) that holds
// the maximum; uint8 where the window has at most 256 cells, else int64. It may be absent.
inline Kernel<void(ConstView x, const MaxPool2dOptions& options, View y, View index)>
    max_pool2d_forward{"max_pool2d_forward"};
inline Kernel<void(ConstView dy, ConstView index, const MaxPool2dOptions& options, View dx)>
    max_pool2d_backward{"max_pool2d_backward"};

inline Kernel<void(ConstView x, View y)> adaptive_avg_pool2d_forward{"adaptive_avg_pool2d_forward"};
inline Kernel<void(ConstView dy, View dx)> adaptive_avg_pool2d_backward{
    "adaptive_avg_pool2d_backward"};

}  // namespace kernels
}  // namespace concord
