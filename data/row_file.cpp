#include "data/row_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/safetensors.h"
#include "engine/safetensors_header.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

// What is converted at a time stays in the cache of the processor.
constexpr std::int64_t kPieceBytes = 1 << 18;

struct stat status_of(int file, const fs::path& path) {
  struct stat status = {};
  check(::fstat(file, &status) == 0, "{}: cannot be read: {}", path.string(), std::strerror(errno));
  return status;
}

// Opens a file and closes it.
class Descriptor {
 public:
  explicit Descriptor(const fs::path& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    check(fd_ >= 0, "{}: cannot be read: {}", path.string(), std::strerror(errno));
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

void read_at(int file, const fs::path& path, std::int64_t offset, std::int64_t bytes, void* to) {
  char* into = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = ::pread(file, into, static_cast<std::size_t>(bytes), offset);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, "{}: reading {} bytes at {} failed: {}", path.string(), bytes, offset,
          std::strerror(errno));
    check(got > 0, "{}: ends at byte {}, {} more were expected: truncated", path.string(), offset,
          bytes);
    into += got;
    offset += got;
    bytes -= got;
  }
}

}  // namespace

RowFile::RowFile(fs::path path, const std::string& tensor) : path_(std::move(path)) {
  shape_ = SafetensorsFile(path_).shape(tensor);  // which also validates the header
  const Descriptor file(path_);
  const struct stat status = status_of(file.get(), path_);
  file_bytes_ = status.st_size;
  inode_ = status.st_ino;
  device_ = status.st_dev;
  changed_ = {status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
  std::uint64_t header_bytes = 0;
  read_at(file.get(), path_, 0, sizeof header_bytes, &header_bytes);
  check(header_bytes <= kSafetensorsHeaderLimit, "{}: has changed while it was opened",
        path_.string());
  std::string text(header_bytes, ' ');
  read_at(file.get(), path_, 8, static_cast<std::int64_t>(header_bytes), text.data());
  const std::int64_t data = 8 + static_cast<std::int64_t>(header_bytes);
  check(file_bytes_ >= data, "{}: has changed while it was opened", path_.string());
  const SafetensorsHeader header =
      parse_safetensors_header(text, static_cast<std::uint64_t>(file_bytes_ - data));
  const auto entry = std::find_if(header.entries.begin(), header.entries.end(),
                                  [&](const SafetensorsEntry& e) { return e.name == tensor; });
  check(entry != header.entries.end() && entry->shape == shape_,
        "{}: has changed while it was opened", path_.string());
  dtype_ = stored_dtype_of(entry->dtype, fmt::format("{}: tensor {}", path_.string(), tensor));
  offset_ = data + static_cast<std::int64_t>(entry->begin);
}

OpenRowFile::OpenRowFile(const RowFile& rows) : rows_(rows), file_(-1) {
  Descriptor file(rows.path_);
  const struct stat status = status_of(file.get(), rows.path_);
  check(status.st_size == rows.file_bytes_ && status.st_ino == rows.inode_ &&
            status.st_dev == rows.device_ &&
            std::pair(status.st_mtim.tv_sec, status.st_mtim.tv_nsec) == rows.changed_,
        "{}: was replaced or cut short while it was in use; start again", rows.path_.string());
  // Rows are announced, and guesses at what else may be wanted only take the disk's time.
  (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM);
  file_ = file.release();
}

OpenRowFile::~OpenRowFile() { ::close(file_); }

void OpenRowFile::announce(std::int64_t first, std::int64_t count) const {
  // Advice: where it is not taken, reading waits.
  (void)::posix_fadvise(file_, rows_.offset_ + first * rows_.row_bytes(), count * rows_.row_bytes(),
                        POSIX_FADV_WILLNEED);
}

void OpenRowFile::read(std::int64_t first, std::int64_t count, float* to) const {
  const std::int64_t begin = rows_.offset_ + first * rows_.row_bytes();
  const std::int64_t bytes = count * rows_.row_bytes();
  if (rows_.dtype_ == StoredDType::kFloat32) return read_bytes(begin, bytes, to);
  const std::int64_t item = static_cast<std::int64_t>(size_of(rows_.dtype_));
  std::vector<unsigned char> piece(static_cast<std::size_t>(std::min(bytes, kPieceBytes)));
  for (std::int64_t done = 0; done < bytes; done += kPieceBytes) {
    const std::int64_t now = std::min(kPieceBytes, bytes - done);
    read_bytes(begin + done, now, piece.data());
    widen(rows_.dtype_, piece.data(), static_cast<std::size_t>(now / item), to + done / item);
  }
}

void OpenRowFile::read_bytes(std::int64_t offset, std::int64_t bytes, void* to) const {
  read_at(file_, rows_.path_, offset, bytes, to);
}

}  // namespace concord
