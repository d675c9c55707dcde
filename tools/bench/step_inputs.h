#pragma once
// What whole steps are made of: inputs, the count of a network's FLOPs, the argument that names
// maps.

#include <optional>
#include <string>
#include <vector>

#include "engine/module.h"

namespace concord::bench {

// Standard normal maps, the same for the same seed and stream.
Tensor random_maps(const Shape& shape, std::uint64_t seed, std::uint64_t stream);

// The tensor `name` of a safetensors file, in memory of its own as a loader gives it. Throws unless
// it has `rank` axes.
Tensor read_input(const std::string& file, const std::string& name, std::size_t rank);

// Its `count` equal parts along axis 0, each in memory of its own. Throws where they are not equal.
std::vector<Tensor> read_input_batches(const std::string& file, const std::string& name,
                                       std::size_t rank, std::int64_t count);

// "512x28x28" as [1,512,28,28]; nothing for another text.
std::optional<Shape> maps_of(const std::string& text);

// Of the convolutions and linear layers of a network.
struct StepFlops {
  double forward = 0;
  double training = 0;
};
// By one forward pass on x in evaluation mode; the mode is restored.
StepFlops count_flops(Module& module, const Tensor& x);

}  // namespace concord::bench
