#include "tools/reproduce/workspace.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include "data/files.h"
#include "engine/replaced_file.h"
#include "tools/common/run_directory.h"

namespace concord::reproduce {
namespace fs = std::filesystem;

namespace {

Json read_json(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  return Json::parse(text, nullptr, false);
}

// Empty, or as a suite that was killed at its beginning left it.
bool is_unused(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name != "lock" && !name.ends_with(".tmp")) return false;
  }
  return true;
}

// Files that were being written when a suite was killed.
void remove_leftovers(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".tmp" && entry.is_regular_file(error))
      leftovers.push_back(entry.path());
  for (const fs::path& file : leftovers) fs::remove(file, error);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, "{}: cannot be created: {}", folder.string(), error.message());
}

}  // namespace

Workspace::Workspace(const fs::path& root) {
  std::error_code error;
  root_ = fs::weakly_canonical(root, error);
  if (error) root_ = fs::absolute(root).lexically_normal();
}

void Workspace::claim(const PlanFile& plan, bool force, const Json& config) {
  std::error_code error;
  const fs::file_status status = fs::status(root_, error);
  if (fs::exists(status)) {
    check(fs::is_directory(status), "{}: is a file; name a folder", root_.string());
    const Json before = read_json(root_ / "config.json");
    const bool suite = before.is_object() && before.value("program", "") == "concord-reproduce" &&
                       before.contains("plan") && before["plan"].is_string();
    check(force || suite || is_unused(root_),
          "{}: is not empty and holds no suite; name another folder, or write into it with --force",
          root_.string());
    check(force || !suite || before["plan"] == plan.name,
          "{}: holds the suite of the plan {}, this one is {}; name another folder, or give it to "
          "this plan with --force",
          root_.string(), suite ? before["plan"].get<std::string>() : "", plan.name);
  }
  make_folder(root_);
  const fs::path file = root_ / "lock";
  lock_.emplace(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  check(lock_->get() >= 0, "{}: cannot be written: {}", file.string(), std::strerror(errno));
  for (int tries = 0; ::flock(lock_->get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    check(errno == EWOULDBLOCK, "{}: cannot be locked: {}", file.string(), std::strerror(errno));
    if (tries == 20) {
      const auto bytes = read_file(file);
      fail("{}: another concord-reproduce is working in it ({}); wait for it, or stop it",
           root_.string(), std::string(bytes.begin(), bytes.end()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const std::string holder = fmt::format("process {}", ::getpid());
  const bool named = ::ftruncate(lock_->get(), 0) == 0 &&
                     ::pwrite(lock_->get(), holder.data(), holder.size(), 0) > 0;
  check(named, "{}: cannot be written: {}", file.string(), std::strerror(errno));
  for (const char* folder : {"steps", "logs", "state"}) make_folder(root_ / folder);
  remove_leftovers(root_);
  remove_leftovers(root_ / "state");
  write_file(root_ / "plan.json", plan.text);
  write_file(root_ / "config.json", tool::text_of_json(config, 2) + "\n");
}

fs::path Workspace::standard_output(const Step& step) const {
  return step.gives_output_dir ? root_ / "logs" / (step.name + ".stdout")
                               : folder(step.name) / "stdout.txt";
}

std::string Workspace::resolve(const std::string& text) const {
  return resolve_steps(text, [&](const std::string& name) { return folder(name).string(); });
}

std::vector<std::string> Workspace::command(const Step& step) const {
  std::vector<std::string> words;
  for (const std::string& word : step.arguments) words.push_back(resolve(word));
  if (step.gives_output_dir) {
    words.emplace_back("--output-dir");
    words.push_back(folder(step.name).string());
  }
  return words;
}

void Workspace::clear(const Step& step) const {
  std::error_code error;
  fs::remove_all(folder(step.name), error);
  check(!error, "{}: cannot be removed: {}", folder(step.name).string(), error.message());
  // data/staging_folder.h: a hidden sibling of a process that cannot go on from it
  const std::string prefix = "." + step.name + ".";
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(root_ / "steps", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(".partial")) continue;
    const std::string middle =
        name.substr(prefix.size(), name.size() - prefix.size() - std::string(".partial").size());
    if (!middle.empty() && middle.find_first_not_of("0123456789") == std::string::npos)
      leftovers.push_back(entry.path());
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover, error);
  fs::remove(log(step.name), error);
}

std::optional<StepRecord> read_record(const fs::path& file) {
  const Json json = read_json(file);
  const auto is = [&](const char* key, Json::value_t type) {
    return json.contains(key) && json[key].type() == type;
  };
  if (!json.is_object() || !is("status", Json::value_t::string) ||
      !is("recipe", Json::value_t::object) || !is("folder", Json::value_t::string) ||
      !is("inputs", Json::value_t::object) || !is("output", Json::value_t::object))
    return {};
  try {
    const Json& output = json["output"];
    return StepRecord{.status = json["status"],
                      .recipe = json["recipe"],
                      .folder = json["folder"],
                      .inputs = json["inputs"],
                      .output = {.hash = output.value("hash", ""),
                                 .files = output.value("files", std::int64_t{0}),
                                 .bytes = output.value("bytes", std::uint64_t{0})},
                      .seconds = json.value("seconds", 0.0),
                      .continued = json.value("continued", false)};
  } catch (const Json::exception&) {
    return {};
  }
}

void write_record(const fs::path& file, const StepRecord& record) {
  Json json;
  json["status"] = record.status;
  json["recipe"] = record.recipe;
  json["folder"] = record.folder;
  json["inputs"] = record.inputs;
  json["output"] = {
      {"hash", record.output.hash}, {"files", record.output.files}, {"bytes", record.output.bytes}};
  json["seconds"] = record.seconds;
  json["continued"] = record.continued;
  const std::string text = tool::text_of_json(json, 2) + "\n";
  ReplacedFile replaced(file, text.size());
  replaced.write(text);
  replaced.commit();
}

Json recipe_of(const Step& step) {
  return {{"program", step.program},
          {"arguments", step.arguments},
          {"output_dir", step.gives_output_dir},
          {"version", CONCORD_VERSION}};
}

}  // namespace concord::reproduce
