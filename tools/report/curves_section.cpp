// metrics.jsonl of every run as small charts, by the kind of run.

#include <fmt/core.h>

#include <array>

#include "tools/report/chart.h"
#include "tools/report/sections.h"

namespace concord::report {
namespace {

using Points = std::vector<std::pair<double, double>>;

Points points_of(const MetricsFile& metrics, const std::string& key) {
  Points points;
  for (const Json& epoch : metrics.epochs)
    if (const auto value = number_of(epoch, key))
      points.emplace_back(*number_of(epoch, "epoch"), *value);
  return points;
}

struct Wanted {
  std::string key, name, colour;
};

// The lines that there are; none: no chart.
std::string chart_of(const MetricsFile& metrics, Chart chart, const std::vector<Wanted>& wanted) {
  for (const Wanted& one : wanted)
    if (Points points = points_of(metrics, one.key); !points.empty())
      chart.lines.push_back({one.name, one.colour, std::move(points)});
  return chart.lines.empty() ? "" : draw_chart(chart, metrics.name);
}

constexpr const char* kTrain = "var(--o0)";
constexpr const char* kHeldOut = "var(--delta)";

std::string classifier_charts(const MetricsFile& metrics) {
  const std::string key = points_of(metrics, "top1").empty() ? "accuracy" : "top1";
  return chart_of(metrics, {.title = "loss"},
                  {{"loss", "training", kTrain}, {"val_loss", "held-out", kHeldOut}}) +
         chart_of(metrics,
                  {.title = key == "top1" ? "top-1 accuracy" : "labels right", .share = true},
                  {{key, "training", kTrain}, {"val_" + key, "held-out", kHeldOut}});
}

std::string trans_net_charts(const MetricsFile& metrics) {
  std::vector<Wanted> gates;
  constexpr std::array kColours = {"var(--o0)", "var(--delta)", "var(--o2)", "var(--faint)"};
  for (std::size_t i = 0; !points_of(metrics, fmt::format("p_{}", i)).empty(); ++i)
    gates.push_back({fmt::format("p_{}", i), fmt::format("p_{}", i),
                     kColours[std::min(i, kColours.size() - 1)]});
  return chart_of(metrics, {.title = "MSE", .unit = "feature values\u00b2"},
                  {{"mse", "training", kTrain}, {"val_mse", "held-out", kHeldOut}}) +
         chart_of(metrics, {.title = "gates"}, gates);
}

bool is_trans_net(const MetricsFile& metrics) { return metrics.epochs.front().contains("mse"); }

// What the program that ran in the folder, or whose part lies there, is called in a heading.
std::string group_of(const Findings& findings, const MetricsFile& metrics) {
  const Finding* config = findings.config_of(metrics.folder);
  const std::string program = config == nullptr ? "" : text_of(config->json, "program");
  if (is_trans_net(metrics)) return "Trans-Nets";
  if (program == "concord-train") return "Classifiers";
  if (program == "concord-refine") return "Refinement";
  if (program == "concord-compress") return "Compression";
  if (program == "concord-born-again") return "Distillation";
  return "Other runs";
}

}  // namespace

Section curves_section(Findings& findings) {
  Section section{"curves", "Training curves", "", "curves"};
  for (const std::string group :
       {"Classifiers", "Trans-Nets", "Refinement", "Compression", "Distillation", "Other runs"}) {
    std::string runs;
    std::size_t count = 0;
    for (const MetricsFile& metrics : findings.metrics) {
      if (group_of(findings, metrics) != group) continue;
      const std::string charts =
          is_trans_net(metrics) ? trans_net_charts(metrics) : classifier_charts(metrics);
      if (charts.empty()) continue;
      runs += fmt::format("<div class=\"run\"><h4>{}</h4><div class=\"charts\">\n{}</div></div>\n",
                          escaped(metrics.name), charts);
      ++count;
    }
    if (runs.empty()) continue;
    section.body += fmt::format(
        "<details open><summary><h3>{}</h3> <span class=\"faint\">{} run{}</span></summary>\n<div "
        "class=\"multiples\">\n{}</div></details>\n",
        group, count, count == 1 ? "" : "s", runs);
  }
  if (!section.body.empty())
    section.body =
        "<p class=\"screen\">Move over a chart, or focus it and use the arrow keys, to read its "
        "values."
        "</p>\n" +
        section.body;
  return section;
}

}  // namespace concord::report
