#pragma once
// What a training writes for TensorBoard besides metrics.jsonl, and when.

#include <memory>
#include <string>
#include <vector>

#include "engine/module.h"
#include "tools/common/program.h"
#include "tools/common/run_directory.h"
#include "tools/common/tensorboard.h"
#include "tools/common/training.h"

namespace concord::tool {

// A tag of TensorBoard for a value of an epoch: "val/NAME" of "val_NAME", "train/dp_0" of
// "dL/dp_0", else "train/NAME".
std::string tag_of_value(const std::string& name);

// Whether epoch `epoch` (from 1) is one of at most `most` of `epochs` that are shown: the first,
// the last, and every ceil(epochs / (most - 1))-th.
bool is_shown(std::int64_t epoch, std::int64_t epochs, std::int64_t most);

// The event file of a run, or none (--tensorboard none). Steps are epochs, from 1.
//   scalars: train/..., val/... of every epoch, speed/images_per_second, speed/seconds_per_step,
//     speed/seconds_per_epoch
//   all: besides, at 50 epochs at most, weights/PARAMETER of each parameter that is trained and
//     gradients/PARAMETER in the epoch's last step (not of linear layers so large that their
//     gradient is put off, nor with --cuda-graph), and at 10 epochs at most
//     TrainingTask::pictures()
// The command and config.json's options come as the text run/configuration.
class TrainingEvents {
 public:
  // `done` epochs are done: what earlier files say of later ones no longer counts.
  TrainingEvents(const RunOptions& options, const CommandLine& line, const RunDirectory& directory,
                 std::int64_t epochs, std::int64_t done);

  struct Speed {
    double images_per_second = 0;
    double seconds = 0;  // of the epoch's steps
    std::int64_t steps = 0;
  };

  // Between the passes and the update of the last step of epoch `epoch`.
  void gradients(std::int64_t epoch, const Module& module);
  // After epoch `epoch`.
  void epoch(std::int64_t epoch, const Values& values, const Speed& speed, TrainingTask& task);

 private:
  bool shows(std::int64_t epoch, std::int64_t most) const;

  bool all_;
  std::int64_t epochs_;
  std::unique_ptr<EventWriter> writer_;
};

}  // namespace concord::tool
