#include "analysis/compression/layer_weights.h"

namespace concord {

const char* name_of(LayerKind kind) {
  return kind == LayerKind::kConvolution ? "convolution" : "fully connected";
}

std::vector<LayerWeight> layer_weights(const Module& network) {
  constexpr std::string_view kSuffix = ".weight";
  std::vector<LayerWeight> weights;
  for (const auto& [name, tensor] : network.named_parameters()) {
    const std::size_t rank = tensor.shape().rank();
    if (!name.ends_with(kSuffix) || (rank != 4 && rank != 2)) continue;
    weights.push_back({name.substr(0, name.size() - kSuffix.size()),
                       rank == 4 ? LayerKind::kConvolution : LayerKind::kLinear, tensor});
  }
  return weights;
}

}  // namespace concord
