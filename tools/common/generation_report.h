#pragma once
// What concord-born-again tells of its generations, in tables and in born-again.json.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/common/classification.h"
#include "tools/common/training.h"
#include "tools/common/variance_report.h"

namespace concord::tool {

struct Generation {
  // Folders are called "generation-0", "generation-1", ...
  inline static const std::string kFolder = "generation-";

  std::int64_t number = 0;
  std::optional<std::uint64_t> seed;  // absent: given, not trained
  // Of the loss: lambda in its first and last epoch, and tau; absent for one without a teacher.
  std::optional<std::pair<double, double>> lambda;
  std::optional<double> tau;
  std::string weights;  // the checkpoint that it is
  Values best;          // of its best epoch, as train() returns them
  Evaluation held_out;  // of the checkpoint

  std::string name() const { return kFolder + std::to_string(number); }
  // "-", "0.5", "0.5 to 0.1"
  std::string lambda_text() const;
  // generation, seed, lambda, tau.
  nlohmann::ordered_json json() const;
};

// The mean probabilities of generations first .. last (tools/common/ensemble.h).
struct GenerationsTogether {
  std::int64_t first = 0;
  std::int64_t last = 0;
  Evaluation held_out;
};

// How much of `to`'s features `from` knows.
struct GenerationPair {
  std::int64_t from = 0;
  std::int64_t to = 0;
  VarianceReport report;
};

struct GenerationReport {
  std::string arch;
  std::string layer;  // of the pairs; empty: none were measured
  bool multi_label = false;
  bool validated = false;  // whether there were held-out images
  std::vector<Generation> generations;
  std::vector<GenerationsTogether> ensembles;
  std::vector<GenerationPair> pairs;

  // To stdout: a row for each generation and ensemble, and a table for each group of classes.
  void print_accuracies() const;
  // To stdout: a row for each pair; nothing where there are none.
  void print_consistency() const;
  nlohmann::ordered_json json() const;
};

}  // namespace concord::tool
