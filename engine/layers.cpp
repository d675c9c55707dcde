#include "engine/layers.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "engine/autograd.h"
#include "engine/device_graph.h"
#include "engine/ops/activation.h"
#include "engine/ops/dropout.h"
#include "engine/ops/linear.h"
#include "engine/ops/shape.h"
#include "kernels/arithmetic.h"

namespace concord {
namespace {

thread_local bool parameters_stay_uninitialized = false;

Tensor initial_weight(const Shape& shape, Initialization initialization,
                      random::Generator& generator) {
  Tensor weight = Tensor::empty(shape);
  if (parameters_stay_uninitialized) return weight;
  switch (initialization) {
    case Initialization::kDefault:
      random::fill_default_uniform(weight, generator, shape.numel() / shape[0]);
      break;
    case Initialization::kKaimingNormal:
      random::fill_kaiming_normal_fan_out(weight, generator);
      break;
    case Initialization::kSmallNormal:
      random::fill_normal(weight, generator, 0, 0.01);
      break;
  }
  return weight;
}

Tensor initial_bias(const Shape& weight, Initialization initialization,
                    random::Generator& generator) {
  Tensor bias = Tensor::zeros({weight[0]});
  if (initialization == Initialization::kDefault && !parameters_stay_uninitialized)
    random::fill_default_uniform(bias, generator, weight.numel() / weight[0]);
  return bias;
}

}  // namespace

UninitializedParameters::UninitializedParameters()
    : before_(std::exchange(parameters_stay_uninitialized, true)) {}
UninitializedParameters::~UninitializedParameters() { parameters_stay_uninitialized = before_; }

Conv2d::Conv2d(const Conv2dLayer& layer, random::Generator& generator) : options_(layer.options) {
  const std::int64_t groups = options_.groups;
  check(layer.in_channels > 0 && layer.out_channels > 0 && groups > 0 &&
            layer.in_channels % groups == 0 && layer.out_channels % groups == 0,
        "Conv2d: {} input and {} output channels cannot be cut into {} groups", layer.in_channels,
        layer.out_channels, groups);
  const Shape shape = {layer.out_channels, layer.in_channels / groups, layer.kernel.height,
                       layer.kernel.width};
  weight_ = register_parameter("weight", initial_weight(shape, layer.initialization, generator));
  if (layer.bias)
    bias_ = register_parameter("bias", initial_bias(shape, layer.initialization, generator));
}

const Conv2d::Folded& Conv2d::folded_with(const BatchNorm2d& norm) {
  std::vector<Tensor> sources = norm.constants();
  sources.push_back(weight_);
  if (bias_.defined()) sources.push_back(bias_);
  std::vector<std::uint64_t> versions;
  for (const Tensor& source : sources) versions.push_back(source.version());
  if (folded_ && folded_->norm == &norm && folded_->versions == versions) return *folded_;

  const auto [weight, bias] = norm.fold(weight_, bias_);
  const bool finite = kernels::all_finite(weight.device(), weight.view()) &&
                      kernels::all_finite(bias.device(), bias.view());
  folded_ = Folded{&norm, std::move(versions), finite, weight, bias};
  return *folded_;
}

Tensor Conv2d::fused(const Tensor& x, BatchNorm2d& norm, bool relu, Tensor residual) {
  const auto wanted = [](const Tensor& tensor) { return needs_gradient(tensor); };
  const bool constant = norm.is_constant() && !wanted(x) && !wanted(weight_) && !wanted(bias_) &&
                        !wanted(residual) && std::ranges::none_of(norm.constants(), wanted);
  if (!constant) {
    folded_.reset();
    return norm.fused(forward(x), relu, residual);
  }
  const Folded& folded = folded_with(norm);
  // The fused relu may hide a NaN, which these then show.
  if (!folded.finite) return norm.fused(forward(x), relu, residual);
  return conv2d_inference(x, folded.weight, folded.bias, options_, relu, std::move(residual));
}

Size2d Conv2d::smallest_input() const {
  return {options_.dilation.height * (weight_.dim(2) - 1) + 1 - 2 * options_.padding.height,
          options_.dilation.width * (weight_.dim(3) - 1) + 1 - 2 * options_.padding.width};
}

Linear::Linear(std::int64_t in_features, std::int64_t out_features, random::Generator& generator,
               Initialization initialization) {
  check(in_features > 0 && out_features > 0, "Linear: {} input and {} output features", in_features,
        out_features);
  const Shape shape = {out_features, in_features};
  weight_ = register_parameter("weight", initial_weight(shape, initialization, generator));
  bias_ = register_parameter("bias", initial_bias(shape, initialization, generator));
}

Tensor Linear::forward(Tensor x) { return linear(x, weight_, bias_); }

Tensor Linear::fused_relu(const Tensor& x) {
  if (needs_gradient(x) || needs_gradient(weight_) || needs_gradient(bias_))
    return relu(linear(x, weight_, bias_));
  return linear_relu_inference(x, weight_, bias_);
}

BatchNorm2d::BatchNorm2d(const BatchNorm2dLayer& layer) {
  const Shape shape = {layer.channels};
  if (layer.affine) {
    weight_ = register_parameter("weight", Tensor::full(shape, 1));
    bias_ = register_parameter("bias", Tensor::zeros(shape));
  }
  if (layer.running_statistics) {
    running_mean_ = register_buffer("running_mean", Tensor::zeros(shape));
    running_var_ = register_buffer("running_var", Tensor::full(shape, 1));
    batches_ = register_buffer("num_batches_tracked", Tensor::zeros({}, {.dtype = DType::kInt64}));
  }
}

Tensor BatchNorm2d::fused(const Tensor& x, bool relu, const Tensor& residual) {
  Tensor y = batch_norm(x, weight_, bias_, running_mean_, running_var_,
                        {.training = training(), .relu = relu}, residual);
  if (training() && batches_.defined())
    on_every_step([count = batches_]() mutable { count.fill(count.item() + 1); });
  return y;
}

std::pair<Tensor, Tensor> BatchNorm2d::fold(const Tensor& weight, const Tensor& bias) const {
  // A weight is to the norm an image with an output channel as a map. Only the bias is shifted.
  const NoGradGuard no_gradients;
  const Shape channels = running_mean_.shape();
  const Tensor zeros = Tensor::zeros(channels, running_mean_.options());
  const Tensor maps = weight.reshaped({1, channels[0], weight.numel() / channels[0], 1});
  const Tensor scaled = batch_norm(maps, weight_, weight_.defined() ? zeros : Tensor(), zeros,
                                   running_var_, {.training = false});
  const Tensor shifted =
      batch_norm((bias.defined() ? bias : zeros).reshaped({1, channels[0]}), weight_, bias_,
                 running_mean_, running_var_, {.training = false});
  return {scaled.reshaped(weight.shape()), shifted.reshaped(channels)};
}

std::vector<Tensor> BatchNorm2d::constants() const {
  std::vector<Tensor> result;
  for (const Tensor& tensor : {weight_, bias_, running_mean_, running_var_})
    if (tensor.defined()) result.push_back(tensor);
  return result;
}

InstanceNorm2d::InstanceNorm2d(std::int64_t channels, bool affine) {
  if (!affine) return;
  weight_ = register_parameter("weight", Tensor::full({channels}, 1));
  bias_ = register_parameter("bias", Tensor::zeros({channels}));
}

Tensor ReLU::forward(Tensor x) { return relu(x); }

Size2d MaxPool2d::smallest_input() const {
  return {options_.kernel.height - 2 * options_.padding.height,
          options_.kernel.width - 2 * options_.padding.width};
}

Tensor Flatten::forward(Tensor x) { return flatten(x); }

Dropout::Dropout(double p, random::Generator& generator) : p_(p), generator_(&generator) {
  check(p >= 0 && p < 1, "Dropout: p is {}, it must be in [0, 1)", p);
}

Tensor Dropout::forward(Tensor x) { return dropout(x, p_, training(), *generator_); }

Tensor run_in_order(std::span<const ModulePtr> modules, Tensor x) {
  const bool fuse = ForwardObserver::current() == nullptr;
  for (std::size_t i = 0; i < modules.size();) {
    // The modules from i on that run as one, as far as there are such.
    std::size_t next = i;
    const auto take = [&]<class Layer>(std::type_identity<Layer>) {
      Layer* const layer =
          fuse && next < modules.size() ? dynamic_cast<Layer*>(modules[next].get()) : nullptr;
      if (layer != nullptr) ++next;
      return layer;
    };
    Linear* const linear_layer = take(std::type_identity<Linear>());
    if (linear_layer != nullptr && take(std::type_identity<ReLU>()) != nullptr) {
      x = linear_layer->fused_relu(x);
      i = next;
      continue;
    }
    next = i;
    Conv2d* const convolution = take(std::type_identity<Conv2d>());
    BatchNorm2d* const norm = take(std::type_identity<BatchNorm2d>());
    if (norm == nullptr) {
      x = (*modules[i++])(std::move(x));
      continue;
    }
    const bool relu = take(std::type_identity<ReLU>()) != nullptr;
    x = convolution != nullptr ? convolution->fused(x, *norm, relu) : norm->fused(x, relu);
    i = next;
  }
  return x;
}

Sequential::Sequential(const std::vector<ModulePtr>& modules) {
  for (const ModulePtr& module : modules) append(module);
}

void Sequential::append(ModulePtr module) {
  children_.push_back(register_module(std::to_string(children_.size()), std::move(module)));
}

}  // namespace concord
