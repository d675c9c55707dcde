#include "tools/common/stitching.h"

#include <algorithm>
#include <utility>

#include "data/feature_reader.h"
#include "data/sha256.h"
#include "engine/autograd.h"
#include "engine/ops/loss.h"
#include "kernels/arithmetic.h"
#include "tools/common/classification.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/terminal.h"
#include "tools/common/training.h"
#include "tools/common/training_pictures.h"

namespace concord::tool {

const std::vector<std::string> kStitchingOnly = {
    "--weights-b", "--layer-b", "--val-features-a", "--val-features-b", "--epochs",
    "--optimizer", "--lr",      "--lr-schedule",    "--momentum",       "--weight-decay"};

void add_stitching_options(CommandLine& line, StitchingOptions& options) {
  line.option("--weights-b", options.weights_b, "stitch: network B, whose rest is run on A's maps");
  line.option("--layer-b", options.layer_b,
              "stitch: where B's features are of (default: what the store says)");
  line.option("--val-features-a", options.val_features_a, "stitch: A's features to validate on");
  line.option("--val-features-b", options.val_features_b, "stitch: B's, for its own accuracy");
  options.optimizer.optimizer = "adam";
  options.optimizer.lr = 0.01;
  options.optimizer.epochs = 20;
  add_optimizer_options(line, options.optimizer);
}

namespace {

// Batches of a store's maps at the size of B's, with their labels.
class LabelledMaps {
 public:
  LabelledMaps(const std::string& path, Size2d size, std::int64_t classes, Device device,
               FeatureReaderOptions options)
      : path_(path),
        store_(path),
        size_(size),
        device_(device),
        options_(options),
        reader_({store_}, options) {
    check(store_.has_labels(),
          "stitch: {}: holds no labels; give a store of concord-features, not a bare file", path);
    for (std::size_t i = 0; i < store_.labels().size(); ++i)
      check(0 <= store_.labels()[i] && store_.labels()[i] < classes,
            "stitch: {}: the label {} of image {} ({}) is none of network B's {} classes", path,
            store_.labels()[i], i, store_.names().empty() ? "" : store_.names()[i], classes);
  }

  const FeatureStore& store() const { return store_; }
  std::int64_t batches() const { return reader_.batches(); }

  void start(std::int64_t epoch, std::int64_t first_batch) {
    reader_.start(epoch, first_batch);
    if (options_.shuffle) order_ = shuffled_order(store_.size(), options_.seed, epoch);
  }

  bool next() {
    if (!reader_.next(batch_)) return false;
    maps = at_size(as_maps(batch_.features.front()), size_.height, size_.width).to(device_);
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; i < maps.dim(0); ++i) {
      const auto position = static_cast<std::size_t>(batch_.number * options_.batch_size + i);
      const std::size_t row =
          options_.shuffle ? static_cast<std::size_t>(order_[position]) : position;
      values.push_back(store_.labels()[row]);
    }
    labels = Tensor::of({maps.dim(0)}, values);
    check(kernels::all_finite(device_, maps.view()),
          "{}: batch {} holds a NaN or infinity; extract the features again", path_,
          batch_.number + 1);
    return true;
  }

  Tensor maps;    // [n,C,H,W] on the device
  Tensor labels;  // int64 [n] on the host
  std::int64_t number() const { return batch_.number; }

 private:
  std::string path_;
  FeatureStore store_;
  Size2d size_;
  Device device_;
  FeatureReaderOptions options_;
  FeatureReader reader_;
  FeatureBatch batch_;
  std::vector<std::int64_t> order_;
};

// A few images' maps of A, as the convolution takes them, and of B, for pictures.
struct ShownMaps {
  // Those in the middle of each quarter; `size` is that of B's maps.
  ShownMaps(const FeatureStore& of_a, const FeatureStore& of_b, Size2d size, Device device) {
    constexpr std::int64_t kQuarters = 4;
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < kQuarters; ++i) {
      const std::int64_t row = (2 * i + 1) * of_b.size() / (2 * kQuarters);
      if (rows.empty() || rows.back() < row) rows.push_back(row);
    }
    a = at_size(as_maps(of_a.gather(rows)), size.height, size.width).to(device);
    b = as_maps(of_b.gather(rows));
  }
  Tensor a, b;
};

