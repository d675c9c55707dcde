// concord-refine: the rest of network B on what a Trans-Net makes of A's features, order by order.

#include <fstream>

#include "data/files.h"
#include "data/sha256.h"
#include "engine/autograd.h"
#include "tools/common/classifier_training.h"
#include "tools/common/interrupt.h"
#include "tools/common/network_pair.h"
#include "tools/common/progress.h"
#include "tools/common/refinement.h"
#include "tools/common/refinement_report.h"
#include "tools/common/refinement_task.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_file.h"

namespace concord::tool {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kReport = "refine.json";

struct Options {
  NetworkPairOptions networks;
  std::string arch_a, arch_b, transnet_weights;
  std::vector<std::string> orders;
  std::string classes_of, half;
  ImageOptions images;
  RunOptions run;
  DeviceOptions device;
  OptimizerOptions optimizer;
  TransNetChoice net;
  std::int64_t evaluate_every = 10;
  bool freeze_batch_norm = false;
  bool evaluate = false;
};

// What is there before anything is trained.
struct Setting {
  SavedNetwork a;
  std::unique_ptr<RefinedFeatures> features;
  ClassifierData data;
  // The validation images with A's numbers for their classes; absent where A was not trained on all
  // of them.
  std::optional<ImageSet> validation_of_a;
  Json inputs;  // what the accuracies before training follow from
};

SavedNetwork load(const std::string& weights, const std::string& arch, Device device) {
  SavedNetwork saved = load_network(weights, arch);
  saved.network->to(device);
  return saved;
}

// The images, as --half and --classes-of restrict them.
ImageFolder read_folder(const Options& options) {
  ImageFolder folder = images_of_data(options.images.data);
  check(folder.validation.has_value(),
        "{}: has no val/ or test/ folder, whose images say what refining does; cut one off with "
        "concord-prepare split",
        options.images.data);
  if (!options.half.empty()) {
    const Halves halves = split_halves(folder.train);
    keep_samples(folder.train, options.half == "a" ? halves.first : halves.second);
    check(!folder.train.samples.empty(), "{}: half {} has no images", options.images.data,
          options.half);
  }
  if (!options.classes_of.empty()) {
    keep_group(folder.train, options.classes_of);
    keep_group(*folder.validation, options.classes_of);
  }
  return folder;
}

// See Setting::validation_of_a.
std::optional<ImageSet> seen_by_a(const Options& options, const SavedNetwork& a,
                                  const ImageSet& validation) {
  ImageSet set = validation;
  try {
    adopt_classes(set, a.class_names, a.network->classes(), options.networks.weights_a);
  } catch (const Error& error) {
    note("the table has no accuracy of A: {}", error.what());
    return std::nullopt;
  }
  return set;
}

// The files of all subsets of the run that --force replaces, also of those that are not asked for
// now.
void remove_former(const Options& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(options.run.output_dir, error)) return;
  std::vector<fs::path> subsets;
  for (const fs::directory_entry& entry : fs::directory_iterator(options.run.output_dir))
    if (entry.is_directory(error) && entry.path().filename().string().starts_with("orders-"))
      subsets.push_back(entry.path());
  for (const fs::path& subset : subsets)  // before any of them is emptied
    for (const std::string& input : options.run.inputs)
      check(
          !fs::equivalent(fs::absolute(input).parent_path(), subset, error),
          "{}: is an input of this run, and --force would remove it from {}; copy it elsewhere or "
          "name another folder",
          input, subset.string());
  for (const fs::path& subset : subsets) {
    RunOptions run = options.run;
    run.output_dir = subset.string();
    { const RunDirectory emptied(run, kTrainingFiles); }
    fs::remove(subset, error);  // what is not ours stays, and its folder
  }
}

