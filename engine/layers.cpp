#include "engine/layers.h"

#include <utility>

#include "engine/ops/activation.h"
#include "engine/ops/dropout.h"
#include "engine/ops/linear.h"
#include "engine/ops/shape.h"

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

Tensor Linear::forward(const Tensor& x) { return linear(x, weight_, bias_); }

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
  if (training() && batches_.defined()) batches_.fill(batches_.item() + 1);
  return y;
}

InstanceNorm2d::InstanceNorm2d(std::int64_t channels, bool affine) {
  if (!affine) return;
  weight_ = register_parameter("weight", Tensor::full({channels}, 1));
  bias_ = register_parameter("bias", Tensor::zeros({channels}));
}

Tensor ReLU::forward(const Tensor& x) { return relu(x); }

Size2d MaxPool2d::smallest_input() const {
  return {options_.kernel.height - 2 * options_.padding.height,
          options_.kernel.width - 2 * options_.padding.width};
}

Tensor Flatten::forward(const Tensor& x) { return flatten(x); }

Dropout::Dropout(double p, random::Generator& generator) : p_(p), generator_(&generator) {
  check(p >= 0 && p < 1, "Dropout: p is {}, it must be in [0, 1)", p);
}

Tensor Dropout::forward(const Tensor& x) { return dropout(x, p_, training(), *generator_); }

Tensor run_in_order(std::span<const ModulePtr> modules, Tensor x) {
  const bool fuse = ForwardObserver::current() == nullptr;
  for (std::size_t i = 0; i < modules.size(); ++i) {
    auto* norm = dynamic_cast<BatchNorm2d*>(modules[i].get());
    const bool relu_follows = norm != nullptr && i + 1 < modules.size() &&
                              dynamic_cast<ReLU*>(modules[i + 1].get()) != nullptr;
    if (fuse && relu_follows) {
      x = norm->fused(x, true);
      ++i;
    } else {
      x = (*modules[i])(x);
    }
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
