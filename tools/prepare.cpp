// concord-prepare: makes a folder of class folders, as the other programs read it, from a published
// data set or by drawing one.

#include "data/prepare.h"

#include <cmath>

#include "data/cub200.h"
#include "data/staging_folder.h"
#include "data/synthetic.h"
#include "tools/common/interrupt.h"
#include "tools/common/options.h"
#include "tools/common/program.h"
#include "tools/common/progress.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  std::string kind;
  RunOptions run;
  int threads = 0;
  int quality = 95;
  // synthetic
  SyntheticOptions synthetic;
  std::string layout = "folder";
  // cub200
  std::string source;
  bool no_crop = false;
  bool strict = false;
  double max_megapixels = 67;
};

// Options that one kind alone has; given with the other they are a slip that must not pass unseen.
constexpr const char* kSyntheticOnly[] = {"--layout",        "--classes",    "--train-per-class",
                                          "--val-per-class", "--image-size", "--seed"};
constexpr const char* kCubOnly[] = {"--source", "--no-crop", "--strict", "--max-megapixels"};

void add_options(CommandLine& line, Options& options) {
  line.option("kind", options.kind, "synthetic: draw pictures; cub200: crop CUB-200-2011",
              one_of({"synthetic", "cub200"}))
      ->required();
  add_output_options(line, options.run, "the new folder, with train/ and val/ (or test/)");
  line.app().get_option("--output-dir")->required();
  line.app().get_option("--force")->description("replace a folder that this program wrote before");
  line.option("--threads", options.threads, "threads; 0 = one per core", in_range(0, 1024));
  line.option("--quality", options.quality, "of the JPEG files", in_range(1, 100));
  SyntheticOptions& synthetic = options.synthetic;
  line.option(
      "--layout", options.layout,
      "synthetic: folder (train/ and val/) or cub (as CUB-200-2011 is published, with boxes)",
      one_of({"folder", "cub"}));
  line.option("--classes", synthetic.classes, "synthetic: how many of the ten", in_range(2, 10));
  line.option("--train-per-class", synthetic.train_per_class, "synthetic: training images a class",
              in_range(1, 1e6));
  line.option("--val-per-class", synthetic.val_per_class, "synthetic: validation images a class",
              in_range(1, 1e6));
  line.option("--image-size", synthetic.image_size, "synthetic: pixels of the longer side",
              in_range(32, 1024));
  line.option("--seed", options.run.seed, "synthetic: another seed, other pictures");
  line.option("--source", options.source, "cub200: the unpacked CUB_200_2011 folder");
  line.flag("--no-crop", options.no_crop, "cub200: keep whole images; needs no bounding_boxes.txt");
  line.flag("--strict", options.strict,
            "cub200: an unreadable image ends the run instead of being left out");
  line.option("--max-megapixels", options.max_megapixels,
              "cub200: images with more pixels are refused unread", in_range(0.001, 4000));
}

void check_kind(const CommandLine& line, const Options& options) {
  const bool synthetic = options.kind == "synthetic";
  const auto refuse = [&](const char* flag) {
    check_usage(!line.given(flag), "{} does not apply to {}", flag, options.kind);
  };
  if (synthetic) {
    for (const char* flag : kCubOnly) refuse(flag);
  } else {
    for (const char* flag : kSyntheticOnly) refuse(flag);
    check_usage(!options.source.empty(), "cub200 needs --source, the unpacked CUB_200_2011 folder");
  }
  check_usage(!options.run.output_dir.empty(), "--output-dir is empty");
}

ProgressCallback report_progress(Progress& bar) {
  return [&bar](std::int64_t done, std::int64_t) {
    stop_if_interrupted();
    bar.update(done);
  };
}

void print_counts(const std::vector<std::string>& classes, const std::vector<std::int64_t>& train,
                  const std::vector<std::int64_t>& held_out, const std::string& held_out_name) {
  Table table({"class", "train", held_out_name});
  std::int64_t train_sum = 0, held_out_sum = 0;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    table.row(
        {classes[label], fmt::format("{}", train[label]), fmt::format("{}", held_out[label])});
    train_sum += train[label];
    held_out_sum += held_out[label];
  }
  table.row({"total", fmt::format("{}", train_sum), fmt::format("{}", held_out_sum)});
  table.print();
}

void prepare_synthetic(Options& options) {
  SyntheticOptions& synthetic = options.synthetic;
  synthetic.layout = options.layout == "cub" ? SyntheticLayout::kCub : SyntheticLayout::kFolder;
  synthetic.seed = options.run.seed;
  synthetic.quality = options.quality;
  synthetic.threads = options.threads;
  synthetic.replace = options.run.force;
  const std::int64_t total = std::int64_t{synthetic.classes} *
                             (std::int64_t{synthetic.train_per_class} + synthetic.val_per_class);
  {
    Progress bar("drawing", total, "images");
    synthetic.progress = report_progress(bar);
    write_synthetic(options.run.output_dir, synthetic);
  }
  const auto count = static_cast<std::size_t>(synthetic.classes);
  const auto& names = synthetic_classes();
  print_counts({names.begin(), names.begin() + synthetic.classes},
               std::vector<std::int64_t>(count, synthetic.train_per_class),
               std::vector<std::int64_t>(count, synthetic.val_per_class),
               options.layout == "cub" ? "test" : "val");
}

void prepare_cub(const Options& options) {
  StagingFolder::check_target(options.run.output_dir, options.run.force);
  const FileSource source(options.source);
  const ImagePlan plan = plan_cub200(source, !options.no_crop);
  PrepareOptions how;
  how.strict = options.strict;
  how.quality = options.quality;
  how.threads = options.threads;
  how.max_pixels = std::llround(options.max_megapixels * 1e6);
  how.replace = options.run.force;
  how.notice = [](const std::string& what) { note("{}", what); };
  PrepareReport report;
  {
    Progress bar("cropping", static_cast<std::int64_t>(plan.images.size()), "images");
    how.progress = report_progress(bar);
    report = prepare({&source}, plan, options.run.output_dir, how);
  }
  for (const std::string& problem : report.unreadable) warn("{}; left out", problem);
  note("{} boxes reached past their image and were clipped, {} images were kept whole, {} left out",
       report.clipped, report.copied, report.unreadable.size());
  print_counts(plan.classes, report.images[0], report.images[1], plan.splits[1]);
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-prepare",
       .summary =
           "Makes a folder of class folders, as the other programs read it, from a published "
           "data set or by drawing one.",
       .example =
           "concord-prepare synthetic --output-dir toys --train-per-class 200 --image-size 96\n"
           "  (10 classes, 2,500 pictures, about half a minute on two cores)\n"
           "concord-prepare cub200 --source CUB_200_2011 --output-dir cub\n"
           "  (200 classes, 5,994 training and 5,794 test images, cropped to the birds)",
       .footnote = "The folder appears complete or not at all. manifest.json in it says how it was "
                   "made."});
  add_options(line, options);
  return run_program(line, argc, argv, [&] {
    check_kind(line, options);
    if (options.kind == "synthetic")
      prepare_synthetic(options);
    else
      prepare_cub(options);
  });
}
