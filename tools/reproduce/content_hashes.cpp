#include "tools/reproduce/content_hashes.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "data/files.h"
#include "data/sha256.h"
#include "kernels/error.h"

namespace concord::reproduce {
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// Below the 40 links after which the system takes a path for none, which would hide a circle.
constexpr int kDeepest = 32;

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool is_record(const std::string& name) {
  return name == "config.json" || name == "metrics.jsonl" ||
         name.starts_with("events.out.tfevents.");
}

void add_text(Sha256& hash, const std::string& text) {
  hash.add({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

// Paths of regular files below `folder`, relative to it, sorted.
std::vector<fs::path> files_below(const fs::path& folder, Records records) {
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, fs::directory_options::follow_directory_symlink,
                                           error);
  check(!error, "{}: cannot be read: {}", folder.string(), error.message());
  std::vector<fs::path> files;
  while (entries != fs::recursive_directory_iterator()) {
    const std::string name = entries->path().filename().string();
    check(entries.depth() < kDeepest,
          "{}: more than {} folders lie in each other; is there a link to one of them?",
          entries->path().string(), kDeepest);
    if (entries->is_regular_file(error) && !name.ends_with(".tmp") &&
        (records == Records::kCounted || !is_record(name)))
      files.push_back(entries->path().lexically_relative(folder));
    entries.increment(error);
    check(!error, "{}: cannot be read: {}", folder.string(), error.message());
  }
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return files;
}

}  // namespace

ContentHashes::ContentHashes(fs::path file) : file_(std::move(file)) {
  std::ifstream lines(file_);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Known known;
    Stamp& stamp = known.stamp;
    std::string path;
    if (words >> known.hash >> stamp.size >> stamp.device >> stamp.inode >> stamp.modified >>
            stamp.changed &&
        words.get() == ' ' && std::getline(words, path) && known.hash.size() == 64 &&
        path.starts_with('/'))
      known_[path] = known;
  }
}

ContentHashes::Stamp ContentHashes::stamp_of(const fs::path& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) {
    const int cause = errno;
    fail("{}: cannot be read: {}", path.string(), std::strerror(cause));
  }
  return {.size = static_cast<std::uint64_t>(found.st_size),
          .device = found.st_dev,
          .inode = found.st_ino,
          .modified = found.st_mtim.tv_sec * kSecond + found.st_mtim.tv_nsec,
          .changed = found.st_ctim.tv_sec * kSecond + found.st_ctim.tv_nsec};
}

std::string ContentHashes::of_file(const fs::path& path, std::uint64_t& bytes) {
  const std::string key = fs::absolute(path).lexically_normal().string();
  const Stamp before = stamp_of(path);
  bytes = before.size;
  const auto found = known_.find(key);
  if (found != known_.end() && found->second.stamp == before) return found->second.hash;
  if (watch_) watch_(path);
  const std::int64_t begun = now();
  const std::string hash = sha256_of_file(path);
  const bool settled = std::max(before.modified, before.changed) + 2 * kSecond < begun;
  // A line break would end the line that it is remembered in.
  if (settled && stamp_of(path) == before && key.find('\n') == std::string::npos)
    known_[key] = {before, hash};
  else
    known_.erase(key);
  changed_ = true;
  return hash;
}

Content ContentHashes::of(const fs::path& path, Records records) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return {.hash = kAbsent};
  check(!error, "{}: cannot be read: {}", path.string(), error.message());
  Content content;
  if (status.type() != fs::file_type::directory) {
    check(status.type() == fs::file_type::regular, "{}: is neither a file nor a folder",
          path.string());
    content.files = 1;
    content.hash = of_file(path, content.bytes);
    return content;
  }
  Sha256 all;
  for (const fs::path& file : files_below(path, records)) {
    std::uint64_t bytes = 0;
    const std::string hash = of_file(path / file, bytes);
    // A zero byte is in no file name.
    add_text(all, file.string() + std::string(1, '\0') + hash);
    content.bytes += bytes;
    ++content.files;
  }
  content.hash = all.digest();
  return content;
}

void ContentHashes::save() const {
  if (!changed_) return;
  std::string text;
  for (const auto& [path, known] : known_) {
    const Stamp& stamp = known.stamp;
    text += fmt::format("{} {} {} {} {} {} {}\n", known.hash, stamp.size, stamp.device, stamp.inode,
                        stamp.modified, stamp.changed, path);
  }
  write_file(file_, text);
  changed_ = false;
}

}  // namespace concord::reproduce