struct Recognised {
  double top1 = 0;
  double loss = 0;
};

// Of the rest of the network on the maps, through `stitch` where given.
Recognised recognised(Network& network, const std::string& layer, LabelledMaps& maps,
                      Module* stitch) {
  const NoGradGuard no_gradients;
  Recognised result;
  std::int64_t hits = 0;
  Progress progress("recognising", maps.store().size(), "images");
  std::int64_t done = 0;
  maps.start(0, 0);
  while (maps.next()) {
    stop_if_interrupted();
    done += maps.labels.numel();
    progress.update(done);
    const Tensor h = stitch == nullptr ? maps.maps : (*stitch)(maps.maps);
    const Tensor logits = network.from_features(h, layer);
    hits += count_hits(logits, maps.labels).top1;
    result.loss += cross_entropy(logits, maps.labels.to(logits.device())).item() *
                   static_cast<double>(maps.labels.numel());
  }
  const auto images = static_cast<double>(maps.store().size());
  result.top1 = static_cast<double>(hits) / images;
  result.loss /= images;
  return result;
}

// Throws unless the network goes on from the layer with maps of that shape.
void check_fits(Network& network, const std::string& layer, const Shape& maps,
                const std::string& weights, const std::string& features) {
  const NoGradGuard no_gradients;
  try {
    network.from_features(Tensor::zeros(maps.with(0, 1), {.device = network.device()}), layer);
  } catch (const Error& error) {
    fail(
        "stitch: the rest of {} after {} does not take features {} of {}: {}; give --layer-b and "
        "--weights-b as the features were made with",
        weights, layer, maps.to_string(), features, error.what());
  }
}

class StitchTask : public TrainingTask {
 public:
  StitchTask(Conv2d& stitch, Network& rest, std::string layer, LabelledMaps& train,
             LabelledMaps* validation, ShownMaps shown)
      : stitch_(stitch),
        rest_(rest),
        layer_(std::move(layer)),
        train_(train),
        validation_(validation),
        shown_(std::move(shown)) {}

  Module& module() override { return stitch_; }
  std::int64_t steps() const override { return train_.batches(); }
  std::int64_t samples() const override { return train_.store().size(); }
  void start(std::int64_t epoch, std::int64_t first_step) override {
    train_.start(epoch, first_step);
  }

  bool step(Step& step) override {
    if (!train_.next()) return false;
    const Tensor logits = rest_.from_features(stitch_(train_.maps), layer_);
    const Tensor loss = cross_entropy(logits, train_.labels.to(logits.device()));
    loss.backward();
    const auto samples = static_cast<double>(train_.labels.numel());
    step.number = train_.number();
    step.samples = train_.labels.numel();
    step.means = {
        {"loss", loss.item()},
        {"top1", static_cast<double>(count_hits(logits.detach(), train_.labels).top1) / samples}};
    return true;
  }
  void update(Optimizer& optimizer, double learning_rate) override {
    optimizer.step(learning_rate);
  }
  void replay() override { rest_.from_features(stitch_(train_.maps), layer_); }

  Values evaluate() override {
    if (validation_ == nullptr) return {};
    const Recognised result = recognised(rest_, layer_, *validation_, &stitch_);
    return {{"val_loss", result.loss}, {"val_top1", result.top1}};
  }
  double score(const Values& values) const override {
    return validation_ == nullptr ? -value_of(values, "loss") : value_of(values, "val_top1");
  }
  std::vector<std::pair<std::string, Image>> pictures() override {
    const NoGradGuard no_gradients;
    return {{"maps/stitched", draw_replacement({}, shown_.b, stitch_(shown_.a), "stitched")}};
  }

 private:
  Conv2d& stitch_;
  Network& rest_;
  std::string layer_;
  LabelledMaps& train_;
  LabelledMaps* validation_;
  ShownMaps shown_;
};

}  // namespace

