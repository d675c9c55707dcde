#pragma once
// Archives as tests need them, honest and hostile.

#include <archive.h>
#include <archive_entry.h>

#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "data/files.h"

namespace concord::test {

struct TestEntry {
  std::string name;
  std::string text = {};
  unsigned type = AE_IFREG;
  std::string link = {};  // where a symbolic link points
  std::string hard = {};  // what a hard link is one more name of
};

enum class Packing { kTar, kGzip, kXz, kZstd, kBzip2, kZip, kStoredGzip };

inline void write_archive(const std::filesystem::path& file, const std::vector<TestEntry>& entries,
                          Packing packing = Packing::kTar) {
  ::archive* writer = ::archive_write_new();
  const auto good = [&](la_ssize_t code) {
    if (code >= ARCHIVE_OK) return;
    const std::string why =
        ::archive_error_string(writer) != nullptr ? ::archive_error_string(writer) : "?";
    throw std::runtime_error("the test's archive cannot be written: " + why);
  };
  if (packing == Packing::kZip)
    good(::archive_write_set_format_zip(writer));
  else
    good(::archive_write_set_format_gnutar(writer));
  if (packing == Packing::kGzip || packing == Packing::kStoredGzip)
    good(::archive_write_add_filter_gzip(writer));
  if (packing == Packing::kStoredGzip)
    good(::archive_write_set_filter_option(writer, "gzip", "compression-level", "0"));
  if (packing == Packing::kXz) good(::archive_write_add_filter_xz(writer));
  if (packing == Packing::kZstd) good(::archive_write_add_filter_zstd(writer));
  if (packing == Packing::kBzip2) good(::archive_write_add_filter_bzip2(writer));
  good(::archive_write_open_filename(writer, file.c_str()));
  for (const TestEntry& item : entries) {
    ::archive_entry* entry = ::archive_entry_new();
    ::archive_entry_set_pathname(entry, item.name.c_str());
    ::archive_entry_set_filetype(entry, item.type);
    ::archive_entry_set_perm(entry, 0644);
    if (!item.link.empty()) ::archive_entry_set_symlink(entry, item.link.c_str());
    if (!item.hard.empty()) ::archive_entry_set_hardlink(entry, item.hard.c_str());
    ::archive_entry_set_size(entry, static_cast<la_int64_t>(item.text.size()));
    good(::archive_write_header(writer, entry));
    if (!item.text.empty()) good(::archive_write_data(writer, item.text.data(), item.text.size()));
    ::archive_entry_free(entry);
  }
  good(::archive_write_close(writer));
  ::archive_write_free(writer);
}

// Everything below a folder, under `prefix`.
inline std::vector<TestEntry> entries_of(const std::filesystem::path& folder,
                                         const std::string& prefix = "") {
  std::vector<TestEntry> entries;
  for (const auto& item : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = prefix + std::filesystem::relative(item.path(), folder).string();
    if (item.is_directory()) {
      entries.push_back({.name = name + "/", .type = AE_IFDIR});
    } else {
      const auto bytes = read_file(item.path());
      entries.push_back({.name = name, .text = {bytes.begin(), bytes.end()}});
    }
  }
  return entries;
}

}  // namespace concord::test
