#pragma once
// A file mapped into memory, to be read only.

#include <filesystem>
#include <memory>
#include <string_view>

namespace concord {

class MappedFile {
 public:
  // Throws when the file cannot be opened or mapped or is not a regular one, naming it and what is
  // `expected` ("a safetensors file"). An empty file maps to no bytes.
  MappedFile(const std::filesystem::path& path, std::string_view expected);

  const std::filesystem::path& path() const { return path_; }
  std::string_view bytes() const { return bytes_; }
  // Keeps the mapping alive, for tensors that refer to it. Null for an empty file.
  const std::shared_ptr<void>& owner() const { return owner_; }

 private:
  std::filesystem::path path_;
  std::shared_ptr<void> owner_;
  std::string_view bytes_;
};

}  // namespace concord
