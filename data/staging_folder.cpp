#include "data/staging_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "data/files.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

fs::path absolute_target(const fs::path& target) {
  fs::path whole = fs::absolute(target).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();  // "out/" names "out"
}

fs::path sibling(const fs::path& target, const std::string& ending) {
  return target.parent_path() / fmt::format(".{}.{}", target.filename().string(), ending);
}

// What a StagingFolder puts into its sibling; anything else is somebody's whom nobody asked.
bool is_own(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(folder, error))) return false;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool own = name == "files" || name == "journal" || name == "lock" || name == "old" ||
                     name.starts_with("record");
    if (!own) return false;
  }
  return !error;
}

}  // namespace

std::filesystem::path StagingFolder::left_behind(const std::filesystem::path& target) {
  std::error_code error;
  const std::filesystem::path staging = sibling(absolute_target(target), "partial");
  return std::filesystem::exists(staging, error) ? staging : std::filesystem::path();
}

void StagingFolder::check_target(const fs::path& given, bool replace) {
  const fs::path target = absolute_target(given);
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target, error);
  if (!fs::exists(status)) return;
  check(fs::is_directory(status), "{}: exists and is not a folder; name another output folder",
        target.string());
  const bool empty = fs::is_empty(target, error);
  check(!error, "{}: cannot be read: {}", target.string(), error.message());
  check(empty || replace,
        "{}: the folder is not empty; name another one, or give --force to replace it",
        target.string());
  // Replacing deletes: a slip of the hand must not cost somebody's home folder.
  check(empty || fs::exists(target / "manifest.json", error),
        "{}: is not replaced, for it holds no manifest.json and so was not prepared by Concord; "
        "name another folder or empty it yourself",
        target.string());
}

StagingFolder::StagingFolder(fs::path target, bool replace)
    : target_(absolute_target(target)),
      staging_(sibling(target_, fmt::format("{}.partial", ::getpid()))),
      replace_(replace) {
  check_target(target_, replace);
  make_parents();
  std::error_code error;
  fs::remove_all(staging_, error);
  fs::create_directories(path(), error);
  check(!error, "{}: cannot be written: {}", target_.parent_path().string(), error.message());
}

StagingFolder::StagingFolder(fs::path target, bool replace, const std::string& record)
    : target_(absolute_target(target)), staging_(sibling(target_, "partial")), replace_(replace) {
  check_target(target_, replace);
  make_parents();
  try {
    take_or_make(record);
  } catch (...) {
    if (lock_ >= 0) ::close(lock_);
    throw;
  }
}

void StagingFolder::make_parents() {
  std::error_code error;
  for (fs::path parent = target_.parent_path(); !fs::exists(parent, error);
       parent = parent.parent_path())
    created_parents_.push_back(parent);
  fs::create_directories(target_.parent_path(), error);
  check(!error, "{}: cannot be created: {}", target_.parent_path().string(), error.message());
}

void StagingFolder::take_or_make(const std::string& record) {
  std::error_code error;
  check(!fs::exists(fs::symlink_status(staging_, error)) || is_own(staging_),
        "{}: stands where the unfinished data set would lie, and is none; move it away",
        staging_.string());
  fs::create_directory(staging_, error);
  check(!error, "{}: cannot be written: {}", target_.parent_path().string(), error.message());
  lock_ = ::open((staging_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  check(lock_ >= 0, "{}: cannot be written: {}", staging_.string(), std::strerror(errno));
  // Other failures are of file systems without locks.
  check(::flock(lock_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK,
        "{}: another run is preparing it; wait for that one or name another folder",
        target_.string());
  restore_old();
  const fs::path file = staging_ / "record";
  if (fs::exists(file, error)) {
    const auto bytes = read_file(file);
    const bool same = std::equal(bytes.begin(), bytes.end(), record.begin(), record.end());
    found_ = same ? Found::kSameRecord : Found::kOtherRecord;
  }
  if (found_ != Found::kSameRecord) {
    // The record goes first and comes last: what is killed between is never taken for finished.
    for (const fs::path& old : {file, journal(), path()}) {
      fs::remove_all(old, error);
      check(!error, "{}: cannot be removed: {}", old.string(), error.message());
    }
  }
  fs::create_directories(path(), error);
  check(!error, "{}: cannot be created: {}", path().string(), error.message());
  if (found_ != Found::kSameRecord) write_file(file, record);
}

// A run that was killed between the two renames of commit() has left the old folder aside.
void StagingFolder::restore_old() {
  std::error_code error;
  const fs::path old = staging_ / "old";
  if (!fs::exists(fs::symlink_status(old, error))) return;
  if (fs::exists(target_, error) && !fs::is_empty(target_, error)) {
    // That run came further, and was killed while it removed it.
    fs::remove_all(old, error);
    check(!error, "{}: cannot be removed: {}", old.string(), error.message());
    return;
  }
  fs::rename(old, target_, error);
  check(!error,
        "{}: is the folder that an interrupted run was replacing, and cannot be put back: {}",
        old.string(), error.message());
  check_target(target_, replace_);
}

StagingFolder::~StagingFolder() {
  std::error_code error;
  const auto listed = fs::file_size(journal(), error);
  const bool begun = !error && listed > 0;
  if (!committed_ && !keep_ && !begun) {
    std::error_code ignored;  // a destructor has nobody to tell
    fs::remove_all(staging_, ignored);
    for (const fs::path& parent : created_parents_) fs::remove(parent, ignored);
  }
  if (lock_ >= 0) ::close(lock_);
}

void StagingFolder::commit() {
  std::error_code error;
  fs::path old;
  if (fs::exists(target_, error) && !fs::is_empty(target_, error)) {
    check(replace_, "{}: was filled by somebody else meanwhile; name another output folder",
          target_.string());
    // A folder with content cannot be renamed over: the old one steps aside first and is deleted
    // only once the new one stands in its place.
    old = staging_ / "old";
    fs::rename(target_, old, error);
    check(!error, "{}: cannot be replaced: {}", target_.string(), error.message());
  }
  fs::rename(path(), target_, error);
  if (error) {
    std::error_code ignored;
    if (!old.empty()) fs::rename(old, target_, ignored);
    fail("{}: cannot be put in place: {}", target_.string(), error.message());
  }
  committed_ = true;
  fs::remove_all(staging_, error);
}

}  // namespace concord
