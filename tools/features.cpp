// concord-features: a network's features at one layer, over one split, into a feature store.

#include <optional>

#include "data/feature_store.h"
#include "tools/common/classification.h"
#include "tools/common/feature_extraction.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/options.h"
#include "tools/common/run_directory.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  ImageOptions images;
  RunOptions run;
  DeviceOptions device;
  std::string arch;
  std::string weights;
  std::string layer;
  std::string split = "val";
  std::string store_dtype = "fp32";
};

void extract(Options& options, const CommandLine& line) {
  SavedNetwork saved = load_network(options.weights, options.arch);
  saved.network->to(options.device.place);
  if (saved.image_size > 0 && !line.given("--image-size"))
    options.images.image_size = saved.image_size;
  ImageSet set = read_split(options.images.data, options.split);
  if (!saved.class_names.empty()) {
    const std::string missing = match_classes(set, saved.class_names);
    if (!missing.empty())
      warn("{}: {} is not a class of {}; such images get no top-1 and top-3 flags",
           set.root.string(), missing, options.weights);
  }
  Loader loader(std::move(set), loader_options(options.images, options.device.place));
  const StoredDType dtype = stored_dtype_of_option(options.store_dtype);
  std::optional<RunDirectory> directory;
  const Shape whole =
      extract_features(*saved.network, options.layer, loader, options.images.data, [&] {
        directory.emplace(options.run, std::vector<std::string>{"index.json", "shard-*.safetensors",
                                                                "config.json"});
        const FeatureStoreInfo info = {.arch = saved.network->arch(),
                                       .layer = options.layer,
                                       .dataset = options.images.data,
                                       .split = loader.set().name,
                                       .weights = options.weights,
                                       .image_size = options.images.image_size};
        return std::make_unique<FeatureStoreWriter>(directory->path(), info, kShardBytes, dtype);
      });
  directory->write_config(line);
  Table table({"network", "layer", "split", "features", "MiB"});
  table.row({saved.network->arch(), options.layer, loader.set().name, whole.to_string(),
             fmt::format("{:.1f}", static_cast<double>(whole.numel()) *
                                       static_cast<double>(size_of(dtype)) / (1 << 20))});
  table.print();
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-features",
       .summary =
           "Writes a network's features at one layer, with labels and top-1 and top-3 flags, "
           "into a feature store.",
       .example = "  concord-features --weights run-a/best.safetensors --layer layer3 \\\n"
                  "      --data shapes --split val --output-dir features-a\n"
                  "prints the shape of what it stored, [images, channels, height, width].",
       .footnote = "Layers: any module name (features.24, layer3.0.conv1) or an alias: conv4_1 .. "
                   "conv5_3\n(vgg16_bn), conv4, conv5 (alexnet), FC6, FC7, layer3 (resnets, before "
                   "its last ReLU)."});
  line.option("--weights", options.weights, "checkpoint of the network").required();
  line.option("--layer", options.layer, "where to take the features, see below").required();
  add_image_options(line, options.images, "both sides in pixels (default: as trained)");
  line.at("--image-size").without_default();
  line.at("--data").required();
  line.option("--split", options.split, "train, or val (val/ or test/)", one_of({"train", "val"}));
  add_store_dtype_option(line, options.store_dtype);
  line.option("--arch", options.arch, "architecture, where the file does not name it",
              one_of(concord::network_names()));
  add_output_options(line, options.run, "folder for the store; must be new or empty");
  line.at("--output-dir").required();
  add_device_options(line, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    extract(options, line);
  });
}
