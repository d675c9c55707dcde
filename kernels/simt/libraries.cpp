// Where a GPU has cuDNN and cuBLAS, tests on the host have the CPU's kernels on the same memory, so
// that whole networks run beside our own CUDA kernels. They test nothing of the libraries.

#include <vector>

#include "kernels/conv2d.h"
#include "kernels/cuda/bias.h"
#include "kernels/device.h"
#include "kernels/graph.h"
#include "kernels/linear.h"
#include "kernels/memory.h"
#include "kernels/simt/graph.h"

namespace concord::kernels {
namespace {

constexpr Device kHost = {};

template <class AnyView>
AnyView on_host(AnyView view) {
  view.device = kHost;
  return view;
}

// An operand of bfloat16 as the CPU's kernels take it: its values in float32. Others are
// themselves.
class Widened {
 public:
  explicit Widened(ConstView given) : view_(on_host(given)) {
    if (given && given.dtype == DType::kBFloat16) read(view_);
  }
  // A parameter beside images of `images`: rounded to it first, as the libraries have it.
  Widened(ConstView parameter, DType images) : view_(on_host(parameter)) {
    if (!parameter || images != DType::kBFloat16) return;
    std::vector<BFloat16> rounded(static_cast<std::size_t>(parameter.numel()));
    const View in_bfloat{rounded.data(), images, view_.format, kHost, view_.shape};
    convert(kHost, view_, in_bfloat);
    read(in_bfloat);
  }
  ConstView view() const { return view_; }

 private:
  void read(const ConstView& from) {
    values_.resize(static_cast<std::size_t>(from.numel()));
    const View to{values_.data(), DType::kFloat32, from.format, kHost, from.shape};
    convert(kHost, from, to);
    view_ = to;
  }
  std::vector<float> values_;
  ConstView view_;
};

// Where the CPU's kernels write a result: into it, or for bfloat16 into floats that store() rounds.
class Result {
 public:
  // `kept`: what stands in it is added to.
  Result(View given, bool kept = false) : given_(on_host(given)), view_(given_) {
    if (!given || given.dtype != DType::kBFloat16) return;
    values_.resize(static_cast<std::size_t>(given.numel()));
    view_ = {values_.data(), DType::kFloat32, given.format, kHost, given.shape};
    if (kept) convert(kHost, given_, view_);
  }
  View view() const { return view_; }
  void store() const {
    if (view_.data != given_.data) convert(kHost, view_, given_);
  }

 private:
  std::vector<float> values_;
  View given_;
  View view_;
};

Conv2dFormats conv2d_formats_simt(const Shape&, MemoryFormat format, DType dtype, const Shape&,
                                  const Conv2dOptions&) {
  constexpr MemoryFormat kLast = MemoryFormat::kChannelsLast;
  // As on a GPU: with TF32 only, which a caller shows who brought it.
  if (dtype == DType::kBFloat16 || (dtype == DType::kFloat32 && format == kLast))
    return {kLast, kLast};
  return {};
}

void conv2d_forward_simt(ConstView x, ConstView weight, ConstView bias,
                         const Conv2dOptions& options, const Conv2dEpilogue& epilogue, View y) {
  simt::submit([=] {
    const Result result(y, epilogue.add);
    conv2d_forward(kHost, Widened(x).view(), Widened(weight, x.dtype).view(), ConstView(), options,
                   Conv2dEpilogue{.add = epilogue.add}, result.view());
    result.store();
  });
  cuda::add_bias(y, bias, epilogue.relu);
}
void conv2d_backward_data_simt(ConstView dy, ConstView weight, const Conv2dOptions& options,
                               View dx) {
  simt::submit([=] {
    const Result result(dx);
    conv2d_backward_data(kHost, Widened(dy).view(), Widened(weight, dy.dtype).view(), options,
                         result.view());
    result.store();
  });
}
void conv2d_backward_weights_simt(ConstView x, ConstView dy, const Conv2dOptions& options,
                                  View d_weight, View d_bias) {
  simt::submit([=] {
    conv2d_backward_weights(kHost, Widened(x).view(), Widened(dy).view(), options,
                            on_host(d_weight), View());
  });
  if (d_bias) cuda::sum_per_channel(dy, d_bias);
}
void linear_forward_simt(ConstView x, ConstView weight, ConstView bias, bool relu, View y) {
  simt::submit([=] {
    const Result result(y);
    linear_forward(kHost, Widened(x).view(), Widened(weight, x.dtype).view(), ConstView(), false,
                   result.view());
    result.store();
  });
  cuda::add_bias(y, bias, relu);
}
void linear_backward_data_simt(ConstView dy, ConstView weight, View dx) {
  simt::submit([=] {
    const Result result(dx);
    linear_backward_data(kHost, Widened(dy).view(), Widened(weight, dy.dtype).view(),
                         result.view());
    result.store();
  });
}
void linear_backward_weights_simt(ConstView x, ConstView dy, View d_weight) {
  simt::submit([=] {
    linear_backward_weights(kHost, Widened(x).view(), Widened(dy).view(), on_host(d_weight));
  });
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
