#include "tools/common/run_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>

#include "data/files.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace fs = std::filesystem;

namespace {

bool matches(const std::string& name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    const std::size_t star = pattern.find('*');
    if (star == std::string::npos) return name == pattern;
    return name.size() >= pattern.size() && name.starts_with(pattern.substr(0, star)) &&
           name.ends_with(pattern.substr(star + 1));
  });
}

// The file that "NAME.PID.tmp" was to become; empty for other names. A killed run leaves such.
std::string leftover_of(const std::string& name) {
  if (!name.ends_with(".tmp")) return "";
  const std::string stem = name.substr(0, name.size() - 4);
  const std::size_t dot = stem.find_last_not_of("0123456789");
  return dot == std::string::npos || stem[dot] != '.' ? "" : stem.substr(0, dot);
}

}  // namespace

RunDirectory::RunDirectory(const RunOptions& options, const std::vector<std::string>& owned,
                           const std::string& part)
    : path_(options.output_dir),
      owned_(owned),
      part_(part),
      exceptions_(std::uncaught_exceptions()),
      asked_to_resume_(options.resume) {
  check_usage(!options.output_dir.empty(), "--output-dir is required");
  check_usage(!(options.resume && options.force), "--resume and --force exclude each other");
  std::error_code error;
  if (fs::exists(path_, error)) {
    check(fs::is_directory(path_, error), "{}: exists and is not a folder; name another one",
          path_.string());
    const fs::directory_iterator entries(path_, error);
    check(!error, "{}: cannot be read: {}", path_.string(), error.message());
    const bool empty = entries == fs::directory_iterator{};
    check(empty || options.resume || options.force,
          "{}: is not empty; {}replace with --force, or name another folder", path_.string(),
          options.resumable ? "go on with --resume, " : "");
    std::vector<fs::path> stale_files;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
      const std::string name = entry.path().filename().string();
      const bool stale = (options.force && matches(name, owned)) ||
                         ((options.force || options.resume) && matches(leftover_of(name), owned));
      if (!stale || !entry.is_regular_file(error)) continue;
      for (const std::string& input : options.inputs)
        check(input.empty() || !fs::equivalent(input, entry.path(), error),
              "{}: is an input of this run, and --force would remove it from {}; copy it elsewhere "
              "or name another folder",
              input, path_.string());
      stale_files.push_back(entry.path());
    }
    for (const fs::path& file : stale_files)
      check(fs::remove(file, error), "{}: cannot be removed: {}", file.string(), error.message());
  } else {
    check(!error, "{}: cannot be created: {}", path_.string(), error.message());
    created_ = fs::create_directories(path_, error);
    check(!error, "{}: cannot be created: {}", path_.string(), error.message());
  }
  if (::access(path_.c_str(), W_OK | X_OK) != 0) {
    const int cause = errno;
    fail("{}: cannot be written: {}", path_.string(), std::strerror(cause));
  }
  resuming_ = options.resume && (part_.empty() ? fs::exists(last(), error) : holds_progress());
  if (options.resume && !resuming_)
    note("{}: holds no {} to resume from; starting at {}", path_.string(),
         part_.empty() ? "last.safetensors" : part_, part_.empty() ? "epoch 1" : "the beginning");
}

bool RunDirectory::holds_progress() const {
  std::error_code error;
  if (part_.empty()) return fs::exists(last(), error) || fs::exists(best(), error);
  const fs::directory_iterator entries(path_, error);
  return std::any_of(begin(entries), end(entries), [&](const fs::directory_entry& entry) {
    return matches(entry.path().filename().string(), {part_}) && entry.is_directory(error);
  });
}

RunDirectory::~RunDirectory() {
  std::error_code error;  // a destructor has nobody to tell
  const bool failed = std::uncaught_exceptions() > exceptions_;
  if (failed && !asked_to_resume_ && !holds_progress()) {
    std::vector<fs::path> ours;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_, error))
      if (matches(entry.path().filename().string(), owned_)) ours.push_back(entry.path());
    for (const fs::path& file : ours) fs::remove(file, error);
  }
  if (created_ && fs::is_empty(path_, error) && !error) fs::remove(path_, error);
}

std::string text_of_json(const nlohmann::ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void RunDirectory::write_config(const CommandLine& line,
                                const nlohmann::ordered_json& extra) const {
  nlohmann::ordered_json config;
  config["program"] = line.text().name;
  config["version"] = CONCORD_VERSION;
  config["command"] = line.command();
  config["options"] = line.values();
  for (const auto& [name, value] : extra.items()) config[name] = value;
  write_file(path_ / "config.json", text_of_json(config, 2) + "\n");
}

void RunDirectory::append_metrics(const nlohmann::ordered_json& object) {
  const std::string text = object.dump() + "\n";
  const int file = ::open(metrics().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  check(file >= 0, "{}: cannot be written: {}", metrics().string(), std::strerror(errno));
  const off_t before = ::lseek(file, 0, SEEK_END);
  errno = ENOSPC;
  const bool good = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int cause = errno;
  const bool taken_back = good || ::ftruncate(file, before) == 0;
  ::close(file);
  check(good, "{}: writing {} bytes failed: {}{}", metrics().string(), text.size(),
        std::strerror(cause), taken_back ? "" : " (the last line is torn)");
}

void RunDirectory::truncate_metrics(std::int64_t epochs) {
  std::error_code error;
  if (!fs::exists(metrics(), error)) return;
  std::ifstream file(metrics());
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const auto object = nlohmann::json::parse(line, nullptr, false);
    if (object.is_object() && object.value("epoch", epochs + 1) <= epochs) kept += line + "\n";
  }
  write_file(metrics(), kept);
}

}  // namespace concord::tool
