#pragma once
// The state of torch.optim's SGD and Adam in a checkpoint. Source: torch/optim/optimizer.py
// (Optimizer.state_dict).
//
//   {"state": {0: {"momentum_buffer": tensor}, ...}, "param_groups": [{"params": [0, ...], ...}]}
//
// Parameters are numbers there, in the order in which the optimiser was given them, which is that
// of the network's parameters() and so of the state dict without its buffers.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/pytorch_object.h"

namespace concord {

struct PytorchOptimizerState {
  // By Concord's names (Optimizer::state()): "momentum_buffer/fc.weight", and "step".
  std::vector<std::pair<std::string, StoredTensor>> tensors;
  // Why a state that is there was not taken, for the user.
  std::vector<std::string> notes;
};

// Looks beside the state dict, in the file's outermost dict, for an optimiser's. `parameters` are
// those of the state dict, in its order, with their shapes. An optimiser of fewer parameters was
// given the last ones (the first being frozen); it is taken if the shapes agree. A buffer that was
// not made yet is zeros. Throws for tensors that are damaged; a state of another kind or for other
// parameters is passed over with a note. `where` is the file.
PytorchOptimizerState read_optimizer_state(
    const PytorchObject& object, const std::string& where,
    const std::vector<std::pair<std::string, Shape>>& parameters);

// Whether a tensor of this name is a buffer of a batch norm rather than a parameter, by the last
// part of its name: state dicts do not say otherwise.
bool is_buffer_name(std::string_view name);

}  // namespace concord
