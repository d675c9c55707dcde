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

}  // namespace concord
