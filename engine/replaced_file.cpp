#include "engine/replaced_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

// "; 5 bytes are needed, 3 are free"
std::string space_left(const fs::path& path, std::uint64_t needed) {
  std::error_code error;
  const fs::space_info space = fs::space(fs::absolute(path).parent_path(), error);
  if (error) return fmt::format("; {} bytes are needed", needed);
  return fmt::format("; {} bytes are needed, {} are free", needed, space.available);
}

}  // namespace

ReplacedFile::ReplacedFile(fs::path path, std::uint64_t total)
    : path_(std::move(path)),
      temporary_(path_.string() + fmt::format(".{}.tmp", ::getpid())),
      total_(total),
      file_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)),
      present_(file_.get() >= 0) {
  check(present_, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
}

ReplacedFile::~ReplacedFile() {
  if (present_) ::unlink(temporary_.c_str());
}

void ReplacedFile::check_written(bool good, const char* step) const {
  if (good) return;
  const int cause = errno;
  const bool full = cause == ENOSPC || cause == EDQUOT || cause == EFBIG;
  fail("{}: {} failed: {}{}", path_.string(), step, std::strerror(cause),
       full ? space_left(path_, total_) : "");
}

void ReplacedFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;
    check_written(written > 0, "writing");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void ReplacedFile::commit() {
  check_written(::fsync(file_.get()) == 0, "writing");
  check_written(file_.close(), "writing");
  check_written(::rename(temporary_.c_str(), path_.c_str()) == 0, "putting the file in its place");
  present_ = false;
  // The new name reaches the disk with its folder; not every file system can sync one.
  const Descriptor folder(
      ::open(fs::absolute(path_).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0) ::fsync(folder.get());
}

}  // namespace concord