Json inputs_of(const Options& options, const ImageSet& validation) {
  Json inputs;
  inputs["--weights-a"] = sha256_of_file(options.networks.weights_a);
  inputs["--weights-b"] = sha256_of_file(options.networks.weights_b);
  inputs["--transnet-weights"] = sha256_of_file(options.transnet_weights);
  inputs["--layer-a"] = options.networks.layer_a;
  inputs["--layer-b"] = options.networks.layer_b;
  inputs["validation images"] = fingerprint(validation);
  inputs["--image-size"] = options.images.image_size;
  inputs["--batch-size"] = options.images.batch_size;
  add_settings(inputs, options.device);
  return inputs;
}

// A Trans-Net takes maps of any size, but knows those that it was trained on.
void warn_of_other_maps(const Options& options, const Shape& shape_b) {
  const auto without_images = [](const std::string& shape) {
    return shape.substr(std::min(shape.find('x'), shape.size()));
  };
  const nlohmann::json saved = saved_configuration(options.transnet_weights);
  const auto trained = saved.find("features_b");
  if (trained == saved.end() || !trained->is_string()) return;
  const std::string known = without_images(*trained);
  const std::string now = without_images(shape_b.to_string());
  if (!known.empty() && known != now)
    warn("{}: was trained on maps of B of {}, and here they are {}; is --image-size {} its own?",
         options.transnet_weights, known.substr(1), now.substr(1), options.images.image_size);
}

Setting prepare(Options& options, const CommandLine& line, RefinementReport& report) {
  const Device device = options.device.place;
  Setting setting;
  SavedTransNet trans_net = load_trans_net(options.transnet_weights, options.net);
  trans_net.net->to(device);
  report.orders = trans_net.net->options().orders;
  for (OrderSubset& subset : order_subsets(options.orders, report.orders))
    report.subsets.push_back({std::move(subset), {}, {}, {}});
  setting.a = load(options.networks.weights_a, options.arch_a, device);
  const SavedNetwork b = load(options.networks.weights_b, options.arch_b, device);
  report.arch_a = setting.a.network->arch();
  report.arch_b = b.network->arch();
  check(b.network->freeze_through(options.networks.layer_b) <
            static_cast<std::int64_t>(b.network->named_parameters().size()),
        "{}: nothing is left to train after layer {}; name an earlier one", report.arch_b,
        options.networks.layer_b);
  settle_image_size(setting.a, b, options.networks.weights_b, options.images, line);

  ImageFolder folder = read_folder(options);
  setting.validation_of_a = seen_by_a(options, setting.a, *folder.validation);
  for (ImageSet* set : {&folder.train, &*folder.validation})
    adopt_classes(*set, b.class_names, b.network->classes(), options.networks.weights_b);
  setting.inputs = inputs_of(options, *folder.validation);
  setting.inputs["training images"] = fingerprint(folder.train);
  setting.data = classifier_data(std::move(folder), options.images, "", options.run.seed, device);

  setting.data.validation->start(0);
  Batch batch;
  check(setting.data.validation->next(batch), "{}: no image could be read",
        setting.data.validation->set().root.string());
  const NoGradGuard no_gradients;
  const Shape a =
      map_shape(setting.a.network->features(batch.images, options.networks.layer_a).shape());
  const Shape shape =
      map_shape(b.network->features(batch.images, options.networks.layer_b).shape());
  check_fits(*trans_net.net, a, shape, options.transnet_weights);
  warn_of_other_maps(options, shape);
  setting.features =
      std::make_unique<RefinedFeatures>(setting.a.network, options.networks.layer_a,
                                        std::shared_ptr<TransNet>(std::move(trans_net.net)), shape);
  note("{} at {} ({}) to {} at {} ({}); {} images to train on, {} to validate on, {} px",
       report.arch_a, options.networks.layer_a, a.with(0, 1).to_string(), report.arch_b,
       options.networks.layer_b, shape.with(0, 1).to_string(), setting.data.train->size(),
       setting.data.validation->size(), options.images.image_size);
  return setting;
}

