#pragma once
// A checkpoint is one safetensors file: parameters and buffers under their own names, optimiser
// state under "optimizer/...", and in the metadata epoch, step within the epoch, generator state,
// metrics and configuration (JSON texts).

#include <filesystem>
#include <string>

#include "engine/module.h"
#include "engine/optimizer.h"
#include "engine/random.h"
#include "engine/safetensors.h"

namespace concord {

struct TrainingState {
  std::int64_t epoch = 0;  // epochs completed
  std::int64_t step = 0;   // steps completed in the next one
  random::Generator generator;
  std::string metrics = "{}";        // JSON object: best so far, running sums
  std::string configuration = "{}";  // JSON object: the options of the run
};

// Atomic (write_safetensors). `optimizer` may be null.
void save_checkpoint(const std::filesystem::path& path, const Module& module,
                     const Optimizer* optimizer, const TrainingState& state);

// Loads parameters and buffers into the module. Every tensor of the module must be in the file with
// its shape and every one of the file (but optimizer/...) in the module: throws naming the first
// that is not, with both shapes. "module." prefixes are dropped. Nothing is changed on failure.
void load_parameters(const std::filesystem::path& path, Module& module);

// load_parameters, then the optimiser's state (where not null).
TrainingState load_checkpoint(const std::filesystem::path& path, Module& module,
                              Optimizer* optimizer);

// The metadata only: to build the network that a file holds (configuration "arch", "classes", ...).
TrainingState read_training_state(const std::filesystem::path& path);

}  // namespace concord
