#include "tools/common/tensor_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace concord::tool {
namespace {

// Writes all bytes at an offset; returns 0 or the errno of what went wrong.
int write_at(int file, const char* bytes, std::size_t count, off_t offset) {
  while (count > 0) {
    const ssize_t written = ::pwrite(file, bytes, count, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : ENOSPC;
    bytes += written;
    offset += written;
    count -= static_cast<std::size_t>(written);
  }
  return 0;
}

}  // namespace

TensorStream::TensorStream(std::filesystem::path path,
                           const std::vector<std::pair<std::string, Shape>>& tensors,
                           const std::map<std::string, std::string>& metadata)
    : path_(std::move(path)) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::int64_t end = 0;
  for (const auto& [name, shape] : tensors) {
    places_[name] = {end, shape};
    const std::int64_t begin = end;
    end += shape.numel() * std::int64_t{sizeof(float)};
    header[name] = {{"dtype", "F32"}, {"shape", shape.sizes()}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string start(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) start[i] = static_cast<char>((text.size() >> (8 * i)) & 0xFF);
  start += text;
  for (auto& [name, place] : places_) place.begin += static_cast<std::int64_t>(start.size());

  temporary_ = path_;
  temporary_ += fmt::format(".{}.tmp", ::getpid());
  file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  check(file_ >= 0, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
  // Asking for the room at once tells of a full disk before the work is done.
  const std::int64_t size = static_cast<std::int64_t>(start.size()) + end;
  int cause = ::posix_fallocate(file_, 0, size);
  if (cause == EOPNOTSUPP || cause == EINVAL) cause = 0;
  if (cause == 0) cause = write_at(file_, start.data(), start.size(), 0);
  if (cause == 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
  fail("{}: writing {} bytes failed: {}; free the room or name another folder", path_.string(),
       size, std::strerror(cause));
}

TensorStream::~TensorStream() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(temporary_.c_str());
}

void TensorStream::write(const std::string& name, std::int64_t first, const Tensor& rows) {
  const Place& place = places_.at(name);
  const std::int64_t row = place.shape.numel() / place.shape[0];
  check(first >= 0 && first + rows.dim(0) <= place.shape[0] && rows.numel() == rows.dim(0) * row,
        "{}: rows {} at {} do not belong to {} {}", path_.string(), rows.shape().to_string(), first,
        name, place.shape.to_string());
  const Tensor plain = rows.to(Device{}).to(DType::kFloat32).in_format(MemoryFormat::kPlain);
  const int cause =
      write_at(file_, reinterpret_cast<const char*>(plain.data<float>()), plain.bytes(),
               place.begin + first * row * std::int64_t{sizeof(float)});
  check(cause == 0, "{}: writing failed: {}", path_.string(), std::strerror(cause));
}

void TensorStream::finish() {
  int cause = ::fsync(file_) == 0 ? 0 : errno;
  if (::close(file_) != 0 && cause == 0) cause = errno;
  file_ = -1;
  if (cause == 0 && ::rename(temporary_.c_str(), path_.c_str()) != 0) cause = errno;
  if (cause == 0) return;
  ::unlink(temporary_.c_str());
  fail("{}: writing failed: {}", path_.string(), std::strerror(cause));
}

}  // namespace concord::tool
