#pragma once
// Pruning by sensitivity, and training on with what was pruned held at 0. A weight is pruned when
// it is 0: the mask of a network is in its weights, and a checkpoint holds it. Source: Han, Pool,
// Tran, Dally, "Learning both Weights and Connections for Efficient Neural Networks", NIPS 2015;
// the threshold of Liang et al., ICLR 2020, section 5.

#include <cstdint>
#include <vector>

#include "analysis/compression/layer_weights.h"

namespace concord {

struct PrunedLayer {
  double deviation = 0;  // of all weights of the layer, before
  double threshold = 0;  // sensitivity * deviation
  std::int64_t weights = 0;
  std::int64_t kept = 0;  // of them, not 0
};

// Sets every w of the layer with |w| < sensitivity * std(w) to +0 and leaves the others' bits
// alone. std is the population's, sqrt(mean((w - mean(w))^2)) over all weights of the layer
// (numpy's default), in double. Throws, naming the layer, unless sensitivity is finite and at least
// 0, for an empty weight and for one that holds a NaN or infinity; nothing is changed then.
PrunedLayer prune(LayerWeight& layer, double sensitivity);

// How many elements are not 0.
std::int64_t count_kept(const Tensor& weight);

// Keeps pruned weights at 0 through any optimiser whose update of a weight is 0 while the weight,
// its gradient and the optimiser's memory of it are: SGD with momentum and weight decay, Adam.
class PruningMasks {
 public:
  // Of the weights as they are now; the tensors are kept.
  explicit PruningMasks(std::vector<LayerWeight> layers);

  // gradient * mask for every weight that has a gradient: 0 where the weight is pruned. A NaN there
  // stays one, so that it shows. Works on the weights' device without waiting for it.
  void mask_gradients();

 private:
  struct Masked {
    Tensor weight;
    Tensor mask;  // of the weight's dtype: 1 kept, 0 pruned
  };
  std::vector<Masked> masked_;
};

}  // namespace concord
