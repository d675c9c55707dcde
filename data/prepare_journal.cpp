#include "data/prepare_journal.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <string>

#include "data/files.h"
#include "kernels/error.h"

namespace concord {
namespace fs = std::filesystem;

namespace {

std::uint32_t crc32_of(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, bytes.data(), bytes.size()));
}

bool holds(const fs::path& file, std::uint64_t size, std::uint32_t crc) {
  std::error_code error;
  if (fs::file_size(file, error) != size || error) return false;
  return crc32_of(read_file(file)) == crc;
}

}  // namespace

PrepareJournal::PrepareJournal(fs::path file)
    : file_(std::move(file)),
      descriptor_(::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  check(descriptor_ >= 0, "{}: cannot be written: {}", file_.string(), std::strerror(errno));
}

PrepareJournal::~PrepareJournal() { ::close(descriptor_); }

void PrepareJournal::add(std::size_t index, const PreparedImage& image,
                         std::span<const std::uint8_t> bytes) {
  // A line begins with its break: what a killed process cut short spoils no other.
  const std::string line = fmt::format("\n{} {} {} {} {} .", index, bytes.size(), crc32_of(bytes),
                                       image.clipped ? 1 : 0, image.copied ? 1 : 0);
  const std::lock_guard lock(mutex_);
  const ssize_t written = ::write(descriptor_, line.data(), line.size());
  check(written == static_cast<ssize_t>(line.size()), "{}: writing failed: {}", file_.string(),
        written < 0 ? std::strerror(errno) : "the disk is full");
}

std::vector<std::optional<PreparedImage>> read_journal(const fs::path& file, const fs::path& folder,
                                                       const ImagePlan& plan) {
  std::vector<std::optional<PreparedImage>> done(plan.images.size());
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return done;
  const auto bytes = read_file(file);
  std::istringstream lines(std::string(bytes.begin(), bytes.end()));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::size_t index = 0;
    std::uint64_t size = 0;
    std::uint32_t crc = 0;
    PreparedImage image;
    char end = 0;
    if (!(fields >> index >> size >> crc >> image.clipped >> image.copied >> end) || end != '.')
      continue;
    if (index < done.size() && holds(folder / plan.images[index].target, size, crc))
      done[index] = image;
  }
  return done;
}

}  // namespace concord
