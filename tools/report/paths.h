#pragma once
// Where the files that a run names lie now.

#include <filesystem>
#include <string>

namespace concord::report {

// A run writes the paths of its inputs as they were. When its folder has been moved or copied with
// what lies around it, or the paths were relative to another working folder, they are found again:
// what --output-dir was and where the folder lies now differ in a first part, and so do the others.
class RunPaths {
 public:
  RunPaths() = default;
  // `recorded` is the run's --output-dir as config.json has it, `now` the folder it was found in.
  RunPaths(const std::filesystem::path& recorded, const std::filesystem::path& now);

  // The path where it lies now if there is something, else as it was recorded. Empty stays empty;
  // KIND:PATH (data/planned_set.h) stays as it is.
  std::string now(const std::string& recorded) const;

 private:
  std::filesystem::path from_, to_;
};

}  // namespace concord::report
