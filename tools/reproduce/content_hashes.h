#pragma once
// What files and folders hold, as SHA-256, without reading again what has not been touched.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace concord::reproduce {

// The hash of a path that is not there.
inline const std::string kAbsent = "absent";

enum class Records : bool {
  kCounted,
  // config.json, metrics.jsonl and TensorBoard's files of a folder are left out: they say when and
  // how a run was made, and no program reads them from a folder that it is given.
  kLeftOut,
};

struct Content {
  std::string hash;  // kAbsent, or 64 hexadecimal digits
  std::int64_t files = 0;
  std::uint64_t bytes = 0;
};

// Remembers for each file its hash with size, inode, and the times of its last change in
// nanoseconds; the file is read again when any of these differs. A file that changed less than two
// seconds before it was read is read again the next time: what was written within the same tick of
// the file system's clock would not show in its times.
class ContentHashes {
 public:
  // Takes over what an earlier run remembered in `file`; lines that make no sense are passed over.
  explicit ContentHashes(std::filesystem::path file);

  // Of a file its bytes; of a folder the names and contents of all files below it, in the order of
  // their names, links followed. Files that are being written (NAME.PID.tmp) are left out. Throws
  // Error naming what cannot be read, and for folders that lie in each other by links.
  Content of(const std::filesystem::path& path, Records records);
  // Called now and then while files are read, with the path.
  void set_watch(std::function<void(const std::filesystem::path&)> watch) {
    watch_ = std::move(watch);
  }
  // Writes what is remembered to the file, in one piece.
  void save() const;

 private:
  struct Stamp {
    std::uint64_t size = 0, device = 0, inode = 0;
    std::int64_t modified = 0, changed = 0;  // ns since 1970
    bool operator==(const Stamp&) const = default;
  };
  struct Known {
    Stamp stamp;
    std::string hash;
  };
  static Stamp stamp_of(const std::filesystem::path& path);
  std::string of_file(const std::filesystem::path& path, std::uint64_t& bytes);

  std::filesystem::path file_;
  std::map<std::string, Known> known_;  // by absolute path
  std::function<void(const std::filesystem::path&)> watch_;
  mutable bool changed_ = false;
};

}  // namespace concord::reproduce
