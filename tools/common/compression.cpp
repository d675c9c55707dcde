#include "tools/common/compression.h"

#include <algorithm>
#include <cstring>

#include "analysis/compression/compact_file.h"
#include "data/files.h"
#include "data/sha256.h"
#include "engine/autograd.h"
#include "engine/text.h"
#include "tools/common/compression_training.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const std::vector<std::string> kFiles = {
    "config.json",        "compress.json",          "pruned.safetensors",
    "shared.safetensors", "compressed.safetensors", "compact.safetensors"};
const std::vector<std::string> kTrainings = {"retrain", "share"};

// --prune LAYER=SENSITIVITY, for one of the layers.
std::pair<std::string, double> sensitivity_of(const std::string& text,
                                              const std::vector<LayerWeight>& layers) {
  const std::size_t equals = text.rfind('=');
  check_usage(equals != std::string::npos, "--prune {}: LAYER=SENSITIVITY is expected", text);
  const std::string layer = text.substr(0, equals);
  std::vector<std::string> names;
  for (const LayerWeight& one : layers) names.push_back(one.layer);
  check_usage(std::find(names.begin(), names.end(), layer) != names.end(),
              "--prune {}: the network has no convolution or fully connected layer {}; near it are "
              "{}",
              text, layer, nearest_names(layer, names));
  std::string number = text.substr(equals + 1);
  const std::string problem = in_range(0, 1e9)(number);
  check_usage(problem.empty(), "--prune {}: {}", text, problem);
  return {layer, std::stod(number)};
}

class Compression {
 public:
  Compression(CompressionOptions& options, const CommandLine& line)
      : options_(options), line_(line) {
    original_ = load_network(options.weights, options.arch);
    network_ = original_.network.get();
    if (original_.image_size > 0 && !line.given("--image-size"))
      options.images.image_size = original_.image_size;
    layers_ = layer_weights(*network_);
    choose_sensitivities();
    read_data();
    network_->to(options.device.place);
    check_layer();
    if (options.freeze_batch_norm) freeze_batch_norm(*network_);
    description_ = describe_classifier(*network_, original_.class_names, options.images.image_size);
    settings_ = all_settings();
    report_.arch = network_->arch();
  }

  CompressionReport run() {
    options_.run.inputs = {options_.weights};
    if (options_.run.force) remove_parts();
    RunDirectory directory(options_.run, kFiles, kTrainings.front());
    path_ = directory.path();
    if (directory.resuming()) check_resumed();
    directory.write_config(line_, {{"network", description_}});
    evaluate("original");
    prune_layers();
    evaluate("pruned");
    retrain();
    share();
    measure_discarded();
    Json json = report_.json();
    json["command"] = line_.command();
    json["version"] = CONCORD_VERSION;
    write_file(path_ / "compress.json", text_of_json(json, 2) + "\n");
    report_skipped(data_);
    return std::move(report_);
  }

 private:
  void choose_sensitivities() {
    for (const LayerWeight& layer : layers_)
      sensitivities_.push_back(layer.kind == LayerKind::kConvolution ? options_.prune_conv
                                                                     : options_.prune_fc);
    for (const std::string& text : options_.prune) {
      const auto [name, sensitivity] = sensitivity_of(text, layers_);
      for (std::size_t i = 0; i < layers_.size(); ++i)
        if (layers_[i].layer == name) sensitivities_[i] = sensitivity;
    }
  }

  void read_data() {
    ImageFolder folder = images_of_data(options_.images.data);
    adopt_classes(folder.train, original_.class_names, network_->classes(), options_.weights);
    if (folder.validation)
      adopt_classes(*folder.validation, original_.class_names, network_->classes(),
                    options_.weights);
    train_fingerprint_ = fingerprint(folder.train);
    compared_ = {.folder = folder, .options = options_.images};
    const Device device = options_.device.place;
    if (!folder.validation) {
      LoaderOptions in_order = loader_options(options_.images, device);
      training_images_ = std::make_unique<Loader>(folder.train, std::move(in_order));
    }
    data_ = classifier_data(std::move(folder), options_.images, options_.half, options_.run.seed,
                            device);
    measured_ = data_.validation ? data_.validation.get() : training_images_.get();
    report_.split = measured_->set().name;
  }

  // A layer that is not there is told of before hours of training.
  void check_layer() {
    if (options_.layer.empty()) {
      note("no --layer: the knowledge discarded is not measured");
      return;
    }
    const NoGradGuard no_gradients;
    const std::int64_t side = options_.images.image_size;
    network_->features(Tensor::zeros({1, 3, side, side}), options_.layer);
  }

