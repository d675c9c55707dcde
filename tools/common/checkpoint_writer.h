#pragma once
// When and how a run's best.safetensors and last.safetensors are written.

#include <chrono>
#include <optional>
#include <vector>

#include "engine/checkpoint.h"
#include "tools/common/run_directory.h"

namespace concord::tool {

// Keeps writing to a tenth of the time at most: when epochs are short against their checkpoints,
// the best parameters wait in memory and not every epoch is written. A run that is killed in
// between goes on from an earlier epoch, to the same bits.
class CheckpointWriter {
 public:
  CheckpointWriter(Module& module, const Optimizer& optimizer, const RunDirectory& directory)
      : module_(module), optimizer_(optimizer), directory_(directory) {}

  // The module as it is now is the best so far.
  void best(const TrainingState& state);
  // Whether enough time has passed since the last writing.
  bool due() const;
  // Writes best.safetensors where there is a new best, then last.safetensors. Throws, writing
  // neither, when a parameter or buffer is not finite, naming it; and when writing fails.
  void write(const TrainingState& state);

 private:
  struct Waiting {
    std::vector<Tensor> values;  // of named_state()
    TrainingState state;
  };
  using Clock = std::chrono::steady_clock;

  void check_finite(const TrainingState& state) const;
  // Exchanges the module's values with those that wait.
  void swap_waiting();

  Module& module_;
  const Optimizer& optimizer_;
  const RunDirectory& directory_;
  std::optional<Waiting> waiting_;
  Clock::duration cost_{};
  Clock::time_point written_at_ = Clock::now();
};

}  // namespace concord::tool
