#include "kernels/cpu/conv2d.h"

#include <algorithm>
#include <limits>

#include "kernels/cpu/winograd.h"
#include "kernels/parallel.h"

namespace concord::kernels {

std::int64_t groups_to_merge(std::int64_t channels, std::int64_t outputs, std::int64_t groups) {
  const std::int64_t lanes = onednn::vector_lanes();
  const std::int64_t group_channels = channels / groups;
  const std::int64_t group_outputs = outputs / groups;
  // Depthwise convolutions have a blocked implementation of their own.
  if (group_channels == 1 && group_outputs == 1) return groups % lanes == 0 ? 1 : 0;
  for (std::int64_t merged = 1; merged <= std::min(groups, lanes); ++merged) {
    if (groups % merged == 0 && group_channels * merged % lanes == 0 &&
        group_outputs * merged % lanes == 0)
      return merged;
  }
  return 0;
}

// Measured on two cores, AVX-512 and AVX2, against oneDNN 2.6's direct convolution, over batches of
// 1 to 16, maps of 4x4 to 56x56 and 16 to 512 channels (docs/results/cpu.md); where it wins the
// gain is 1.05 to 3.3. The transforms of the weights are earned back by tiles, those of the images
// by channels; the gradient of the weights transforms one way more and needs some tiles. Its sum is
// four times the weight, so very wide layers, of which no network here has one, are left to the
// direct convolution.
bool winograd_wins(Pass pass, const ConvolutionSetup& setup) {
  constexpr std::int64_t kWidest = std::int64_t{1536} * 1536;  // 36 sums of 4 bytes each: 324 MiB
  const std::int64_t tiles = setup.y[0] * setup.y[2] * setup.y[3] / 16;
  const std::int64_t channels = std::min(setup.x[1], setup.y[1]);
  if (std::min(setup.y[2], setup.y[3]) < 4) return false;
  if (channels < 32) return channels >= 16 && tiles >= 1024;
  if (tiles * channels < 768) return false;
  return pass != Pass::kBackwardWeights || (tiles >= 12 && setup.x[1] * setup.y[1] <= kWidest);
}

template <class T>
void end_convolution(const T* result, std::int64_t size, const Conv2dEpilogue& epilogue, T* y) {
  constexpr std::int64_t kGrain = 1 << 15;
  const T least = epilogue.relu ? T(0) : -std::numeric_limits<T>::infinity();
  parallel_for(size, kGrain, [=, add = epilogue.add](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T v = add ? result[i] + y[i] : result[i];
      y[i] = v < least ? least : v;
    }
  });
}
template void end_convolution(const float*, std::int64_t, const Conv2dEpilogue&, float*);
template void end_convolution(const double*, std::int64_t, const Conv2dEpilogue&, double*);

namespace {

// Blocked to blocked wherever vectors divide the channels, and from a plain image of at most 3
// channels to blocked. For other channel counts oneDNN is best at channels-last.
Conv2dFormats conv2d_formats_cpu(const Shape& x, MemoryFormat, DType dtype, const Shape& weight,
                                 const Conv2dOptions& options) {
  const MemoryFormat vectors = onednn::vector_format();
  if (dtype != DType::kFloat32 || vectors == MemoryFormat::kPlain) return {};
  const std::int64_t channels = x[1];
  const std::int64_t outputs = weight[0];
  if (groups_to_merge(channels, outputs, options.groups) > 0) return {vectors, vectors};
  if (options.groups == 1 && channels <= 3 && outputs % onednn::vector_lanes() == 0)
    return {MemoryFormat::kPlain, vectors};
  return {MemoryFormat::kChannelsLast, MemoryFormat::kChannelsLast};
}

bool wants_winograd(Pass pass, const ConvolutionSetup& setup) {
  const ConvolutionAlgorithm algorithm = convolution_algorithm();
  return algorithm != ConvolutionAlgorithm::kDirect && winograd_supports(setup) &&
         (algorithm == ConvolutionAlgorithm::kWinograd || winograd_wins(pass, setup));
}

void* writable(ConstView view) { return const_cast<void*>(view.data); }

// Which of the buffers are written depends on the pass; the caller's views say so.
void run(Pass pass, const ConstView& x, const ConstView& weight, const ConstView& bias,
         const ConstView& y, const Conv2dOptions& options, const Conv2dEpilogue& epilogue = {}) {
  const ConvolutionSetup setup{x.shape, x.format, weight.shape, y.shape, y.format, options};
  with_float(y, "conv2d", [&]<class T>(T) {
    for (const ConstView* view : {&x, &weight, &bias})
      check(!*view || view->dtype == kDTypeOf<T>, "conv2d: operands are {} and {}",
            name_of(view->dtype), name_of(kDTypeOf<T>));
    const ConvolutionBuffers<T> buffers{
        static_cast<T*>(writable(x)), static_cast<T*>(writable(weight)),
        static_cast<T*>(writable(bias)), static_cast<T*>(writable(y)), epilogue};
    if constexpr (std::is_same_v<T, double>)
      run_convolution_double(pass, setup, buffers);
    else if (wants_winograd(pass, setup))
      run_winograd(pass, setup, buffers);
    else
      run_convolution_float(pass, setup, buffers);
  });
}

void conv2d_forward_cpu(ConstView x, ConstView weight, ConstView bias, const Conv2dOptions& options,
                        const Conv2dEpilogue& epilogue, View y) {
  if (y.numel() > 0) run(Pass::kForward, x, weight, bias, y, options, epilogue);
}

void conv2d_backward_data_cpu(ConstView dy, ConstView weight, const Conv2dOptions& options,
                              View dx) {
  if (dx.numel() > 0) run(Pass::kBackwardData, dx, weight, {}, dy, options);
}

void conv2d_backward_weights_cpu(ConstView x, ConstView dy, const Conv2dOptions& options,
                                 View d_weight, View d_bias) {
  if (x.numel() > 0) return run(Pass::kBackwardWeights, x, d_weight, d_bias, dy, options);
  for (const View& result : {d_weight, d_bias}) {
    if (!result) continue;
    std::fill_n(static_cast<char*>(result.data),
                static_cast<std::size_t>(result.numel()) * size_of(result.dtype), '\0');
  }
}

const Registration registrations[] = {
    {conv2d_formats, DeviceType::kCpu, conv2d_formats_cpu},
    {conv2d_forward, DeviceType::kCpu, conv2d_forward_cpu},
    {conv2d_backward_data, DeviceType::kCpu, conv2d_backward_data_cpu},
    {conv2d_backward_weights, DeviceType::kCpu, conv2d_backward_weights_cpu},
};

}  // namespace
}  // namespace concord::kernels
