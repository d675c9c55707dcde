#include "tools/bench/whole_step.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <optional>

#include "data/feature_store.h"
#include "data/files.h"
#include "data/image.h"
#include "data/loader.h"
#include "data/resize.h"
#include "data/synthetic.h"
#include "engine/autograd.h"
#include "engine/checkpoint.h"
#include "engine/text.h"
#include "tools/bench/random_stores.h"
#include "tools/common/options.h"
#include "tools/common/program.h"
#include "tools/common/training_steps.h"
#include "tools/common/trans_net_file.h"

namespace concord::bench {
namespace {

namespace fs = std::filesystem;

// --- FLOPs of a network, by watching one forward pass ---

class FlopCounter final : public ForwardObserver {
 public:
  void after(const Module& module, const Tensor& output) override {
    for (const auto& [name, weight] : module.named_parameters()) {
      if (name != "weight" || weight.shape().rank() < 2) continue;
      const double flops = 2.0 * static_cast<double>(output.numel()) *
                           static_cast<double>(weight.numel() / weight.dim(0));
      if (total_ == 0) first_ = flops;
      total_ += flops;
    }
  }
  double total() const { return total_; }
  double first() const { return first_; }

 private:
  double first_ = 0;
  double total_ = 0;
};

struct StepFlops {
  double forward = 0;
  double training = 0;
};

StepFlops count_flops(Module& module, const Tensor& x) {
  const NoGradGuard no_gradients;
  const bool training = module.training();
  module.set_training(false);  // running statistics must not move
  FlopCounter counter;
  module(x);
  module.set_training(training);
  // Two more passes for each layer, but no gradient of the first one's input.
  return {counter.total(), 3 * counter.total() - counter.first()};
}

Tensor random_maps(const Shape& shape, std::uint64_t seed, std::uint64_t stream) {
  random::Generator generator(seed);
  generator.set_state(seed, stream);
  Tensor maps = Tensor::empty(shape);
  random::fill_normal(maps, generator, 0, 1);
  return maps;
}

// A copy in memory of its own, as a loader gives.
Tensor read_input(const std::string& file, const std::string& name, std::size_t rank) {
  const Tensor tensor = SafetensorsFile(file).tensor(name);
  check(tensor.shape().rank() == rank, "{}: {} has shape {}, {} axes are needed", file, name,
        tensor.shape().to_string(), rank);
  return tensor.clone();
}

// --- classifiers ---

struct Classifier {
  random::Generator generator;
  std::shared_ptr<Network> network;
  Batch batch;
};

std::unique_ptr<Classifier> classifier_of(const std::string& arch, const StepOptions& options) {
  auto result = std::make_unique<Classifier>();
  result->generator = random::Generator(options.seed);
  std::optional<UninitializedParameters> loaded_next;
  if (!options.weights.empty()) loaded_next.emplace();
  result->network = make_network(arch, options.classes, result->generator);
  loaded_next.reset();
  if (!options.weights.empty()) load_parameters(options.weights, *result->network);
  if (options.no_dropout)
    for (const auto& [name, module] : result->network->named_modules())
      if (dynamic_cast<Dropout*>(module) != nullptr) module->freeze_mode();
  if (!options.inputs.empty()) {
    result->batch.images = read_input(options.inputs, "images", 4);
    result->batch.labels = read_input(options.inputs, "labels", 1);
  } else {
    const std::int64_t n = options.batch_size;
    result->batch.images =
        random_maps({n, 3, options.image_size, options.image_size}, options.seed, 1);
    random::Stream stream(options.seed, 2);
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < n; ++i)
      labels.push_back(
          static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(options.classes))));
    result->batch.labels = Tensor::of({n}, labels);
  }
  return result;
}

