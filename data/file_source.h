#pragma once
// The files of a published data set as it comes: an unpacked folder, or archives.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/workers.h"

namespace concord {

// What no honest data set exceeds. More is an Error that names the archive or folder, and the
// entry.
struct SourceLimits {
  std::int64_t entries = 2'000'000;
  std::int64_t entry_bytes = std::int64_t{1} << 28;  // of one file, unpacked
  std::int64_t total_bytes = std::int64_t{1} << 37;  // of all files of an archive, unpacked
  std::int64_t ratio = 200;  // unpacked bytes for each byte of the archive, beyond the first MiB
};

struct SourceOptions {
  SourceLimits limits = {};
};

// A file's bytes, or why it cannot be read: one bad image is no reason to stop.
struct FileBytes {
  std::vector<std::uint8_t> bytes = {};
  std::string problem = {};  // names the file; empty when it was read
};

// Read-only; its functions may be called from several threads.
class FileSource {
 public:
  // Lists the files. Hidden ones (a part of the path begins with '.') are passed over. Throws Error
  // naming the location when it is missing, neither a folder nor an archive, or beyond the limits.
  explicit FileSource(std::filesystem::path location, SourceOptions options = {});

  const std::filesystem::path& location() const { return location_; }
  // The last part of the location: what others may know of it.
  std::string name() const;
  // Relative paths with '/', sorted by bytes.
  const std::vector<std::string>& files() const { return files_; }
  bool contains(const std::string& file) const;
  // How messages call the file: its path.
  std::string name_of(const std::string& file) const;
  // The file on disk, for what reads single images in any order. Throws Error for one in an
  // archive, which says that it must be prepared first.
  std::filesystem::path path_of(const std::string& file) const;

  // The folder, "" or ending in '/', in which every one of `marks` lies: files ("images.txt") or
  // folders ("JPEGImages/"). The one with the shortest path where there are several.
  std::optional<std::string> find_root(const std::vector<std::string>& marks) const;

  // Throws Error naming the file.
  std::vector<std::uint8_t> read(const std::string& file) const;
  // The files whose names satisfy `wanted`, read in one pass.
  std::map<std::string, std::vector<std::uint8_t>> read_where(
      const std::function<bool(const std::string&)>& wanted) const;
  // Calls body(i, files[i]'s bytes) for every i on `threads` threads (0: one per processor), each
  // file once, in no particular order. `files` must be distinct. A file that is missing or cannot
  // be read has a problem instead of bytes. Stops at the first exception as for_each_item does.
  void for_each(const std::vector<std::string>& files, int threads,
                const std::function<void(std::size_t, const FileBytes&)>& body,
                const ProgressCallback& progress = {}) const;

  // The same text for the same source: what a resumed run compares.
  std::string identity() const;

 private:
  std::filesystem::path location_;
  SourceOptions options_;
  std::vector<std::string> files_;
};

}  // namespace concord
