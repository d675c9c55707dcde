#include "engine/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "engine/descriptor.h"
#include "kernels/error.h"

namespace concord {
MappedFile::MappedFile(const std::filesystem::path& path, std::string_view expected) : path_(path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  check(file.get() >= 0, "{}: cannot be read: {}", path.string(), std::strerror(errno));
  struct stat status = {};
  check(::fstat(file.get(), &status) == 0, "{}: cannot be read: {}", path.string(),
        std::strerror(errno));
  check(S_ISREG(status.st_mode), "{}: not a regular file; {} is expected", path.string(), expected);
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return;
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  check(mapped != MAP_FAILED, "{}: cannot be mapped: {}", path.string(), std::strerror(errno));
  owner_ = std::shared_ptr<void>(mapped, [size](void* data) { ::munmap(data, size); });
  bytes_ = {static_cast<const char*>(mapped), size};
}

}  // namespace concord
