#pragma once
// The kinds of concord-prepare, each in a file of its own.

#include <cstdint>
#include <string>
#include <vector>

#include "data/synthetic.h"
#include "data/workers.h"
#include "tools/common/options.h"
#include "tools/common/progress.h"

namespace concord::tool {

struct PrepareCommand {
  std::string kind;
  std::string arch;  // weights: of which network
  RunOptions run;
  int threads = 0;
  int quality = 95;
  // synthetic
  SyntheticOptions synthetic;
  std::string layout = "folder";
  // published data sets
  std::string source;                    // of a kind made of two data sets, both apart by a comma
  std::vector<std::string> class_names;  // of what is in VOC's layout without its classes
  bool download = false;
  bool no_checksums = false;
  bool no_crop = false;
  bool strict = false;
  double max_megapixels = 67;
  std::string mirror;  // of weights too
};

// Draws pictures. Throws as write_synthetic does.
void prepare_synthetic(PrepareCommand& command);

// The published data sets that can be prepared: "cub200", ...
const std::vector<std::string>& published_kinds();
// Fetches (--download), reads, plans and prepares one of them, and prints what came of it beside
// what is published. Throws as download(), FileSource, its plan and prepare() do.
void prepare_published(const PrepareCommand& command);

// Fetches torchvision's weights of command.arch. Throws as download() does.
void prepare_weights(const PrepareCommand& command);

// Shows the work on a bar; throws Interrupted after Ctrl-C.
ProgressCallback report_progress(Progress& bar);
// The same for bytes, of which the first call tells how many there are in all.
ProgressCallback report_bytes(const std::string& what);

// A row for each class and their sum: images[split][label].
void print_counts(const std::vector<std::string>& classes, const std::vector<std::string>& splits,
                  const std::vector<std::vector<std::int64_t>>& images,
                  const std::vector<std::int64_t>& totals);

}  // namespace concord::tool
