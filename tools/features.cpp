// concord-features: a network's features at one layer, over one split, into a feature store.

#include "data/feature_store.h"
#include "engine/autograd.h"
#include "tools/common/classification.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/options.h"
#include "tools/common/progress.h"
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

// The features of a batch and its logits from one pass where the layer allows it.
struct Outputs {
  Tensor features;
  Tensor logits;
};

class Extractor {
 public:
  Extractor(Network& network, std::string layer) : network_(network), layer_(std::move(layer)) {}

  // On the host.
  Outputs run(const Tensor& images) {
    Outputs outputs = run_on_device(images);
    return {outputs.features.to(Device{}), outputs.logits.to(Device{})};
  }

 private:
  Outputs run_on_device(const Tensor& images) {
    Outputs outputs;
    outputs.features = network_.features(images, layer_);
    if (continuable_) {
      try {
        outputs.logits = network_.from_features(outputs.features, layer_);
        return outputs;
      } catch (const Error&) {
        continuable_ = false;  // inside a residual block: the rest needs the whole pass
      }
    }
    outputs.logits = network_(images);
    return outputs;
  }

  Network& network_;
  std::string layer_;
  bool continuable_ = true;
};

void extract(Options& options, const CommandLine& line) {
  const NoGradGuard no_gradients;
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
  Extractor extractor(*saved.network, options.layer);

  loader.start(0);
  Batch batch;
  check(loader.next(batch), "{}: no image could be read", loader.set().root.string());
  Outputs outputs = extractor.run(batch.images);

  RunDirectory directory(options.run, {"index.json", "shard-*.safetensors", "config.json"});
  const StoredDType dtype = stored_dtype_of_option(options.store_dtype);
  FeatureStoreWriter writer(directory.path(),
                            {.arch = saved.network->arch(),
                             .layer = options.layer,
                             .dataset = options.images.data,
                             .split = loader.set().name,
                             .weights = options.weights,
                             .image_size = options.images.image_size},
                            kShardBytes, dtype);
  Progress progress("extracting", loader.size(), "images");
  std::int64_t done = 0;
  Shape shape;
  do {
    stop_if_interrupted();
    if (done > 0) outputs = extractor.run(batch.images);
    const std::int64_t count = batch.labels.numel();
    std::vector<std::uint8_t> top1;
    std::vector<std::uint8_t> top3;
    std::vector<std::string> names;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t label = batch.labels.data<std::int64_t>()[i];
      const bool known = label >= 0 && label < saved.network->classes();
      const std::int64_t rank = known ? rank_of_label(outputs.logits, i, label) : 3;
      top1.push_back(rank < 1);
      top3.push_back(rank < 3);
      const auto sample = static_cast<std::size_t>(batch.indices[static_cast<std::size_t>(i)]);
      names.push_back(name_of_sample(loader.set().samples[sample], options.images.data));
    }
    writer.append(outputs.features, batch.labels, top1, top3, names);
    shape = outputs.features.shape();
    done += count;
    progress.update(done);
  } while (loader.next(batch));
  writer.finish();
  directory.write_config(line);
  if (loader.skipped() > 0)
    warn("{}: {} of {} images could not be read and are not in the store",
         loader.set().root.string(), loader.skipped(), loader.size());
  Table table({"network", "layer", "split", "features", "MiB"});
  const Shape whole = shape.with(0, done);
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
  line.option("--weights", options.weights, "checkpoint of the network")->required();
  line.option("--layer", options.layer, "where to take the features, see below")->required();
  add_image_options(line, options.images, "both sides in pixels (default: as trained)");
  line.app().get_option("--image-size")->default_str("");
  line.app().get_option("--data")->required();
  line.option("--split", options.split, "train, or val (val/ or test/)", one_of({"train", "val"}));
  add_store_dtype_option(line, options.store_dtype);
  line.option("--arch", options.arch, "architecture, where the file does not name it",
              one_of(concord::network_names()));
  add_output_options(line, options.run, "folder for the store; must be new or empty");
  line.app().get_option("--output-dir")->required();
  add_device_options(line, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    extract(options, line);
  });
}
