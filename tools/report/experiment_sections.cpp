// Compression, distillation, refinement.

#include <fmt/core.h>

#include <set>

#include "tools/report/sections.h"

namespace concord::report {
namespace {

std::optional<double> accuracy_of(const Json& json) {
  const auto top1 = number_of(json, "top1");
  return top1 ? top1 : number_of(json, "accuracy");
}

// A bar from 0 to 100 % with its number.
Html accuracy_bar(const std::optional<double>& share) {
  if (!share) return "-";
  return Html::markup(
      fmt::format("<span class=\"level\"><i style=\"--part:{:.2f}%\"></i><b>{}</b></span>",
                  100 * *share, percent(*share)));
}

std::string shown(const std::optional<double>& value) { return value ? number(*value) : "-"; }

std::string loss_of(const Json& json) {
  const auto loss = number_of(json, "loss");
  return loss ? fmt::format("{:.4f}", *loss) : "-";
}

// top-1, top-5 and loss of an evaluation.
std::vector<Html> evaluation_cells(const Json& evaluation) {
  const auto top5 = number_of(evaluation, "top5");
  return {accuracy_bar(accuracy_of(evaluation)), top5 ? percent(*top5) : "-", loss_of(evaluation)};
}

std::vector<Html> joined(std::vector<Html> first, const std::vector<Html>& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

std::string run_title(const Findings& findings, const Finding& finding,
                      const std::vector<Finding>& all) {
  const Finding* config = findings.config_of(finding.folder);
  const std::string name = config == nullptr ? finding.name : config->name;
  return all.size() > 1 ? fmt::format("<h3>{}</h3>\n", escaped(name)) : std::string();
}

std::string layer_table(const Json& layers) {
  HtmlTable table(
      "", {"layer", "weights", "kept", "pruned", "shared values", "bytes", "bits per weight"});
  for (const Json& layer : layers) {
    const auto whole = [&](const char* key) { return grouped(layer.at(key).get<std::int64_t>()); };
    table.row({text_of(layer, "layer"), whole("weights"), whole("kept"),
               percent(layer.at("sparsity").get<double>()), whole("centroids"), whole("bytes"),
               fmt::format("{:.2f}", layer.at("bits_per_weight").get<double>())});
  }
  return "<details><summary>Layer by layer</summary>\n" + table.to_string() + "</details>\n";
}

// Accuracies of A and B as small as they stand in refine.json.
void refinement_row(HtmlTable& table, const std::string& features, const Json& before,
                    const Json& after, const Json& best) {
  table.row({features, accuracy_bar(accuracy_of(before)), accuracy_bar(accuracy_of(after)),
             best.is_object() && accuracy_of(best)
                 ? fmt::format("{} ({})", percent(*accuracy_of(best)),
                               best.value("epoch", Json(0)).dump())
                 : "-",
             loss_of(after.is_object() ? after : before)});
}

}  // namespace

Section compression_section(Findings& findings) {
  Section section{"compression", "Compression", "", "compression"};
  each(findings, findings.compressions, [&](const Finding& finding) {
    const Json& json = finding.json;
    std::string body = run_title(findings, finding, findings.compressions);
    if (const auto ratio = number_of(json, "ratio"))
      body += fmt::format(
          "<p>{} was pruned, its weights shared, and both coded: from <b>{}</b> to <b>{}</b> bytes "
          "as files, {:.2f} times smaller. {} of {} weights are left ({} are zero).</p>\n",
          escaped(text_of(json, "arch")), grouped(json.at("dense_bytes").get<std::int64_t>()),
          grouped(json.at("compact_bytes").get<std::int64_t>()), *ratio,
          grouped(json.at("kept").get<std::int64_t>()),
          grouped(json.at("weights").get<std::int64_t>()),
          percent(json.at("sparsity").get<double>()));
    HtmlTable stages("Accuracy after each stage", {"stage", "top-1", "top-5", "loss"});
    for (const Json& stage : json.at("stages"))
      stages.row(joined({text_of(stage, "stage")}, evaluation_cells(stage)));
    body += stages.to_string();
    if (json.contains("original_from_compressed")) {
      HtmlTable discarded(fmt::format("Knowledge at {}: share of x_delta", text_of(json, "layer")),
                          {"", "share of x_delta", "shares of the variance"});
      const auto add = [&](const char* words, const Json& report) {
        const Comparison comparison = read_comparison(report, "");
        discarded.row({words, percent(comparison.share_delta),
                       Html::markup(share_bar(comparison.share_orders, comparison.share_delta))});
      };
      add("discarded: the original\u2019s features, from the compressed network\u2019s",
          json.at("original_from_compressed"));
      add("new: the compressed network\u2019s features, from the original\u2019s",
          json.at("compressed_from_original"));
      body += discarded.to_string();
    }
    if (json.contains("layers") && json["layers"].is_array()) body += layer_table(json["layers"]);
    section.body += body;
  });
  return section;
}

Section distillation_section(Findings& findings) {
  Section section{"distillation", "Distillation: born-again networks", "", "distillation"};
  each(findings, findings.generations, [&](const Finding& finding) {
    const Json& json = finding.json;
    std::string body = run_title(findings, finding, findings.generations);
    HtmlTable table("Every generation learns from the one before",
                    {"generation", "seed", "lambda", "held-out top-1", "top-5", "loss"});
    for (const Json& generation : json.at("generations")) {
      const Json lambda = generation.value("lambda", Json());
      table.row(joined({fmt::format("{}", generation.at("generation").get<int>()),
                        shown(number_of(generation, "seed")),
                        lambda.is_array() ? lambda.dump() : shown(number_of(generation, "lambda"))},
                       evaluation_cells(generation.value("val", Json()))));
    }
    for (const Json& ensemble : json.value("ensembles", Json::array()))
      table.row(joined({fmt::format("{} to {} together", ensemble.at("first").get<int>(),
                                    ensemble.at("last").get<int>()),
                        "-", "-"},
                       evaluation_cells(ensemble.value("val", Json()))));
    body += table.to_string();
    const Json consistency = json.value("consistency", Json());
    if (consistency.is_object()) {
      HtmlTable pairs(fmt::format("Consistency at {}", text_of(consistency, "layer")),
                      {"from", "to", "share of x_delta", "shares of the variance"});
      for (const Json& pair : consistency.at("pairs")) {
        const Comparison comparison = read_comparison(pair, "");
        pairs.row({fmt::format("generation {}", pair.at("from").get<int>()),
                   fmt::format("generation {}", pair.at("to").get<int>()),
                   percent(comparison.share_delta),
                   Html::markup(share_bar(comparison.share_orders, comparison.share_delta))});
      }
      body += pairs.to_string();
    }
    section.body += body;
  });
  return section;
}

Section refinement_section(Findings& findings) {
  Section section{"refinement", "Refinement", "", "refinement"};
  each(findings, findings.refinements, [&](const Finding& finding) {
    const Json& json = finding.json;
    std::string body = run_title(findings, finding, findings.refinements);
    HtmlTable table("Top-1 of the rest of B on features rebuilt from A",
                    {"features", "before training", "after", "best (epoch)", "loss"});
    const auto itself = [&](const char* key, const char* words) {
      const Json network = json.value(key, Json());
      if (network.is_object())
        refinement_row(table, fmt::format("{} itself, {}", words, text_of(network, "arch")),
                       network, Json(), Json());
    };
    itself("a", "A");
    itself("b", "B");
    for (const Json& subset : json.at("subsets")) {
      std::string formula;
      for (const Json& order : subset.at("orders"))
        formula += fmt::format("{}x({})", formula.empty() ? "" : " + ", order.get<int>());
      refinement_row(table, formula, subset.value("before", Json()), subset.value("last", Json()),
                     subset.value("best", Json()));
    }
    section.body += body + table.to_string();
  });
  if (!section.body.empty())
    section.body =
        "<p>A\u2019s features go through the frozen Trans-Net; the sum of some orders "
        "goes into the rest of B, which is then trained.</p>\n" +
        section.body;
  return section;
}

}  // namespace concord::report