// The batch with the labels that its images have in `set`.
Batch labelled_as_in(const ImageSet& set, const Batch& batch) {
  Batch result = batch;
  std::vector<std::int64_t> labels;
  for (const std::int64_t index : batch.indices)
    labels.push_back(set.samples[static_cast<std::size_t>(index)].label);
  result.labels = result.device_labels = Tensor::of(batch.labels.shape(), labels);
  return result;
}

// Fills in the accuracies of A, of B and of each subset before training, where they are missing, in
// one pass over the validation images.
void measure_before(const Options& options, Setting& setting, RefinementReport& report) {
  std::vector<RefinedAccuracy*> missing;
  for (RefinedAccuracy& refined : report.subsets)
    if (refined.before.empty()) missing.push_back(&refined);
  if (missing.empty()) return;
  const NoGradGuard no_gradients;
  const SavedNetwork b = load(options.networks.weights_b, options.arch_b, options.device.place);
  Loader& loader = *setting.data.validation;
  std::optional<EvaluationSums> sums_a;
  if (setting.validation_of_a) sums_a.emplace(*setting.validation_of_a);
  EvaluationSums sums_b(loader.set());
  std::vector<EvaluationSums> sums(missing.size(), EvaluationSums(loader.set()));
  Progress progress("before training", loader.size(), "images");
  std::int64_t done = 0;
  loader.start(0);
  for (Batch batch; loader.next(batch);) {
    stop_if_interrupted();
    if (sums_a)
      sums_a->add(labelled_as_in(*setting.validation_of_a, batch),
                  (*setting.a.network)(batch.images));
    sums_b.add(batch, (*b.network)(batch.images));
    const Tensor maps = setting.features->maps(batch.images);
    for (std::size_t i = 0; i < missing.size(); ++i) {
      const Tensor h = setting.features->sum(maps, missing[i]->subset);
      sums[i].add(batch, b.network->from_features(h, options.networks.layer_b));
    }
    done += batch.labels.numel();
    progress.update(done);
  }
  if (sums_a) report.a = values_of(sums_a->result());
  report.b = values_of(sums_b.result());
  for (std::size_t i = 0; i < missing.size(); ++i) missing[i]->before = values_of(sums[i].result());
}

// The last line of a finished run's metrics.jsonl.
Values last_metrics(const std::filesystem::path& folder) {
  std::ifstream file(folder / "metrics.jsonl");
  Json last;
  for (std::string text; std::getline(file, text);)
    if (Json json = Json::parse(text, nullptr, false); json.is_object()) last = std::move(json);
  Values values;
  for (const auto& [name, value] : last.items())
    if (value.is_number()) values.emplace_back(name, value.get<double>());
  check(!values.empty(), "{}: holds no epochs; train again with --force", folder.string());
  return values;
}

std::string folder_of(const Options& options, const OrderSubset& subset) {
  return (std::filesystem::path(options.run.output_dir) / ("orders-" + subset.name)).string();
}

// Starts from B's weights anew.
void train_subset(const Options& options, const CommandLine& line, Setting& setting,
                  RefinedAccuracy& refined) {
  const OrderSubset& subset = refined.subset;
  const SavedNetwork b = load(options.networks.weights_b, options.arch_b, options.device.place);
  const std::int64_t frozen = b.network->freeze_through(options.networks.layer_b);
  if (options.freeze_batch_norm) freeze_batch_norm(*b.network);
  *b.generator = random::Generator(options.run.seed);

  TrainingSetup setup;
  setup.run = options.run;
  setup.optimizer = options.optimizer;
  setup.generator = b.generator.get();
  setup.network = describe_classifier(*b.network, b.class_names, options.images.image_size);
  // Fed with B's own features the network is not what was trained.
  setup.network["refined"] = {{"layer", options.networks.layer_b},
                              {"orders", subset.orders},
                              {"sum", subset.formula()},
                              {"transnet_weights", options.transnet_weights},
                              {"weights_a", options.networks.weights_a},
                              {"layer_a", options.networks.layer_a}};
  setup.settings = setting.inputs;
  setup.settings["--orders"] = subset.name;
  setup.settings["--seed"] = options.run.seed;
  setup.settings["--evaluate-every"] = options.evaluate_every;
  setup.settings["--freeze-batch-norm"] = options.freeze_batch_norm;
  add_settings(setup.settings, options.optimizer);

  RunOptions run = options.run;
  run.output_dir = folder_of(options, subset);
  // A subset that another command adds to the run, or that the run had not come to, begins.
  run.resume = run.resume && std::filesystem::exists(run.output_dir);
  run.inputs = {options.networks.weights_a, options.networks.weights_b, options.transnet_weights};
  RunDirectory directory(run, kTrainingFiles);
  note("{}: {} of {} parameter tensors of B are trained, those after {}", subset.formula(),
       static_cast<std::int64_t>(b.network->named_parameters().size()) - frozen,
       b.network->named_parameters().size(), options.networks.layer_b);
  RefinementTask task(b.network, options.networks.layer_b, *setting.features, setting.data, subset,
                      {.every = options.evaluate_every, .epochs = options.optimizer.epochs},
                      options.device.cuda_graph);
  refined.best = train(task, setup, line, directory);
  refined.last = last_metrics(directory.path());
}

