// Variances, gates and the tables of a suite.

#include <fmt/core.h>

#include <algorithm>

#include "tools/report/sections.h"

namespace concord::report {
namespace {

std::vector<Comparison> all_of(const std::vector<Comparison>& measured,
                               const std::vector<Comparison>& experiments) {
  std::vector<Comparison> all = measured;
  all.insert(all.end(), experiments.begin(), experiments.end());
  return all;
}

// What was measured as its column shows it, with the deviation where there is one.
std::string measured_text(const Json& cell, const Json& column) {
  const auto mean = number_of(cell, "mean");
  if (!mean) return "-";
  const double scale = number_of(column, "scale").value_or(1);
  const auto decimals = number_of(column, "decimals");
  const auto written = [&](double one) {
    return decimals
               ? fmt::format("{:.{}f}", scale * one, std::clamp(static_cast<int>(*decimals), 0, 15))
               : number(scale * one);
  };
  std::string text = written(*mean);
  if (const auto deviation = number_of(cell, "deviation")) text += " \u00b1 " + written(*deviation);
  return text + text_of(column, "unit");
}

// The paper's values stand in the plan as they are to be shown.
std::string paper_text(const Json& cell, const Json& column) {
  const auto paper = number_of(cell, "paper");
  return paper ? fmt::format("{:g}", *paper) + text_of(column, "unit") : "-";
}

std::string suite_table(const Json& table) {
  const Json& columns = table.at("columns");
  const Json& rows = table.at("rows");
  // Whether any row has a value of both: where rows are either's, they share a column.
  const auto is_ours = [](const Json& cell) {
    return cell.contains("result") && !cell["result"].is_null();
  };
  std::vector<bool> beside(columns.size());
  for (const Json& row : rows)
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Json& cell = row.at("cells").at(i);
      beside[i] = beside[i] || (number_of(cell, "paper") && is_ours(cell));
    }
  std::vector<Html> header = {""};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string title = columns[i].at("title").get<std::string>();
    header.emplace_back(title);
    if (beside[i])
      header.push_back(Html::markup(escaped(title) + "<span class=\"faint\">, paper</span>"));
  }
  HtmlTable result(table.at("title").get<std::string>(), header);
  for (const Json& row : rows) {
    std::vector<Html> cells = {row.at("title").get<std::string>()};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Json& cell = row.at("cells").at(i);
      const Html paper = Html::markup("<span class=\"faint\">" +
                                      escaped(paper_text(cell, columns[i])) + "</span>");
      cells.push_back(is_ours(cell) || beside[i] ? Html(measured_text(cell, columns[i])) : paper);
      if (beside[i]) cells.push_back(paper);
    }
    result.row(cells);
  }
  const std::string note = text_of(table, "note");
  return result.to_string() +
         (note.empty() ? "" : fmt::format("<p class=\"note\">{}</p>\n", escaped(note)));
}

std::string all_results(const Json& results) {
  HtmlTable table("", {"result", "values", "mean", "deviation"});
  for (const Json& result : results) {
    const auto mean = number_of(result, "mean");
    const auto deviation = number_of(result, "deviation");
    table.row({text_of(result, "name"), std::to_string(result.at("n").get<std::int64_t>()),
               mean ? fmt::format("{:.6g}", *mean) : "-",
               deviation ? fmt::format("{:.3g}", *deviation) : "-"});
  }
  return "<details><summary>Every result: number of values, mean, deviation</summary>\n" +
         table.to_string() + "</details>\n";
}

}  // namespace

Section variance_section(const std::vector<Comparison>& measured,
                         const std::vector<Comparison>& experiments) {
  Section section{"variance", "How much each order explains", "", "orders"};
  const std::vector<Comparison> all = all_of(measured, experiments);
  if (all.empty()) return section;
  section.body =
      "<p>B\u2019s features are the sum x(0) + x(1) + \u2026 + x_delta. The bars are the "
      "parts\u2019 "
      "shares in the sum of their variances, over held-out images; the instability, the "
      "paper\u2019s "
      "measure, is the share of x_delta. The parts are not independent of each other, so that this "
      "sum is not Var(B): what is missing of B itself is Var(x_delta) / Var(B), in the last column."
      "</p>\n" +
      share_legend(most_orders(all));
  if (!measured.empty()) section.body += comparison_table("Measured by concord-variance", measured);
  if (!experiments.empty())
    section.body +=
        comparison_table("Measured within diagnosis, compression and distillation", experiments);
  return section;
}

Section suite_section(Findings& findings) {
  Section section{"results", "Results beside the paper\u2019s", "", "results"};
  each(findings, findings.suites, [&](const Finding& finding) {
    std::string body = findings.suites.size() > 1
                           ? fmt::format("<h3>{}</h3>\n", escaped(finding.name))
                           : std::string();
    bool several = false;
    for (const Json& result : finding.json.at("results"))
      several = several || number_of(result, "n").value_or(0) > 1;
    body += fmt::format(
        "<p>The plan <b>{}</b>. {} The paper\u2019s values are in grey; the paper is Liang et al., "
        "ICLR 2020.</p>\n",
        escaped(text_of(finding.json, "plan")),
        several ? "Values are means \u00b1 the deviation over repetitions."
                : "Each value is of one run: there is no deviation.");
    if (finding.json.contains("tables"))
      for (const Json& table : finding.json["tables"]) body += suite_table(table);
    section.body += body + all_results(finding.json.at("results"));
  });
  return section;
}

Section gates_section(const std::vector<Comparison>& measured,
                      const std::vector<Comparison>& experiments) {
  Section section{"gates", "The gates", "", "gates"};
  const std::vector<Comparison> all = all_of(measured, experiments);
  std::size_t most = 0;
  for (const Comparison& comparison : all) most = std::max(most, comparison.gates.size());
  if (most == 0) return section;
  std::vector<Html> header = {"from A to B"};
  for (std::size_t i = 0; i < most; ++i) header.emplace_back(fmt::format("p_{}", i));
  HtmlTable table("Each gate between 0 (closed) and 1", header);
  for (const Comparison& comparison : all) {
    std::vector<Html> cells = {
        Html::markup(fmt::format("{} \u2192 {}<small>{}</small>", escaped(comparison.from),
                                 escaped(comparison.to), escaped(comparison.name)))};
    for (std::size_t i = 0; i < most; ++i)
      cells.push_back(
          i < comparison.gates.size()
              ? Html::markup(fmt::format(
                    "<span class=\"gate\"><i style=\"--part:{:.2f}%\"></i>{:.3f}</span>",
                    100 * std::clamp(comparison.gates[i], 0.0, 1.0), comparison.gates[i]))
              : Html());
    table.row(cells);
  }
  section.body =
      "<p>Every further order passes one more gate p. A gate starts at 0.5, and training pushes it "
      "down: it stays open only where the lower orders do not suffice. x(1) passes the last gate, "
      "each further order the one before it, too.</p>\n" +
      table.to_string();
  return section;
}

}  // namespace concord::report
