#pragma once
// The tensors of a network that compression works on.

#include <cstdint>
#include <string>
#include <vector>

#include "engine/module.h"

namespace concord {

enum class LayerKind : std::uint8_t { kConvolution, kLinear };
// "convolution", "fully connected"
const char* name_of(LayerKind kind);

// The weight of a convolution [O,C/groups,R,S] or of a fully connected layer [O,I].
struct LayerWeight {
  std::string layer;  // the layer's module name: "features.0", "layer1.0.downsample.0"
  LayerKind kind = LayerKind::kConvolution;
  Tensor weight;  // the network's own: writing to it changes the network
  // The name of the weight in a checkpoint: "features.0.weight".
  std::string tensor_name() const { return layer + ".weight"; }
};

// Of every convolution and fully connected layer, in the network's order: its parameters of four
// and two axes that are named weight. Biases and normalisations have one axis.
std::vector<LayerWeight> layer_weights(const Module& network);

}  // namespace concord
