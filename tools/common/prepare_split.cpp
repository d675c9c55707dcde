#include "data/split_set.h"
#include "tools/common/prepare_kinds.h"
#include "tools/common/terminal.h"

namespace concord::tool {

void prepare_split(const PrepareCommand& command) {
  SplitOptions options;
  options.percent = command.fraction;
  options.replace = command.run.force;
  options.progress = report_progress("splitting", "images");
  const SplitReport report = split_data_set(command.source, command.run.output_dir, options);
  if (report.copied > 0)
    note("{} files could not be linked to the source's and were copied", report.copied);
  print_counts(report.classes, {"a: train", "b: train", "both: " + report.held_out},
               {report.a, report.b, report.held_out_images},
               {report.a_images, report.b_images, report.held_out_total});
}

}  // namespace concord::tool
