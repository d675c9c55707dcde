#pragma once
// Var(x(0)) .. Var(x(K-1)), Var(x_delta) and the instability. Source: Liang et al., ICLR 2020,
// section 4.1.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/statistics.h"

namespace concord::tool {

struct VarianceReport {
  std::vector<ChannelVariance> orders;  // x(0) .. x(K-1)
  ChannelVariance delta;
  std::vector<double> gates;  // p_0 .. p_{K-2}; empty when they are not known

  // One batch of the orders and of x_delta, each [n,C,H,W].
  void add(const std::vector<Tensor>& batch_orders, const Tensor& batch_delta);
  // Var(x(0)) + .. + Var(x(K-1)) + Var(x_delta)
  double total() const;
  // Var(x_delta) / total()
  double instability() const;
  // The results and their values per channel.
  nlohmann::ordered_json json() const;
  // Two lines: names and variances, and their shares in the total.
  void print() const;
};

}  // namespace concord::tool
