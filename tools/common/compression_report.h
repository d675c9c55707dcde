#pragma once
// What concord-compress found: accuracy after each stage, what became of each layer, sizes, and the
// knowledge discarded.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/compression/pruning.h"
#include "analysis/compression/shared_weights.h"
#include "tools/common/classification.h"
#include "tools/common/variance_report.h"

namespace concord::tool {

struct CompressionStage {
  std::string name;  // "pruned"
  int epoch = 0;     // of its training, counted from 1; 0 where nothing was trained
  Evaluation evaluation;
};

struct CompressedLayer {
  std::string layer;
  LayerKind kind = LayerKind::kConvolution;
  double sensitivity = 0;
  PrunedLayer pruned;
  SharedLayer shared;
  std::uint64_t bytes = 0;  // of codebook and codes in the compact file
};

struct CompressionReport {
  std::string arch;
  std::string split;  // that the accuracies are of
  std::vector<CompressionStage> stages;
  std::vector<CompressedLayer> layers;
  std::uint64_t dense_bytes = 0;    // the checkpoint, float32
  std::uint64_t compact_bytes = 0;  // the compact file, all of it
  // What of the original's features cannot be computed from the compressed network's, and the other
  // way round: the reports' deltas. Absent where no layer was given.
  std::string compared_layer;
  std::optional<VarianceReport> from_compressed, from_original;

  nlohmann::ordered_json json() const;
  // To stdout: a table of the stages, of the layers, of the sizes and of what was discarded.
  void print() const;
};

}  // namespace concord::tool
