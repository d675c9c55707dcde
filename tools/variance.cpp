// concord-variance: how much of B's features each order explains, and how much none does.

#include <filesystem>
#include <optional>

#include "data/files.h"
#include "engine/autograd.h"
#include "tools/common/consistency.h"
#include "tools/common/interrupt.h"
#include "tools/common/network_pair.h"
#include "tools/common/progress.h"
#include "tools/common/run_directory.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

struct Options {
  std::string weights, features_a, features_b, orders_file, split = "val";
  std::vector<std::string> table;
  NetworkPairOptions networks;
  ImageOptions images;
  std::int64_t channels = 0;
  FeatureMemory memory;
  RunOptions run;
  DeviceOptions device;
  TransNetChoice net;
};

// What the checkpoint tells of how the network was trained; empty where the file is not at hand.
ComparedNetwork describe(const std::string& arch, const std::string& layer,
                         const std::string& weights) {
  ComparedNetwork network;
  network.arch = arch;
  network.layer = layer;
  network.weights = weights;
  std::error_code error;
  if (weights.empty() || !std::filesystem::is_regular_file(weights, error)) return network;
  const nlohmann::json settings =
      saved_configuration(weights).value("settings", nlohmann::json::object());
  if (!settings.is_object()) return network;
  if (settings.contains("--seed")) network.seed = settings["--seed"].dump();
  if (settings.contains("--half") && settings["--half"].is_string())
    network.half = settings["--half"];
  return network;
}

SavedTransNet load(const Options& options, const FeaturePairs& pairs) {
  SavedTransNet saved = load_trans_net(options.weights, options.net);
  saved.net->to(options.device.place);
  check_fits(*saved.net, pairs.shape_a(), pairs.shape_b(), options.weights);
  return saved;
}

VarianceReport from_stores(const Options& options) {
  const FeatureStore a(options.features_a);
  const FeatureStore b(options.features_b);
  const auto pairs = pairs_from_stores(a, b,
                                       {.batch_size = options.images.batch_size,
                                        .device = options.device.place,
                                        .memory = options.memory});
  VarianceReport report = measure_orders(*load(options, *pairs).net, *pairs);
  report.top1_a = top1_of(a);
  report.top1_b = top1_of(b);
  report.a = describe(a.info().arch, a.info().layer, a.info().weights);
  report.b = describe(b.info().arch, b.info().layer, b.info().weights);
  return report;
}

VarianceReport from_images(Options& options, const CommandLine& line) {
  const NetworkPair networks =
      NetworkPair::load(options.networks, options.images, options.device, line);
  ImageSet set = read_split(options.images.data, options.split);
  const auto pairs =
      networks.features_on(set, options.images, options.device.place, false, options.run.seed);
  VarianceReport report = measure_orders(*load(options, *pairs).net, *pairs);
  const LoaderOptions loader = loader_options(options.images, options.device.place);
  report.top1_a = top1_on(networks.a, set, loader);
  report.top1_b = top1_on(networks.b, std::move(set), loader);
  report.a = describe(networks.a.network->arch(), networks.layer_a, options.networks.weights_a);
  report.b = describe(networks.b.network->arch(), networks.layer_b, options.networks.weights_b);
  return report;
}

VarianceReport from_file(const Options& options) {
  const SafetensorsFile file(options.orders_file);
  std::vector<Tensor> orders;
  for (std::string name = "order0"; file.contains(name);
       name = fmt::format("order{}", orders.size()))
    orders.push_back(file.tensor(name));
  check(!orders.empty() && file.contains("delta"),
        "{}: has no tensors order0 and delta; give a file that concord-transnet --evaluate wrote",
        options.orders_file);
  const Tensor delta = file.tensor("delta");
  const bool floating = delta.dtype() == DType::kFloat32 || delta.dtype() == DType::kFloat64;
  check(delta.shape().rank() == 4 && delta.numel() > 0 && floating,
        "{}: delta is {} {}, floating [N,C,H,W] is expected", options.orders_file,
        delta.shape().to_string(), name_of(delta.dtype()));
  for (const Tensor& order : orders)
    check(order.shape() == delta.shape() && order.dtype() == delta.dtype(),
          "{}: an order is {} {}, but delta is {} {}", options.orders_file,
          order.shape().to_string(), name_of(order.dtype()), delta.shape().to_string(),
          name_of(delta.dtype()));
  VarianceReport report;
  Progress progress("measuring", delta.dim(0), "images");
  for (std::int64_t begin = 0; begin < delta.dim(0); begin += options.images.batch_size) {
    stop_if_interrupted();
    const std::int64_t end = std::min(delta.dim(0), begin + options.images.batch_size);
    std::vector<Tensor> batch;
    for (const Tensor& order : orders) batch.push_back(order.rows(begin, end));
    report.add(batch, delta.rows(begin, end));
    progress.update(end);
  }
  return report;
}

