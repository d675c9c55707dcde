#include "data/archive_bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernels/error.h"

namespace concord {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;

}  // namespace

ArchiveBytes::ArchiveBytes(std::filesystem::path path, std::int64_t ratio, Sha256* sum)
    : path_(std::move(path)),
      ratio_(ratio),
      sum_(sum),
      descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  check(descriptor_ >= 0, "{}: cannot be opened: {}", path_.string(), std::strerror(errno));
  struct stat status {};
  unsigned char magic[2] = {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  size_ = status.st_size;
  gzip_ = known && ::pread(descriptor_, magic, 2, 0) == 2 && magic[0] == 0x1F && magic[1] == 0x8B;
  // 16: a gzip header, and the checksum and length behind the data are verified.
  if (!known || (gzip_ && ::inflateInit2(&stream_, 15 + 16) != Z_OK)) {
    ::close(descriptor_);
    fail("{}: cannot be read", path_.string());
  }
  raw_.resize(kChunk);
  if (gzip_) inflated_.resize(kChunk);
}

ArchiveBytes::~ArchiveBytes() {
  if (gzip_) ::inflateEnd(&stream_);
  ::close(descriptor_);
}

void ArchiveBytes::refuse(const std::string& what) const {
  fail("{}: {} (at byte {} of {})", path_.string(), what, position_, size_);
}

std::span<const std::uint8_t> ArchiveBytes::next() { return gzip_ ? next_inflated() : next_raw(); }

std::span<const std::uint8_t> ArchiveBytes::next_raw() {
  ssize_t count = 0;
  do count = ::read(descriptor_, raw_.data(), raw_.size());
  while (count < 0 && errno == EINTR);
  if (count < 0) refuse(fmt::format("reading failed: {}", std::strerror(errno)));
  const auto bytes = std::span<const std::uint8_t>(raw_).first(static_cast<std::size_t>(count));
  position_ += count;
  if (sum_ != nullptr) sum_->add(bytes);
  return bytes;
}

std::span<const std::uint8_t> ArchiveBytes::next_inflated() {
  stream_.next_out = inflated_.data();
  stream_.avail_out = static_cast<uInt>(inflated_.size());
  while (stream_.avail_out == inflated_.size()) {
    if (stream_.avail_in == 0) {
      const auto bytes = next_raw();
      if (bytes.empty()) {
        if (within_member_) refuse("ends within its compressed data; fetch it again");
        return {};
      }
      stream_.next_in = raw_.data();
      stream_.avail_in = static_cast<uInt>(bytes.size());
    }
    if (!within_member_) {
      // Files from tapes are filled up with zeros behind the last member.
      if (*stream_.next_in == 0) {
        ++stream_.next_in;
        --stream_.avail_in;
        continue;
      }
      ::inflateReset(&stream_);
      within_member_ = true;
    }
    const int code = ::inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_STREAM_END)
      within_member_ = false;
    else if (code != Z_OK && code != Z_BUF_ERROR)
      refuse(fmt::format("its compressed data is damaged ({}); fetch it again",
                         stream_.msg != nullptr ? stream_.msg : "unknown cause"));
  }
  const std::size_t count = inflated_.size() - stream_.avail_out;
  total_inflated_ += static_cast<std::int64_t>(count);
  if (total_inflated_ > (std::int64_t{1} << 20) + ratio_ * position_)
    refuse(
        fmt::format("unpacks to more than {} times its size, as no honest archive does", ratio_));
  return std::span<const std::uint8_t>(inflated_).first(count);
}

void ArchiveBytes::move_to(std::int64_t position) {
  position = std::clamp<std::int64_t>(position, 0, size_);
  if (::lseek(descriptor_, position, SEEK_SET) < 0)
    refuse(fmt::format("cannot be moved in: {}", std::strerror(errno)));
  position_ = position;
}

}  // namespace concord