class TrainClassifier final : public WholeStep {
 public:
  TrainClassifier(const std::string& arch, const StepOptions& options)
      : classifier_(classifier_of(arch, options)), lr_(options.lr > 0 ? options.lr : 0.01) {
    tool::OptimizerOptions optimizer;  // the experiments': SGD, momentum 0.9, weight decay 1e-4
    optimizer_ = tool::make_optimizer(optimizer, classifier_->network->named_parameters());
    flops_ = count_flops(*classifier_->network, classifier_->batch.images).training;
    classifier_->network->set_training(true);
  }
  void run() override {
    const tool::Step step = tool::classifier_step(*classifier_->network, classifier_->batch);
    optimizer_->step(lr_);
    loss_ = tool::value_of(step.means, "loss");
  }
  double value() const override { return loss_; }
  double images() const override { return static_cast<double>(classifier_->batch.images.dim(0)); }
  double flops() const override { return flops_; }
  std::string shape() const override { return classifier_->batch.images.shape().to_string(); }

 private:
  std::unique_ptr<Classifier> classifier_;
  std::unique_ptr<Optimizer> optimizer_;
  double lr_;
  double loss_ = 0;
  double flops_ = 0;
};

class RunClassifier final : public WholeStep {
 public:
  RunClassifier(const std::string& arch, const StepOptions& options)
      : classifier_(classifier_of(arch, options)) {
    flops_ = count_flops(*classifier_->network, classifier_->batch.images).forward;
    classifier_->network->set_training(false);
  }
  void run() override {
    const NoGradGuard no_gradients;
    logits_ = (*classifier_->network)(classifier_->batch.images);
  }
  double value() const override {
    double sum = 0;
    for (std::int64_t i = 0; i < logits_.numel(); ++i)
      sum += std::abs(double{logits_.data<float>()[i]});
    return sum / static_cast<double>(logits_.numel());
  }
  double images() const override { return static_cast<double>(classifier_->batch.images.dim(0)); }
  double flops() const override { return flops_; }
  std::string shape() const override { return classifier_->batch.images.shape().to_string(); }

 private:
  std::unique_ptr<Classifier> classifier_;
  Tensor logits_;
  double flops_ = 0;
};

// --- Trans-Nets ---

// "512x28x28"
std::optional<Shape> maps_of(const std::string& text) {
  std::vector<std::int64_t> sizes;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('x', at), text.size());
    const std::string number = text.substr(at, end - at);
    if (number.empty() || number.size() > 6 ||
        number.find_first_not_of("0123456789") != std::string::npos || number[0] == '0')
      return std::nullopt;
    sizes.push_back(std::stoll(number));
    at = end + 1;
  }
  if (sizes.size() != 3) return std::nullopt;
  return Shape{1, sizes[0], sizes[1], sizes[2]};
}

struct Translator {
  std::unique_ptr<TransNet> net;
  tool::PairBatch batch;
};

Translator translator_of(const std::string& maps, const StepOptions& options) {
  const Shape shape = maps_of(maps)->with(0, options.batch_size);
  Translator result;
  random::Generator generator(options.seed);
  result.net = std::make_unique<TransNet>(
      tool::trans_net_options(tool::TransNetChoice{}, shape[1], shape[1]), generator);
  if (!options.weights.empty()) load_parameters(options.weights, *result.net);
  result.batch.a = options.inputs.empty() ? random_maps(shape, options.seed, 1)
                                          : read_input(options.inputs, "a", 4);
  result.batch.b = options.inputs.empty() ? random_maps(shape, options.seed, 2)
                                          : read_input(options.inputs, "b", 4);
  return result;
}

class TrainTransNet final : public WholeStep {
 public:
  TrainTransNet(const std::string& maps, const StepOptions& options)
      : translator_(translator_of(maps, options)), lr_(options.lr > 0 ? options.lr : 1e-4) {
    tool::OptimizerOptions optimizer;
    optimizer.optimizer = "adam";
    optimizer_ = tool::make_optimizer(optimizer, translator_.net->named_parameters());
    alpha_.assign(static_cast<std::size_t>(translator_.net->options().orders - 1), 0.1);
    flops_ = count_flops(*translator_.net, translator_.batch.a).training;
    translator_.net->set_training(true);
  }
  void run() override {
    const tool::Step step = tool::trans_net_step(*translator_.net, translator_.batch, alpha_);
    optimizer_->step(lr_);
    loss_ = tool::value_of(step.means, "loss");
  }
  double value() const override { return loss_; }
  double images() const override { return static_cast<double>(translator_.batch.a.dim(0)); }
  double flops() const override { return flops_; }
  std::string shape() const override { return translator_.batch.a.shape().to_string(); }
  tool::PairBatch& batch() { return translator_.batch; }

