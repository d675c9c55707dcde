#include "tools/common/saved_configuration.h"

#include "engine/safetensors.h"

namespace concord::tool {

nlohmann::json saved_configuration(const std::string& weights) {
  const SafetensorsFile file(weights);
  const auto text = file.metadata().find("configuration");
  if (text == file.metadata().end()) return nlohmann::json::object();
  nlohmann::json json = nlohmann::json::parse(text->second, nullptr, false);
  return json.is_object() ? json : nlohmann::json::object();
}

}  // namespace concord::tool
