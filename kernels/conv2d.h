#pragma once

#include "kernels/kernel.h"

namespace concord {

struct Size2d {
  std::int64_t height = 1;
  std::int64_t width = 1;
  friend bool operator==(const Size2d&, const Size2d&) = default;
};

// How a float32 convolution is computed. kAuto is a fixed rule of the shapes
// (kernels/cpu/conv2d.cpp, with the measurements behind it), not a race, so that a seed fixes the
// bits. kWinograd asks for Winograd's F(4x4,3x3) and gets the direct convolution where there is
// none: kernels other than 3x3, strides, dilations, groups, a plain image (that of the first
// layer), machines without AVX2.
enum class ConvolutionAlgorithm : std::uint8_t { kAuto, kDirect, kWinograd };

struct Conv2dOptions {
  Size2d stride = {1, 1};
  Size2d padding = {0, 0};
  Size2d dilation = {1, 1};
  std::int64_t groups = 1;
};

namespace kernels {

// The process-wide choice (--convolution auto|direct|winograd).
ConvolutionAlgorithm convolution_algorithm();
void set_convolution_algorithm(ConvolutionAlgorithm algorithm);

// How cuDNN's algorithm for a shape is found, once per shape.
struct CudnnSearch {
  bool measure = false;       // run them all and take the fastest; else cuDNN's own ranking
  bool deterministic = true;  // only those that give the same bits each time
  std::size_t workspace_bytes = std::size_t{1} << 30;  // only those that need no more
};
CudnnSearch cudnn_search();
void set_cudnn_search(const CudnnSearch& search);

// The memory formats in which the device computes this convolution best.
struct Conv2dFormats {
  MemoryFormat input = MemoryFormat::kPlain;
  MemoryFormat output = MemoryFormat::kPlain;
};
inline Kernel<Conv2dFormats(const Shape& x, MemoryFormat x_format, DType dtype, const Shape& weight,
                            const Conv2dOptions& options)>
    conv2d_formats{"conv2d_formats"};

// What is done to each output before it is stored.
struct Conv2dEpilogue {
  bool add = false;  // to what stands in y
  // At last. Takes NaN to 0 where the device's library does.
  bool relu = false;
  friend bool operator==(const Conv2dEpilogue&, const Conv2dEpilogue&) = default;
};

// Operands in the formats above; weight, bias and their gradients plain. float32 and float64; on
// CUDA images may be bfloat16, beside weights, biases and gradients of these in float32. The
// formula stands in engine/ops/conv2d.h. Results are overwritten, but for an epilogue that adds.
inline Kernel<void(ConstView x, ConstView weight, ConstView bias, const Conv2dOptions& options,
                   const Conv2dEpilogue& epilogue, View y)>
    conv2d_forward{"conv2d_forward"};
inline Kernel<void(ConstView dy, ConstView weight, const Conv2dOptions& options, View dx)>
    conv2d_backward_data{"conv2d_backward_data"};
// d_bias may be absent.
inline Kernel<void(ConstView x, ConstView dy, const Conv2dOptions& options, View d_weight,
                   View d_bias)>
    conv2d_backward_weights{"conv2d_backward_weights"};

}  // namespace kernels
}  // namespace concord