 private:
  Translator translator_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<double> alpha_;
  double lr_;
  double loss_ = 0;
  double flops_ = 0;
};

// What concord-transnet --evaluate and concord-variance do to a batch.
class Disentangle final : public WholeStep {
 public:
  Disentangle(const std::string& maps, const StepOptions& options)
      : translator_(translator_of(maps, options)) {
    translator_.net->set_training(false);
  }
  void run() override { translator_.net->disentangle(translator_.batch.a); }
  double images() const override { return static_cast<double>(translator_.batch.a.dim(0)); }
  std::string shape() const override { return translator_.batch.a.shape().to_string(); }

 private:
  Translator translator_;
};

// --- Trans-Nets on stored features ---

std::unique_ptr<tool::FeaturePairs> stored_pairs(const std::string& maps,
                                                 const StepOptions& options) {
  tool::check_usage(!options.stores.empty(),
                    "give --stores, a folder for the feature stores a and b");
  const fs::path folder = options.stores;
  const Shape shape = maps_of(maps)->with(0, options.rows);
  if (!fs::exists(folder))
    write_random_stores(folder, shape, tool::stored_dtype_of_option(options.store_dtype),
                        options.seed);
  auto pairs = tool::pairs_from_stores(FeatureStore(folder / "a"), FeatureStore(folder / "b"),
                                       {.batch_size = options.batch_size,
                                        .shuffle = true,
                                        .seed = options.seed,
                                        .read_ahead_mib = options.read_ahead_mib});
  check(pairs->shape_a() == shape.with(0, pairs->size()),
        "{}: holds features of {}, the step's are {}", options.stores, pairs->shape_a().to_string(),
        maps);
  pairs->start(0, 0);
  return pairs;
}

// The next batch of the shuffled order, of the next epoch when one is through.
void next_pair(tool::FeaturePairs& pairs, std::int64_t& epoch, tool::PairBatch& batch) {
  if (pairs.next(batch)) return;
  pairs.start(++epoch, 0);
  pairs.next(batch);
}

class TrainFromStores final : public WholeStep {
 public:
  TrainFromStores(const std::string& maps, const StepOptions& options)
      : trainer_(maps, options), pairs_(stored_pairs(maps, options)) {}
  void run() override {
    next_pair(*pairs_, epoch_, trainer_.batch());
    trainer_.run();
  }
  double value() const override { return trainer_.value(); }
  double images() const override { return trainer_.images(); }
  double flops() const override { return trainer_.flops(); }
  std::string shape() const override { return trainer_.shape(); }

 private:
  TrainTransNet trainer_;
  std::unique_ptr<tool::FeaturePairs> pairs_;
  std::int64_t epoch_ = 0;
};

class ReadStores final : public WholeStep {
 public:
  ReadStores(const std::string& maps, const StepOptions& options)
      : pairs_(stored_pairs(maps, options)), batch_size_(options.batch_size) {}
  void run() override { next_pair(*pairs_, epoch_, batch_); }
  double images() const override { return static_cast<double>(batch_size_); }
  std::string shape() const override { return pairs_->shape_a().with(0, batch_size_).to_string(); }

 private:
  std::unique_ptr<tool::FeaturePairs> pairs_;
  std::int64_t batch_size_;
  std::int64_t epoch_ = 0;
  tool::PairBatch batch_;
};

// --- images ---

// Encoded pictures in memory, so that no disk is measured.
std::vector<std::vector<std::uint8_t>> encoded_images(const StepOptions& options) {
  std::vector<std::vector<std::uint8_t>> files;
  if (options.images.empty()) {
    // As large as those of CUB-200-2011.
    for (int i = 0; i < 16; ++i)
      files.push_back(encode_jpeg(
          draw_synthetic(i % 10, options.seed, static_cast<std::uint64_t>(i), 500, 375, 0.5F).image,
          92));
    return files;
  }
  check(fs::is_directory(options.images), "--images {}: no such folder", options.images);
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(options.images))
    if (entry.is_regular_file() && has_image_extension(entry.path())) paths.push_back(entry.path());
  check(!paths.empty(), "--images {}: holds no image files", options.images);
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) files.push_back(read_file(path));
  return files;
}

