#pragma once
// How a data set's files are read.

#include <cstdint>

#include "data/workers.h"

namespace concord {

// What no honest data set exceeds. More is an Error that names the archive or folder, and the
// entry.
struct SourceLimits {
  std::int64_t entries = 2'000'000;
  std::int64_t entry_bytes = std::int64_t{1} << 28;  // of one file, unpacked
  std::int64_t total_bytes = std::int64_t{1} << 37;  // of all files of an archive, unpacked
  // Of the lists and annotations that a data set's reader holds at once.
  std::int64_t text_bytes = std::int64_t{1} << 29;
  std::int64_t ratio = 200;  // unpacked bytes for each byte of the archive, beyond the first MiB
};

struct SourceOptions {
  SourceLimits limits = {};
  // Archives that bear the name and size of a published one are compared with its checksum.
  bool checksums = true;
  ProgressCallback progress = {};  // in bytes of the archive that is being listed
};

}  // namespace concord
