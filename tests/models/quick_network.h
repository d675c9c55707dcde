#pragma once

#include <cmath>
#include <memory>
#include <string>

#include "engine/layers.h"
#include "models/network.h"

namespace concord::test {

// Only the structure: the parameters hold whatever was in memory.
inline std::shared_ptr<Network> network_structure(const std::string& arch, std::int64_t classes) {
  static random::Generator generator(1);
  const UninitializedParameters guard;
  return make_network(arch, classes, generator);
}

// With cheap random numbers for weights, uniform with the deviation of a kaiming initialisation (so
// that the maps keep their size through the layers), random biases, and running statistics near
// (0, 1): drawing the true initial weights of a VGG takes seconds.
inline std::shared_ptr<Network> quick_network(const std::string& arch, std::int64_t classes) {
  std::shared_ptr<Network> net = network_structure(arch, classes);
  std::uint32_t bits = 12345;
  const auto fill = [&](Tensor& tensor, double centre, double bound) {
    float* values = tensor.data<float>();
    for (std::int64_t i = 0; i < tensor.numel(); ++i) {
      bits = bits * 1664525U + 1013904223U;  // Numerical Recipes' linear congruence
      values[i] = static_cast<float>(centre + bound * (static_cast<double>(bits) / 0x1p31 - 1));
    }
  };
  for (auto& [name, tensor] : net->named_parameters()) {
    const bool norm = tensor.shape().rank() == 1 && name.ends_with("weight");
    const double fan_in = static_cast<double>(tensor.numel() / tensor.dim(0));
    if (norm)
      fill(tensor, 1, 0.2);
    else
      fill(tensor, 0, tensor.shape().rank() == 1 ? 0.1 : std::sqrt(6 / fan_in));
  }
  for (auto& [name, tensor] : net->named_buffers())
    if (tensor.dtype() == DType::kFloat32) fill(tensor, name.ends_with("running_var") ? 1 : 0, 0.3);
  return net;
}

}  // namespace concord::test
