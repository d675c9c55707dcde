#include "tools/common/variance_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/files.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

nlohmann::ordered_json to_json(const ComparedNetwork& network) {
  nlohmann::ordered_json json = {
      {"arch", network.arch}, {"layer", network.layer}, {"weights", network.weights}};
  if (!network.seed.empty()) json["seed"] = network.seed;
  if (!network.half.empty()) json["half"] = network.half;
  return json;
}

nlohmann::json read_report(const std::string& file) {
  const auto bytes = read_file(file);
  auto json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
  const auto number = [&](const char* name) {
    return json.contains(name) && json[name].is_number();
  };
  bool good = json.is_object() && json.contains("var_orders") && json["var_orders"].is_array() &&
              number("var_delta") && number("instability");
  if (good)
    for (const auto& value : json["var_orders"]) good = good && value.is_number();
  check(good, "{}: is no variance.json of concord-variance", file);
  return json;
}

std::string text_at(const nlohmann::json& json, const char* outer, const char* inner) {
  const auto pointer = nlohmann::json::json_pointer(fmt::format("/{}/{}", outer, inner));
  return json.contains(pointer) && json[pointer].is_string() ? json[pointer].get<std::string>()
                                                             : "";
}

// "vgg16_bn conv4_3", or both sides where they differ.
std::string title_of(const nlohmann::json& json) {
  const auto side = [&](const char* which) {
    const std::string arch = text_at(json, which, "arch");
    return arch + (arch.empty() ? "" : " ") + text_at(json, which, "layer");
  };
  const std::string a = side("a"), b = side("b");
  return a == b ? a : a + " to " + b;
}

}  // namespace

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

std::string VarianceReport::kind() const {
  if (a.arch.empty() || b.arch.empty()) return "";
  if (a.arch != b.arch) return "architecture";
  if (!a.half.empty() && !b.half.empty() && a.half != b.half) return "data";
  return !a.seed.empty() && !b.seed.empty() && a.seed != b.seed && a.half == b.half
             ? "initialisation"
             : "";
}

std::vector<VarianceReport::Channel> VarianceReport::channels_by_share() const {
  const std::vector<double> deltas = delta.channels();
  std::vector<Channel> channels(deltas.size());
  for (const ChannelVariance& order : orders) {
    const std::vector<double> values = order.channels();
    for (std::size_t c = 0; c < channels.size(); ++c) channels[c].orders.push_back(values[c]);
  }
  for (std::size_t c = 0; c < channels.size(); ++c) {
    Channel& channel = channels[c];
    channel.number = static_cast<std::int64_t>(c);
    channel.delta = deltas[c];
    const double sum = std::accumulate(channel.orders.begin(), channel.orders.end(), channel.delta);
    channel.share_delta = sum > 0 ? channel.delta / sum : 0;
  }
  double mean = 0;
  const auto sum_of = [](const Channel& channel) {
    return std::accumulate(channel.orders.begin(), channel.orders.end(), channel.delta);
  };
  for (const Channel& channel : channels)
    mean += sum_of(channel) / static_cast<double>(channels.size());
  std::stable_sort(channels.begin(), channels.end(), [&](const Channel& x, const Channel& y) {
    const bool x_quiet = sum_of(x) < mean / 100, y_quiet = sum_of(y) < mean / 100;
    return x_quiet != y_quiet ? y_quiet : x.share_delta > y.share_delta;
  });
  return channels;
}

nlohmann::ordered_json VarianceReport::json() const {
  nlohmann::ordered_json json;
  if (!kind().empty()) json["kind"] = kind();
  if (!a.arch.empty() || !b.arch.empty()) {
    json["a"] = to_json(a);
    json["b"] = to_json(b);
  }
  json["values_per_channel"] = delta.count();
  for (std::size_t k = 0; k < orders.size(); ++k) json["var_orders"].push_back(orders[k].result());
  json["var_delta"] = delta.result();
  json["instability"] = instability();
  if (target.count() > 0) json["var_target"] = target.result();
  for (const ChannelVariance& order : orders)
    json["share_orders"].push_back(order.result() / total());
  json["share_delta"] = delta.result() / total();
  json["p"] = gates;
  if (top1_a) json["top1_a"] = *top1_a;
  if (top1_b) json["top1_b"] = *top1_b;
  for (const ChannelVariance& order : orders)
    json["channels"]["orders"].push_back(order.channels());
  json["channels"]["delta"] = delta.channels();
  if (target.count() > 0) json["channels"]["target"] = target.channels();
  return json;
}

