#include "engine/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/safetensors.h"
#include "engine/text.h"
#include "engine/weights_file.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kOptimizerPrefix = "optimizer/";
constexpr std::string_view kBatchCount = "num_batches_tracked";

void check_object(const char* what, const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(json.is_object(), "checkpoint: {} must be a JSON object, it is: {}", what,
        text.substr(0, 200));
}

template <class Integer>
Integer metadata_number(const WeightsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  check(found != file.metadata().end(),
        "{}: not a checkpoint of a run: its metadata have no \"{}\"; weights alone are loaded by "
        "naming their architecture",
        file.path().string(), key);
  const std::string& text = found->second;
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value >= 0,
        "{}: its metadata give \"{}\" for {}, a whole number is expected", file.path().string(),
        text.substr(0, 40), key);
  return value;
}

std::string metadata_object(const WeightsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return "{}";
  const auto json = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  check(json.is_object(), "{}: its metadata give no JSON object for {}", file.path().string(), key);
  return found->second;
}

TrainingState state_of(const WeightsFile& file) {
  TrainingState state;
  state.epoch = metadata_number<std::int64_t>(file, "epoch");
  state.step = metadata_number<std::int64_t>(file, "step");
  state.generator.set_state(metadata_number<std::uint64_t>(file, "generator_seed"),
                            metadata_number<std::uint64_t>(file, "generator_offset"));
  state.metrics = metadata_object(file, "metrics");
  state.configuration = metadata_object(file, "configuration");
  return state;
}

// " (made by arch resnet18)", where the file says so.
std::string made_by(const WeightsFile& file) {
  const auto found = file.metadata().find("configuration");
  if (found == file.metadata().end()) return "";
  const auto json = nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("arch") || !json["arch"].is_string()) return "";
  return fmt::format(" (made by arch {})", json["arch"].get<std::string>());
}

bool may_be_missing(const std::string& name) {
  return name == kBatchCount || name.ends_with("." + std::string(kBatchCount));
}

// A tensor of the module and what it will be; undefined for 0.
struct Assignment {
  Tensor to;
  Tensor from;
};

// Checks the whole file against the module; changes nothing. Tensors of the modules `anew` are
// passed over on both sides.
std::vector<Assignment> plan(const WeightsFile& file, const Module& module,
                             const std::vector<std::string>& anew = {}) {
  const std::string path = file.path().string();
  const auto is_anew = [&](const std::string& name) {
    return std::any_of(anew.begin(), anew.end(),
                       [&](const std::string& prefix) { return name.starts_with(prefix + "."); });
  };
  std::vector<std::string> names;
  for (const std::string& name : file.names())
    if (!name.starts_with(kOptimizerPrefix) && !is_anew(name)) names.push_back(name);

  std::vector<Assignment> assignments;
  std::set<std::string> known;
  for (const auto& [name, tensor] : module.named_state()) {
    if (is_anew(name)) continue;
    known.insert(name);
    if (!file.contains(name)) {
      if (may_be_missing(name)) {
        assignments.push_back({tensor, {}});
        continue;
      }
      fail("{}{}: has no tensor {}, which is {} here{}{}; it fits another architecture", path,
           made_by(file), name, tensor.shape().to_string(), names.empty() ? "" : "; it has ",
           nearest_names(name, names));
    }
    const Shape shape = file.shape(name);
    check(shape == tensor.shape(),
          "{}{}: tensor {} is {} in the file and {} here; it fits another architecture or number "
          "of classes",
          path, made_by(file), name, shape.to_string(), tensor.shape().to_string());
    const Tensor from = file.tensor(name);
    check(from.dtype() == tensor.dtype() ||
              (is_floating(from.dtype()) && is_floating(tensor.dtype())),
          "{}: tensor {} is {} in the file and {} here", path, name, name_of(from.dtype()),
          name_of(tensor.dtype()));
    assignments.push_back({tensor, from});
  }
  for (const std::string& name : names)
    check(known.contains(name),
          "{}{}: holds a tensor {} of shape {}, for which there is no place here; it fits another "
          "architecture",
          path, made_by(file), file.original(name), file.shape(name).to_string());
  return assignments;
}

