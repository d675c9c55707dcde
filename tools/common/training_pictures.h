#pragma once
// What a network that is being trained looks like: pictures for TensorBoard.

#include <string>
#include <utility>
#include <vector>

#include "data/image.h"
#include "models/network.h"
#include "models/trans_net.h"
#include "tools/common/feature_pairs.h"

namespace concord::tool {

// Of a classifier in evaluation mode:
//   "filters/PARAMETER", where its first convolution has filters of more than 3x3 on red, green and
//     blue: each as a square, 0 in grey, on its own scale;
//   "maps/LAYER", the layer in which features are compared (conv4_3, layer3 or the like): each of
//     the photographs, the root mean square of its maps, and the six channels that are strongest
//     over all of them, on one symmetric scale a row.
// `photographs` are of the size that the network is trained on.
std::vector<std::pair<std::string, Image>> pictures_of_classifier(
    Network& network, const std::vector<Image>& photographs);

// Of the rest of network B that is fed with `given` in place of B's own features, both [N,C,H,W]:
//   "maps/given": each of the N photographs, and for the two channels of B that vary most B's map,
//     the one that is given and the difference, on one symmetric scale each;
//   "maps/rest": as "maps/LAYER" above, the last maps of more than one pixel that `rest` makes of
//     `given`, where there are any.
// `name` is what is given ("x(0)+x(1)"). `rest` is in evaluation mode.
std::vector<std::pair<std::string, Image>> pictures_of_rest(Module& rest,
                                                            const std::vector<Image>& photographs,
                                                            const Tensor& own, const Tensor& given,
                                                            const std::string& name);
// The first of these pictures alone; without a column for photographs where there are none.
Image draw_replacement(const std::vector<Image>& photographs, const Tensor& own,
                       const Tensor& given, const std::string& name);

// (v / 255 - mean) / deviation of each, [N,3,H,W]: what the loader gives a network.
Tensor network_input(const std::vector<Image>& photographs);

// The filters [C,3,H,W] of a convolution as squares, 16 a row, blocks of whole pixels.
Image draw_filters(const Tensor& weight);

// Four pairs of features of which the orders are drawn again and again while a Trans-Net learns.
class ShownPairs {
 public:
  // Of `size` pairs: those in the middle of each quarter.
  explicit ShownPairs(std::int64_t size) : size_(size) {}
  bool empty() const { return a_.empty(); }
  // Keeps those of them in this batch, whose first is pair `first` of the epoch. Those that are
  // kept already are passed over.
  void collect(const PairBatch& batch, std::int64_t first);
  // As concord-visualize's panel: of each pair the channel of B that varies most over all four.
  Image picture(TransNet& net) const;

 private:
  std::int64_t size_;
  std::vector<std::int64_t> numbers_;  // of the pairs that are kept, ascending
  std::vector<Tensor> a_;              // [1,C,H,W], float32, on the host
  std::vector<Tensor> b_;
};

}  // namespace concord::tool