void write_report(const RunDirectory& directory, const CommandLine& line, const Options& options,
                  const Setting& setting, const RefinementReport& report) {
  Json json = report.json();
  json["data"] = options.images.data;
  json["classes_of"] = options.classes_of;
  json["layer_a"] = options.networks.layer_a;
  json["layer_b"] = options.networks.layer_b;
  json["train_images"] = setting.data.train->size();
  json["val_images"] = setting.data.validation->size();
  json["inputs"] = setting.inputs;
  json["command"] = line.command();
  json["version"] = CONCORD_VERSION;
  write_file(directory.path() / kReport, text_of_json(json, 2) + "\n");
}

// The accuracies before training of a run that goes on.
void restore(const std::filesystem::path& file, const Setting& setting, RefinementReport& report) {
  const auto bytes = read_file(file);
  const Json json = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  try {
    const Json& before = json.at("inputs");
    const Json now = Json::parse(text_of_json(setting.inputs));
    for (const auto& [name, value] : now.items())
      check(before.at(name) == value,
            "--resume: {} was {} when {} was written and is {} now, which would change the result; "
            "give it as before, or start anew in another folder",
            name, before.at(name).dump(), file.string(), value.dump());
    report.restore(json);
  } catch (const nlohmann::json::exception& error) {
    fail("{}: is damaged ({}); start anew with --force", file.string(), error.what());
  }
}

void refine(Options& options, const CommandLine& line) {
  if (options.networks.layer_a.empty()) options.networks.layer_a = options.networks.layer;
  if (options.networks.layer_b.empty()) options.networks.layer_b = options.networks.layer;
  check_usage(!options.networks.weights_a.empty() && !options.networks.weights_b.empty(),
              "give --weights-a and --weights-b");
  check_usage(!options.networks.layer_a.empty() && !options.networks.layer_b.empty(),
              "give --layer, or --layer-a and --layer-b");
  if (options.evaluate) {
    line.refuse(kTrainingOnly, "does not apply to --evaluate");
    line.refuse({"--half", "--evaluate-every", "--freeze-batch-norm"},
                "does not apply to --evaluate");
  }
  check_usage(options.evaluate || !options.run.output_dir.empty(), "--output-dir is required");
  RefinementReport report;
  Setting setting = prepare(options, line, report);
  options.run.inputs = {options.networks.weights_a, options.networks.weights_b,
                        options.transnet_weights};
  std::optional<RunDirectory> directory;
  if (!options.run.output_dir.empty()) {
    if (options.run.force) remove_former(options);
    directory.emplace(options.run, std::vector<std::string>{"config.json", kReport}, "orders-*");
  }
  if (options.run.resume && std::filesystem::exists(directory->path() / kReport))
    restore(directory->path() / kReport, setting, report);
  measure_before(options, setting, report);
  const auto save = [&] {
    if (directory) write_report(*directory, line, options, setting, report);
  };
  if (directory) directory->write_config(line);
  save();
  if (!options.evaluate)
    for (RefinedAccuracy& refined : report.subsets) {
      train_subset(options, line, setting, refined);
      save();
    }
  if (!options.evaluate) report_skipped(*setting.data.train);
  report_skipped(*setting.data.validation);
  report.print(setting.data.validation->set().groups);
}

