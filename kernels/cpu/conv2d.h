#pragma once
// What the parts of the CPU's convolution share. float32 runs on oneDNN (conv2d_float.cpp), float64
// as im2col and matrix products (conv2d_double.cpp); conv2d.cpp holds the rules that choose.

#include "kernels/conv2d.h"
#include "kernels/cpu/onednn.h"

namespace concord::kernels {

using onednn::Pass;

// One convolution: shapes, memory formats and options. x is the input or its gradient, y the output
// or its gradient; weight is [O,C/groups,R,S].
struct ConvolutionSetup {
  Shape x;
  MemoryFormat x_format = MemoryFormat::kPlain;
  Shape weight;
  Shape y;
  MemoryFormat y_format = MemoryFormat::kPlain;
  Conv2dOptions options;
};

// The buffers of a pass: x, weight and bias are read and y written forward; y and weight are read
// and x written backward to the data; x and y read, weight and bias written backward to the
// weights. bias may be null.
template <class T>
struct ConvolutionBuffers {
  T* x = nullptr;
  T* weight = nullptr;
  T* bias = nullptr;
  T* y = nullptr;
  Conv2dEpilogue epilogue = {};  // of the forward pass
};

// oneDNN has no blocked convolution for groups narrower than a vector. So many neighbouring groups
// are run as one whose weight is block-diagonal: 1 where none need be, 0 where no number of them
// fills vectors.
std::int64_t groups_to_merge(std::int64_t channels, std::int64_t outputs, std::int64_t groups);

// The epilogue as a sweep of its own, for a convolution that cannot do it on the way: y = result
// [+ y] [then relu, which keeps NaN]. `result` may be y, where nothing is added.
template <class T>
void end_convolution(const T* result, std::int64_t size, const Conv2dEpilogue& epilogue, T* y);

// Whether the pass runs as Winograd when the choice is ours: a function of the shapes.
bool winograd_wins(Pass pass, const ConvolutionSetup& setup);

void run_convolution_float(Pass pass, const ConvolutionSetup& setup,
                           const ConvolutionBuffers<float>& buffers);
// Plain format only.
void run_convolution_double(Pass pass, const ConvolutionSetup& setup,
                            const ConvolutionBuffers<double>& buffers);

}  // namespace concord::kernels
