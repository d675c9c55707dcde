#include "tools/common/compression_report.h"

#include <numeric>

#include "tools/common/classifier_training.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const CompressionStage& stage) {
  Json json = {{"stage", stage.name}};
  if (stage.epoch > 0) json["epoch"] = stage.epoch;
  json.update(to_json(stage.evaluation));
  return json;
}

Json json_of(const CompressedLayer& layer) {
  const auto weights = static_cast<double>(layer.pruned.weights);
  return {{"layer", layer.layer},
          {"kind", name_of(layer.kind)},
          {"weights", layer.pruned.weights},
          {"kept", layer.pruned.kept},
          {"sparsity", 1 - static_cast<double>(layer.pruned.kept) / weights},
          {"deviation", layer.pruned.deviation},
          {"sensitivity", layer.sensitivity},
          {"threshold", layer.pruned.threshold},
          {"centroids", layer.shared.centroids},
          {"k_means_iterations", layer.shared.iterations},
          {"k_means_converged", layer.shared.converged},
          {"bytes", layer.bytes},
          {"bits_per_weight", 8 * static_cast<double>(layer.bytes) / weights}};
}

struct Totals {
  std::int64_t weights = 0;
  std::int64_t kept = 0;
  std::uint64_t bytes = 0;
};
Totals totals_of(const std::vector<CompressedLayer>& layers) {
  Totals totals;
  for (const CompressedLayer& layer : layers) {
    totals.weights += layer.pruned.weights;
    totals.kept += layer.pruned.kept;
    totals.bytes += layer.bytes;
  }
  return totals;
}
double kept_share(std::int64_t kept, std::int64_t weights) {
  return static_cast<double>(kept) / static_cast<double>(weights);
}

void print_stages(const CompressionReport& report) {
  const bool multi_label = report.stages.front().evaluation.multi_label;
  std::vector<std::string> header = {report.arch + ", " + report.split, "epoch", "images"};
  for (const char* name : {"top-1", "top-5"})
    if (!multi_label) header.emplace_back(name);
  if (multi_label) header.emplace_back("labels right");
  header.emplace_back("loss");
  Table table(header);
  for (const CompressionStage& stage : report.stages) {
    const auto add = [&](const std::string& name, const Accuracy& accuracy) {
      std::vector<std::string> cells = {name, stage.epoch > 0 ? std::to_string(stage.epoch) : "",
                                        std::to_string(accuracy.samples)};
      if (multi_label) {
        cells.push_back(percent(accuracy.labels_right));
      } else {
        cells.push_back(percent(accuracy.top1));
        cells.push_back(percent(accuracy.top5));
      }
      cells.push_back(fmt::format("{:.4f}", accuracy.loss));
      table.row(std::move(cells));
    };
    add(stage.name, stage.evaluation.all);
    for (const Accuracy& group : stage.evaluation.groups)
      add(stage.name + ", " + group.group, group);
  }
  table.print();
}

void print_layers(const CompressionReport& report) {
  Table table({"layer", "weights", "threshold", "kept", "centroids", "bytes", "bits a weight"});
  const auto row = [&](const std::string& name, const Totals& totals, const std::string& threshold,
                       const std::string& centroids) {
    table.row({name, std::to_string(totals.weights), threshold,
               percent(kept_share(totals.kept, totals.weights)), centroids,
               std::to_string(totals.bytes),
               fmt::format("{:.2f}", 8 * static_cast<double>(totals.bytes) /
                                         static_cast<double>(totals.weights))});
  };
  for (const CompressedLayer& layer : report.layers)
    row(layer.layer, totals_of({layer}), fmt::format("{:.3g}", layer.pruned.threshold),
        std::to_string(layer.shared.centroids));
  row("all", totals_of(report.layers), "", "");
  table.print();
}

double ratio_of(const CompressionReport& report) {
  return static_cast<double>(report.dense_bytes) / static_cast<double>(report.compact_bytes);
}

void print_sizes(const CompressionReport& report) {
  Table table({"file", "bytes", "times smaller"});
  table.row({"compressed.safetensors", std::to_string(report.dense_bytes), "1"});
  table.row({"compact.safetensors", std::to_string(report.compact_bytes),
             fmt::format("{:.2f}", ratio_of(report))});
  table.print();
}

void print_discarded(const CompressionReport& report) {
  Table table(joined({"at " + report.compared_layer}, report.from_compressed->titles()));
  const auto add = [&](const char* name, const VarianceReport& variances) {
    table.row(joined({name}, variances.cells()));
    variances.warn_where_untrained();
  };
  add("original from compressed (discarded)", *report.from_compressed);
  add("compressed from original", *report.from_original);
  table.print();
}

}  // namespace

Json CompressionReport::json() const {
  Json json = {{"arch", arch}, {"split", split}};
  for (const CompressionStage& stage : stages) json["stages"].push_back(json_of(stage));
  for (const CompressedLayer& layer : layers) json["layers"].push_back(json_of(layer));
  const Totals totals = totals_of(layers);
  json["weights"] = totals.weights;
  json["kept"] = totals.kept;
  json["sparsity"] = 1 - kept_share(totals.kept, totals.weights);
  json["dense_bytes"] = dense_bytes;
  json["compact_bytes"] = compact_bytes;
  json["ratio"] = ratio_of(*this);
  if (from_compressed && from_original) {
    json["layer"] = compared_layer;
    json["original_from_compressed"] = from_compressed->json();
    json["compressed_from_original"] = from_original->json();
  }
  return json;
}

void CompressionReport::print() const {
  print_stages(*this);
  write_result("\n");
  print_layers(*this);
  write_result("\n");
  print_sizes(*this);
  if (from_compressed && from_original) {
    write_result("\n");
    print_discarded(*this);
  } else {
    write_result("\nThe knowledge discarded was not measured: give --layer.\n");
  }
}

}  // namespace concord::tool
