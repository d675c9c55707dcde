#pragma once
// The bytes of an archive file, gzip's compression taken off, one chunk after the other.

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/sha256.h"

namespace concord {

// gzip is undone here rather than by libarchive, which looks at neither the checksum nor the length
// behind the data. Every function throws Error naming the file.
class ArchiveBytes {
 public:
  // `sum`, if any, is given every byte of the file; the stream can then not be moved. `ratio`
  // limits what gzip may unpack to: so many bytes for each of the file, beyond the first MiB.
  ArchiveBytes(std::filesystem::path path, std::int64_t ratio, Sha256* sum);
  ~ArchiveBytes();
  ArchiveBytes(const ArchiveBytes&) = delete;
  ArchiveBytes& operator=(const ArchiveBytes&) = delete;

  // The next bytes, empty at the end; valid until the next call.
  std::span<const std::uint8_t> next();
  // Whether the stream is the file itself and may be moved in.
  bool seekable() const { return !gzip_ && sum_ == nullptr; }
  bool is_gzip() const { return gzip_; }
  // Moves to `position`, at most the size of the file. Only where seekable().
  void move_to(std::int64_t position);
  std::int64_t position() const { return position_; }  // in the file
  std::int64_t size() const { return size_; }          // of the file

 private:
  std::span<const std::uint8_t> next_raw();
  std::span<const std::uint8_t> next_inflated();
  [[noreturn]] void refuse(const std::string& what) const;

  std::filesystem::path path_;
  std::int64_t ratio_;
  Sha256* sum_;
  int descriptor_;
  std::int64_t size_ = 0;
  std::int64_t position_ = 0;
  std::vector<std::uint8_t> raw_;
  bool gzip_ = false;
  bool within_member_ = false;
  z_stream stream_{};
  std::vector<std::uint8_t> inflated_;
  std::int64_t total_inflated_ = 0;
};

}  // namespace concord
