#include "tools/common/variance_report.h"

#include <cmath>

#include "tools/common/terminal.h"

namespace concord::tool {

void VarianceReport::add(const std::vector<Tensor>& batch_orders, const Tensor& batch_delta) {
  orders.resize(batch_orders.size());
  for (std::size_t k = 0; k < orders.size(); ++k) orders[k].add(batch_orders[k]);
  delta.add(batch_delta);
}

double VarianceReport::total() const {
  double total = delta.result();
  for (const ChannelVariance& order : orders) total += order.result();
  return total;
}

double VarianceReport::instability() const {
  check(std::isfinite(total()),
        "variance: x(0) .. x_delta hold a NaN or infinity; make them again from features and a "
        "Trans-Net that are finite");
  check(total() > 0,
        "variance: every map of x(0) .. x_delta is constant over {} values a channel, so no order "
        "has a share; give features of more images or of another layer",
        delta.count());
  return delta.result() / total();
}

nlohmann::ordered_json VarianceReport::json() const {
  nlohmann::ordered_json json;
  json["values_per_channel"] = delta.count();
  for (std::size_t k = 0; k < orders.size(); ++k) json["var_orders"].push_back(orders[k].result());
  json["var_delta"] = delta.result();
  json["instability"] = instability();
  for (const ChannelVariance& order : orders)
    json["share_orders"].push_back(order.result() / total());
  json["share_delta"] = delta.result() / total();
  json["p"] = gates;
  if (top1_a) json["top1_a"] = *top1_a;
  if (top1_b) json["top1_b"] = *top1_b;
  for (const ChannelVariance& order : orders)
    json["channels"]["orders"].push_back(order.channels());
  json["channels"]["delta"] = delta.channels();
  return json;
}

void VarianceReport::print() const {
  std::vector<std::string> header = {""};
  std::vector<std::string> values = {"variance"};
  std::vector<std::string> shares = {"share"};
  const auto column = [&](const std::string& name, double value) {
    header.push_back(name);
    values.push_back(fmt::format("{:.6g}", value));
    shares.push_back(fmt::format("{:.2f} %", 100 * value / total()));
  };
  for (std::size_t k = 0; k < orders.size(); ++k)
    column(fmt::format("Var(x({}))", k), orders[k].result());
  column("Var(x_delta)", delta.result());
  const auto without_share = [&](const std::string& name, const std::string& value) {
    header.push_back(name);
    values.push_back(value);
    shares.emplace_back();
  };
  without_share("instability", fmt::format("{:.4f}", instability()));
  for (std::size_t i = 0; i < gates.size(); ++i)
    without_share(fmt::format("p_{}", i), fmt::format("{:.4f}", gates[i]));
  if (top1_a) without_share("top-1 A", fmt::format("{:.2f} %", 100 * *top1_a));
  if (top1_b) without_share("top-1 B", fmt::format("{:.2f} %", 100 * *top1_b));
  Table table(header);
  table.row(values);
  table.row(shares);
  table.print();
}

}  // namespace concord::tool
