#include "tools/common/consistency.h"

#include <algorithm>

#include "data/files.h"
#include "engine/autograd.h"
#include "engine/ops/arithmetic.h"
#include "tools/common/feature_extraction.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/tensorboard.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace fs = std::filesystem;

namespace {

// A checksum of all parameters and buffers: another network must not be taken for this one.
std::string checksum(Network& network) {
  std::uint32_t sum = 0;
  for (const auto& [name, tensor] : network.named_state()) {
    const Tensor plain = tensor.to(Device{}).in_format(MemoryFormat::kPlain);
    sum = sum * 31 + crc32c({static_cast<const char*>(plain.view().data), plain.bytes()});
  }
  return fmt::format("{:08x}", sum);
}

std::string store_name(const std::string& network, bool training) {
  return "features-" + network + (training ? "-train" : "-val");
}
std::string run_name(const std::string& from, const std::string& to) { return from + "-to-" + to; }

}  // namespace

void add_consistency_options(CommandLine& line, ConsistencyOptions& options,
                             const std::string& prefix) {
  const std::string start = "--" + prefix;
  line.option(start + "epochs", options.optimizer.epochs,
              "of each Trans-Net: passes over the training images", in_range(1, 1e9));
  line.option(start + "lr", options.optimizer.lr, "of each Trans-Net: learning rate of Adam",
              above(0));
  line.option(start + "lr-schedule", options.optimizer.lr_schedule,
              "of each Trans-Net: logspace:DECADES, step:EPOCHS:FACTOR or constant",
              learning_rate_schedule());
  line.option(start + "weight-decay", options.optimizer.weight_decay,
              "of each Trans-Net: added to the gradient, times the weight", in_range(0, 1e9));
  if (!prefix.empty())
    line.option(start + "batch-size", options.batch_size, "of each Trans-Net: images a step",
                in_range(1, 1e6));
  add_trans_net_options(line, options.net);
  add_penalty_options(line, options.penalty);
  line.option("--feature-disk", options.feature_disk_gib,
              "features of two networks are stored while Trans-Nets are trained on them where they "
              "take no more than this, in GiB; else they are computed anew for each batch",
              in_range(0, 1e6));
}

const std::vector<std::string> kConsistencyOptions = {"--transnet-epochs",
                                                      "--transnet-lr",
                                                      "--transnet-lr-schedule",
                                                      "--transnet-weight-decay",
                                                      "--transnet-batch-size",
                                                      "--orders",
                                                      "--kernel",
                                                      "--padding",
                                                      "--input-norm",
                                                      "--affine",
                                                      "--stage-norm",
                                                      "--fix-p",
                                                      "--alpha",
                                                      "--no-penalty",
                                                      "--feature-disk"};

void add_settings(nlohmann::ordered_json& settings, const ConsistencyOptions& options) {
  nlohmann::ordered_json optimizer;
  add_settings(optimizer, options.optimizer);
  for (const auto& [name, value] : optimizer.items())
    settings["--transnet-" + name.substr(2)] = value;
  settings["--transnet-epochs"] = options.optimizer.epochs;
  settings["--transnet-batch-size"] = options.batch_size;
  settings["--feature-disk"] = options.feature_disk_gib;
}

void remove_consistency(const fs::path& folder, const std::vector<std::string>& names,
                        const std::vector<std::string>& inputs) {
  std::error_code error;
  std::vector<fs::path> parts;
  for (const std::string& from : names) {
    for (const bool training : {true, false}) parts.push_back(folder / store_name(from, training));
    for (const std::string& to : names)
      if (from != to) parts.push_back(folder / run_name(from, to));
  }
  for (const fs::path& part : parts)
    for (const std::string& input : inputs)
      check(
          input.empty() || !fs::equivalent(fs::absolute(input).parent_path(), part, error),
          "{}: is an input of this run, and --force would remove it from {}; copy it elsewhere or "
          "name another folder",
          input, part.string());
  for (const fs::path& part : parts) {
    if (!fs::is_directory(part, error)) continue;
    RunOptions run;
    run.output_dir = part.string();
    run.force = true;
    { const RunDirectory emptied(run, kTrainingFiles); }
    { const RunDirectory emptied(run, {"index.json", "shard-*.safetensors"}); }
    fs::remove(part, error);  // what is not ours stays, and its folder
  }
}

ConsistencyMeter::ConsistencyMeter(fs::path folder, const ComparedImages& images,
                                   const ConsistencyOptions& options, const RunOptions& run,
                                   const DeviceOptions& device, const CommandLine& line)
    : folder_(std::move(folder)),
      images_(images),
      options_(options),
      run_(run),
      device_(device),
      line_(line) {
  if (!images_.folder.validation)
    note("{}: has no val/ or test/; what is measured is measured on the training images",
         images_.options.data);
}

std::unique_ptr<Loader> ConsistencyMeter::loader(bool training, std::int64_t batch_size,
                                                 bool shuffle) const {
  ImageOptions options = images_.options;
  options.batch_size = batch_size;
  LoaderOptions loader = loader_options(options, device_.place);
  loader.shuffle = shuffle;
  loader.seed = run_.seed;
  const bool held_out = !training && images_.folder.validation;
  return std::make_unique<Loader>(held_out ? *images_.folder.validation : images_.folder.train,
                                  std::move(loader));
}

