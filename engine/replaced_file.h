#pragma once
// A file that is on the disk, whole, when it appears under its name.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "engine/descriptor.h"

namespace concord {

// Writes to a temporary file beside `path`, which takes its name on commit(): a reader or a crash
// never sees half a file. The temporary file is removed by the destructor otherwise. Every member
// throws Error naming the file and the cause, and (disk full) the bytes needed.
class ReplacedFile {
 public:
  // `total` is how many bytes will be written, for messages.
  ReplacedFile(std::filesystem::path path, std::uint64_t total);
  ~ReplacedFile();
  ReplacedFile(const ReplacedFile&) = delete;
  ReplacedFile& operator=(const ReplacedFile&) = delete;

  void write(std::string_view bytes);
  void write(const void* bytes, std::size_t count) {
    write({static_cast<const char*>(bytes), count});
  }
  // Brings everything to the disk, then the file to its name.
  void commit();

 private:
  void check_written(bool good, const char* step) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::uint64_t total_;
  Descriptor file_;
  bool present_;
};

}  // namespace concord
