#pragma once

#include "models/network.h"

namespace concord {

// resnet18, 34, 50, 101, 152, resnext50_32x4d, resnext101_32x8d (sources: models/residual_block.h),
// in torchvision's form.
std::vector<std::string> resnet_names();
// Layers layer1 .. layer4: the last block of each before its ReLU.
std::shared_ptr<Network> make_resnet(const std::string& arch, std::int64_t classes,
                                     random::Generator& generator);

}  // namespace concord