fs::path ConsistencyMeter::store(const NetworkAtLayer& side, bool training) {
  const fs::path path = folder_ / store_name(side.name, training);
  const std::unique_ptr<Loader> images = loader(training, images_.options.batch_size, false);
  const FeatureStoreInfo info = {
      .arch = side.network->arch(),
      .layer = side.layer,
      .dataset = images_.options.data,
      .split = images->set().name,
      .weights = side.name + " " + checksum(*side.network) + ", " + fingerprint(images->set()),
      .image_size = images_.options.image_size};
  std::error_code error;
  if (fs::exists(path / "index.json", error)) {
    const FeatureStore there(path);
    if (there.info().weights == info.weights && there.info().layer == info.layer &&
        there.info().image_size == info.image_size) {
      stored_.insert(side.name);
      return path;
    }
  }
  stored_.insert(side.name);
  // Of another network, or of a run that was killed while it extracted them.
  fs::remove_all(path, error);
  extract_features(*side.network, side.layer, *images, images_.options.data,
                   [&] { return std::make_unique<FeatureStoreWriter>(path, info); });
  return path;
}

bool ConsistencyMeter::fits_on_disk(const NetworkAtLayer& from, const NetworkAtLayer& to) const {
  ImageOptions one = images_.options;
  const NoGradGuard no_gradients;
  LoaderOptions loader = loader_options(one, device_.place);
  loader.batch_size = 1;
  loader.prefetch = 1;
  Loader first(images_.folder.train, std::move(loader));
  Batch batch;
  first.start(0);
  check(first.next(batch), "{}: no image could be read", images_.folder.train.root.string());
  double bytes = 0;
  for (const NetworkAtLayer* side : {&from, &to}) {
    side->network->set_training(false);
    bytes += static_cast<double>(side->network->features(batch.images, side->layer).numel()) * 4;
  }
  const std::size_t held_out =
      images_.folder.validation ? images_.folder.validation->samples.size() : 0;
  const double images = static_cast<double>(images_.folder.train.samples.size() + held_out);
  const double gib = bytes * images / (1 << 30);
  if (gib > options_.feature_disk_gib) {
    note(
        "the features of {} and {} take {:.1f} GiB, more than --feature-disk {}: each batch "
        "computes them anew",
        from.name, to.name, gib, options_.feature_disk_gib);
    return false;
  }
  return true;
}

PairSources ConsistencyMeter::sources(const NetworkAtLayer& from, const NetworkAtLayer& to,
                                      bool stored) {
  const auto pairs = [&](bool training) -> std::unique_ptr<FeaturePairs> {
    if (stored)
      return pairs_from_stores(FeatureStore(store(from, training)),
                               FeatureStore(store(to, training)),
                               {.batch_size = options_.batch_size,
                                .shuffle = training,
                                .seed = run_.seed,
                                .device = device_.place});
    std::unique_ptr<Loader> images = loader(training, options_.batch_size, training);
    const std::string print =
        fmt::format("{}, {} {}, {} {}", fingerprint(images->set()), from.layer,
                    checksum(*from.network), to.layer, checksum(*to.network));
    return pairs_from_networks(from.network, from.layer, to.network, to.layer, std::move(images),
                               print);
  };
  PairSources sources;
  sources.train = pairs(true);
  sources.validation = pairs(false);
  return sources;
}

Consistency ConsistencyMeter::measure(const NetworkAtLayer& from, const NetworkAtLayer& to) {
  drop_stores({from.name, to.name});  // the limit is for two networks
  PairSources pairs = [&] {
    const Waiting waiting(fmt::format("preparing {} to {}", from.name, to.name));
    return sources(from, to, fits_on_disk(from, to));
  }();
  TransNetTraining training = {
      .run = run_,
      .device = device_,
      .optimizer = options_.optimizer,
      .net = options_.net,
      .penalty = options_.penalty,
      .weights = "",
      .continue_from = "",
      .settings = {{"images", fingerprint(images_.folder.train)},
                   {"held-out images",
                    images_.folder.validation ? fingerprint(*images_.folder.validation) : ""},
                   {"from", checksum(*from.network)},
                   {"to", checksum(*to.network)},
                   {"--transnet-batch-size", options_.batch_size}}};
  training.run.output_dir = (folder_ / run_name(from.name, to.name)).string();
  Consistency result;
  note("from {} ({} at {}) to {} ({} at {})", from.name, from.network->arch(), from.layer, to.name,
       to.network->arch(), to.layer);
  result.net = train_trans_net(training, pairs, line_).net;
  result.report = measure_orders(*result.net, *pairs.validation);
  return result;
}

void ConsistencyMeter::drop_stores(const std::vector<std::string>& but) {
  std::erase_if(stored_, [&](const std::string& name) {
    if (std::find(but.begin(), but.end(), name) != but.end()) return false;
    std::error_code error;  // what cannot be removed is only in the way
    for (const bool training : {true, false})
      fs::remove_all(folder_ / store_name(name, training), error);
    return true;
  });
}

void ConsistencyMeter::finish() { drop_stores({}); }

VarianceReport measure_orders(
    TransNet& net, FeaturePairs& pairs,
    const std::function<void(const PairBatch&, const Orders&, const Tensor&)>& each) {
  const NoGradGuard no_gradients;
  VarianceReport report;
  for (const float p : net.gates().to_vector<float>()) report.gates.push_back(p);
  Progress progress("splitting", pairs.size(), "images");
  std::int64_t done = 0;
  pairs.start(0, 0);
  for (PairBatch pair; pairs.next(pair);) {
    stop_if_interrupted();
    check_finite(pair);
    const Orders result = net.disentangle(pair.a);
    const Tensor delta = subtract(pair.b, result.y);
    report.add(result.orders, delta);
    report.target.add(pair.b);
    if (each) each(pair, result, delta);
    done += pair.b.dim(0);
    progress.update(done);
  }
  return report;
}

}  // namespace concord::tool