  Json all_settings() const {
    Json settings;
    settings["--data"] = train_fingerprint_;
    settings["--half"] = options_.half;
    settings["--weights"] = sha256_of_file(options_.weights);
    settings["--image-size"] = options_.images.image_size;
    for (std::size_t i = 0; i < layers_.size(); ++i)
      settings["--prune"][layers_[i].layer] = sensitivities_[i];
    settings["--seed"] = options_.run.seed;
    settings["--batch-size"] = options_.images.batch_size;
    settings["--freeze-batch-norm"] = options_.freeze_batch_norm;
    add_settings(settings, options_.device);
    add_settings(settings, options_.retraining);
    settings["--centroids"] = options_.centroids;
    settings["--only-codebooks"] = options_.only_codebooks;
    const OptimizerOptions sharing = sharing_optimizer();
    Json own;
    add_settings(own, sharing);
    settings["--share-optimizer"] = sharing.optimizer;
    settings["--share-lr"] = sharing.lr;
    if (own.contains("--epochs")) settings["--share-epochs"] = sharing.epochs;
    return settings;
  }

  OptimizerOptions sharing_optimizer() const {
    OptimizerOptions optimizer = options_.retraining;
    optimizer.epochs = options_.share_epochs;
    optimizer.optimizer = options_.share_optimizer;
    optimizer.lr = options_.share_lr;
    return optimizer;
  }

  // For --force.
  void remove_parts() const {
    const fs::path folder = options_.run.output_dir;
    std::error_code error;
    // Before any of them is removed, wherever the network lies.
    for (const fs::path& part : {folder, folder / kTrainings[0], folder / kTrainings[1]})
      check(!fs::equivalent(fs::absolute(options_.weights).parent_path(), part, error),
            "{}: is an input of this run, and --force would remove it from {}; copy it elsewhere "
            "or name another folder",
            options_.weights, part.string());
    for (const std::string& part : kTrainings) {
      if (!fs::is_directory(folder / part, error)) continue;
      RunOptions run = options_.run;
      run.output_dir = (folder / part).string();
      const RunDirectory directory(run, kTrainingFiles);
    }
    if (fs::is_directory(folder, error))
      remove_consistency(folder, {"original", "compressed"}, {options_.weights});
  }

  // Before anything is written over.
  void check_resumed() const {
    const fs::path file = path_ / "pruned.safetensors";
    if (!fs::exists(file)) return;
    const Json before = Json::parse(read_training_state(file).configuration, nullptr, false);
    if (before.is_object() && before.contains("settings"))
      check_same_settings(before["settings"], Json::parse(text_of_json(settings_)), file.string());
  }

  void save(const std::string& name, const Json& settings = {}) const {
    const Waiting waiting("writing " + (path_ / name).string());
    Json configuration = description_;
    if (!settings.is_null()) configuration["settings"] = settings;
    save_checkpoint(path_ / name, *network_, nullptr,
                    {.configuration = text_of_json(configuration)});
  }

  void evaluate(const std::string& stage, int epoch = 0) {
    stop_if_interrupted();
    report_.stages.push_back({stage, epoch, evaluate_classifier(*network_, *measured_)});
    const Evaluation& evaluation = report_.stages.back().evaluation;
    note("{}: {} {} right, loss {:.4f}", stage,
         percent(evaluation.multi_label ? evaluation.all.labels_right : evaluation.all.top1),
         evaluation.multi_label ? "of the labels" : "of the images", evaluation.all.loss);
  }

