#include "tools/common/refinement.h"

#include <algorithm>
#include <charconv>

#include "engine/autograd.h"
#include "kernels/arithmetic.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/program.h"

namespace concord::tool {
namespace {

// The orders in a text, as they stand there.
std::vector<std::int64_t> orders_in(const std::string& text) {
  const bool joined = text.find('+') != std::string::npos;
  std::vector<std::int64_t> orders;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 1;
    if (joined) {
      if (text[at] == '+') ++at;
      length = std::min(text.find('+', at), text.size()) - at;
    }
    std::int64_t order = 0;
    const char* end = text.data() + at + length;
    const auto [stop, error] = std::from_chars(text.data() + at, end, order);
    check_usage(error == std::errc() && stop == end && order >= 0,
                "--orders: {} is no list of orders; give their digits (012), or numbers joined by "
                "+ (0+1+12)",
                text);
    orders.push_back(order);
    at += length;
  }
  return orders;
}

OrderSubset subset_of(const std::string& text, std::int64_t count) {
  OrderSubset subset{orders_in(text), ""};
  std::sort(subset.orders.begin(), subset.orders.end());
  check_usage(!subset.orders.empty(), "--orders: an empty subset; each needs one order at least");
  for (const std::int64_t order : subset.orders)
    check_usage(order < count,
                "--orders: {} asks for order {}, but the Trans-Net has the orders 0 to {}", text,
                order, count - 1);
  const auto twice = std::adjacent_find(subset.orders.begin(), subset.orders.end());
  check_usage(twice == subset.orders.end(), "--orders: {} has order {} twice", text,
              twice == subset.orders.end() ? 0 : *twice);
  const bool joined = subset.orders.back() > 9;
  for (const std::int64_t order : subset.orders)
    subset.name += (joined && !subset.name.empty() ? "+" : "") + std::to_string(order);
  // Else it would be read as its digits.
  if (joined && subset.orders.size() == 1) subset.name.insert(0, "+");
  return subset;
}

}  // namespace

std::string OrderSubset::formula() const {
  std::string text;
  for (const std::int64_t order : orders)
    text += fmt::format("{}x({})", text.empty() ? "" : "+", order);
  return text;
}

std::vector<OrderSubset> order_subsets(const std::vector<std::string>& texts, std::int64_t count) {
  std::vector<OrderSubset> subsets;
  std::string growing;
  for (std::int64_t order = 0; texts.empty() && order < count; ++order) {
    growing += fmt::format("+{}", order);
    subsets.push_back(subset_of(growing, count));
  }
  for (const std::string& text : texts) {
    subsets.push_back(subset_of(text, count));
    const auto same = [&](const OrderSubset& other) { return other.name == subsets.back().name; };
    check_usage(std::none_of(subsets.begin(), subsets.end() - 1, same),
                "--orders: {} is there twice (subset {})", text, subsets.back().name);
  }
  return subsets;
}

RefinedFeatures::RefinedFeatures(std::shared_ptr<Network> a, std::string layer_a,
                                 std::shared_ptr<TransNet> trans_net, const Shape& shape_b)
    : a_(std::move(a)),
      layer_a_(std::move(layer_a)),
      trans_net_(std::move(trans_net)),
      height_(shape_b[2]),
      width_(shape_b[3]) {
  a_->set_training(false);
  trans_net_->set_training(false);
}

Tensor RefinedFeatures::maps(const Tensor& images) {
  const NoGradGuard no_gradients;
  Tensor maps = at_size(as_maps(a_->features(images, layer_a_)), height_, width_);
  check(kernels::all_finite(maps.device(), maps.view()),
        "network A ({}) gives a NaN or infinity at layer {}; its weights are broken", a_->arch(),
        layer_a_);
  return maps;
}

Tensor RefinedFeatures::sum(const Tensor& maps, const OrderSubset& subset) {
  return trans_net_->sum_of_orders(maps, subset.orders);
}

RestOfNetwork::RestOfNetwork(std::shared_ptr<Network> network, std::string layer)
    : network_(std::move(network)), layer_(std::move(layer)) {
  register_module("network", network_);
}

}  // namespace concord::tool
