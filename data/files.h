#pragma once
// Whole files in and out.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace concord {

// The bytes of a regular file. Throws Error naming the file when it is missing, a folder, or fails
// while being read.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path);

// Writes `bytes` under a temporary name in the same folder and renames it to `path`, so that a
// reader never sees half a file. Throws Error naming the file; the temporary file is then removed.
void write_file(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace concord
