#pragma once
// What a checkpoint says of the network in it.

#include <nlohmann/json.hpp>
#include <string>

namespace concord::tool {

// The configuration object of a checkpoint; an empty object for a safetensors file that has none (a
// state dict from elsewhere). Throws when the file cannot be read or arch, classes, image_size or
// class_names are not of their kind.
nlohmann::json saved_configuration(const std::string& weights);

}  // namespace concord::tool
