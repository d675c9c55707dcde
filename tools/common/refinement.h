#pragma once
// Feature refinement (trans-classifier): the rest of network B on what a Trans-Net rebuilds of B's
// features from A's. Source: Liang et al., ICLR 2020, section 4.2.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/network.h"
#include "models/trans_net.h"

namespace concord::tool {

// Some of the orders of a Trans-Net.
struct OrderSubset {
  std::vector<std::int64_t> orders;  // ascending
  std::string name;                  // "012"; "0+1+12" where one has two digits
  // "x(0)+x(1)"
  std::string formula() const;
};

// Of each text the digits are orders below `count`, in any sequence: "0", "01", "20". Where a text
// holds a +, its numbers between them are: "0+1+12", "+12". Without texts "0", "01", .. up to all
// orders. Throws UsageError naming a text with an order that is none, or twice, and two texts that
// are the same subset.
std::vector<OrderSubset> order_subsets(const std::vector<std::string>& texts, std::int64_t count);

// What A and the Trans-Net, both frozen and in evaluation mode, give in place of B's features.
class RefinedFeatures {
 public:
  // `shape_b` is that of B's features [N,C,H,W], to which A's are brought in height and width. The
  // generators of the networks must outlive this.
  RefinedFeatures(std::shared_ptr<Network> a, std::string layer_a,
                  std::shared_ptr<TransNet> trans_net, const Shape& shape_b);

  // A's features of the images as the Trans-Net takes them. Throws when one is NaN or infinite.
  Tensor maps(const Tensor& images);
  // The sum of these orders of the maps, [N,C,H,W].
  Tensor sum(const Tensor& maps, const OrderSubset& subset);

 private:
  std::shared_ptr<Network> a_;
  std::string layer_a_;
  std::shared_ptr<TransNet> trans_net_;
  std::int64_t height_;
  std::int64_t width_;
};

// The part of a network after a layer, as a module: logits of that layer's features.
class RestOfNetwork : public Module {
 public:
  RestOfNetwork(std::shared_ptr<Network> network, std::string layer);

 protected:
  Tensor forward(Tensor h) override { return network_->from_features(h, layer_); }

 private:
  std::shared_ptr<Network> network_;
  std::string layer_;
};

}  // namespace concord::tool
