#pragma once
// Training a Trans-Net on pairs of features: what concord-transnet does, and what the experiments
// do that ask how much one network knows of another.

#include <memory>
#include <string>
#include <vector>

#include "tools/common/feature_pairs.h"
#include "tools/common/training.h"
#include "tools/common/trans_net_file.h"

namespace concord::tool {

// Pairs to train on and, where there are any, to validate on (null otherwise).
struct PairSources {
  std::unique_ptr<FeaturePairs> train;
  std::unique_ptr<FeaturePairs> validation;
};

// --alpha --no-penalty: the weights of alpha_i p_i^2 in the loss.
struct PenaltyOptions {
  std::vector<double> alpha = {0.1};
  bool off = false;
};
void add_penalty_options(CommandLine& line, PenaltyOptions& options);
// One weight for each of the K-1 gates. Throws UsageError for another number of values.
std::vector<double> penalties(const PenaltyOptions& options, std::int64_t orders);

struct TransNetTraining {
  RunOptions run;
  DeviceOptions device;
  OptimizerOptions optimizer;
  TransNetChoice net;
  PenaltyOptions penalty;
  std::string weights;        // to start from; may be empty
  std::string continue_from;  // TrainingSetup::continue_from
  // Settings that change the result, beside those of the members above; for --resume.
  nlohmann::ordered_json settings;
};

struct TrainedTransNet {
  std::unique_ptr<TransNet> net;  // of the last epoch
  Values best;  // of the best epoch, by the loss on held-out pairs where there are
};

// Trains into run.output_dir, a run like any other: checkpoints, metrics.jsonl, --resume. Throws as
// train() does, and when the pairs to train and to validate on differ in shape.
TrainedTransNet train_trans_net(const TransNetTraining& training, PairSources& sources,
                                const CommandLine& line);

}  // namespace concord::tool
