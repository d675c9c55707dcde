// Stands in for engine/mapped_file.cpp in the fuzzers: a mapping ends with a page, a copy in memory
// of its own ends with the file, so that AddressSanitizer sees a read one byte past it.

#include <cstring>

#include "data/files.h"
#include "engine/mapped_file.h"

namespace concord {

MappedFile::MappedFile(const std::filesystem::path& path, std::string_view) : path_(path) {
  const std::vector<std::uint8_t> content = read_file(path);
  if (content.empty()) return;
  const std::shared_ptr<char[]> copy(new char[content.size()]);
  std::memcpy(copy.get(), content.data(), content.size());
  owner_ = std::shared_ptr<void>(copy, copy.get());
  bytes_ = {copy.get(), content.size()};
}

}  // namespace concord