// The mean over the pictures of the mean of their values.
double mean_of(const std::vector<Image>& pictures) {
  double sum = 0;
  for (const Image& picture : pictures)
    sum += static_cast<double>(
               std::accumulate(picture.rgb.begin(), picture.rgb.end(), std::uint64_t{0})) /
           static_cast<double>(picture.rgb.size());
  return sum / static_cast<double>(pictures.size());
}

// Decoding and resizing on one thread, as a worker of the loader does.
class Decode final : public WholeStep {
 public:
  Decode(bool resize, const StepOptions& options)
      : files_(encoded_images(options)),
        results_(files_.size()),
        size_(resize ? options.image_size : 0) {}
  void run() override {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      results_[i] = decode_image(files_[i], "a picture");
      if (size_ > 0) results_[i] = resize_bilinear(results_[i], size_, size_);
    }
  }
  double value() const override { return mean_of(results_); }
  double images() const override { return static_cast<double>(files_.size()); }
  double bytes() const override {
    double bytes = 0;
    for (const auto& file : files_) bytes += static_cast<double>(file.size());
    return bytes;
  }
  std::string shape() const override {
    return size_ > 0 ? fmt::format("to{}x{}", size_, size_) : "full-size";
  }

 private:
  std::vector<std::vector<std::uint8_t>> files_;
  std::vector<Image> results_;
  int size_;
};

class ResizeImages final : public WholeStep {
 public:
  explicit ResizeImages(const StepOptions& options) : size_(options.image_size) {
    for (const auto& bytes : encoded_images(options))
      pictures_.push_back(decode_image(bytes, "a picture"));
    results_.resize(pictures_.size());
  }
  void run() override {
    for (std::size_t i = 0; i < pictures_.size(); ++i)
      results_[i] = resize_bilinear(pictures_[i], size_, size_);
  }
  double value() const override { return mean_of(results_); }
  double images() const override { return static_cast<double>(pictures_.size()); }
  std::string shape() const override { return fmt::format("to{}x{}", size_, size_); }

 private:
  std::vector<Image> pictures_;
  std::vector<Image> results_;
  int size_;
};

// --- files ---

// The next batch of images through the loader, shuffled; nothing is kept decoded.
class LoadImages final : public WholeStep {
 public:
  explicit LoadImages(const StepOptions& options) : batch_size_(options.batch_size) {
    tool::check_usage(!options.images.empty(), "give --images, a data set's folder with train/");
    tool::ImageOptions images;
    images.data = options.images;
    images.image_size = options.image_size;
    images.batch_size = options.batch_size;
    images.workers = options.workers;
    images.cache_mib = 0;
    LoaderOptions loader = tool::loader_options(images);
    loader.shuffle = true;
    loader.seed = options.seed;
    loader.drop_last = true;
    loader_.emplace(read_image_folder(options.images).train, loader);
    check(loader_->batches() > 0, "{}: holds less than a batch of {} images", options.images,
          options.batch_size);
    loader_->start(0);
  }
  void run() override {
    if (loader_->next(batch_)) return;
    loader_->start(++epoch_);
    loader_->next(batch_);
  }
  double images() const override { return static_cast<double>(batch_size_); }
  std::string shape() const override {
    return fmt::format("{}x3x{}x{}", batch_size_, size(), size());
  }

 private:
  std::int64_t size() const { return batch_.images.defined() ? batch_.images.dim(2) : 0; }

  std::int64_t batch_size_;
  std::optional<Loader> loader_;
  std::int64_t epoch_ = 0;
  Batch batch_;
};

