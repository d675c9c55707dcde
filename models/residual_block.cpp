#include "models/residual_block.h"

#include <string>

#include "engine/ops/arithmetic.h"

namespace concord {
namespace {

Conv2dLayer convolution(std::int64_t in, std::int64_t out, std::int64_t kernel,
                        std::int64_t stride = 1, std::int64_t groups = 1) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel = {kernel, kernel},
          .options = {.stride = {stride, stride},
                      .padding = {kernel / 2, kernel / 2},
                      .groups = groups},
          .bias = false,
          .initialization = Initialization::kKaimingNormal};
}

}  // namespace

ResidualBlock::ResidualBlock(const ResidualBlockOptions& options, random::Generator& generator) {
  const std::int64_t in = options.in_channels;
  const std::int64_t width = options.width;
  const std::int64_t out = options.out_channels;
  if (options.bottleneck) {
    add_convolution(convolution(in, width, 1), generator);
    add_convolution(convolution(width, width, 3, options.stride, options.groups), generator);
    add_convolution(convolution(width, out, 1), generator);
  } else {
    add_convolution(convolution(in, width, 3, options.stride), generator);
    add_convolution(convolution(width, out, 3), generator);
  }
  relu_ = register_module("relu", std::make_shared<ReLU>());
  if (options.stride == 1 && in == out) return;
  downsample_ = register_module("downsample", std::make_shared<Sequential>());
  downsample_->append(std::make_shared<Conv2d>(convolution(in, out, 1, options.stride), generator));
  downsample_->append(std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = out}));
}

void ResidualBlock::add_convolution(const Conv2dLayer& layer, random::Generator& generator) {
  const std::string number = std::to_string(convolutions_.size() + 1);
  convolutions_.push_back(
      register_module("conv" + number, std::make_shared<Conv2d>(layer, generator)));
  norms_.push_back(register_module("bn" + number, std::make_shared<BatchNorm2d>(BatchNorm2dLayer{
                                                      .channels = layer.out_channels})));
}

Tensor ResidualBlock::sum_of_paths(Tensor x, bool fuse_relu) {
  Tensor h = x;
  for (std::size_t i = 0; i + 1 < convolutions_.size(); ++i) {
    const ModulePtr stage[] = {convolutions_[i], norms_[i], relu_};
    h = run_in_order(stage, std::move(h));
  }
  Tensor shortcut = std::move(x);
  if (downsample_) shortcut = (*downsample_)(std::move(shortcut));
  if (ForwardObserver::current() == nullptr)
    return convolutions_.back()->fused(h, *norms_.back(), fuse_relu, std::move(shortcut));
  h = (*convolutions_.back())(std::move(h));
  return add((*norms_.back())(std::move(h)), shortcut);
}

Tensor ResidualBlock::forward(Tensor x) {
  const Tensor sum = sum_of_paths(std::move(x), true);
  return ForwardObserver::current() == nullptr ? sum : (*relu_)(sum);
}

}  // namespace concord
