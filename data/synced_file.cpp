#include "data/synced_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

// Closed and removed by the destructor unless it was put in its place.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& target)
      : path_(target.string() + fmt::format(".{}.tmp", ::getpid())),
        fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)),
        present_(fd_ >= 0) {}
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (present_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  // All false with errno set when they fail.
  bool good() const { return present_; }
  bool write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written == 0) errno = EIO;
      if (written <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
  }
  bool sync_and_close() {
    if (::fsync(fd_) != 0) return false;
    return ::close(std::exchange(fd_, -1)) == 0;  // some systems report an error only here
  }
  bool rename_to(const fs::path& target) {
    if (::rename(path_.c_str(), target.c_str()) != 0) return false;
    present_ = false;
    return true;
  }

 private:
  fs::path path_;
  int fd_;
  bool present_;
};

// The new name reaches the disk with its folder; not every file system can sync one.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)::fsync(fd);
  ::close(fd);
}

}  // namespace

void write_synced(const fs::path& path, const std::vector<std::span<const std::byte>>& pieces) {
  TemporaryFile file(path);
  check(file.good(), "{}: cannot be written: {}", path.string(), std::strerror(errno));
  const auto checked = [&](bool good) {
    if (good) return;
    const int cause = errno;
    std::size_t total = 0;
    for (const auto& piece : pieces) total += piece.size();
    const bool full = cause == ENOSPC || cause == EDQUOT || cause == EFBIG;
    fail("{}: writing failed: {}{}", path.string(), std::strerror(cause),
         full ? fmt::format("; {} bytes are needed; free the room or name another folder", total)
              : "");
  };
  for (const auto& piece : pieces) checked(file.write(piece));
  checked(file.sync_and_close());
  checked(file.rename_to(path));
  sync_folder(fs::absolute(path).parent_path());
}

}  // namespace concord
