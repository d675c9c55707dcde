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
// number. Takes a workspace of some 16 to 60 MiB, but the gradient of the weights 2.5 times 36 C O
// floats where that is more (360 MiB at 1024 channels), which the thread keeps for its next calls.
void run_winograd(Pass pass, const ConvolutionSetup& setup,
                  const ConvolutionBuffers<float>& buffers);

}  // namespace concord::kernels
