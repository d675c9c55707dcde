#pragma once
// Files for torch.load(..., weights_only=True): the zip form of torch.save. Source:
// torch/serialization.py (_save), torch/_utils.py (_rebuild_tensor_v2).

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/module.h"

namespace concord {

// What torch.optim's load_state_dict wants to know beside the tensors.
struct PytorchOptimizerGroup {
  double learning_rate = 0;
  double momentum = 0;  // of SGD
  double weight_decay = 0;
};

// Beside a state dict, a checkpoint in the manner of PyTorch's ImageNet example: {"epoch", "arch",
// "state_dict", "best_acc1", "optimizer"}, where it is known.
struct PytorchCheckpoint {
  std::optional<std::int64_t> epoch;
  std::string arch;
  std::optional<double> best_acc1;  // in per cent
  // With it the tensors named "optimizer/KIND/PARAMETER" and "optimizer/step", as
  // Optimizer::state() has them, become torch.optim's state: Adam's where there is an "exp_avg",
  // else SGD's.
  std::optional<PytorchOptimizerGroup> optimizer;
};

// Writes the tensors as a state dict (collections.OrderedDict), bare or within a checkpoint.
// float32, float64, bfloat16, int64 and uint8 stay what they are; each tensor has a storage of its
// own. "optimizer/..." tensors are left out unless asked for above. `metadata` goes into the member
// extra/concord.json, which PyTorch passes over and WeightsFile::metadata() gives back. The file
// appears whole or not at all. Throws Error naming the file.
void write_pytorch(const std::filesystem::path& path, const std::vector<Named<Tensor>>& tensors,
                   const PytorchCheckpoint* checkpoint = nullptr,
                   const std::map<std::string, std::string>& metadata = {});

}  // namespace concord
