// Archives of data sets: tar in all its compressions, and zip.

#include "data/archive_file.h"
#include "data/image_plan.h"
#include "tests/fuzz/contract.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static concord::fuzz::MemoryFile file;
  file.fill(data, size);
  concord::SourceOptions options;
  options.limits = {.entries = 100, .entry_bytes = 1 << 18, .total_bytes = 1 << 20};
  concord::fuzz::read_or_refuse(file.path(), [&] {
    concord::looks_like_archive(file.path());
    const concord::ArchiveFile archive(file.path(), options, size % 2 == 0);
    for (const std::string& name : archive.files())
      concord::fuzz::expect(concord::is_plain_path(name), "an entry outside the archive");
    std::int64_t total = 0;
    archive.read([](const std::string&) { return true; },
                 [&](const std::string&, const std::vector<std::uint8_t>& bytes) {
                   total += static_cast<std::int64_t>(bytes.size());
                   return true;
                 });
    concord::fuzz::expect(total <= options.limits.total_bytes, "more bytes than the limit");
  });
  return 0;
}
