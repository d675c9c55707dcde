#pragma once
// The blocks of ResNet and ResNeXt. Source: He et al., Deep Residual Learning for Image
// Recognition, CVPR 2016; Xie et al., Aggregated Residual Transformations, CVPR 2017.

#include <memory>
#include <vector>

#include "engine/layers.h"

namespace concord {

struct ResidualBlockOptions {
  std::int64_t in_channels = 0;
  std::int64_t width = 0;  // channels between the convolutions
  std::int64_t out_channels = 0;
  std::int64_t stride = 1;
  std::int64_t groups = 1;
  // false: 3x3 (stride), 3x3. true: 1x1, 3x3 (stride, groups), 1x1.
  bool bottleneck = false;
};

// y = relu(bn_n(conv_n(... relu(bn_1(conv_1(x))))) + shortcut(x)); the shortcut is x, or a strided
// 1x1 convolution with batch norm ("downsample") where the shape changes. Names are torchvision's:
// conv1, bn1, ..., relu, downsample.0, downsample.1. The last batch norm, the sum and the ReLU are
// one pass unless a ForwardObserver watches, in evaluation one with the last convolution.
class ResidualBlock final : public Module {
 public:
  ResidualBlock(const ResidualBlockOptions& options, random::Generator& generator);

  // The sum, before the block's last ReLU.
  Tensor before_relu(Tensor x) { return sum_of_paths(std::move(x), false); }

 protected:
  Tensor forward(Tensor x) override;

 private:
  void add_convolution(const Conv2dLayer& layer, random::Generator& generator);
  // The sum, with the last ReLU where asked for and where no observer watches.
  Tensor sum_of_paths(Tensor x, bool fuse_relu);

  std::vector<std::shared_ptr<Conv2d>> convolutions_;
  std::vector<std::shared_ptr<BatchNorm2d>> norms_;
  std::shared_ptr<ReLU> relu_;
  std::shared_ptr<Sequential> downsample_;
};

}  // namespace concord
