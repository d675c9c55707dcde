#pragma once
// The output folder of a run: config.json, metrics.jsonl, checkpoints, event files.

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/common/options.h"

namespace concord::tool {

// The files of a run that trains.
inline const std::vector<std::string> kTrainingFiles = {"config.json", "metrics.jsonl",
                                                        "last.safetensors", "best.safetensors",
                                                        "events.out.tfevents.*"};

// File names need not be UTF-8, which JSON is; what is not is shown as U+FFFD.
std::string text_of_json(const nlohmann::ordered_json& json, int indent = -1);

class RunDirectory {
 public:
  // Makes the folder ready. Throws naming it when it is not empty and neither --resume nor --force
  // was given (nothing is touched then), or cannot be created or written. `owned` are the file
  // names that the program writes ("shard-*.safetensors" stands for any middle): --force removes
  // these and nothing else. `part` is, for a run made of several, what a folder of one of them is
  // called: such folders are what a run goes on from, as last.safetensors else is.
  RunDirectory(const RunOptions& options, const std::vector<std::string>& owned,
               const std::string& part = "");
  // When an exception ends a run that has saved no checkpoint, its files are removed, so that the
  // mended command can simply be given again. So is a folder that the run created and left empty.
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path last() const { return path_ / "last.safetensors"; }
  std::filesystem::path best() const { return path_ / "best.safetensors"; }
  // --resume was given and there is a checkpoint, or a part, to go on from.
  bool resuming() const { return resuming_; }

  // Every option as resolved, with version, command line and the given extra members.
  void write_config(const CommandLine& line, const nlohmann::ordered_json& extra = {}) const;
  // One line, flushed to the disk; a line that does not fit is taken back before the error.
  void append_metrics(const nlohmann::ordered_json& object);
  // Keeps the lines of epochs 1 .. `epochs`; drops a torn last line of a killed run.
  void truncate_metrics(std::int64_t epochs);

 private:
  bool holds_progress() const;
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }

  std::filesystem::path path_;
  std::vector<std::string> owned_;
  std::string part_;
  int exceptions_;  // in flight when the run began
  bool created_ = false;
  bool asked_to_resume_ = false;
  bool resuming_ = false;
};

}  // namespace concord::tool
