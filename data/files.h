#pragma once
// Whole files in and out, and folders that appear complete or not at all.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace concord {

// The bytes of a regular file. Throws Error naming the file when it is missing, a folder, or fails
// while being read.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path);

// Writes `bytes` under a temporary name in the same folder and renames it to `path`, so that a
// reader never sees half a file. Throws Error naming the file; the temporary file is then removed.
void write_file(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
void write_file(const std::filesystem::path& path, const std::string& text);

// A folder under construction: a hidden sibling of `target` that becomes `target` on commit() and
// is removed by the destructor otherwise, so an error or an interruption leaves nothing behind.
class StagingFolder {
 public:
  // Throws Error when `target` is a file; a folder with content unless `replace` is given and it
  // holds a manifest.json, the mark of a prepared data set; when its parent cannot be created or
  // written. Nothing of an existing target is touched before commit().
  StagingFolder(std::filesystem::path target, bool replace);
  ~StagingFolder();
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;

  // Where to write meanwhile.
  const std::filesystem::path& path() const { return staging_; }
  // Puts the folder in its place, over the old one where `replace` was given. Throws Error.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path staging_;
  std::vector<std::filesystem::path> created_parents_;
  bool replace_;
  bool committed_ = false;
};

}  // namespace concord
