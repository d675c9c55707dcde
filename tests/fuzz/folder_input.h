#pragma once
// Inputs that are several files of a folder: one after the other, apart by form feeds.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "tests/temporary_folder.h"

namespace concord::fuzz {

// Writes the input's parts to `files`, in this order; those that the input does not reach are
// empty.
inline void write_parts(const test::TemporaryFolder& folder,
                        std::initializer_list<const char*> files, const std::uint8_t* data,
                        std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* file : files) {
    const std::size_t end = std::min(rest.find('\f'), rest.size());
    std::filesystem::create_directories((folder / file).parent_path());
    test::write_bytes(folder / file, std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

}  // namespace concord::fuzz