void add_network_options(CommandLine& line, Options& options) {
  add_network_pair_options(line, options.networks);
  line.option("--transnet-weights", options.transnet_weights,
              "Trans-Net from A's features to B's, a checkpoint of concord-transnet")
      .required();
  line.option("--orders", options.orders,
              "subsets of the Trans-Net's orders, each a run of its own: 0,01,02; of more than ten "
              "orders 0+1+12, +12 (default: 0, 01, .. up to all)");
  for (const auto& [flag, arch] :
       {std::pair{"--arch-a", &options.arch_a}, std::pair{"--arch-b", &options.arch_b}})
    line.option(flag, *arch, "architecture, where the file does not name it",
                one_of(network_names()));
  line.option("--input-norm", options.net.input_norm,
              "of a Trans-Net whose file does not say it: scale, instance or batch",
              one_of({"scale", "instance", "batch"}));
  line.flag("--affine", options.net.affine, "likewise: of the instance or batch norm");
  line.option("--stage-norm", options.net.stage_norm, "likewise: sample or batch",
              one_of({"sample", "batch"}));
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  options.optimizer.optimizer = "adam";
  options.optimizer.lr = 1e-5;
  options.optimizer.epochs = 100;
  CommandLine line(
      {.name = "concord-refine",
       .summary = "Feeds the rest of network B with sums of the orders that a Trans-Net makes of "
                  "A's features,\ntrains it, and prints the accuracies before and after, beside "
                  "those of A and B.",
       .example =
           "  concord-refine --weights-a run-a/best.safetensors --weights-b run-b/best.safetensors "
           "\\\n"
           "      --transnet-weights trans-net/best.safetensors --layer layer3 --data shapes \\\n"
           "      --orders 0,01,012 --output-dir refined\n"
           "prints a table: A, B, and for each subset of orders the accuracy of B's rest before\n"
           "(epochs 0) and after training. Between networks that differ in their seed all orders\n"
           "come close to B before training, and to A or above it after.",
       .footnote =
           "Each subset is a run of its own in OUTPUT/orders-01 and so on, from B's weights; its\n"
           "checkpoints are networks of B's architecture whose layers after --layer were trained\n"
           "on the sum of orders, and the others are B's. A network of many classes is refined on "
           "some\nof them with --data of these (labels are found by the classes' names) or with\n"
           "--classes-of; accuracies are over all of B's classes in either case. refine.json has\n"
           "the table, metrics.jsonl of each run its epochs. --resume of a finished run prints "
           "the\ntable again, and with more --orders adds them."});
  add_network_options(line, options);
  add_image_options(line, options.images, "both sides in pixels (default: as A was trained)");
  line.at("--image-size").without_default();
  line.at("--data").required();
  line.option("--classes-of", options.classes_of,
              "only the images of one group of the data's classes: birds or dogs of mix320");
  add_half_option(line, options.half);
  add_optimizer_options(line, options.optimizer);
  line.option("--evaluate-every", options.evaluate_every,
              "epochs from one evaluation to the next; the last epoch has one too",
              in_range(1, 1e9));
  line.flag("--freeze-batch-norm", options.freeze_batch_norm,
            "batch normalisation stays in evaluation mode");
  add_output_options(line, options.run,
                     "folder for refine.json and the runs; must be new or empty (optional with "
                     "--evaluate)");
  line.flag("--evaluate", options.evaluate,
            "train nothing: the accuracies of A, B and each subset through B as it is");
  add_training_run_options(line, options.run, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    refine(options, line);
  });
}
