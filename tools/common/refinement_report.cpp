#include "tools/common/refinement_report.h"

#include "tools/common/classifier_training.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHeldOut = "val_";

Json to_json(const Values& values) {
  if (values.empty()) return nullptr;
  Json json = Json::object();
  for (const auto& [name, value] : values)
    if (name == "epoch")
      json[name] = static_cast<std::int64_t>(value);
    else if (name.starts_with(kHeldOut))
      json[name.substr(kHeldOut.size())] = value;
  return json;
}

Values from_json(const Json& json) {
  Values values;
  if (json.is_object())
    for (const auto& [name, value] : json.items())
      values.emplace_back(std::string(kHeldOut) + name, value.get<double>());
  return values;
}

std::string cell(const std::string& name, double value) {
  return name.ends_with("loss") ? fmt::format("{:.4f}", value) : percent(value);
}

}  // namespace

Json RefinementReport::json() const {
  Json json;
  json["orders"] = orders;
  json["a"] = a ? to_json(*a) : Json(nullptr);
  json["b"] = to_json(b);
  if (a) json["a"]["arch"] = arch_a;
  json["b"]["arch"] = arch_b;
  json["subsets"] = Json::array();
  for (const RefinedAccuracy& refined : subsets)
    json["subsets"].push_back({{"name", refined.subset.name},
                               {"orders", refined.subset.orders},
                               {"before", to_json(refined.before)},
                               {"best", to_json(refined.best)},
                               {"last", to_json(refined.last)}});
  return json;
}

void RefinementReport::restore(const Json& json) {
  const auto network = [](Json object) {
    object.erase("arch");
    return from_json(object);
  };
  if (json.at("a").is_object()) a = network(json.at("a"));
  b = network(json.at("b"));
  for (RefinedAccuracy& refined : subsets)
    for (const Json& known : json.at("subsets"))
      if (known.at("orders") == Json(refined.subset.orders))
        refined.before = from_json(known.at("before"));
}

void RefinementReport::print(const std::vector<ClassGroup>& groups) const {
  // Columns: what the values are called, and what the table calls them.
  std::vector<std::pair<std::string, std::string>> columns;
  if (std::any_of(b.begin(), b.end(), [](const auto& value) { return value.first == "val_top1"; }))
    columns = {{"val_top1", "top-1"}, {"val_top5", "top-5"}, {"val_loss", "loss"}};
  else
    columns = {{"val_accuracy", "labels right"}, {"val_loss", "loss"}};
  for (const ClassGroup& group : groups)
    columns.emplace_back(fmt::format("val_{}_top1", group.name), group.name + " top-1");
  std::vector<std::string> header = {"features", "epochs"};
  for (const auto& [name, title] : columns) header.push_back(title);
  Table table(header);
  const auto add = [&](const std::string& features, const std::string& epochs,
                       const Values& values) {
    std::vector<std::string> cells = {features, epochs};
    for (const auto& [name, title] : columns) cells.push_back(cell(name, value_of(values, name)));
    table.row(std::move(cells));
  };
  if (a) add("A, " + arch_a, "-", *a);
  add("B, " + arch_b, "-", b);
  for (const RefinedAccuracy& refined : subsets) {
    const bool all = static_cast<std::int64_t>(refined.subset.orders.size()) == orders;
    const std::string name = refined.subset.formula() + (all ? " = y" : "");
    add(name, "0", refined.before);
    if (refined.last.empty()) continue;
    const double best = value_of(refined.best, "epoch");
    const double last = value_of(refined.last, "epoch");
    add(name, fmt::format("{:.0f}, the best", best), refined.best);
    if (best != last) add(name, fmt::format("{:.0f}", last), refined.last);
  }
  table.print();
}

}  // namespace concord::tool
