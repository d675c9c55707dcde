#pragma once
// Var(x(0)) .. Var(x(K-1)), Var(x_delta) and the instability. Source: Liang et al., ICLR 2020,
// section 4.1.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/channel_variance.h"

namespace concord::tool {

struct VarianceReport {
  std::vector<ChannelVariance> orders;  // x(0) .. x(K-1)
  ChannelVariance delta;
  std::vector<double> gates;  // p_0 .. p_{K-2}; empty when they are not known
  // Share of the images whose label is network A's (B's) first choice; absent when it is not known.
  std::optional<double> top1_a, top1_b;

  // One batch of the orders and of x_delta, each [n,C,H,W].
  void add(const std::vector<Tensor>& batch_orders, const Tensor& batch_delta);
  // Var(x(0)) + .. + Var(x(K-1)) + Var(x_delta)
  double total() const;
  // Var(x_delta) / total(). Throws when a map holds a NaN, or every map is constant: nothing
  // varies, so nothing has a share.
  double instability() const;
  // The results and their values per channel.
  nlohmann::ordered_json json() const;
  // Names, variances with instability, gates and accuracies, and shares in the total.
  void print() const;
};

}  // namespace concord::tool
