#pragma once

#include "models/network.h"

namespace concord {

// AlexNet in torchvision's form. Source: Krizhevsky, One weird trick for parallelizing
// convolutional neural networks, arXiv 1404.5997. Layers conv1 .. conv5, FC6, FC7.
std::shared_ptr<Network> make_alexnet(std::int64_t classes, random::Generator& generator);

}  // namespace concord