Stitching stitch(const StitchingOptions& options, const std::string& features_a,
                 const std::string& features_b, std::int64_t batch_size, const RunOptions& run,
                 const DeviceOptions& device, const CommandLine& line, RunDirectory& directory) {
  const FeatureStore b(features_b);
  check_same_images(FeatureStore(features_a), b);
  const std::string layer = options.layer_b.empty() ? b.info().layer : options.layer_b;
  check_usage(!layer.empty(), "stitch: {} does not say its layer; give --layer-b", features_b);
  const SavedNetwork saved = load_network(options.weights_b);
  Network& rest = *saved.network;
  for (auto& [name, parameter] : rest.named_parameters()) parameter.set_requires_grad(false);
  rest.to(device.place);
  rest.set_training(false);

  const Shape shape_b = map_shape(b.shape());
  const Size2d size{shape_b[2], shape_b[3]};
  const auto open = [&](const std::string& path, bool shuffle) {
    return std::make_unique<LabelledMaps>(
        path, size, rest.classes(), device.place,
        FeatureReaderOptions{.batch_size = batch_size, .shuffle = shuffle, .seed = run.seed});
  };
  const bool held_out = !options.val_features_a.empty();
  const auto train_maps = open(features_a, true);
  const auto measured_a = open(held_out ? options.val_features_a : features_a, false);
  const auto measured_b = open(held_out ? options.val_features_b : features_b, false);
  check_same_images(measured_a->store(), measured_b->store());
  const Shape shape_a = map_shape(train_maps->store().shape());
  for (const auto& [maps, trained] :
       {std::pair{measured_a.get(), shape_a}, {measured_b.get(), shape_b}}) {
    const Shape shape = map_shape(maps->store().shape());
    check(shape == trained.with(0, shape[0]),
          "stitch: features to train on are {}, those to validate on {}; extract both alike",
          trained.to_string(), shape.to_string());
  }
  // B's own accuracy comes first: it also shows at once whether these are B's features.
  check_fits(rest, layer, shape_b, options.weights_b, features_b);
  const Recognised own = recognised(rest, layer, *measured_b, nullptr);

  random::Generator generator(run.seed);
  Conv2d convolution({.in_channels = shape_a[1], .out_channels = shape_b[1]}, generator);
  convolution.to(device.place);
  TrainingSetup setup;
  setup.run = run;
  setup.optimizer = options.optimizer;
  setup.network = {{"kind", "stitch"},
                   {"features_a", shape_a.to_string()},
                   {"features_b", shape_b.to_string()},
                   {"arch_b", rest.arch()},
                   {"layer_b", layer}};
  setup.settings = {{"--features-a", features_a},
                    {"--features-b", features_b},
                    {"--val-features-a", options.val_features_a},
                    {"features", fingerprint(train_maps->store())},
                    {"features to measure on",
                     fingerprint(measured_a->store()) + ", " + fingerprint(measured_b->store())},
                    {"--weights-b", sha256_of_file(options.weights_b)},
                    {"layer", layer},
                    {"--seed", run.seed},
                    {"--batch-size", batch_size}};
  add_settings(setup.settings, device);
  add_settings(setup.settings, options.optimizer);
  setup.generator = &generator;
  note("stitch: {} to {} into {} after {}", shape_a.to_string(), shape_b.to_string(), rest.arch(),
       layer);
  StitchTask task(convolution, rest, layer, *train_maps, held_out ? measured_a.get() : nullptr,
                  ShownMaps(measured_a->store(), measured_b->store(), size, device.place));
  const Values best = train(task, setup, line, directory);
  Stitching result;
  result.own_top1 = own.top1;
  result.images = measured_a->store().size();
  result.epoch =
      held_out ? static_cast<std::int64_t>(value_of(best, "epoch")) : options.optimizer.epochs;
  result.held_out = held_out;
  result.top1 = held_out ? value_of(best, "val_top1")
                         : recognised(rest, layer, *measured_a, &convolution).top1;
  return result;
}

}  // namespace concord::tool
