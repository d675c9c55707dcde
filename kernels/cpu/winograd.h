#pragma once
// Winograd's F(4x4,3x3) for float32: 36 products for each tile of 4x4 outputs, channel and output
// instead of 144. docs/kernels.md explains it.
//
// Source: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.

#include "kernels/cpu/conv2d.h"

namespace concord::kernels {

// Whether run_winograd can: 3x3, stride 1, dilation 1, one group, both images in the blocked format
// of a vector length that the machine has, or both channels-last (any channel count).
bool winograd_supports(const ConvolutionSetup& setup);

// The pass, by the calling thread and those of parallel_for. The bits do not depend on their
// number.
void run_winograd(Pass pass, const ConvolutionSetup& setup,
                  const ConvolutionBuffers<float>& buffers);

}  // namespace concord::kernels
