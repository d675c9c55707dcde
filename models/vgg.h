#pragma once

#include "models/network.h"

namespace concord {

// vgg11, vgg13, vgg16, vgg19, each with and without "_bn". Source: Simonyan, Zisserman, Very Deep
// Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, in torchvision's form.
std::vector<std::string> vgg_names();
// Layers convB_I (convolution I of block B, its own output), FC6, FC7.
std::shared_ptr<Network> make_vgg(const std::string& arch, std::int64_t classes,
                                  random::Generator& generator);

}  // namespace concord
