// concord-compress: prunes a classifier, trains it on, lets its weights share values, and writes it
// as a checkpoint and as a compact file; or restores the checkpoint of such a file.

#include "analysis/compression/compact_file.h"
#include "data/sha256.h"
#include "tools/common/classifier_training.h"
#include "tools/common/compression.h"
#include "tools/common/fine_tuning.h"
#include "tools/common/non_finite.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Throws unless the file's tensors are those of the network that its configuration names: before
// any of them is made room for.
void check_is_network(const CompactFile& file, const std::string& path) {
  const auto text = file.metadata().find("configuration");
  const Json configuration = text == file.metadata().end()
                                 ? Json()
                                 : Json::parse(text->second, nullptr, /*allow_exceptions=*/false);
  const bool named = configuration.is_object() && configuration.contains("arch") &&
                     configuration["arch"].is_string() && configuration.contains("classes") &&
                     configuration["classes"].is_number_unsigned();
  check(named && configuration["classes"].get<std::uint64_t>() < (1U << 24),
        "{}: does not say of which architecture and how many classes its network is", path);
  random::Generator generator;
  const UninitializedParameters filled_later;
  const auto network = make_network(configuration["arch"].get<std::string>(),
                                    configuration["classes"].get<std::int64_t>(), generator);
  const auto state = network->named_state();
  for (const auto& [name, tensor] : state)
    check(file.shape(name) == tensor.shape(), "{}: tensor {} is {} in the file and {} in {}", path,
          name, file.shape(name).to_string(), tensor.shape().to_string(), network->arch());
  check(file.names().size() == state.size(), "{}: holds {} tensors, {} has {}", path,
        file.names().size(), network->arch(), state.size());
}

void decode(const CompressionOptions& options, const CommandLine& line) {
  line.refuse(kTrainingOnly, "does not apply to --decode");
  line.refuse({"--data", "--weights", "--arch", "--layer", "--image-size", "--batch-size"},
              "does not apply to --decode");
  const CompactFile file(options.decode);
  check_is_network(file, options.decode);
  std::vector<Named<Tensor>> tensors;
  for (const std::string& name : file.names()) tensors.emplace_back(name, file.tensor(name));
  const std::string broken = first_non_finite(tensors);
  check(broken.empty(), "{}: {} holds a NaN or infinity", options.decode, broken);
  RunOptions run = options.run;
  run.inputs = {options.decode};
  const RunDirectory directory(run, {"compressed.safetensors"});
  const fs::path restored = directory.path() / "compressed.safetensors";
  write_safetensors(restored, tensors, file.metadata());
  Table table({"file", "bytes", "sha256"});
  for (const fs::path& path : {fs::path(options.decode), restored})
    table.row({path.string(), std::to_string(fs::file_size(path)), sha256_of_file(path)});
  table.print();
}

void run_compression(CompressionOptions& options, const CommandLine& line) {
  check_usage(!options.weights.empty() && !options.images.data.empty(),
              "--weights and --data are required (or --decode)");
  check_usage(!options.run.output_dir.empty(), "--output-dir is required");
  check_usage(!line.given("--bits") || !line.given("--centroids"),
              "--bits and --centroids exclude each other");
  if (line.given("--bits")) options.centroids = 1 << options.bits;
  if (options.share_epochs == 0)
    line.refuse({"--share-lr", "--share-optimizer", "--only-codebooks"},
                "has no effect with --share-epochs 0");
  if (options.layer.empty()) line.refuse(kConsistencyOptions, "needs --layer");
  compress(options, line).print();
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  CompressionOptions options;
  CommandLine line(
      {.name = "concord-compress",
       .summary = "Compresses a classifier: prunes small weights, trains on what is left, lets the "
                  "weights of each layer share a few values, trains these; and measures the "
                  "knowledge that this discards.",
       .example =
           "  concord-compress --weights net/best.safetensors --data shapes --epochs 5 \\\n"
           "      --share-epochs 3 --layer layer3 --transnet-epochs 20 --output-dir compressed\n"
           "  concord-compress --decode compressed/compact.safetensors --output-dir restored\n"
           "The first prints the accuracy after each stage and a compact file 6 to 12 times "
           "smaller "
           "than the\ncheckpoint, the second restores that checkpoint to the bit.",
       .footnote =
           "A weight w is pruned where |w| < S std(w), std being the population's, over the "
           "layer.\n"
           "compressed.safetensors is a checkpoint like any other; compact.safetensors holds the "
           "same network as\ncodebooks and Huffman-coded indices. retrain/ and share/ are runs of "
           "their own. Batch normalisations\nand biases are neither pruned nor shared, and are "
           "trained with the rest."});
  line.option("--weights", options.weights, "checkpoint of the network to compress");
  line.option("--arch", options.arch, "architecture, where the file does not say it",
              one_of(architecture_names()));
  add_image_options(line, options.images, "both sides in pixels (default: as it was trained)");
  add_half_option(line, options.half);
  line.option("--prune-conv", options.prune_conv, "sensitivity S of convolutions",
              in_range(0, 1e9));
  line.option("--prune-fc", options.prune_fc, "sensitivity S of fully connected layers",
              in_range(0, 1e9));
  line.option("--prune", options.prune,
              "LAYER=S: sensitivity of one layer, by its module's name (features.0=0.5); repeated "
              "or comma-separated");
  add_optimizer_options(line, options.retraining);
  line.option("--centroids", options.centroids, "values that the weights of a layer share",
              in_range(1, concord::kMostSharedValues));
  line.option("--bits", options.bits, "instead: 2^BITS of them", in_range(1, 15));
  line.option("--share-epochs", options.share_epochs,
              "epochs of training the shared values; 0 leaves them as k-means found them",
              in_range(0, 1e9));
  line.option("--share-lr", options.share_lr,
              "likewise: learning rate (momentum, weight decay and schedule are as above)",
              above(0));
  line.option("--share-optimizer", options.share_optimizer,
              "likewise: sgd or adam; a value's gradient is the sum of those of its weights, "
              "which are few in one layer and millions in another",
              one_of({"sgd", "adam"}));
  line.flag("--only-codebooks", options.only_codebooks,
            "likewise: biases and batch normalisations stay as they are");
  line.flag("--freeze-batch-norm", options.freeze_batch_norm,
            "batch normalisation stays in evaluation mode");
  line.option("--layer", options.layer,
              "measure the knowledge discarded at this layer: Trans-Nets from the compressed to "
              "the original network and back");
  add_consistency_options(line, options.consistency);
  line.option("--decode", options.decode,
              "instead: compact file to restore compressed.safetensors from, into --output-dir");
  add_output_options(line, options.run, "folder for results; must be new or empty");
  add_training_run_options(line, options.run, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    options.decode.empty() ? run_compression(options, line) : decode(options, line);
  });
}
