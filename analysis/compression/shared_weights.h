#pragma once
// Weights that share values: a layer's weights are entries of its codebook, and what is trained are
// the entries. Source: Han, Mao, Dally, "Deep Compression", ICLR 2016, section 3.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "analysis/compression/layer_weights.h"

namespace concord {

// A weight tensor as it is stored: weight[i] = codes[i] == 0 ? +0 : codebook[codes[i] - 1].
struct CodedWeight {
  std::string name;  // of the tensor: "features.0.weight"
  Shape shape;
  std::vector<float> codebook;
  std::vector<std::uint16_t> codes;  // shape.numel(), row-major, each at most codebook.size()
};

// How a layer was clustered.
struct SharedLayer {
  std::string layer;
  std::int64_t weights = 0;
  std::int64_t kept = 0;  // of them, not pruned
  int centroids = 0;
  int iterations = 0;
  bool converged = false;
};

inline constexpr int kMostSharedValues = 32768;

// The network, every weight of a convolution or fully connected layer being one of its layer's
// codebook. Parameters: LAYER/codebook, float32 [K], and the network's other ones (biases,
// normalisations) under their names; buffers: the network's; dots in names become slashes. The
// weights themselves are no part of it: share() makes them.
class SharedWeights final : public Module {
 public:
  // Clusters, layer by layer, the weights that are not 0 (cluster_values: `centroids` of them, or
  // as many as there are distinct values), rounds the centroids to float32 and gives each weight
  // the nearest (kernels/k_means.h). Weights that are 0 are pruned and stay 0. Deterministic: the
  // same weights give the same codebooks and codes. A layer of pruned weights only has no codebook.
  // `network` must outlive this, on the device where it is now. With `only_codebooks` the network's
  // other parameters become buffers here and want no gradient. Throws unless
  // 1 <= centroids <= kMostSharedValues, and naming the layer for weights that are not finite.
  // `before_layer`, where given, is told of each layer before it is clustered.
  SharedWeights(Module& network, int centroids, bool only_codebooks,
                const std::function<void(const std::string& layer)>& before_layer = {});

  // Writes the codebooks' entries into the network's weights: before every pass, and before the
  // network is looked at. Waits for nothing.
  void share();
  // Takes the gradients of the network's weights: that of a codebook's entry is the sum, in double,
  // of those of its weights; those of pruned weights are dropped. After every backward pass.
  void gather_gradients();

  const std::vector<SharedLayer>& layers() const { return reports_; }
  // The weights as they are stored; for the compact file.
  std::vector<CodedWeight> coded() const;

 protected:
  // share(), then the network.
  Tensor forward(Tensor x) override;

 private:
  struct Layer {
    std::string name;  // of the weight
    Tensor weight;
    Tensor codes;     // int64 [weights]: 0 pruned, else an entry of table
    Tensor table;     // [1 + K]: 0, then the codebook
    Tensor codebook;  // the parameter [K]
  };
  void add_layer(const LayerWeight& weight, int centroids);

  Module& network_;
  std::vector<Layer> layers_;
  std::vector<SharedLayer> reports_;
};

}  // namespace concord
