#include "tools/common/saved_configuration.h"

#include <algorithm>

#include "engine/checkpoint.h"
#include "engine/weights_file.h"
#include "tools/common/fine_tuning.h"
#include "tools/common/run_directory.h"
#include "tools/common/terminal.h"

namespace concord::tool {

nlohmann::json saved_configuration(const std::string& weights) {
  const WeightsFile file(weights);
  const auto text = file.metadata().find("configuration");
  if (text == file.metadata().end()) return nlohmann::json::object();
  nlohmann::json json = nlohmann::json::parse(text->second, nullptr, false);
  if (!json.is_object()) return nlohmann::json::object();
  const auto expect = [&](const char* name, auto fits) {
    check(!json.contains(name) || fits(json[name]), "{}: its configuration is damaged: {} is {}",
          weights, name, text_of_json(json.value(name, nlohmann::json())).substr(0, 100));
  };
  const auto is_text = [](const nlohmann::json& value) { return value.is_string(); };
  const auto is_count = [](const nlohmann::json& value) {
    return value.is_number_integer() && value >= 0 && value < (1 << 24);
  };
  expect("arch", is_text);
  expect("classes", is_count);
  expect("image_size", is_count);
  expect("class_names", [&](const nlohmann::json& value) {
    return value.is_array() && std::all_of(value.begin(), value.end(), is_text);
  });
  // A checkpoint of the original names the variant that it was trained as.
  if (std::string arch = json.value("arch", ""); remove_fine_tuning_suffix(arch)) {
    json["arch"] = arch;
    json["fine_tuned"] = true;
  }
  return json;
}

void load_weights(const std::string& weights, Module& module,
                  const std::vector<std::string>& anew) {
  for (const std::string& text : load_parameters(weights, module, anew)) write_note(text);
}

}  // namespace concord::tool