void apply(std::vector<Assignment>& assignments) {
  for (Assignment& assignment : assignments) {
    if (assignment.from.defined())
      assignment.to.copy_from(assignment.from);
    else
      assignment.to.fill(0);
  }
}

void load_optimizer(const WeightsFile& file, Optimizer& optimizer) {
  std::map<std::string, Tensor> tensors;
  for (const std::string& name : file.names())
    if (name.starts_with(kOptimizerPrefix))
      tensors[name.substr(kOptimizerPrefix.size())] = file.tensor(name);
  try {
    optimizer.load_state(tensors);
  } catch (const Error& error) {
    fail("{}: {}", file.path().string(), error.what());
  }
}

}  // namespace

void save_checkpoint(const fs::path& path, const Module& module, const Optimizer* optimizer,
                     const TrainingState& state) {
  check_object("metrics", state.metrics);
  check_object("configuration", state.configuration);
  std::vector<Named<Tensor>> tensors = module.named_state();
  if (optimizer != nullptr)
    for (auto& [name, tensor] : optimizer->state())
      tensors.emplace_back(std::string(kOptimizerPrefix) + name, tensor);
  write_safetensors(path, tensors,
                    {{"format", "concord"},
                     {"epoch", std::to_string(state.epoch)},
                     {"step", std::to_string(state.step)},
                     {"generator_seed", std::to_string(state.generator.seed())},
                     {"generator_offset", std::to_string(state.generator.offset())},
                     {"metrics", state.metrics},
                     {"configuration", state.configuration}});
}

std::vector<std::string> load_parameters(const fs::path& path, Module& module,
                                         const std::vector<std::string>& anew) {
  const WeightsFile file(path);
  std::vector<Assignment> assignments = plan(file, module, anew);
  apply(assignments);
  return file.notes();
}

TrainingState load_checkpoint(const fs::path& path, Module& module, Optimizer* optimizer) {
  const WeightsFile file(path);
  TrainingState state = state_of(file);
  std::vector<Assignment> assignments = plan(file, module);
  if (optimizer != nullptr) load_optimizer(file, *optimizer);
  apply(assignments);
  return state;
}

Continuation continue_from(const fs::path& path, Module& module, Optimizer& optimizer) {
  const WeightsFile file(path);
  Continuation result;
  result.notes = file.notes();
  const auto says = [&](const char* key) { return file.metadata().contains(key); };
  if (says("epoch"))
    result.epoch = metadata_number<std::int64_t>(file, "epoch");
  else
    result.notes.push_back(
        fmt::format("{}: does not say how many epochs it was trained for; counting from the first",
                    path.string()));
  const std::int64_t step = says("step") ? metadata_number<std::int64_t>(file, "step") : 0;
  check(step == 0,
        "{}: is from the middle of epoch {}, after {} steps; its own run goes on from there with "
        "--resume",
        path.string(), result.epoch + 1, step);
  if (says("generator_seed")) result.generator = state_of(file).generator;
  std::vector<Assignment> assignments = plan(file, module);
  const bool has_state =
      std::any_of(file.names().begin(), file.names().end(),
                  [](const std::string& name) { return name.starts_with(kOptimizerPrefix); });
  if (has_state) {
    try {
      load_optimizer(file, optimizer);
    } catch (const Error& error) {
      fail(
          "{}. Go on with the optimiser that it was trained with (--optimizer, --momentum), or "
          "take "
          "its weights alone (--weights)",
          error.what());
    }
  }
  if (!has_state)
    result.notes.push_back(fmt::format(
        "{}: holds no state of an optimiser for these parameters; it begins anew", path.string()));
  apply(assignments);
  return result;
}

TrainingState read_training_state(const fs::path& path) { return state_of(WeightsFile(path)); }

}  // namespace concord
