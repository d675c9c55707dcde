#include "tools/common/generation_report.h"

#include "tools/common/classifier_training.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

using Json = nlohmann::ordered_json;

// A generation, or several together.
struct Row {
  std::vector<std::string> cells;  // what comes before the accuracies
  const Evaluation& held_out;
};

std::vector<std::string> titles_of(const GenerationReport& report) {
  if (!report.validated) return {};
  if (report.multi_label) return {"val labels right", "val loss"};
  return {"val top-1", "val top-5", "val loss"};
}

std::vector<std::string> cells_of(const GenerationReport& report, const Accuracy& accuracy) {
  const std::string loss = fmt::format("{:.4f}", accuracy.loss);
  if (!report.validated) return {};
  if (report.multi_label) return {percent(accuracy.labels_right), loss};
  return {percent(accuracy.top1), percent(accuracy.top5), loss};
}

Row row_of(const GenerationReport& report, const Generation& generation) {
  const Values& best = generation.best;
  std::vector<std::string> cells = {std::to_string(generation.number), "given",
                                    generation.lambda_text(), "-", "-"};
  if (generation.seed) {
    cells[1] = std::to_string(*generation.seed);
    cells[3] = fmt::format("{:.0f}", value_of(best, "epoch"));
    cells[4] = fmt::format("{:.4f}", value_of(best, "loss"));
  }
  if (!report.validated)
    cells.push_back(
        generation.seed ? percent(value_of(best, report.multi_label ? "accuracy" : "top1")) : "-");
  return {std::move(cells), generation.held_out};
}

}  // namespace

std::string Generation::lambda_text() const {
  if (!lambda) return "-";
  return lambda->first == lambda->second
             ? fmt::format("{:.4g}", lambda->first)
             : fmt::format("{:.4g} to {:.4g}", lambda->first, lambda->second);
}

Json Generation::json() const {
  Json json = {{"generation", number}, {"seed", nullptr}, {"lambda", nullptr}, {"tau", nullptr}};
  if (seed) json["seed"] = *seed;
  if (lambda && lambda->first == lambda->second)
    json["lambda"] = lambda->first;
  else if (lambda)
    json["lambda"] = {lambda->first, lambda->second};
  if (tau) json["tau"] = *tau;
  return json;
}

void GenerationReport::print_accuracies() const {
  std::vector<Row> rows;
  for (const Generation& generation : generations) rows.push_back(row_of(*this, generation));
  for (const GenerationsTogether& ensemble : ensembles)
    rows.push_back(
        {{fmt::format("{} to {} together", ensemble.first, ensemble.last), "-", "-", "-", "-"},
         ensemble.held_out});
  const std::vector<std::string> titles = titles_of(*this);
  std::vector<std::string> header = {"generation", "seed", "lambda", "best epoch", "train loss"};
  if (!validated) header.emplace_back(multi_label ? "train labels right" : "train top-1");
  header.insert(header.end(), titles.begin(), titles.end());
  Table table(header);
  for (const Row& row : rows) {
    std::vector<std::string> cells = row.cells;
    for (std::string& cell : cells_of(*this, row.held_out.all)) cells.push_back(std::move(cell));
    table.row(std::move(cells));
  }
  table.print();
  for (std::size_t i = 0; i < rows.front().held_out.groups.size(); ++i) {
    header = {rows.front().held_out.groups[i].group};
    header.insert(header.end(), titles.begin(), titles.end());
    Table apart(header);
    for (const Row& row : rows) {
      std::vector<std::string> cells = {row.cells.front()};
      for (std::string& cell : cells_of(*this, row.held_out.groups[i]))
        cells.push_back(std::move(cell));
      apart.row(std::move(cells));
    }
    apart.print();
  }
}

void GenerationReport::print_consistency() const {
  if (pairs.empty()) return;
  Table table(joined({"from", "to"}, pairs.front().report.titles()));
  for (const GenerationPair& pair : pairs) {
    table.row(joined({std::to_string(pair.from), std::to_string(pair.to)}, pair.report.cells()));
    pair.report.warn_where_untrained();
  }
  table.print();
}

Json GenerationReport::json() const {
  Json json = {{"arch", arch}, {"generations", Json::array()}, {"ensembles", Json::array()}};
  for (const Generation& generation : generations) {
    Json entry = generation.json();
    entry["weights"] = generation.weights;
    entry["train"] = nullptr;
    for (const auto& [name, value] : generation.best)
      if (!name.starts_with("val_")) entry["train"][name] = value;
    if (validated) entry["val"] = to_json(generation.held_out);
    json["generations"].push_back(std::move(entry));
  }
  for (const GenerationsTogether& ensemble : ensembles)
    json["ensembles"].push_back(
        {{"first", ensemble.first}, {"last", ensemble.last}, {"val", to_json(ensemble.held_out)}});
  json["consistency"] = nullptr;
  if (layer.empty()) return json;
  json["consistency"] = {{"layer", layer}, {"pairs", Json::array()}};
  for (const GenerationPair& pair : pairs) {
    Json entry = {{"from", pair.from}, {"to", pair.to}};
    entry.update(pair.report.json());
    json["consistency"]["pairs"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace concord::tool