const std::vector<std::string> kStoreOptions = {"--features-a", "--features-b", "--read-ahead",
                                                "--device-memory", "--pinned-memory"};
const std::vector<std::string> kImageSource = {
    "--weights-a", "--weights-b", "--layer",  "--layer-a",        "--layer-b", "--data",
    "--split",     "--workers",   "--strict", "--max-megapixels", "--cache",   "--image-size"};

VarianceReport measured(Options& options, const CommandLine& line) {
  const bool orders = !options.orders_file.empty();
  const bool images = !options.networks.weights_a.empty() || !options.networks.weights_b.empty();
  check_usage(orders != !options.weights.empty(),
              "give either --orders-file, or --weights with --features-a and --features-b (or with "
              "--weights-a, --weights-b and --data)");
  if (orders || images) line.refuse(kStoreOptions, "goes with features from stores only");
  if (orders || !images)
    line.refuse(kImageSource, "goes with --weights, --weights-a and --weights-b only");
  if (orders) return from_file(options);
  if (images) return from_images(options, line);
  check_usage(!options.features_a.empty() && !options.features_b.empty(),
              "--weights needs --features-a and --features-b, or --weights-a, --weights-b and "
              "--data");
  return from_stores(options);
}

void measure(Options& options, const CommandLine& line) {
  const NoGradGuard no_gradients;
  std::optional<RunDirectory> directory;
  options.run.inputs = {options.weights, options.orders_file, options.networks.weights_a,
                        options.networks.weights_b};
  if (!options.run.output_dir.empty())
    directory.emplace(options.run,
                      std::vector<std::string>{"config.json", "variance.json", "channels.csv"});
  const VarianceReport report = measured(options, line);
  if (directory) {
    nlohmann::ordered_json json = report.json();
    json["command"] = line.command();
    json["version"] = CONCORD_VERSION;
    directory->write_config(line);
    write_file(directory->path() / "variance.json", text_of_json(json, 2) + "\n");
    write_file(directory->path() / "channels.csv", report.channels_csv());
  }
  report.print();
  if (options.channels > 0) report.print_channels(options.channels);
}

void compare(const Options& options, const CommandLine& line) {
  check_usage(options.weights.empty() && options.orders_file.empty(),
              "--table prints what was measured before and goes with nothing else");
  line.refuse(kStoreOptions, "does not go with --table");
  line.refuse(kImageSource, "does not go with --table");
  line.refuse({"--output-dir", "--channels"}, "does not go with --table");
  print_variance_table(options.table);
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  options.images.batch_size = 64;
  CommandLine line(
      {.name = "concord-variance",
       .summary = "Prints Var(x(0)) .. Var(x(K-1)), Var(x_delta) and the instability "
                  "Var(x_delta) / (sum of all).",
       .example =
           "  concord-variance --weights trans-net/best.safetensors --features-a features-a \\\n"
           "      --features-b features-b --output-dir variance\n"
           "  concord-variance --weights trans-net/best.safetensors --weights-a a.safetensors \\\n"
           "      --weights-b b.safetensors --layer layer3 --data birds --channels 10\n"
           "  concord-variance --table init/variance.json halves/variance.json\n"
           "An instability of 0 says that B's features follow from A's, 1 that nothing of them "
           "does.\nThe second computes the features as it goes; the last sets results side by "
           "side.",
       .footnote =
           "Per order: the mean of each channel over images and space, then the mean squared "
           "deviation\nfrom it over everything. Use features of test images."});
  line.option("--weights", options.weights, "Trans-Net, a checkpoint of concord-transnet");
  line.option("--features-a", options.features_a, "A's features, a store or a safetensors file");
  line.option("--features-b", options.features_b, "B's features, of the same images");
  add_network_pair_options(line, options.networks);
  add_image_options(line, options.images,
                    "with --data: both sides in pixels (default: as trained)");
  line.at("--image-size").without_default();
  line.option("--split", options.split, "of --data: train, or val (val/ or test/)",
              one_of({"train", "val"}));
  line.option("--orders-file", options.orders_file,
              "instead: orders.safetensors of concord-transnet --evaluate");
  line.option("--table", options.table,
              "instead: variance.json files of earlier runs, printed side by side");
  line.option("--channels", options.channels,
              "print also the N channels of which x_delta has the largest share", in_range(0, 1e6));
  add_feature_memory_options(line, options.memory);
  add_output_options(line, options.run,
                     "folder for variance.json and channels.csv, each channel's values (optional)");
  add_norm_options(line, options.net);
  add_device_options(line, options.device);
  return run_program(line, argc, argv, [&] {
    if (!options.table.empty()) return compare(options, line);
    apply(options.device);
    measure(options, line);
  });
}