  void prune_layers() {
    const Waiting waiting("pruning");
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      CompressedLayer layer;
      layer.layer = layers_[i].layer;
      layer.kind = layers_[i].kind;
      layer.sensitivity = sensitivities_[i];
      layer.pruned = prune(layers_[i], sensitivities_[i]);
      if (layer.pruned.kept == 0)
        warn(
            "layer {}: all {} weights are below the threshold {:.3g} and pruned; give it a "
            "sensitivity below {} (--prune {}=S)",
            layer.layer, layer.pruned.weights, layer.pruned.threshold, sensitivities_[i],
            layer.layer);
      report_.layers.push_back(std::move(layer));
    }
    save("pruned.safetensors", settings_);
  }

  // A training of its own in `part`; the network's dropout draws from the start again, so that a
  // resumed run need not know what came before.
  Values train_part(const std::string& part, TrainingTask& task, const OptimizerOptions& optimizer,
                    const char* kind, const Json& more) {
    TrainingSetup setup;
    setup.run = options_.run;
    setup.run.output_dir = (path_ / part).string();
    // A part that has not begun when the run is resumed begins now.
    std::error_code error;
    setup.run.resume = options_.run.resume && fs::exists(path_ / part, error);
    setup.optimizer = optimizer;
    setup.network = description_;
    setup.network["kind"] = kind;
    setup.settings = settings_;
    for (const auto& [name, value] : more.items()) setup.settings[name] = value;
    add_settings(setup.settings, optimizer);
    *original_.generator = random::Generator(options_.run.seed);
    setup.generator = original_.generator.get();
    RunDirectory directory(setup.run, kTrainingFiles);
    return train(task, setup, line_, directory);
  }

  void retrain() {
    PruningMasks masks(layers_);
    BoundTask task(*network_, data_, options_.device.cuda_graph, *network_, {},
                   [&masks] { masks.mask_gradients(); });
    note("training what is left, {} epochs", options_.retraining.epochs);
    const Values best =
        train_part("retrain", task, options_.retraining, "classifier", Json::object());
    load_weights((path_ / "retrain" / "best.safetensors").string(), *network_);
    for (const CompressedLayer& layer : report_.layers) {
      const auto found = std::find_if(layers_.begin(), layers_.end(), [&](const LayerWeight& one) {
        return one.layer == layer.layer;
      });
      const std::int64_t kept = count_kept(found->weight);
      check(kept <= layer.pruned.kept,
            "retrain: layer {} has {} weights that are not 0, {} were left by pruning", layer.layer,
            kept, layer.pruned.kept);
    }
    network_->zero_grad();
    evaluate("retrained", static_cast<int>(value_of(best, "epoch")));
  }

  void share() {
    note("clustering the weights of {} layers, {} centroids each", layers_.size(),
         options_.centroids);
    const std::string retrained = sha256_of_file(path_ / "retrain" / "best.safetensors");
    SharedWeights shared = cluster();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      report_.layers[i].shared = shared.layers()[i];
      if (!shared.layers()[i].converged)
        warn("layer {}: k-means did not settle in {} iterations; its last centroids are taken",
             layers_[i].layer, shared.layers()[i].iterations);
    }
    shared.share();
    save("shared.safetensors");
    evaluate("shared");
    if (options_.share_epochs > 0) train_codebooks(shared, retrained);
    shared.share();
    write_compressed(shared.coded());
  }

  SharedWeights cluster() {
    Waiting waiting("clustering");
    std::size_t number = 0;
    return SharedWeights(
        *network_, options_.centroids, options_.only_codebooks, [&](const std::string& layer) {
          stop_if_interrupted();
          waiting.next(fmt::format("clustering {} ({} of {})", layer, ++number, layers_.size()));
        });
  }

  void train_codebooks(SharedWeights& shared, const std::string& retrained) {
    // What only the codebooks are trained with is not moved by batches either.
    if (options_.only_codebooks) freeze_batch_norm(*network_);
    BoundTask task(
        *network_, data_, options_.device.cuda_graph, shared, [&] { shared.share(); },
        [&] { shared.gather_gradients(); });
    note("training the codebooks, {} epochs", options_.share_epochs);
    const Values best = train_part("share", task, sharing_optimizer(), "shared-weights",
                                   {{"the retrained network", retrained}});
    load_weights((path_ / "share" / "best.safetensors").string(), shared);
    shared.share();
    evaluate("centroids trained", static_cast<int>(value_of(best, "epoch")));
  }

  void write_compressed(const std::vector<CodedWeight>& coded) {
    const fs::path dense = path_ / "compressed.safetensors";
    const fs::path compact = path_ / "compact.safetensors";
    const Waiting waiting("writing " + compact.string());
    save("compressed.safetensors");
    write_compact(compact, SafetensorsFile(dense), coded);
    // What is on the disk, as --decode will read it.
    const CompactFile file(compact);
    for (const auto& [name, tensor] : network_->named_state()) {
      const Tensor read = file.tensor(name);
      const Tensor held = tensor.to(Device{});
      check(read.shape() == held.shape() && read.dtype() == held.dtype() &&
                std::memcmp(read.view().data, std::as_const(held).view().data, held.bytes()) == 0,
            "{}: {} does not come back as it was written; is the disk sound?", compact.string(),
            name);
    }
    for (CompressedLayer& layer : report_.layers)
      layer.bytes = file.stored_bytes(layer.layer + ".weight");
    report_.dense_bytes = fs::file_size(dense);
    report_.compact_bytes = fs::file_size(compact);
  }

  void measure_discarded() {
    if (options_.layer.empty()) return;
    const SavedNetwork again = load_network(options_.weights, options_.arch);
    again.network->to(options_.device.place);
    network_->set_training(false);
    const NetworkAtLayer original = {again.network, options_.layer, "original"};
    const NetworkAtLayer compressed = {original_.network, options_.layer, "compressed"};
    ConsistencyMeter meter(path_, compared_, options_.consistency, options_.run, options_.device,
                           line_);
    report_.compared_layer = options_.layer;
    report_.from_compressed = meter.measure(compressed, original).report;
    report_.from_original = meter.measure(original, compressed).report;
    meter.finish();
  }

  CompressionOptions& options_;
  const CommandLine& line_;
  SavedNetwork original_;  // which becomes the compressed one, stage by stage
  Network* network_ = nullptr;
  std::vector<LayerWeight> layers_;
  std::vector<double> sensitivities_;  // of layers_
  ClassifierData data_;
  std::unique_ptr<Loader> training_images_;  // in order; where there are no others to measure on
  Loader* measured_ = nullptr;
  ComparedImages compared_;
  std::string train_fingerprint_;
  Json description_, settings_;
  fs::path path_;
  CompressionReport report_;
};

}  // namespace

CompressionReport compress(CompressionOptions& options, const CommandLine& line) {
  return Compression(options, line).run();
}

}  // namespace concord::tool
