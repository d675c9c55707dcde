#include "data/download.h"
#include "tools/common/interrupt.h"
#include "tools/common/prepare_kinds.h"
#include "tools/common/terminal.h"

namespace concord::tool {

void prepare_weights(const PrepareCommand& command) {
  const PublishedFile file = published_weights(command.arch);
  const std::filesystem::path folder = command.run.output_dir;
  std::error_code error;
  const bool was_there = std::filesystem::exists(folder / file.name, error);
  DownloadOptions options{.mirror = command.mirror};
  options.progress = report_bytes("fetching " + file.name);
  options.notice = [](const std::string& what) { note("{}", what); };
  std::filesystem::path path;
  try {
    path = download(file, folder, options);
  } catch (const Interrupted&) {
    throw Interrupted("interrupted; what came is kept: the same command goes on from there");
  }
  note("{}: SHA-256 as published{}", path.string(), was_there ? "; it was there already" : "");
  // For scripts: the file to give to --weights.
  write_result(path.string() + "\n");
}

}  // namespace concord::tool
