#pragma once
// A checkpoint is one safetensors file: parameters and buffers under their own names, optimiser
// state under "optimizer/...", and in the metadata the texts epoch, step (within the epoch),
// generator_seed, generator_offset, metrics and configuration (JSON).

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/module.h"
#include "engine/optimizer.h"
#include "engine/random.h"
#include "engine/safetensors.h"

namespace concord {

struct TrainingState {
  std::int64_t epoch = 0;  // epochs completed
  std::int64_t step = 0;   // steps completed in the next one
  random::Generator generator{};
  std::string metrics = "{}";        // JSON object: best so far, running sums
  std::string configuration = "{}";  // JSON object: the options of the run
};

// Atomic (write_safetensors). `optimizer` may be null. Throws, before writing, when metrics or
// configuration are not JSON objects.
void save_checkpoint(const std::filesystem::path& path, const Module& module,
                     const Optimizer* optimizer, const TrainingState& state);

// Loads parameters and buffers into the module, from a file of save_checkpoint, any other
// safetensors file, or one of torch.save (engine/weights_file.h). Every tensor of the module must
// be in the file with its shape and every one of the file (but optimizer/...) in the module: throws
// naming the first that is not, in the module's order, with both shapes, and the "arch" of the
// file's configuration where it has one. "module." is dropped from the file's names wherever it
// stands (PyTorch's DataParallel puts it there); a batch norm's num_batches_tracked may be missing
// (PyTorch before 0.4.1 had none) and is 0 then. Nothing is changed on failure. Returns notes for
// the user: what was converted or left out.
//
// `anew` names modules ("fc", "layer3.0") whose parameters and buffers stay as they are, whatever
// the file has for them: a head for another number of classes.
std::vector<std::string> load_parameters(const std::filesystem::path& path, Module& module,
                                         const std::vector<std::string>& anew = {});

// load_parameters, and the optimiser's state (where not null), for going on with a run. Throws
// also when the file is not a checkpoint of a run or holds no state of this optimiser. Nothing is
// changed on failure. The caller gives the generator back to the run by assigning to the one that
// its network draws from.
TrainingState load_checkpoint(const std::filesystem::path& path, Module& module,
                              Optimizer* optimizer);

// load_parameters, and from the same file where a new run is to go on from: the optimiser's state
// and the epochs completed, 0 where the file does not say. For checkpoints of PyTorch
// (engine/pytorch_file.h) as well as for load_checkpoint's. Throws when the file's state of an
// optimiser does not fit this one, and for a checkpoint from the middle of an epoch; without such a
// state the optimiser's is left as it is, with a note. Nothing is changed on failure.
struct Continuation {
  std::int64_t epoch = 0;
  std::optional<random::Generator> generator;  // of a checkpoint of Concord's
  std::vector<std::string> notes;
};
Continuation continue_from(const std::filesystem::path& path, Module& module, Optimizer& optimizer);

// The metadata only: to build the network that a file holds (configuration "arch", "classes", ...).
// Throws when the file was not written by save_checkpoint.
TrainingState read_training_state(const std::filesystem::path& path);

}  // namespace concord
