#include "data/files.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

}  // namespace

std::vector<std::uint8_t> read_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check(fs::exists(status), "{}: no such file", path.string());
  check(fs::is_regular_file(status), "{}: not a regular file", path.string());
  File file(std::fopen(path.c_str(), "rb"));
  check(file != nullptr, "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  std::vector<std::uint8_t> bytes;
  // Reading to the end rather than file_size() bytes: the file may change under us.
  const auto expected = fs::file_size(path, error);
  if (!error) bytes.reserve(static_cast<std::size_t>(expected) + 1);
  std::uint8_t buffer[1 << 16];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, file.get()))
    bytes.insert(bytes.end(), buffer, buffer + count);
  check(std::ferror(file.get()) == 0, "{}: reading failed: {}", path.string(),
        std::strerror(errno));
  return bytes;
}

void write_file(const fs::path& path, std::span<const std::uint8_t> bytes) {
  fs::path temporary = path;
  temporary += fmt::format(".{}.tmp", ::getpid());
  File file(std::fopen(temporary.c_str(), "wb"));
  check(file != nullptr, "{}: cannot be written: {}", path.string(), std::strerror(errno));
  bool good =
      bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  int cause = errno;
  // A full disk may only show when the last buffer is written, so the close is checked too.
  if (std::fclose(file.release()) != 0 && good) {
    good = false;
    cause = errno;
  }
  if (good && std::rename(temporary.c_str(), path.c_str()) != 0) {
    good = false;
    cause = errno;
  }
  if (!good) {
    std::remove(temporary.c_str());
    fail("{}: writing {} bytes failed: {}", path.string(), bytes.size(), std::strerror(cause));
  }
}

void write_file(const fs::path& path, const std::string& text) {
  write_file(path, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

StagingFolder::StagingFolder(fs::path target, bool replace)
    : target_(fs::absolute(std::move(target)).lexically_normal()), replace_(replace) {
  if (!target_.has_filename()) target_ = target_.parent_path();  // "out/" names "out"
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target_, error);
  if (fs::exists(status)) {
    check(fs::is_directory(status), "{}: exists and is not a folder; name another output folder",
          target_.string());
    const bool empty = fs::is_empty(target_, error);
    check(!error, "{}: cannot be read: {}", target_.string(), error.message());
    check(empty || replace_,
          "{}: the folder is not empty; name another one, or give --force to replace it",
          target_.string());
    // Replacing deletes: a slip of the hand must not cost somebody's home folder.
    check(empty || fs::exists(target_ / "manifest.json", error),
          "{}: is not replaced, for it holds no manifest.json and so was not prepared by Concord; "
          "name another folder or empty it yourself",
          target_.string());
  }
  for (fs::path parent = target_.parent_path(); !fs::exists(parent, error);
       parent = parent.parent_path())
    created_parents_.push_back(parent);
  fs::create_directories(target_.parent_path(), error);
  check(!error, "{}: cannot be created: {}", target_.parent_path().string(), error.message());
  staging_ = target_.parent_path() /
             fmt::format(".{}.{}.partial", target_.filename().string(), ::getpid());
  fs::remove_all(staging_, error);
  const bool created = fs::create_directory(staging_, error);
  check(created && !error, "{}: cannot be written: {}", target_.parent_path().string(),
        error.message());
}

StagingFolder::~StagingFolder() {
  if (committed_) return;
  std::error_code ignored;  // a destructor has nobody to tell
  fs::remove_all(staging_, ignored);
  for (const fs::path& parent : created_parents_) fs::remove(parent, ignored);
}

void StagingFolder::commit() {
  std::error_code error;
  fs::path old;
  if (fs::exists(target_, error) && !fs::is_empty(target_, error)) {
    check(replace_, "{}: was filled by somebody else meanwhile; name another output folder",
          target_.string());
    // A folder with content cannot be renamed over: the old one steps aside first and is deleted
    // only once the new one stands in its place.
    old = staging_;
    old += ".old";
    fs::rename(target_, old, error);
    check(!error, "{}: cannot be replaced: {}", target_.string(), error.message());
  }
  fs::rename(staging_, target_, error);
  if (error) {
    std::error_code ignored;
    if (!old.empty()) fs::rename(old, target_, ignored);
    fail("{}: cannot be put in place: {}", target_.string(), error.message());
  }
  committed_ = true;
  if (!old.empty()) fs::remove_all(old, error);
}

}  // namespace concord
