#include "tools/report/comparison.h"

#include <fmt/core.h>

#include <algorithm>

#include "tools/common/feature_maps.h"

namespace concord::report {
namespace {

std::string or_else(const std::string& text, const std::string& other) {
  return text.empty() ? other : text;
}

}  // namespace

Comparison read_comparison(const Json& json, const std::string& name) {
  Comparison result;
  result.name = name;
  result.orders = json.at("var_orders").get<std::vector<double>>();
  result.share_orders = json.at("share_orders").get<std::vector<double>>();
  check(!result.orders.empty() && result.orders.size() == result.share_orders.size(),
        "var_orders has {} and share_orders {} values", result.orders.size(),
        result.share_orders.size());
  result.delta = json.at("var_delta").get<double>();
  result.share_delta = json.at("share_delta").get<double>();
  result.target = number_of(json, "var_target");
  if (json.contains("p") && json["p"].is_array())
    result.gates = json["p"].get<std::vector<double>>();
  result.top1_a = number_of(json, "top1_a");
  result.top1_b = number_of(json, "top1_b");
  result.kind = text_of(json, "kind");
  if (json.contains("channels")) result.channels = json["channels"];
  return result;
}

std::string describe_network(const Json& network) {
  std::string text = text_of(network, "arch");
  const auto add = [&](const std::string& before, const std::string& word) {
    if (!word.empty()) text += (text.empty() ? "" : before) + word;
  };
  add(" ", text_of(network, "layer"));
  const std::string seed = text_of(network, "seed");
  if (!seed.empty()) add(", ", "seed " + seed);
  const std::string half = text_of(network, "half");
  if (!half.empty()) add(", ", "half " + half + " of the images");
  return text;
}

std::vector<Comparison> measured_variances(Findings& findings) {
  std::vector<Comparison> comparisons;
  each(findings, findings.variances, [&](const Finding& finding) {
    Comparison comparison = read_comparison(finding.json, finding.name);
    comparison.from =
        or_else(describe_network(finding.json.value("a", Json::object())), "network A");
    comparison.to = or_else(describe_network(finding.json.value("b", Json::object())), "network B");
    comparison.folder = finding.folder;
    comparisons.push_back(std::move(comparison));
  });
  return comparisons;
}

std::vector<Comparison> experiment_variances(Findings& findings) {
  std::vector<Comparison> comparisons;
  const auto add = [&](const Finding& finding, const Json& json, const std::string& from,
                       const std::string& to) {
    Comparison comparison = read_comparison(json, finding.name);
    comparison.from = from;
    comparison.to = to;
    comparison.folder = finding.folder;
    comparisons.push_back(std::move(comparison));
  };
  each(findings, findings.diagnoses, [&](const Finding& finding) {
    const auto named = [&](const char* side) {
      const std::string words = describe_network(finding.json.value(side, Json::object()));
      return words.empty() ? std::string(side) : fmt::format("{}, {}", side, words);
    };
    add(finding, finding.json.at("unreliable"), named("strong"), named("weak"));
    add(finding, finding.json.at("blind-spots"), named("weak"), named("strong"));
  });
  each(findings, findings.compressions, [&](const Finding& finding) {
    if (!finding.json.contains("original_from_compressed")) return;
    add(finding, finding.json.at("original_from_compressed"), "compressed", "original");
    add(finding, finding.json.at("compressed_from_original"), "original", "compressed");
  });
  each(findings, findings.generations, [&](const Finding& finding) {
    const Json consistency = finding.json.value("consistency", Json());
    if (!consistency.is_object()) return;
    for (const Json& pair : consistency.at("pairs"))
      add(finding, pair, fmt::format("generation {}", pair.at("from").get<int>()),
          fmt::format("generation {}", pair.at("to").get<int>()));
  });
  return comparisons;
}

std::size_t most_orders(const std::vector<Comparison>& comparisons) {
  std::size_t most = 0;
  for (const Comparison& comparison : comparisons) most = std::max(most, comparison.orders.size());
  return most;
}

std::string share_legend(std::size_t orders) {
  std::string text;
  for (std::size_t k = 0; k < orders; ++k)
    text +=
        fmt::format("<li><i class=\"key\" style=\"background:{}\"></i><b>x({})</b> needs {}</li>",
                    order_colour(k), k, tool::relus(k));
  return "<ul class=\"legend\">" + text +
         "<li><i class=\"key\" style=\"background:var(--delta)\"></i><b>x_delta</b> was not "
         "found in A</li></ul>\n";
}

std::string comparison_table(const std::string& caption,
                             const std::vector<Comparison>& comparisons) {
  const std::size_t orders = most_orders(comparisons);
  std::vector<Html> header = {"from A to B", "shares", "instability"};
  for (std::size_t k = 0; k < orders; ++k) header.emplace_back(fmt::format("Var(x({}))", k));
  header.emplace_back("Var(x_delta)");
  header.emplace_back("Var(B)");
  header.emplace_back("Var(x_delta) / Var(B)");
  HtmlTable table(caption, header);
  bool nothing = false;
  for (const Comparison& comparison : comparisons) {
    std::vector<Html> cells = {
        Html::markup(fmt::format(
            "{} \u2192 {}<small>{}</small>", escaped(comparison.from), escaped(comparison.to),
            escaped(comparison.name +
                    (comparison.kind.empty() ? "" : "; they differ in " + comparison.kind)))),
        Html::markup(share_bar(comparison.share_orders, comparison.share_delta)),
        Html::markup(fmt::format("<b>{:.4f}</b>{}", comparison.share_delta,
                                 comparison.rebuilds_nothing() ? " *" : ""))};
    for (std::size_t k = 0; k < orders; ++k)
      cells.emplace_back(k < comparison.orders.size() ? number(comparison.orders[k]) : "");
    cells.emplace_back(number(comparison.delta));
    cells.emplace_back(comparison.target ? number(*comparison.target) : "-");
    const auto left = comparison.left_of_target();
    cells.emplace_back(left ? percent(*left) : "-");
    nothing = nothing || comparison.rebuilds_nothing();
    table.row(cells);
  }
  return table.to_string() +
         (nothing ? "<p class=\"note\">* x_delta varies more than B's features do: this Trans-Net "
                    "rebuilds nothing, and its share says little of the networks. Train it longer "
                    "or with another learning rate.</p>\n"
                  : "");
}

}  // namespace concord::report
