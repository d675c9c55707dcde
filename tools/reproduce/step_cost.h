#pragma once
// What a step of an experiment comes to, told from its options before it has run: the bytes that it
// writes, and how many images pass through which computation.

#include <optional>
#include <string>
#include <vector>

#include "tools/reproduce/facts.h"

namespace concord::reproduce {

// Work on images: how many pass through which step of concord-bench.
struct Work {
  double images = 0;
  std::string step;  // "train:resnet18"
  std::vector<std::string> arguments;
};

struct StepCost {
  std::optional<double> bytes;  // that stay; absent: not known
  double temporary_bytes = 0;   // of features that are there only while the step runs
  std::vector<Work> work;       // empty: not known
};

// Of the programs train, features, transnet, variance, similarity (bytes alone), refine, diagnose,
// compress and born-again; nothing of others, and where what the step works on is not known.
// Checkpoints are the last, with the optimiser's values, and the best; a pass through a part of a
// network counts as one through all of it; reading and decoding images is not counted.
StepCost cost_of(const Step& step, Facts& facts);

}  // namespace concord::reproduce
