// concord-prepare: makes a folder of class folders, as the other programs read it, from a published
// data set or by drawing one; fetches published data sets and weights.

#include <algorithm>

#include "data/published_files.h"
#include "tools/common/prepare_kinds.h"

namespace concord::tool {
namespace {

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::vector<std::string> all_kinds() {
  std::vector<std::string> kinds = published_kinds();
  kinds.insert(kinds.end(), {"split", "weights", "synthetic"});
  return kinds;
}

// Options that not every kind has; given with another they are a slip that must not pass unseen.
struct Scope {
  const char* kinds;
  std::vector<std::string> flags;
};
const Scope kScopes[] = {
    {"synthetic",
     {"--layout", "--classes", "--train-per-class", "--val-per-class", "--image-size", "--seed"}},
    {"published", {"--download", "--no-checksums", "--no-crop", "--strict", "--max-megapixels"}},
    {"voc-crop voc-multilabel", {"--class-names"}},
    {"published split", {"--source"}},
    {"published weights", {"--mirror"}},
    {"published synthetic", {"--threads", "--quality"}},
    {"published synthetic split", {"--force"}},
    {"split", {"--fraction"}},
    {"weights", {"arch"}},
};

void add_drawing_options(CommandLine& line, PrepareCommand& command) {
  SyntheticOptions& synthetic = command.synthetic;
  line.option(
      "--layout", command.layout,
      "synthetic: folder (train/ and val/) or cub (as CUB-200-2011 is published, with boxes)",
      one_of({"folder", "cub"}));
  line.option("--classes", synthetic.classes, "synthetic: how many of the ten", in_range(2, 10));
  line.option("--train-per-class", synthetic.train_per_class, "synthetic: training images a class",
              in_range(1, 1e6));
  line.option("--val-per-class", synthetic.val_per_class, "synthetic: validation images a class",
              in_range(1, 1e6));
  line.option("--image-size", synthetic.image_size, "synthetic: pixels of the longer side",
              in_range(32, 1024));
  line.option("--seed", command.run.seed, "synthetic: another seed, other pictures");
}

void add_source_options(CommandLine& line, PrepareCommand& command) {
  line.option(
      "--source", command.source,
      "data sets: the unpacked folder, an archive as published (tar, tgz, zip...), or a "
      "folder with such archives; of mix320 those of both sets, CUB,DOGS; split: the prepared "
      "folder");
  line.option("--fraction", command.fraction,
              "split: per cent of each class's training images that go to part a, the rest to b",
              in_range(1, 99));
  line.option("--class-names", command.class_names,
              "voc-crop, voc-multilabel: the classes of a data set that has VOC's layout but not "
              "its classes, apart by commas, in the order of their labels");
  line.flag("--download", command.download,
            "data sets: first fetch the published archives into the folder --source, those that "
            "are not there");
  line.option(
      "--mirror", command.mirror,
      "with --download and of weights: fetch from this http(s) address, which has the files "
      "under their published names");
  line.flag("--no-checksums", command.no_checksums,
            "data sets: take an archive of a published name and size as it is, without comparing "
            "its SHA-256");
  line.flag("--no-crop", command.no_crop, "data sets: keep whole images; no boxes are needed");
  line.flag("--strict", command.strict,
            "data sets: an unreadable image ends the run instead of being left out");
  line.option("--max-megapixels", command.max_megapixels,
              "data sets: images with more pixels are refused unread", in_range(0.001, 4000));
}

void add_options(CommandLine& line, PrepareCommand& command) {
  line.option("kind", command.kind,
              fmt::format("a published data set ({}); split: cuts a prepared one in two, OUT/a and "
                          "OUT/b; weights: torchvision's of a network; synthetic: draw pictures",
                          listed(published_kinds())),
              one_of(all_kinds()))
      .required();
  line.option("arch", command.arch, fmt::format("weights: {}", listed(published_architectures())),
              one_of(published_architectures()));
  add_output_options(line, command.run,
                     "the new folder, with train/ and val/ (or test/); of weights, where the file "
                     "is put");
  line.at("--output-dir").required();
  line.at("--force").described("replace a folder that this program wrote before");
  line.option("--threads", command.threads, "threads; 0 = one per core", in_range(0, 1024));
  line.option("--quality", command.quality, "of the JPEG files", in_range(1, 100));
  add_source_options(line, command);
  add_drawing_options(line, command);
}

void check_kind(const CommandLine& line, const PrepareCommand& command) {
  const auto& published = published_kinds();
  const bool is_published =
      std::find(published.begin(), published.end(), command.kind) != published.end();
  const std::string scope = is_published ? "published" : command.kind;
  for (const Scope& each : kScopes)
    if (std::string(each.kinds).find(scope) == std::string::npos &&
        std::string(each.kinds).find(command.kind) == std::string::npos)
      line.refuse(each.flags, "does not apply to " + command.kind);
  if (command.kind == "voc-multilabel")
    line.refuse({"--no-crop"}, "does not apply to voc-multilabel, whose images are whole");
  check_usage(!command.run.output_dir.empty(), "--output-dir is empty");
  check_usage(!is_published || !command.source.empty(),
              "{} needs --source, the unpacked folder or the archives", command.kind);
  check_usage(command.kind != "split" || !command.source.empty(),
              "split needs --source, the prepared folder to cut in two");
  check_usage(command.kind != "weights" || !command.arch.empty(), "weights of which network? {}",
              listed(published_architectures()));
  check_usage(command.kind == "weights" || command.mirror.empty() || command.download,
              "--mirror is where --download fetches from; give that too");
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  PrepareCommand command;
  CommandLine line(
      {.name = "concord-prepare",
       .summary =
           "Makes a folder of class folders, as the other programs read it, from a published "
           "data set or by drawing one; fetches weights.",
       .example =
           "concord-prepare synthetic --output-dir toys --train-per-class 200 --image-size 96\n"
           "  (10 classes, 2,500 pictures, about half a minute on two cores)\n"
           "concord-prepare cub200 --source CUB_200_2011.tgz --output-dir cub\n"
           "  (200 classes, 5,994 training and 5,794 test images, cropped to the birds)\n"
           "concord-prepare mix320 --source CUB_200_2011,dogs --output-dir mix\n"
           "  (the birds, and the dogs of the folder in which images.tar, annotation.tar and "
           "lists.tar lie)\n"
           "concord-prepare split --source cub --output-dir cub-halves\n"
           "  (cub-halves/a and cub-halves/b, each a data set with one half of every class's "
           "training images)\n"
           "concord-prepare weights resnet18 --output-dir weights\n"
           "  (weights/resnet18-f37072fd.pth, 11,689,512 parameters, for --weights)",
       .footnote =
           "The folder appears complete or not at all. Data sets are read from their archives, of "
           "which nothing is unpacked. What an interrupted run has prepared or fetched is kept "
           "(.NAME.partial beside the folder, NAME.partial): the same command goes on from there. "
           "manifest.json in the folder says how it was made."});
  add_options(line, command);
  return run_program(line, argc, argv, [&] {
    check_kind(line, command);
    if (command.kind == "synthetic")
      prepare_synthetic(command);
    else if (command.kind == "split")
      prepare_split(command);
    else if (command.kind == "weights")
      prepare_weights(command);
    else
      prepare_published(command);
  });
}
