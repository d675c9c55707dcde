// Convolutions by cuDNN. A pass is prepared once per shape (descriptors, algorithm, workspace) and
// kept.
//
// With TF32 and in bfloat16 images are channels-last, as tensor cores want them, and the weight is
// brought to that order (and rounded) for each call: it is small beside the images. In float32
// images stay plain. Products are accumulated in float32.

#include "kernels/conv2d.h"

#include <array>
#include <map>
#include <optional>
#include <vector>

#include "kernels/cuda/bias.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/scratch.h"
#include "kernels/graph.h"
#include "kernels/precision.h"

namespace concord::cuda {
namespace {

using kernels::ConstView;
using kernels::Conv2dEpilogue;
using kernels::Conv2dFormats;
using kernels::CudnnSearch;
using kernels::Precision;
using kernels::View;

// What differs between the three passes of a convolution.
struct Forward {
  static constexpr const char* kName = "cudnnConvolutionForward";
  using Algorithm = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr auto kGet = cudnnGetConvolutionForwardAlgorithm_v7;
  static constexpr auto kFind = cudnnFindConvolutionForwardAlgorithmEx;
  static constexpr int kMost = CUDNN_CONVOLUTION_FWD_ALGO_COUNT;
};
struct BackwardData {
  static constexpr const char* kName = "cudnnConvolutionBackwardData";
  using Algorithm = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr auto kGet = cudnnGetConvolutionBackwardDataAlgorithm_v7;
  static constexpr auto kFind = cudnnFindConvolutionBackwardDataAlgorithmEx;
  static constexpr int kMost = CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT;
};
struct BackwardWeights {
  static constexpr const char* kName = "cudnnConvolutionBackwardFilter";
  using Algorithm = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr auto kGet = cudnnGetConvolutionBackwardFilterAlgorithm_v7;
  static constexpr auto kFind = cudnnFindConvolutionBackwardFilterAlgorithmEx;
  static constexpr int kMost = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT;
};

struct Setup {
  Shape x;
  Shape weight;
  Shape y;
  MemoryFormat format;  // of both images
  DType dtype;
  Conv2dOptions options;

