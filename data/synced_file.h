#pragma once
// A file written in pieces that is on the disk when it appears.

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

namespace concord {

// Writes the pieces one behind the other to a temporary file beside `path`, syncs it and renames it
// to `path`, so that a reader or a crash never sees half a file. Throws naming the file, the cause
// and (disk full) the bytes needed; the temporary file is removed.
void write_synced(const std::filesystem::path& path,
                  const std::vector<std::span<const std::byte>>& pieces);

}  // namespace concord