// A folder of its own for what a step writes.
class Scratch {
 public:
  explicit Scratch(const std::string& parent) {
    std::string pattern =
        ((parent.empty() ? fs::temp_directory_path() : fs::path(parent)) / "concord-bench-XXXXXX")
            .string();
    check(::mkdtemp(pattern.data()) != nullptr,
          "no folder can be made in {}; name another by --scratch",
          fs::path(pattern).parent_path().string());
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

constexpr std::int64_t kStoreBatches = 4;

// Features of kStoreBatches batches into a store, to the disk.
class Store final : public WholeStep {
 public:
  Store(bool write, const std::string& maps, const StepOptions& options)
      : write_(write),
        scratch_(options.scratch),
        features_(random_maps(maps_of(maps)->with(0, options.batch_size), options.seed, 1)) {
    const std::vector<std::int64_t> labels(static_cast<std::size_t>(features_.dim(0)), 0);
    labels_ = Tensor::of({features_.dim(0)}, labels);
    if (write_) return;
    write_store();
    store_.emplace(scratch_.path() / "store");
    rows_ = shuffled_order(store_->size(), options.seed, 0);
  }
  void run() override {
    if (write_) {
      fs::remove_all(scratch_.path() / "store");
      return write_store();
    }
    // In the shuffled batches of a training; the pages are in memory already.
    for (std::int64_t begin = 0; begin < store_->size(); begin += features_.dim(0))
      store_->gather({rows_.begin() + begin, rows_.begin() + begin + features_.dim(0)});
  }
  double images() const override { return static_cast<double>(features_.dim(0) * kStoreBatches); }
  double bytes() const override { return static_cast<double>(features_.bytes()) * kStoreBatches; }
  std::string shape() const override {
    return features_.shape().with(0, features_.dim(0) * kStoreBatches).to_string();
  }

 private:
  void write_store() const {
    const auto count = static_cast<std::size_t>(features_.dim(0));
    const std::vector<std::uint8_t> flags(count, 1);
    const std::vector<std::string> names(count, "picture.jpg");
    FeatureStoreWriter writer(scratch_.path() / "store", FeatureStoreInfo{});
    for (std::int64_t batch = 0; batch < kStoreBatches; ++batch)
      writer.append(features_, labels_, flags, flags, names);
    writer.finish();
  }

  bool write_;
  Scratch scratch_;
  Tensor features_;
  Tensor labels_;
  std::optional<FeatureStore> store_;
  std::vector<std::int64_t> rows_;
};

class WriteCheckpoint final : public WholeStep {
 public:
  WriteCheckpoint(const std::string& arch, const StepOptions& options)
      : scratch_(options.scratch), generator_(options.seed) {
    network_ = make_network(arch, options.classes, generator_);
    optimizer_ = tool::make_optimizer({}, network_->named_parameters());
  }
  void run() override { save_checkpoint(path(), *network_, optimizer_.get(), {}); }
  double images() const override { return 0; }
  double bytes() const override { return static_cast<double>(fs::file_size(path())); }
  std::string shape() const override { return "-"; }

 private:
  fs::path path() const { return scratch_.path() / "last.safetensors"; }

  Scratch scratch_;
  random::Generator generator_;
  std::shared_ptr<Network> network_;
  std::unique_ptr<Optimizer> optimizer_;
};

// --- names ---

enum class Argument : std::uint8_t { kNone, kArchitecture, kMaps };

struct Kind {
  const char* name;
  Argument argument;
  const char* help;
  std::unique_ptr<WholeStep> (*make)(const std::string& argument, const StepOptions& options);
};

template <class T, auto... kBefore>
std::unique_ptr<WholeStep> make(const std::string& argument, const StepOptions& options) {
  if constexpr (std::is_constructible_v<T, decltype(kBefore)..., const std::string&,
                                        const StepOptions&>)
    return std::make_unique<T>(kBefore..., argument, options);
  else
    return std::make_unique<T>(kBefore..., options);
}

constexpr Kind kKinds[] = {
    {"train", Argument::kArchitecture, "a classifier's training step, SGD", make<TrainClassifier>},
    {"infer", Argument::kArchitecture, "a classifier's logits, evaluation mode",
     make<RunClassifier>},
    {"transnet", Argument::kMaps, "a Trans-Net's training step, Adam", make<TrainTransNet>},
    {"transnet-store", Argument::kMaps,
     "the same on the next batch of --stores, which is written where it is not there",
     make<TrainFromStores>},
    {"store-next", Argument::kMaps, "the next batch of --stores, read ahead; nothing is computed",
     make<ReadStores>},
    {"disentangle", Argument::kMaps, "a Trans-Net's orders of fuzziness", make<Disentangle>},
    {"decode", Argument::kNone, "JPEG to pixels and resizing, one thread", make<Decode, true>},
    {"decode-only", Argument::kNone, "JPEG to pixels, one thread", make<Decode, false>},
    {"resize", Argument::kNone, "resizing of pixels, one thread", make<ResizeImages>},
    {"load", Argument::kNone, "the next batch of the data set --images through the loader",
     make<LoadImages>},
    {"store-write", Argument::kMaps, "a feature store, synced to the disk", make<Store, true>},
    {"store-read", Argument::kMaps, "its rows in a shuffled order, from the page cache",
     make<Store, false>},
    {"checkpoint-write", Argument::kArchitecture, "parameters and momenta, synced to the disk",
     make<WriteCheckpoint>}};

struct Parsed {
  const Kind* kind = nullptr;
  std::string argument;
};

Parsed parse(const std::string& name) {
  const std::size_t colon = name.find(':');
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    names.emplace_back(kind.name);
    if (name.substr(0, colon) != kind.name) continue;
    const std::string argument = colon == std::string::npos ? "" : name.substr(colon + 1);
    const std::vector<std::string> architectures = network_names();
    switch (kind.argument) {
      case Argument::kNone:
        tool::check_usage(colon == std::string::npos, "step {}: nothing follows {}", name,
                          kind.name);
        break;
      case Argument::kArchitecture:
        tool::check_usage(
            std::find(architectures.begin(), architectures.end(), argument) != architectures.end(),
            "step {}: no architecture {}; near it are {}", name, argument,
            nearest_names(argument, architectures));
        break;
      case Argument::kMaps:
        tool::check_usage(maps_of(argument).has_value(),
                          "step {}: the shape of maps expected, as in {}:512x28x28", name,
                          kind.name);
        break;
    }
    return {&kind, argument};
  }
  throw tool::UsageError(fmt::format("there is no step {}; near it are {}", name,
                                     nearest_names(name.substr(0, colon), names)));
}

}  // namespace