  std::string to_string() const {
    return fmt::format(
        "(input {}, weight {}, output {}, {} {}, stride {}x{}, padding {}x{}, {} groups)",
        x.to_string(), weight.to_string(), y.to_string(), name_of(dtype), name_of(format),
        options.stride.height, options.stride.width, options.padding.height, options.padding.width,
        options.groups);
  }
};

int narrow(std::int64_t size, const Setup& setup) {
  check(size <= 0x7FFFFFFF, "conv2d: cuDNN takes sizes up to 2^31 - 1, this has {} {}", size,
        setup.to_string());
  return static_cast<int>(size);
}

// Descriptors of a pass and the algorithm that was found for it.
template <class Pass>
struct Plan {
  TensorDescriptor x;
  FilterDescriptor weight;
  TensorDescriptor y;
  ConvolutionDescriptor convolution;
  typename Pass::Algorithm algorithm = {};
  bool fuses = true;  // until cuDNN says that it cannot, of a forward pass with bias and relu
};

cudnnDataType_t data_type(DType dtype) {
  return dtype == DType::kFloat64    ? CUDNN_DATA_DOUBLE
         : dtype == DType::kBFloat16 ? CUDNN_DATA_BFLOAT16
                                     : CUDNN_DATA_FLOAT;
}

template <class Pass>
void describe(const Setup& setup, Plan<Pass>& plan) {
  const cudnnDataType_t type = data_type(setup.dtype);
  const auto layout = setup.format == MemoryFormat::kPlain ? CUDNN_TENSOR_NCHW : CUDNN_TENSOR_NHWC;
  const auto size = [&](std::int64_t value) { return narrow(value, setup); };
  const std::string about = setup.to_string();
  const auto image = [&](const TensorDescriptor& to, const Shape& shape) {
    check_cudnn(cudnnSetTensor4dDescriptor(to.get(), layout, type, size(shape[0]), size(shape[1]),
                                           size(shape[2]), size(shape[3])),
                "cudnnSetTensor4dDescriptor", about);
  };
  image(plan.x, setup.x);
  image(plan.y, setup.y);
  const Shape& w = setup.weight;
  check_cudnn(cudnnSetFilter4dDescriptor(plan.weight.get(), type, layout, size(w[0]), size(w[1]),
                                         size(w[2]), size(w[3])),
              "cudnnSetFilter4dDescriptor", about);
  const Conv2dOptions& o = setup.options;
  check_cudnn(cudnnSetConvolution2dDescriptor(plan.convolution.get(), size(o.padding.height),
                                              size(o.padding.width), size(o.stride.height),
                                              size(o.stride.width), size(o.dilation.height),
                                              size(o.dilation.width), CUDNN_CROSS_CORRELATION,
                                              data_type(compute_dtype(setup.dtype))),
              "cudnnSetConvolution2dDescriptor", about);
  check_cudnn(cudnnSetConvolutionGroupCount(plan.convolution.get(), size(o.groups)),
              "cudnnSetConvolutionGroupCount", about);
  const cudnnMathType_t math = setup.dtype == DType::kBFloat16            ? CUDNN_TENSOR_OP_MATH
                               : kernels::precision() == Precision::kTf32 ? CUDNN_DEFAULT_MATH
                                                                          : CUDNN_FMA_MATH;
  check_cudnn(cudnnSetConvolutionMathType(plan.convolution.get(), math),
              "cudnnSetConvolutionMathType", about);
}

// The first of the ranked algorithms that the search allows.
template <class Pass>
typename Pass::Algorithm choose(const std::vector<typename Pass::Algorithm>& ranked,
                                const CudnnSearch& search, const Setup& setup) {
  for (const auto& candidate : ranked) {
    if (candidate.status != CUDNN_STATUS_SUCCESS) continue;
    if (candidate.memory > search.workspace_bytes) continue;
    if (search.deterministic && candidate.determinism != CUDNN_DETERMINISTIC) continue;
    return candidate;
  }
  fail("{}: cuDNN has no {}algorithm that takes at most {} bytes of workspace {}", Pass::kName,
       search.deterministic ? "deterministic " : "", search.workspace_bytes, setup.to_string());
}

// The buffers of a pass, in the order in which cuDNN takes them: two operands, then the result.
struct Buffers {
  const void* first;
  const void* second;
  void* result;
};

// Calls function(handle, descriptors and buffers in cuDNN's order...).
template <class Pass, class Function>
void with_operands(const Plan<Pass>& plan, Function&& function) {
  if constexpr (std::is_same_v<Pass, Forward>)
    function(plan.x.get(), plan.weight.get(), plan.y.get());
  else if constexpr (std::is_same_v<Pass, BackwardData>)
    function(plan.weight.get(), plan.y.get(), plan.x.get());
  else
    function(plan.x.get(), plan.y.get(), plan.weight.get());
}

template <class Pass>
void find_algorithm(const Setup& setup, const Buffers& buffers, Plan<Pass>& plan) {
  const CudnnSearch search = kernels::cudnn_search();
  std::vector<typename Pass::Algorithm> ranked(static_cast<std::size_t>(Pass::kMost));
  int found = 0;
  with_operands(plan, [&](auto first, auto second, auto result) {
    if (search.measure) {
      kernels::refuse_while_capturing("conv2d: measuring cuDNN's algorithms");
      // Into a result of its own: an epilogue may add to the caller's.
      const std::size_t bytes =
          static_cast<std::size_t>((std::is_same_v<Pass, Forward>        ? setup.y
                                    : std::is_same_v<Pass, BackwardData> ? setup.x
                                                                         : setup.weight)
                                       .numel()) *
          size_of(setup.dtype);
      const Scratch to(bytes);
      const Scratch workspace(search.workspace_bytes);
      check_cudnn(Pass::kFind(cudnn(), first, buffers.first, second, buffers.second,
                              plan.convolution.get(), result, to.as<void>(), Pass::kMost, &found,
                              ranked.data(), workspace.as<void>(), search.workspace_bytes),
                  fmt::format("{}: measuring its algorithms", Pass::kName), setup.to_string());
    } else {
      check_cudnn(Pass::kGet(cudnn(), first, second, plan.convolution.get(), result, Pass::kMost,
                             &found, ranked.data()),
                  fmt::format("{}: ranking its algorithms", Pass::kName), setup.to_string());
    }
  });
  ranked.resize(static_cast<std::size_t>(found));
  plan.algorithm = choose<Pass>(ranked, search, setup);
  check_cudnn(cudnnSetConvolutionMathType(plan.convolution.get(), plan.algorithm.mathType),
              "cudnnSetConvolutionMathType", setup.to_string());
}

// All that a plan depends on.
using PlanKey = std::array<std::int64_t, 21>;

PlanKey key_of(const Setup& setup) {
  const Conv2dOptions& o = setup.options;
  const CudnnSearch search = kernels::cudnn_search();
  return {setup.x[0],
          setup.x[1],
          setup.x[2],
          setup.x[3],
          setup.weight[0],
          setup.weight[1],
          setup.weight[2],
          setup.weight[3],
          static_cast<std::int64_t>(setup.format),
          static_cast<std::int64_t>(setup.dtype),
          o.stride.height,
          o.stride.width,
          o.padding.height,
          o.padding.width,
          o.dilation.height,
          o.dilation.width,
          o.groups,
          static_cast<std::int64_t>(kernels::precision()),
          search.measure,
          search.deterministic,
          static_cast<std::int64_t>(search.workspace_bytes)};
}

template <class Pass>
Plan<Pass>& plan_for(const Setup& setup, const Buffers& buffers) {
  constexpr std::size_t kMostPlans = 1024;
  thread_local std::map<PlanKey, Plan<Pass>> plans;
  const PlanKey key = key_of(setup);
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  if (plans.size() == kMostPlans) plans.clear();
  Plan<Pass> plan;
  describe(setup, plan);
  find_algorithm(setup, buffers, plan);
  return plans.emplace(key, std::move(plan)).first->second;
}

// The weight (or its gradient) as cuDNN wants it beside such images: itself, or a copy in their
// order and dtype.
class OrderedWeight {
 public:
  OrderedWeight(const ConstView& weight, const Setup& setup)
      : given_(weight),
        ordered_{const_cast<void*>(weight.data), setup.dtype, setup.format, weight.device,
                 weight.shape} {
    if (setup.format == MemoryFormat::kPlain && setup.dtype == weight.dtype) return;
    copy_.emplace(static_cast<std::size_t>(weight.numel()) * size_of(setup.dtype));
    ordered_.data = copy_->as<void>();
  }
  // The given weight, in the copy.
  void fill() const {
    if (copy_) kernels::convert(given_.device, given_, ordered_);
  }
  // The copy, into the gradient that was given.
  void store(const View& gradient) const {
    if (copy_) kernels::convert(gradient.device, ordered_, gradient);
  }
  void* data() const { return ordered_.data; }

