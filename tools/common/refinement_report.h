#pragma once
// The table of concord-refine, on the terminal and in refine.json.

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "data/class_group.h"
#include "tools/common/refinement.h"
#include "tools/common/training.h"

namespace concord::tool {

// Accuracies are the Values of an Evaluation (classifier_training.h), of the validation images.
struct RefinedAccuracy {
  OrderSubset subset;
  Values before;  // fed through B as it was
  Values best;    // of the rest of B after training, with "epoch"; empty until then
  Values last;
};

struct RefinementReport {
  std::string arch_a, arch_b;
  std::int64_t orders = 0;  // K of the Trans-Net
  std::optional<Values> a;  // absent where A was not trained on these classes
  Values b;
  std::vector<RefinedAccuracy> subsets;

  nlohmann::ordered_json json() const;
  // Takes over what `json` knows of A, B and these subsets before training; what it lacks stays
  // empty. Throws nlohmann's exception for a damaged one.
  void restore(const nlohmann::ordered_json& json);
  // A, B, and each subset before and after training.
  void print(const std::vector<ClassGroup>& groups) const;
};

}  // namespace concord::tool
