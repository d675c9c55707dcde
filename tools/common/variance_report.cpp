#include "tools/common/variance_report.h"

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

double VarianceReport::instability() const { return delta.result() / total(); }

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
  header.push_back("instability");
  values.push_back(fmt::format("{:.4f}", instability()));
  shares.push_back("");
  for (std::size_t i = 0; i < gates.size(); ++i) {
    header.push_back(fmt::format("p_{}", i));
    values.push_back(fmt::format("{:.4f}", gates[i]));
    shares.push_back("");
  }
  Table table(header);
  table.row(values);
  table.row(shares);
  table.print();
}

}  // namespace concord::tool