 private:
  ConstView given_;
  std::optional<Scratch> copy_;
  View ordered_;
};

Setup setup_of(const ConstView& x, const ConstView& weight, const ConstView& y,
               const Conv2dOptions& options) {
  check(x.format == y.format &&
            (x.format == MemoryFormat::kPlain || x.format == MemoryFormat::kChannelsLast),
        "conv2d: cuDNN takes plain or channels-last images, both the same; they are {} and {}",
        name_of(x.format), name_of(y.format));
  check(weight.dtype == compute_dtype(x.dtype) && x.dtype == y.dtype,
        "conv2d: images are {} and {}, the weight is {}", name_of(x.dtype), name_of(y.dtype),
        name_of(weight.dtype));
  return {x.shape, weight.shape, y.shape, x.format, x.dtype, options};
}

// cuDNN's factors of the product and of what stands in the result: float, or double for doubles.
struct Factor {
  Factor(double value, DType dtype)
      : as_double(value),
        as_float(static_cast<float>(value)),
        is_double(dtype == DType::kFloat64) {}
  const void* get() const {
    return is_double ? static_cast<const void*>(&as_double) : static_cast<const void*>(&as_float);
  }
  double as_double;
  float as_float;
  bool is_double;
};

Conv2dFormats conv2d_formats_cuda(const Shape&, MemoryFormat, DType dtype, const Shape&,
                                  const Conv2dOptions&) {
  const bool tensor_cores = dtype == DType::kBFloat16 ||
                            (dtype == DType::kFloat32 && kernels::precision() == Precision::kTf32);
  if (!tensor_cores) return {};
  return {MemoryFormat::kChannelsLast, MemoryFormat::kChannelsLast};
}

// y = relu(x * weight [+ y] + bias) in one call; the relu may take NaN to 0. False where cuDNN has
// none for the plan.
bool forward_fused(Plan<Forward>& plan, const Setup& setup, const ConstView& x,
                   const OrderedWeight& weight, const ConstView& bias, bool add, const View& y) {
  const TensorDescriptor of_bias;
  check_cudnn(cudnnSetTensor4dDescriptor(of_bias.get(), CUDNN_TENSOR_NCHW, data_type(setup.dtype),
                                         1, narrow(bias.numel(), setup), 1, 1),
              "cudnnSetTensor4dDescriptor", setup.to_string());
  const ActivationDescriptor relu;
  check_cudnn(
      cudnnSetActivationDescriptor(relu.get(), CUDNN_ACTIVATION_RELU, CUDNN_NOT_PROPAGATE_NAN, 0),
      "cudnnSetActivationDescriptor");
  std::optional<Scratch> rounded;
  if (bias.dtype != setup.dtype) {
    rounded.emplace(static_cast<std::size_t>(bias.numel()) * size_of(setup.dtype));
    kernels::convert(bias.device, bias,
                     View{rounded->as<void>(), setup.dtype, bias.format, bias.device, bias.shape});
  }
  const Scratch workspace(plan.algorithm.memory);
  const Factor one(1, setup.dtype);
  const Factor kept(add ? 1 : 0, setup.dtype);
  const cudnnStatus_t status = cudnnConvolutionBiasActivationForward(
      cudnn(), one.get(), plan.x.get(), x.data, plan.weight.get(), weight.data(),
      plan.convolution.get(), plan.algorithm.algo, workspace.as<void>(), plan.algorithm.memory,
      kept.get(), plan.y.get(), y.data, of_bias.get(), rounded ? rounded->as<void>() : bias.data,
      relu.get(), plan.y.get(), y.data);
  // Of a kind of reasons, each with a code of its own; or the workspace, which was sized for the
  // convolution alone, is too small.
  if (CUDNN_STATUS_CATEGORY(status) == CUDNN_STATUS_NOT_SUPPORTED ||
      status == CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT)
    return false;
  check_cudnn(status, "cudnnConvolutionBiasActivationForward", setup.to_string());
  return true;
}

void conv2d_forward_cuda(ConstView x, ConstView weight, ConstView bias,
                         const Conv2dOptions& options, const Conv2dEpilogue& epilogue, View y) {
  if (y.numel() == 0) return;
  const Setup setup = setup_of(x, weight, y, options);
  const OrderedWeight ordered(weight, setup);
  ordered.fill();
  Plan<Forward>& plan = plan_for<Forward>(setup, {x.data, ordered.data(), y.data});
  if (epilogue.relu && bias && plan.fuses && setup.dtype != DType::kFloat64) {
    plan.fuses = forward_fused(plan, setup, x, ordered, bias, epilogue.add, y);
    if (plan.fuses) return;
  }
  const Scratch workspace(plan.algorithm.memory);
  const Factor one(1, setup.dtype);
  const Factor kept(epilogue.add ? 1 : 0, setup.dtype);
  check_cudnn(cudnnConvolutionForward(cudnn(), one.get(), plan.x.get(), x.data, plan.weight.get(),
                                      ordered.data(), plan.convolution.get(), plan.algorithm.algo,
                                      workspace.as<void>(), plan.algorithm.memory, kept.get(),
                                      plan.y.get(), y.data),
              Forward::kName, setup.to_string());
  add_bias(y, bias, epilogue.relu);
}

void conv2d_backward_data_cuda(ConstView dy, ConstView weight, const Conv2dOptions& options,
                               View dx) {
  if (dx.numel() == 0) return;
  const Setup setup = setup_of(dx, weight, dy, options);
  const OrderedWeight ordered(weight, setup);
  ordered.fill();
  const Plan<BackwardData>& plan =
      plan_for<BackwardData>(setup, {ordered.data(), dy.data, dx.data});
  const Scratch workspace(plan.algorithm.memory);
  const Factor one(1, setup.dtype);
  const Factor zero(0, setup.dtype);
  check_cudnn(cudnnConvolutionBackwardData(
                  cudnn(), one.get(), plan.weight.get(), ordered.data(), plan.y.get(), dy.data,
                  plan.convolution.get(), plan.algorithm.algo, workspace.as<void>(),
                  plan.algorithm.memory, zero.get(), plan.x.get(), dx.data),
              BackwardData::kName, setup.to_string());
}

void conv2d_backward_weights_cuda(ConstView x, ConstView dy, const Conv2dOptions& options,
                                  View d_weight, View d_bias) {
  if (x.numel() == 0) {
    for (const View& result : {d_weight, d_bias})
      if (result)
        kernels::zero(result.device, result.data,
                      static_cast<std::size_t>(result.numel()) * size_of(result.dtype));
    return;
  }
  const Setup setup = setup_of(x, d_weight, dy, options);
  const OrderedWeight ordered(d_weight, setup);
  const Plan<BackwardWeights>& plan =
      plan_for<BackwardWeights>(setup, {x.data, dy.data, ordered.data()});
  const Scratch workspace(plan.algorithm.memory);
  const Factor one(1, setup.dtype);
  const Factor zero(0, setup.dtype);
  check_cudnn(cudnnConvolutionBackwardFilter(cudnn(), one.get(), plan.x.get(), x.data, plan.y.get(),
                                             dy.data, plan.convolution.get(), plan.algorithm.algo,
                                             workspace.as<void>(), plan.algorithm.memory,
                                             zero.get(), plan.weight.get(), ordered.data()),
              BackwardWeights::kName, setup.to_string());
  ordered.store(d_weight);
  if (d_bias) sum_per_channel(dy, d_bias);
}

const kernels::Registration registrations[] = {
    {kernels::conv2d_formats, DeviceType::kCuda, conv2d_formats_cuda},
    {kernels::conv2d_forward, DeviceType::kCuda, conv2d_forward_cuda},
    {kernels::conv2d_backward_data, DeviceType::kCuda, conv2d_backward_data_cuda},
    {kernels::conv2d_backward_weights, DeviceType::kCuda, conv2d_backward_weights_cuda},
};

}  // namespace
}  // namespace concord::cuda