std::string step_help() {
  std::string text;
  for (const Kind& kind : kKinds) {
    const char* argument = kind.argument == Argument::kArchitecture ? ":ARCH"
                           : kind.argument == Argument::kMaps       ? ":CxHxW"
                                                                    : "";
    text += fmt::format("  {:24} {}\n", std::string(kind.name) + argument, kind.help);
  }
  return text;
}

std::vector<std::string> step_names() {
  std::vector<std::string> names;
  for (const char* maps : {"512x28x28", "512x14x14", "256x14x14", "256x13x13", "1024x14x14"})
    names.push_back(std::string("transnet:") + maps);
  names.emplace_back("disentangle:512x28x28");
  for (const std::string& arch : network_names()) {
    names.push_back("train:" + arch);
    names.push_back("infer:" + arch);
  }
  for (const char* name : {"decode", "decode-only", "resize", "store-write:512x28x28",
                           "store-read:512x28x28", "checkpoint-write:resnet50"})
    names.emplace_back(name);
  return names;
}

void check_step_name(const std::string& name) { parse(name); }

std::unique_ptr<WholeStep> make_step(const std::string& name, const StepOptions& options) {
  const Parsed parsed = parse(name);
  return parsed.kind->make(parsed.argument, options);
}

Case step_case(const std::string& name, const StepOptions& options) {
  return {"step/" + name, parse(name).kind->help, [name, options] {
            const std::shared_ptr<WholeStep> step = make_step(name, options);
            step->run();  // what only the first step does is not part of a training
            return Work{[step] { step->run(); }, step->flops(), step->bytes(), step->images()};
          }};
}

}  // namespace concord::bench
