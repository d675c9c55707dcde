// Where a GPU has cuDNN and cuBLAS, tests on the host have the CPU's kernels on the same memory, so
// that whole networks run beside our own CUDA kernels. They test nothing of the libraries.

#include "kernels/conv2d.h"
#include "kernels/cuda/bias.h"
#include "kernels/device.h"
#include "kernels/graph.h"
#include "kernels/linear.h"
#include "kernels/simt/graph.h"

namespace concord::kernels {
namespace {

constexpr Device kHost = {};

template <class AnyView>
AnyView on_host(AnyView view) {
  view.device = kHost;
  return view;
}

Conv2dFormats conv2d_formats_simt(const Shape&, MemoryFormat format, DType dtype, const Shape&,
                                  const Conv2dOptions&) {
  if (dtype != DType::kFloat32) return {};
  // As on a GPU with TF32, where a caller brought it.
  if (format == MemoryFormat::kChannelsLast) return {format, format};
  return {};
}

void conv2d_forward_simt(ConstView x, ConstView weight, ConstView bias,
                         const Conv2dOptions& options, const Conv2dEpilogue& epilogue, View y) {
  simt::submit([=] {
    conv2d_forward(kHost, on_host(x), on_host(weight), ConstView(), options,
                   Conv2dEpilogue{.add = epilogue.add}, on_host(y));
  });
  cuda::add_bias(y, bias, epilogue.relu);
}
void conv2d_backward_data_simt(ConstView dy, ConstView weight, const Conv2dOptions& options,
                               View dx) {
  simt::submit(
      [=] { conv2d_backward_data(kHost, on_host(dy), on_host(weight), options, on_host(dx)); });
}
void conv2d_backward_weights_simt(ConstView x, ConstView dy, const Conv2dOptions& options,
                                  View d_weight, View d_bias) {
  simt::submit([=] {
    conv2d_backward_weights(kHost, on_host(x), on_host(dy), options, on_host(d_weight), View());
  });
  if (d_bias) cuda::sum_per_channel(dy, d_bias);
}
void linear_forward_simt(ConstView x, ConstView weight, ConstView bias, View y) {
  simt::submit(
      [=] { linear_forward(kHost, on_host(x), on_host(weight), ConstView(), on_host(y)); });
  cuda::add_bias(y, bias, false);
}
void linear_backward_data_simt(ConstView dy, ConstView weight, View dx) {
  simt::submit([=] { linear_backward_data(kHost, on_host(dy), on_host(weight), on_host(dx)); });
}
void linear_backward_weights_simt(ConstView x, ConstView dy, View d_weight) {
  simt::submit([=] { linear_backward_weights(kHost, on_host(x), on_host(dy), on_host(d_weight)); });
}
void linear_backward_bias_simt(ConstView dy, View d_bias) { cuda::sum_per_channel(dy, d_bias); }
void use_device_simt(int) {}
std::string describe_device_simt(int) { return "the host runner of kernels"; }
void synchronize_simt() { refuse_while_capturing("synchronize"); }

const Registration registrations[] = {
    {conv2d_formats, DeviceType::kCuda, conv2d_formats_simt},
    {conv2d_forward, DeviceType::kCuda, conv2d_forward_simt},
    {conv2d_backward_data, DeviceType::kCuda, conv2d_backward_data_simt},
    {conv2d_backward_weights, DeviceType::kCuda, conv2d_backward_weights_simt},
    {linear_forward, DeviceType::kCuda, linear_forward_simt},
    {linear_backward_data, DeviceType::kCuda, linear_backward_data_simt},
    {linear_backward_weights, DeviceType::kCuda, linear_backward_weights_simt},
    {linear_backward_bias, DeviceType::kCuda, linear_backward_bias_simt},
    {use_device, DeviceType::kCuda, use_device_simt},
    {describe_device, DeviceType::kCuda, describe_device_simt},
    {synchronize, DeviceType::kCuda, synchronize_simt},
};

}  // namespace
}  // namespace concord::kernels
