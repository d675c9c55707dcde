#include <memory>

#include "data/split_set.h"
#include "tools/common/interrupt.h"
#include "tools/common/prepare_kinds.h"
#include "tools/common/terminal.h"

namespace concord::tool {

void prepare_split(const PrepareCommand& command) {
  SplitOptions options;
  options.percent = command.fraction;
  options.replace = command.run.force;
  SplitReport report;
  {
    std::unique_ptr<Progress> bar;
    options.progress = [&](std::int64_t done, std::int64_t total) {
      stop_if_interrupted();
      if (!bar) bar = std::make_unique<Progress>("splitting", total, "images");
      bar->update(done);
    };
    report = split_data_set(command.source, command.run.output_dir, options);
  }
  if (report.copied > 0)
    note("{} files could not be linked to the source's and were copied", report.copied);
  print_counts(report.classes, {"a: train", "b: train", "both: " + report.held_out},
               {report.a, report.b, report.held_out_images},
               {report.a_images, report.b_images, report.held_out_total});
}

}  // namespace concord::tool
