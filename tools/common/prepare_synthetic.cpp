#include "tools/common/prepare_kinds.h"

namespace concord::tool {

void prepare_synthetic(PrepareCommand& command) {
  SyntheticOptions& synthetic = command.synthetic;
  synthetic.layout = command.layout == "cub" ? SyntheticLayout::kCub : SyntheticLayout::kFolder;
  synthetic.seed = command.run.seed;
  synthetic.quality = command.quality;
  synthetic.threads = command.threads;
  synthetic.replace = command.run.force;
  const auto count = static_cast<std::size_t>(synthetic.classes);
  const std::int64_t train = std::int64_t{synthetic.classes} * synthetic.train_per_class;
  const std::int64_t held_out = std::int64_t{synthetic.classes} * synthetic.val_per_class;
  {
    Progress bar("drawing", train + held_out, "images");
    synthetic.progress = report_progress(bar);
    write_synthetic(command.run.output_dir, synthetic);
  }
  const auto& names = synthetic_classes();
  print_counts({names.begin(), names.begin() + synthetic.classes},
               {"train", command.layout == "cub" ? "test" : "val"},
               {std::vector<std::int64_t>(count, synthetic.train_per_class),
                std::vector<std::int64_t>(count, synthetic.val_per_class)},
               {train, held_out});
}

}  // namespace concord::tool
