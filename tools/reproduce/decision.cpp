#include "tools/reproduce/decision.h"

#include <algorithm>

namespace concord::reproduce {
namespace fs = std::filesystem;

namespace {

// What differs between two recipes, the first that does.
std::string changed_recipe(const Json& before, const Json& now) {
  if (before.value("version", "") != now.value("version", ""))
    return fmt::format("Concord's version is {}, it was {}", now.value("version", ""),
                       before.value("version", ""));
  const Json old_words = before.value("arguments", Json::array());
  const Json words = now["arguments"];
  for (std::size_t i = 0; i < std::max(old_words.size(), words.size()); ++i) {
    const std::string was = i < old_words.size() && old_words[i].is_string()
                                ? old_words[i].get<std::string>()
                                : "(nothing)";
    const std::string is = i < words.size() ? words[i].get<std::string>() : "(nothing)";
    if (was == is) continue;
    const bool value =
        i > 0 && i < words.size() && words[i - 1].get<std::string>().starts_with("--");
    return fmt::format("its command changed: {}{}, it was {}",
                       value ? words[i - 1].get<std::string>() + " " : "", shown_path(is),
                       shown_path(was));
  }
  return "its program changed";
}

std::string changed_input(const Json& before, const Json& now) {
  for (const auto& [path, hash] : now.items()) {
    if (!before.contains(path)) return fmt::format("its input {} is new", shown_path(path));
    if (before[path] != hash) return fmt::format("its input {} changed", shown_path(path));
  }
  for (const auto& [path, hash] : before.items())
    check(
        now.contains(path),
        "{}: is an input of this step and is not there now; bring it back, or give --again to run "
        "the step without it",
        shown_path(path));
  return "";
}

}  // namespace

Json hashes_of_inputs(const Step& step, const Workspace& workspace, ContentHashes& hashes) {
  Json inputs = Json::object();
  for (const std::string& input : step.inputs) {
    const std::string hash = hashes.of(workspace.resolve(input), Records::kLeftOut).hash;
    // A word that names no file was none of a path.
    if (hash != kAbsent || !steps_in(input).empty()) inputs[input] = hash;
  }
  return inputs;
}

std::string shown_path(const std::string& path) {
  return resolve_steps(path, [](const std::string& name) { return "steps/" + name; });
}

Decision decide(const Step& step, const Workspace& workspace, ContentHashes& hashes, bool resumable,
                bool again) {
  Decision decision;
  const auto record = read_record(workspace.record(step.name));
  const fs::path folder = workspace.folder(step.name);
  if (!record) {
    std::error_code error;
    check(!fs::exists(fs::symlink_status(folder, error)),
          "{}: is there, but no step of this suite wrote it; move it away", folder.string());
    decision.reason = "not run yet";
    return decision;
  }
  const auto because = [&](Action action, std::string reason) {
    decision.action = action;
    decision.reason = std::move(reason);
    return decision;
  };
  if (again) return because(Action::kAnew, "--again asks for it");
  if (const Json recipe = recipe_of(step); record->recipe != recipe)
    return because(Action::kAnew, changed_recipe(record->recipe, recipe));
  const Json inputs = hashes_of_inputs(step, workspace, hashes);
  if (const std::string changed = changed_input(record->inputs, inputs); !changed.empty())
    return because(Action::kAnew, changed);
  if (record->status != "done") {
    const std::string what = record->status == "failed" ? "it failed" : "it was stopped";
    // Its checkpoints name the files that they were made from.
    return resumable && record->folder == workspace.root().string()
               ? because(Action::kResume, what + ", and goes on")
               : because(Action::kAnew, what);
  }
  const Content output = hashes.of(folder, Records::kCounted);
  if (output.hash == record->output.hash) return because(Action::kSkip, "unchanged");
  return because(Action::kAnew, output.files == record->output.files
                                    ? std::string("its output was changed")
                                    : fmt::format("its output has {} files, it wrote {}",
                                                  output.files, record->output.files));
}

}  // namespace concord::reproduce
