#pragma once
// The files of a published data set as it comes: an unpacked folder, or archives.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/file_queue.h"
#include "data/source_options.h"
#include "data/workers.h"

namespace concord {

// An archive of a source as its manifest states it.
struct SourceArchive {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256 = {};  // empty where it was not taken
};

class ArchiveFile;

// A folder; an archive (archive_file.h); or a folder without folders in which archives lie, read as
// if all were unpacked into it. Read-only; its functions may be called from several threads.
class FileSource {
 public:
  // Lists the files. Hidden ones (a part of the path begins with '.') are passed over. Throws Error
  // naming the location when it is missing, neither a folder nor an archive, or beyond the limits;
  // of archives also what ArchiveFile throws, an entry that two of them have, and one of a
  // published name and size (published_files.h) with another checksum.
  explicit FileSource(std::filesystem::path location, SourceOptions options = {});
  // These archives and nothing else that lies beside them; at least one.
  explicit FileSource(const std::vector<std::filesystem::path>& archives,
                      SourceOptions options = {});

  const std::filesystem::path& location() const { return location_; }
  // The last part of the location: what others may know of it.
  std::string name() const;
  // Relative paths with '/', sorted by bytes.
  const std::vector<std::string>& files() const { return files_; }
  bool contains(const std::string& file) const;
  // The archives it is made of, none for a folder.
  std::vector<SourceArchive> archives() const;
  // Archives in a folder that holds folders too, which are not read.
  const std::vector<std::string>& passed_over() const { return passed_over_; }
  // What is odd about it, a line each: archives of a published name with another size.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // How messages call the file: its path, or "ARCHIVE: FILE".
  std::string name_of(const std::string& file) const;
  // The file on disk, for what reads single images in any order. Throws Error for one in an
  // archive, which says that it must be prepared first.
  std::filesystem::path path_of(const std::string& file) const;

  // The folder, "" or ending in '/', in which every one of `marks` lies: files ("images.txt") or
  // folders ("JPEGImages/"). The one with the shortest path where there are several. Throws Error
  // naming two where that is no single one.
  std::optional<std::string> find_root(const std::vector<std::string>& marks) const;

  // Throws Error naming the file.
  std::vector<std::uint8_t> read(const std::string& file) const;
  // The files whose names satisfy `wanted`, read in one pass; they are all held at once. Throws
  // Error also where they are more than limits.text_bytes together.
  std::map<std::string, std::vector<std::uint8_t>> read_where(
      const std::function<bool(const std::string&)>& wanted) const;
  // Calls body(i, files[i]'s bytes) for every i on `threads` threads (0: one per processor), each
  // file once, in no particular order: archives are unpacked on a thread of their own, in their own
  // order. `files` must be distinct. A file that is missing or cannot
  // be read has a problem instead of bytes. Stops at the first exception as for_each_item does.
  void for_each(const std::vector<std::string>& files, int threads,
                const std::function<void(std::size_t, const FileBytes&)>& body,
                const ProgressCallback& progress = {}) const;

  // The same text for the same source: what a resumed run compares.
  std::string identity() const;

 private:
  void open_folder();
  void open_archive(const std::filesystem::path& path);
  std::vector<std::uint8_t> read_from_folder(const std::string& file) const;
  void for_each_of_archives(const std::vector<std::string>& files, int threads,
                            const std::function<void(std::size_t, const FileBytes&)>& body,
                            const ProgressCallback& progress) const;

  std::filesystem::path location_;
  SourceOptions options_;
  std::vector<std::string> files_;
  std::vector<std::shared_ptr<const ArchiveFile>> archives_;
  std::unordered_map<std::string, std::size_t> archive_of_;
  std::vector<std::string> warnings_;
  std::vector<std::string> passed_over_;
};

}  // namespace concord
