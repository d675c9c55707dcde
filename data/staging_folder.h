#pragma once
// Folders that appear complete or not at all.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace concord {

// A folder under construction: it lies in a hidden sibling of `target`, becomes `target` on
// commit() and is removed by the destructor otherwise, so an error or an interruption leaves
// nothing behind.
//
// Given a `record`, the sibling has a name that the next run finds. It stays once its journal lists
// something, after keep(), or when the process is killed, and goes on being used by the next
// StagingFolder of the same target and record; one with another record removes it. Where a process
// was killed while it replaced the target, the next StagingFolder first puts the old one back.
class StagingFolder {
 public:
  enum class Found : std::uint8_t { kNothing, kSameRecord, kOtherRecord };

  // Throws Error when `target` is a file; a folder with content unless `replace` is given and it
  // holds a manifest.json, the mark of a prepared data set; when its parent cannot be created or
  // written; with a record, when another process is building the same folder, or something that is
  // not a StagingFolder's stands in its place. Nothing of an existing target is touched before
  // commit().
  StagingFolder(std::filesystem::path target, bool replace);
  StagingFolder(std::filesystem::path target, bool replace, const std::string& record);
  ~StagingFolder();
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;

  // Throws what the constructor would for this target, and touches nothing: for use before long
  // work that would be in vain.
  static void check_target(const std::filesystem::path& target, bool replace);

  // The hidden folder in which an unfinished run with a record has left what it had done for this
  // target; empty where there is none.
  static std::filesystem::path left_behind(const std::filesystem::path& target);

  // Where to write meanwhile.
  std::filesystem::path path() const { return staging_ / "files"; }
  // A list of what is done, for the next run; it does not become part of the target.
  std::filesystem::path journal() const { return staging_ / "journal"; }
  // What an earlier run had left.
  Found found() const { return found_; }
  // What there is stays for the next run unless commit() is reached. From any thread.
  void keep() { keep_ = true; }
  // Puts the folder in its place, over the old one where `replace` was given. Throws Error.
  void commit();

 private:
  void make_parents();
  void take_or_make(const std::string& record);
  void restore_old();

  std::filesystem::path target_;
  std::filesystem::path staging_;
  std::vector<std::filesystem::path> created_parents_;
  bool replace_;
  std::atomic<bool> keep_ = false;
  bool committed_ = false;
  Found found_ = Found::kNothing;
  int lock_ = -1;
};

}  // namespace concord
