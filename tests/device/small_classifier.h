#pragma once

#include "engine/layers.h"
#include "tests/device/support.h"

namespace concord::test {

inline Tensor images(const Shape& shape, std::uint64_t stream) {
  return random_tensor(shape, stream).to(DType::kFloat32);
}

// A little of everything that a classifier is made of. Its channels fill no vector.
class SmallClassifier {
 public:
  SmallClassifier() : generator_(3) {
    const auto convolution = [&](std::int64_t in, std::int64_t out, bool bias) {
      return std::make_shared<Conv2d>(Conv2dLayer{.in_channels = in,
                                                  .out_channels = out,
                                                  .kernel = {3, 3},
                                                  .options = {.padding = {1, 1}},
                                                  .bias = bias},
                                      generator_);
    };
    const std::vector<ModulePtr> modules = {
        convolution(3, 6, false),
        std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = 6}),
        std::make_shared<ReLU>(),
        std::make_shared<MaxPool2d>(MaxPool2dOptions{}),
        convolution(6, 5, true),
        std::make_shared<ReLU>(),
        std::make_shared<AdaptiveAvgPool2d>(Size2d{2, 2}),
        std::make_shared<Flatten>(),
        std::make_shared<Dropout>(0.3, generator_),
        std::make_shared<Linear>(20, 4, generator_)};
    for (const ModulePtr& module : modules) net.append(module);
  }

  random::Generator& generator() { return generator_; }

 private:
  random::Generator generator_;

 public:
  Sequential net;
};

}  // namespace concord::test