std::vector<std::string> VarianceReport::titles() const {
  std::vector<std::string> titles;
  for (std::size_t k = 0; k < orders.size(); ++k) titles.push_back(fmt::format("Var(x({}))", k));
  titles.insert(titles.end(), {"Var(x_delta)", "share of x_delta"});
  if (target.count() > 0) titles.emplace_back("Var(x_B)");
  for (std::size_t i = 0; i < gates.size(); ++i) titles.push_back(fmt::format("p_{}", i));
  return titles;
}

std::vector<std::string> VarianceReport::cells() const {
  std::vector<std::string> cells;
  for (const ChannelVariance& order : orders)
    cells.push_back(fmt::format("{:.6g}", order.result()));
  cells.push_back(fmt::format("{:.6g}", delta.result()));
  cells.push_back(fmt::format("{:.2f} %", 100 * instability()));
  if (target.count() > 0) cells.push_back(fmt::format("{:.6g}", target.result()));
  for (const double p : gates) cells.push_back(fmt::format("{:.4f}", p));
  return cells;
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
  if (target.count() > 0) without_share("Var(x_B)", fmt::format("{:.6g}", target.result()));
  without_share("instability", fmt::format("{:.4f}", instability()));
  for (std::size_t i = 0; i < gates.size(); ++i)
    without_share(fmt::format("p_{}", i), fmt::format("{:.4f}", gates[i]));
  if (top1_a) without_share("top-1 A", fmt::format("{:.2f} %", 100 * *top1_a));
  if (top1_b) without_share("top-1 B", fmt::format("{:.2f} %", 100 * *top1_b));
  Table table(header);
  table.row(values);
  table.row(shares);
  table.print();
  warn_where_untrained();
}

void VarianceReport::warn_where_untrained() const {
  if (target.count() == 0 || !(delta.result() > target.result())) return;
  warn(
      "Var(x_delta) is {:.6g} and Var(x_B) {:.6g}: what the Trans-Net makes is farther from the "
      "features than their mean is, and the shares say more of it than of the networks; train it "
      "longer, or with a higher learning rate",
      delta.result(), target.result());
}

std::string VarianceReport::channels_csv() const {
  std::string text = "channel";
  for (std::size_t k = 0; k < orders.size(); ++k) text += fmt::format(",var_order{}", k);
  text += ",var_delta,share_delta\n";
  std::vector<Channel> channels = channels_by_share();
  std::sort(channels.begin(), channels.end(),
            [](const Channel& x, const Channel& y) { return x.number < y.number; });
  for (const Channel& channel : channels) {
    text += std::to_string(channel.number);
    for (const double value : channel.orders) text += fmt::format(",{}", value);
    text += fmt::format(",{},{}\n", channel.delta, channel.share_delta);
  }
  return text;
}

void VarianceReport::print_channels(std::int64_t count) const {
  std::vector<std::string> header = {"channel"};
  for (std::size_t k = 0; k < orders.size(); ++k) header.push_back(fmt::format("Var(x({}))", k));
  header.insert(header.end(), {"Var(x_delta)", "share of x_delta"});
  Table table(header);
  const std::vector<Channel> channels = channels_by_share();
  const auto rows = std::min(channels.size(), static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<std::string> row = {std::to_string(channels[i].number)};
    for (const double value : channels[i].orders) row.push_back(fmt::format("{:.6g}", value));
    row.push_back(fmt::format("{:.6g}", channels[i].delta));
    row.push_back(fmt::format("{:.2f} %", 100 * channels[i].share_delta));
    table.row(std::move(row));
  }
  table.print();
}

void print_variance_table(const std::vector<std::string>& files) {
  std::vector<nlohmann::json> reports;
  std::size_t orders = 0;
  for (const std::string& file : files) {
    reports.push_back(read_report(file));
    orders = std::max(orders, reports.back()["var_orders"].size());
  }
  std::vector<std::string> header = {""};
  std::vector<std::string> kinds = {"differ in"};
  for (const nlohmann::json& report : reports) {
    const std::string title = title_of(report);
    header.push_back(title.empty() ? files[header.size() - 1] : title);
    kinds.push_back(report.value("kind", "-"));
  }
  Table table(header);
  table.row(kinds);
  for (std::size_t k = 0; k < orders; ++k) {
    std::vector<std::string> row = {fmt::format("Var(x({}))", k)};
    for (const nlohmann::json& report : reports)
      row.push_back(k < report["var_orders"].size()
                        ? fmt::format("{:.6g}", report["var_orders"][k].get<double>())
                        : "-");
    table.row(std::move(row));
  }
  std::vector<std::string> delta = {"Var(x_delta)"}, instability = {"instability"};
  for (const nlohmann::json& report : reports) {
    delta.push_back(fmt::format("{:.6g}", report["var_delta"].get<double>()));
    instability.push_back(fmt::format("{:.4f}", report["instability"].get<double>()));
  }
  table.row(std::move(delta));
  table.row(std::move(instability));
  table.print();
}

}  // namespace concord::tool
