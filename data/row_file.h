#pragma once
// Rows of a tensor in a safetensors file, read without mapping the file: what was read is the
// reader's memory and no more, and a file that was cut short is an error rather than a signal.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/stored_dtype.h"
#include "kernels/shape.h"

namespace concord {

// Where the rows lie. Holds no file open, so that a store may have any number of shards.
class RowFile {
 public:
  // Throws naming the file: unreadable, malformed, no such tensor, or one that is not floating.
  RowFile(std::filesystem::path path, const std::string& tensor);

  const std::filesystem::path& path() const { return path_; }
  const Shape& shape() const { return shape_; }
  StoredDType dtype() const { return dtype_; }
  std::int64_t row_values() const { return shape_.numel() / shape_[0]; }
  std::int64_t row_bytes() const {
    return row_values() * static_cast<std::int64_t>(size_of(dtype_));
  }
  // Of row 0 in the file, in bytes.
  std::int64_t offset() const { return offset_; }

 private:
  friend class OpenRowFile;
  std::filesystem::path path_;
  Shape shape_;
  StoredDType dtype_ = StoredDType::kFloat32;
  std::int64_t offset_ = 0;
  std::int64_t file_bytes_ = 0;
  ino_t inode_ = 0;
  dev_t device_ = 0;
  std::pair<time_t, long> changed_;  // seconds and nanoseconds
};

// A RowFile while it is read from.
class OpenRowFile {
 public:
  // Throws naming the file when it cannot be opened or is another one than before.
  explicit OpenRowFile(const RowFile& rows);
  ~OpenRowFile();
  OpenRowFile(const OpenRowFile&) = delete;
  OpenRowFile& operator=(const OpenRowFile&) = delete;

  // Asks the system to bring rows [first, first + count) into its cache, and does not wait.
  void announce(std::int64_t first, std::int64_t count) const;
  // Rows [first, first + count) as float32. Throws naming the file.
  void read(std::int64_t first, std::int64_t count, float* to) const;

 private:
  void read_bytes(std::int64_t offset, std::int64_t bytes, void* to) const;

  const RowFile& rows_;
  int file_;
};

}  // namespace concord
