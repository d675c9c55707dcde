#pragma once
// What the tests of data/ share: pictures by formula, folders that vanish, a hash.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/files.h"
#include "data/image.h"
#include "tests/temporary_folder.h"

namespace concord::test {

// FNV-1a, 64 bits.
inline std::uint64_t hash_of(std::span<const std::uint8_t> bytes) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001B3ULL;
  return hash;
}

// rgb = (3 x^2 + 7 y (c + 1) + 5 x y + 40 c) mod 256: rough, so that every tap of a filter counts.
inline Image formula_image(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.pixel(x, y)[c] =
            static_cast<std::uint8_t>((x * x * 3 + y * 7 * (c + 1) + x * y * 5 + c * 40) % 256);
  return image;
}

// A smooth picture whose colours tell `number`.
inline Image numbered_image(int width, int height, int number) {
  Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      image.pixel(x, y)[0] = static_cast<std::uint8_t>((number * 37) % 256);
      image.pixel(x, y)[1] = static_cast<std::uint8_t>((number * 11 + x) % 256);
      image.pixel(x, y)[2] = static_cast<std::uint8_t>((number * 5 + y) % 256);
    }
  return image;
}

// A temporary folder that files are put into.
class TempFolder : public TemporaryFolder {
 public:
  // Writes a file below, making folders on the way.
  std::filesystem::path put(const std::string& name, std::span<const std::uint8_t> bytes) const {
    const std::filesystem::path file = *this / name;
    std::filesystem::create_directories(file.parent_path());
    write_file(file, bytes);
    return file;
  }
  std::filesystem::path put(const std::string& name, const std::string& text) const {
    return put(name, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
};

// The files below a folder with their contents' hashes, by name.
inline std::vector<std::pair<std::string, std::uint64_t>> contents(
    const std::filesystem::path& folder) {
  std::vector<std::pair<std::string, std::uint64_t>> list;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      list.emplace_back(std::filesystem::relative(entry.path(), folder).string(),
                        hash_of(read_file(entry.path())));
  std::sort(list.begin(), list.end());
  return list;
}

// The folder of real photographs beside the source tree, or where CONCORD_SHARED points.
inline std::optional<std::filesystem::path> shared_data() {
  const char* set = std::getenv("CONCORD_SHARED");
  const std::filesystem::path root =
      set != nullptr ? std::filesystem::path(set)
                     : std::filesystem::path(__FILE__).parent_path() / "../../../shared";
  if (!std::filesystem::is_directory(root / "data")) return std::nullopt;
  return std::filesystem::canonical(root / "data");
}

}  // namespace concord::test

#define CONCORD_NEEDS_SHARED_DATA(variable)                                                   \
  const auto variable##_found = ::concord::test::shared_data();                               \
  if (!variable##_found)                                                                      \
    GTEST_SKIP() << "real photographs are absent; set CONCORD_SHARED to the folder of data/"; \
  const std::filesystem::path variable = *variable##_found
