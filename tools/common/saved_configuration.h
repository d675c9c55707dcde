#pragma once
// What a checkpoint says of the network in it, and the network itself.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/module.h"

namespace concord::tool {

// The configuration object of a checkpoint; an empty object for a file that has none (a state dict
// from elsewhere, a file of PyTorch). The architecture NAME_ft of the original's checkpoints is
// NAME with "fine_tuned": true. Throws when the file cannot be read or arch, classes, image_size or
// class_names are not of their kind.
nlohmann::json saved_configuration(const std::string& weights);

// load_parameters (engine/checkpoint.h); what it notes is shown to the user.
void load_weights(const std::string& weights, Module& module,
                  const std::vector<std::string>& anew = {});

}  // namespace concord::tool
