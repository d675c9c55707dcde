// concord-transnet: trains a Trans-Net from network A's features to network B's, or splits B's
// features into orders of fuzziness with a trained one (--evaluate).

#include <algorithm>
#include <cmath>

#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/network_pair.h"
#include "tools/common/progress.h"
#include "tools/common/tensor_stream.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_training.h"

namespace concord::tool {
namespace {

struct Options {
  std::string features_a, features_b, val_features_a, val_features_b;
  NetworkPairOptions networks;
  std::string weights;
  std::string continue_from;
  ImageOptions images;
  RunOptions run;
  DeviceOptions device;
  OptimizerOptions optimizer;
  TransNetChoice net;
  PenaltyOptions penalty;
  FeatureMemory memory;
  bool evaluate = false;
};

PairSources from_stores(const Options& options) {
  check_usage(!options.features_a.empty() && !options.features_b.empty(),
              "--features-a and --features-b go together");
  check_usage(options.val_features_a.empty() == options.val_features_b.empty(),
              "--val-features-a and --val-features-b go together");
  const std::int64_t batch = options.images.batch_size;
  PairSources sources;
  sources.train =
      pairs_from_stores(FeatureStore(options.features_a), FeatureStore(options.features_b),
                        {.batch_size = batch,
                         .shuffle = true,
                         .seed = options.run.seed,
                         .device = options.device.place,
                         .memory = options.memory});
  if (!options.val_features_a.empty())
    sources.validation = pairs_from_stores(
        FeatureStore(options.val_features_a), FeatureStore(options.val_features_b),
        {.batch_size = batch, .device = options.device.place, .memory = options.memory});
  return sources;
}

PairSources from_networks(Options& options, const CommandLine& line) {
  const NetworkPair networks =
      NetworkPair::load(options.networks, options.images, options.device, line);
  ImageFolder folder = images_of_data(options.images.data);
  const auto pairs = [&](ImageSet set, bool shuffle) {
    return networks.features_on(std::move(set), options.images, options.device.place, shuffle,
                                options.run.seed);
  };
  PairSources sources;
  sources.train = pairs(std::move(folder.train), true);
  if (folder.validation) sources.validation = pairs(std::move(*folder.validation), false);
  return sources;
}

std::string list_of(const std::vector<float>& values) {
  std::string text;
  for (const float value : values) text += fmt::format("{}{:.4f}", text.empty() ? "" : ", ", value);
  return text.empty() ? "-" : text;
}

void train_from(Options& options, const CommandLine& line) {
  const bool stored = !options.features_a.empty() || !options.features_b.empty();
  check_usage(!stored || (options.networks.weights_a.empty() && options.networks.weights_b.empty()),
              "give features or networks (--weights-a, --weights-b), not both");
  if (stored)
    line.refuse({"--data", "--image-size", "--layer", "--layer-a", "--layer-b"},
                "does not apply to features from files");
  else
    line.refuse({"--val-features-a", "--val-features-b", "--read-ahead", "--device-memory",
                 "--pinned-memory"},
                "needs --features-a and --features-b; networks are validated on the data's val/");
  PairSources sources = stored ? from_stores(options) : from_networks(options, line);
  const TransNetTraining training = {.run = options.run,
                                     .device = options.device,
                                     .optimizer = options.optimizer,
                                     .net = options.net,
                                     .penalty = options.penalty,
                                     .weights = options.weights,
                                     .continue_from = options.continue_from,
                                     .settings = {{"--weights-a", options.networks.weights_a},
                                                  {"--weights-b", options.networks.weights_b},
                                                  {"--batch-size", options.images.batch_size}}};
  const Values best = train_trans_net(training, sources, line).best;
  std::vector<std::string> header = {"best epoch", "loss", "MSE"};
  std::vector<std::string> row = {fmt::format("{:.0f}", value_of(best, "epoch")),
                                  fmt::format("{:.6g}", value_of(best, "loss")),
                                  fmt::format("{:.6g}", value_of(best, "mse"))};
  for (const auto& [name, value] : best) {
    if (name != "val_mse" && !name.starts_with("p_")) continue;
    header.push_back(name == "val_mse" ? "val MSE" : name);
    row.push_back(fmt::format("{:.6g}", value));
  }
  Table table(header);
  table.row(row);
  table.print();
}

void evaluate(const Options& options, const CommandLine& line) {
  check_usage(!options.weights.empty(), "--evaluate needs --weights");
  line.refuse(kTrainingOnly, "does not apply to --evaluate");
  line.refuse(
      {"--continue-from", "--val-features-a", "--val-features-b", "--weights-a", "--weights-b",
       "--layer", "--layer-a", "--layer-b", "--data", "--alpha", "--no-penalty"},
      "does not apply to --evaluate");
  check_usage(!options.features_a.empty() && !options.features_b.empty(),
              "--evaluate needs --features-a and --features-b");
  const SavedTransNet saved = load_trans_net(options.weights, options.net);
  TransNet& net = *saved.net;
  net.to(options.device.place);
  const auto pairs =
      pairs_from_stores(FeatureStore(options.features_a), FeatureStore(options.features_b),
                        {.batch_size = options.images.batch_size,
                         .device = options.device.place,
                         .memory = options.memory});
  check_fits(net, pairs->shape_a(), pairs->shape_b(), options.weights);
  const std::int64_t orders = net.options().orders;
  std::vector<std::pair<std::string, Shape>> tensors = {{"y", pairs->shape_b()}};
  for (std::int64_t k = 0; k < orders; ++k)
    tensors.emplace_back(fmt::format("order{}", k), pairs->shape_b());
  tensors.emplace_back("delta", pairs->shape_b());

  RunDirectory directory(options.run, {"orders.safetensors"});
  TensorStream stream(directory.path() / "orders.safetensors", tensors);
  Progress progress("splitting", pairs->size(), "images");
  const NoGradGuard no_gradients;
  double squares = 0;
  std::int64_t done = 0;
  pairs->start(0, 0);
  for (PairBatch pair; pairs->next(pair);) {
    stop_if_interrupted();
    check_finite(pair);
    const Orders result = net.disentangle(pair.a);
    const std::int64_t count = pair.b.dim(0);
    stream.write("y", done, result.y);
    for (std::int64_t k = 0; k < orders; ++k)
      stream.write(fmt::format("order{}", k), done, result.orders[static_cast<std::size_t>(k)]);
    stream.write("delta", done, subtract(pair.b, result.y));
    squares += mse_loss(result.y, pair.b).item() * static_cast<double>(count);
    done += count;
    progress.update(done);
  }
  stream.finish();
  Table table({"images", "orders", "MSE", "p"});
  table.row({std::to_string(done), std::to_string(orders),
             fmt::format("{:.6g}", squares / static_cast<double>(done)),
             list_of(net.gates().to_vector<float>())});
  table.print();
}

void add_source_options(CommandLine& line, Options& options) {
  line.option("--features-a", options.features_a,
              "A's features: a store, or a safetensors file with a tensor `features`");
  line.option("--features-b", options.features_b, "B's features, of the same images");
  line.option("--val-features-a", options.val_features_a, "A's features to validate on");
  line.option("--val-features-b", options.val_features_b, "B's features to validate on");
  add_network_pair_options(line, options.networks);
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  options.images.batch_size = 64;
  options.optimizer.optimizer = "adam";
  options.optimizer.lr = 1e-4;
  options.optimizer.epochs = 800;
  CommandLine line(
      {.name = "concord-transnet",
       .summary = "Trains a Trans-Net that rebuilds network B's features from A's, or splits them "
                  "into orders (--evaluate).",
       .example =
           "  concord-transnet --features-a features-a --features-b features-b --epochs 100 \\\n"
           "      --output-dir trans-net\n"
           "  concord-transnet --evaluate --weights trans-net/best.safetensors \\\n"
           "      --features-a features-a --features-b features-b --output-dir orders\n"
           "The first prints MSE and gates p; the second writes orders/orders.safetensors with y,\n"
           "order0, order1, order2 (their sum is y) and delta = B - y.",
       .footnote = "A file of bare tensors (linearLayers_conv.I.weight, nonLinearLayers_p_pre) "
                   "tells --evaluate\nits orders, channels and kernel; its norms are those of "
                   "--input-norm, --affine and --stage-norm."});
  add_source_options(line, options);
  add_feature_memory_options(line, options.memory);
  add_image_options(line, options.images,
                    "with --data: both sides in pixels (default: as trained)");
  line.at("--image-size").without_default();
  add_trans_net_options(line, options.net);
  add_penalty_options(line, options.penalty);
  add_optimizer_options(line, options.optimizer);
  line.option("--weights", options.weights, "Trans-Net to start from or to evaluate");
  line.option(
      "--continue-from", options.continue_from,
      "checkpoint to go on from in a new run, PyTorch's or Concord's: weights, Adam's state "
      "and epochs are taken over");
  line.flag("--evaluate", options.evaluate, "write orders.safetensors with --weights");
  add_output_options(line, options.run, "folder for checkpoints and logs; must be new or empty");
  line.at("--output-dir").required();
  add_training_run_options(line, options.run, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    options.evaluate ? evaluate(options, line) : train_from(options, line);
  });
}
