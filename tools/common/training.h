#pragma once
// The loop around every training: epochs, learning rate, checkpoints, resuming, logs, interruption,
// and what happens when the loss is no longer a number.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "data/image.h"
#include "engine/checkpoint.h"
#include "tools/common/options.h"
#include "tools/common/run_directory.h"

namespace concord::tool {

// Named numbers of a step or an epoch, in the order in which they are logged. Names that start with
// "val_" are of held-out data.
using Values = std::vector<std::pair<std::string, double>>;

// The value of that name; throws when there is none.
double value_of(const Values& values, const std::string& name);

struct Step {
  std::int64_t number = 0;   // of the batch in its epoch, from 0
  std::int64_t samples = 0;  // in the batch
  Values means;              // over these samples, "loss" first; averaged over the epoch's samples
};

// What is trained and on what.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  virtual Module& module() = 0;
  // Batches and samples of an epoch.
  virtual std::int64_t steps() const = 0;
  virtual std::int64_t samples() const = 0;
  // Begins epoch `epoch` (from 0) at batch `first_step`, in training mode.
  virtual void start(std::int64_t epoch, std::int64_t first_step) = 0;
  // Forward and backward pass of the next batch: gradients are left in the parameters. False at the
  // end of the epoch.
  virtual bool step(Step& step) = 0;
  // The optimiser's update for that batch.
  virtual void update(Optimizer& optimizer, double learning_rate) = 0;
  // The forward pass of the last batch once more, to find a NaN.
  virtual void replay() = 0;
  // After the last step of an epoch: further values, such as those of held-out data.
  virtual Values evaluate() = 0;
  // Which epoch is best: the highest score. `values` are all of the epoch.
  virtual double score(const Values& values) const = 0;
  // After evaluate(): what the network looks like, as tags of TensorBoard and pictures. Must not
  // change a bit of the training.
  virtual std::vector<std::pair<std::string, Image>> pictures() { return {}; }
};

struct TrainingSetup {
  RunOptions run;
  OptimizerOptions optimizer;
  // What a program needs to build the module from the file alone; goes into the checkpoints.
  nlohmann::ordered_json network;
  // The options that change the result, by name; a resumed run must have the same.
  nlohmann::ordered_json settings;
  // A checkpoint to go on from in a new run (engine/checkpoint.h: continue_from); may be empty.
  std::string continue_from;
  // The generator of initial weights and dropout; in the checkpoints.
  random::Generator* generator = nullptr;
};

// Throws unless the settings that `file` was written with are those of now, naming the first option
// that is not: for --resume. Settings that only one of the two has are passed over.
void check_same_settings(const nlohmann::ordered_json& before, const nlohmann::ordered_json& now,
                         const std::string& file);

// Trains from the beginning, or from the directory's checkpoint, to the last epoch. Throws
// Interrupted after a checkpoint when a signal came, and Error when the loss is not finite (naming
// the first parameter or layer), when the files cannot be written, or when a resumed run's settings
// differ. Returns the values of the best epoch, with "epoch".
Values train(TrainingTask& task, const TrainingSetup& setup, const CommandLine& line,
             RunDirectory& directory);

}  // namespace concord::tool
