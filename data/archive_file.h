#pragma once
// One archive as published (tar, also compressed by gzip, bzip2, xz or zstd, and zip), told by its
// content. Untrusted input: nothing of it is written anywhere, and what no honest archive of images
// holds is an Error that names archive and entry.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/source_options.h"

namespace concord {

// Whether the file begins as an archive or a compressed file does.
bool looks_like_archive(const std::filesystem::path& file);

class ArchiveFile {
 public:
  using Bytes = std::vector<std::uint8_t>;

  // Reads through the archive once and lists its files; where `with_sum`, the SHA-256 of the
  // archive is taken on the way. Throws Error for a file that is no archive, is damaged, cut short
  // or beyond the limits; for entries that are links or devices, that are there twice, whose names
  // are absolute, hold ".." or are not text.
  ArchiveFile(std::filesystem::path path, const SourceOptions& options, bool with_sum);

  const std::filesystem::path& path() const { return path_; }
  // Relative paths with '/', in the archive's order; hidden files are left out.
  const std::vector<std::string>& files() const { return files_; }
  std::int64_t bytes() const { return bytes_; }  // of the archive
  // 64 hexadecimal digits, empty where it was not taken.
  const std::string& sha256() const { return sha256_; }
  // Size and time of the last change: another archive under the same name has others.
  std::string version() const;

  // Calls use(file, bytes) for the files that are wanted, in the archive's order, until it returns
  // false. Small files other than images are there from the first pass. Throws Error, also when the
  // archive was changed since.
  void read(const std::function<bool(const std::string&)>& wanted,
            const std::function<bool(const std::string&, Bytes)>& use) const;

 private:
  class Pass;
  void list(const SourceOptions& options, bool with_sum);

  std::filesystem::path path_;
  SourceLimits limits_;
  std::int64_t bytes_ = 0;
  std::filesystem::file_time_type changed_;
  std::string sha256_;
  std::vector<std::string> files_;
  // Lists and annotations: what a data set's reader asks for before any image.
  std::map<std::string, Bytes> kept_;
};

}  // namespace concord
