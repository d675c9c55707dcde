// concord-train: trains an image classifier from a folder of class folders, or evaluates one.

#include <algorithm>
#include <optional>

#include "engine/layers.h"
#include "tools/common/classification.h"
#include "tools/common/fine_tuning.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"
#include "tools/common/training.h"
#include "tools/common/training_steps.h"

namespace concord::tool {
namespace {

struct Options {
  ImageOptions images;
  RunOptions run;
  DeviceOptions device;
  OptimizerOptions optimizer;
  std::string arch;
  std::string weights;
  std::string continue_from;
  FineTuningOptions fine_tuning;
  std::string half;
  std::string split = "val";
  std::string dump_logits;
  bool freeze_batch_norm = false;
  bool evaluate = false;
};

Values values_of(const Evaluation& evaluation) {
  if (evaluation.multi_label)
    return {{"val_loss", evaluation.all.loss}, {"val_accuracy", evaluation.all.labels_right}};
  Values values;
  const auto add = [&](const std::string& prefix, const Accuracy& accuracy) {
    values.emplace_back(prefix + "loss", accuracy.loss);
    values.emplace_back(prefix + "top1", accuracy.top1);
    values.emplace_back(prefix + "top5", accuracy.top5);
  };
  add("val_", evaluation.all);
  for (const Accuracy& group : evaluation.groups) add("val_" + group.group + "_", group);
  return values;
}

class ClassifierTask : public TrainingTask {
 public:
  ClassifierTask(Network& network, Loader& train, Loader* validation, bool graphs)
      : network_(network), step_(network, graphs), train_(train), validation_(validation) {}

  Module& module() override { return network_; }
  std::int64_t steps() const override { return train_.batches(); }
  std::int64_t samples() const override { return train_.size(); }

  void start(std::int64_t epoch, std::int64_t first_step) override {
    network_.set_training(true);
    train_.start(epoch, first_step);
  }

  bool step(Step& step) override {
    if (!train_.next(batch_)) return false;
    step = step_.run(batch_);
    return true;
  }
  void update(Optimizer& optimizer, double learning_rate) override {
    step_.update(optimizer, learning_rate);
  }

  void replay() override { network_(batch_.images); }

  Values evaluate() override {
    if (validation_ == nullptr) return {};
    return values_of(evaluate_classifier(network_, *validation_));
  }

  double score(const Values& values) const override {
    if (validation_ == nullptr) return -value_of(values, "loss");
    return value_of(values, validation_->set().multi_labels.empty() ? "val_top1" : "val_accuracy");
  }

 private:
  Network& network_;
  ClassifierStep step_;
  Loader& train_;
  Loader* validation_;
  Batch batch_;
};

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

void report_skipped(const Loader& loader) {
  if (loader.skipped() > 0)
    warn("{}: {} of {} images could not be read and were left out", loader.set().root.string(),
         loader.skipped(), loader.size());
}

// The labels of `set` become the network's; every class must be one of its.
void adopt_classes(ImageSet& set, const std::vector<std::string>& class_names, std::int64_t classes,
                   const std::string& weights) {
  if (!set.multi_labels.empty()) {
    check(set.classes == class_names ||
              (class_names.empty() && static_cast<std::int64_t>(set.classes.size()) == classes),
          "{}: its labels are not the {} that {} was trained on, in their order", set.root.string(),
          classes, weights);
    return;
  }
  if (class_names.empty()) {
    check(static_cast<std::int64_t>(set.classes.size()) == classes,
          "{} has {} class folders, but {} was trained on {} classes", set.root.string(),
          set.classes.size(), weights, classes);
    return;
  }
  const std::string missing = match_classes(set, class_names);
  check(missing.empty(), "{}: {} is not among the {} classes that {} was trained on",
        set.root.string(), missing, class_names.size(), weights);
}

void print_evaluation(const std::string& arch, const std::string& split,
                      const Evaluation& evaluation) {
  const auto loss = [](const Accuracy& accuracy) { return fmt::format("{:.4f}", accuracy.loss); };
  if (evaluation.multi_label) {
    Table table({"network", "split", "images", "labels right", "loss"});
    table.row({arch, split, std::to_string(evaluation.all.samples),
               percent(evaluation.all.labels_right), loss(evaluation.all)});
    return table.print();
  }
  Table table({"network", "split", "images", "top-1", "top-5", "loss"});
  const auto add = [&](const std::string& name, const Accuracy& accuracy) {
    table.row({arch, name, std::to_string(accuracy.samples), percent(accuracy.top1),
               percent(accuracy.top5), loss(accuracy)});
  };
  add(split, evaluation.all);
  for (const Accuracy& group : evaluation.groups) add(split + ", " + group.group, group);
  table.print();
}

void evaluate(Options& options, const CommandLine& line) {
  check_usage(!options.weights.empty(), "--evaluate needs --weights");
  line.refuse(kTrainingOnly, "does not apply to --evaluate");
  line.refuse({"--half", "--freeze-batch-norm", "--output-dir", "--force", "--continue-from",
               "--finetune", "--train-from", "--reset-from"},
              "does not apply to --evaluate");
  SavedNetwork saved = load_network(options.weights, options.arch);
  saved.network->to(options.device.place);
  if (saved.image_size > 0 && !line.given("--image-size"))
    options.images.image_size = saved.image_size;
  ImageSet set = read_split(options.images.data, options.split);
  adopt_classes(set, saved.class_names, saved.network->classes(), options.weights);
  Loader loader(std::move(set), loader_options(options.images, options.device.place));

  std::vector<float> logits;
  std::vector<float> targets;
  std::vector<std::int64_t> labels;
  const Evaluation evaluation =
      evaluate_classifier(*saved.network, loader, [&](const Batch& batch, const Tensor& scores) {
        if (options.dump_logits.empty()) return;
        const auto values = scores.to_vector<float>();
        logits.insert(logits.end(), values.begin(), values.end());
        const auto truth = batch.labels.to_vector<std::int64_t>();
        labels.insert(labels.end(), truth.begin(), truth.end());
        if (batch.targets.defined()) {
          const auto wanted = batch.targets.to_vector<float>();
          targets.insert(targets.end(), wanted.begin(), wanted.end());
        }
      });
  report_skipped(loader);
  const std::int64_t classes = saved.network->classes();
  const std::int64_t samples = evaluation.all.samples;
  if (!options.dump_logits.empty())
    write_safetensors(options.dump_logits,
                      {{"logits", Tensor::of(Shape{samples, classes}, logits)},
                       evaluation.multi_label
                           ? Named<Tensor>("targets", Tensor::of(Shape{samples, classes}, targets))
                           : Named<Tensor>("labels", Tensor::of(Shape{samples}, labels))});
  print_evaluation(saved.network->arch(), loader.set().name, evaluation);
}

nlohmann::ordered_json settings_of(const Options& options, const ImageSet& set) {
  nlohmann::ordered_json settings;
  settings["--data"] = fingerprint(set);
  settings["--arch"] = options.arch;
  settings["--image-size"] = options.images.image_size;
  settings["--weights"] = options.weights;
  settings["--continue-from"] = options.continue_from;
  settings["--finetune"] = options.fine_tuning.on;
  if (options.fine_tuning.on) {
    settings["--train-from"] = options.fine_tuning.train_from;
    settings["--reset-from"] = options.fine_tuning.reset_from;
  }
  settings["--half"] = options.half;
  settings["--seed"] = options.run.seed;
  settings["--batch-size"] = options.images.batch_size;
  settings["--freeze-batch-norm"] = options.freeze_batch_norm;
  add_settings(settings, options.device);
  add_settings(settings, options.optimizer);
  return settings;
}

// The network to train: that of --weights or --continue-from where given (their architecture is
// then the default), else new.
std::shared_ptr<Network> build(Options& options, const CommandLine& line,
                               const std::vector<std::string>& classes,
                               random::Generator& generator) {
  FineTuningOptions& fine_tuning = options.fine_tuning;
  const bool continues = !options.continue_from.empty();
  check_usage(!continues || options.weights.empty(),
              "--weights and --continue-from exclude each other");
  const std::string& file = continues ? options.continue_from : options.weights;
  if (!file.empty()) {
    const nlohmann::json saved = saved_configuration(file);
    if (options.arch.empty()) options.arch = saved.value("arch", "");
    if (!line.given("--image-size"))
      options.images.image_size = saved.value("image_size", options.images.image_size);
  }
  check_usage(!options.arch.empty(), "--arch is required");
  fine_tuning.on = remove_fine_tuning_suffix(options.arch) || fine_tuning.on;
  check_usage(!fine_tuning.on || !file.empty(),
              "fine-tuning needs --weights, the network to start from");
  if (!fine_tuning.on) line.refuse({"--train-from", "--reset-from"}, "needs --finetune");
  const auto count = static_cast<std::int64_t>(classes.size());
  if (!file.empty() && (!fine_tuning.on || continues)) {
    const std::int64_t trained = classes_in(file);
    check(trained == count,
          "{}: was trained on {} classes and {} has {}; give --weights with --finetune to replace "
          "the last layer",
          file, trained, options.images.data, count);
  }
  std::optional<UninitializedParameters> loaded_next;
  if (!file.empty() && (!fine_tuning.on || continues)) loaded_next.emplace();
  auto network = make_network(options.arch, count, generator);
  loaded_next.reset();
  if (fine_tuning.on) settle(fine_tuning, *network);
  if (fine_tuning.on && continues)
    freeze(fine_tuning, *network);
  else if (fine_tuning.on)
    start_fine_tuning(fine_tuning, options.weights, *network);
  else if (!options.weights.empty())
    load_weights(options.weights, *network);
  network->to(options.device.place);
  if (options.freeze_batch_norm)
    for (const auto& [name, module] : network->named_modules())
      if (dynamic_cast<BatchNorm2d*>(module) != nullptr) module->freeze_mode();
  return network;
}

// The values of the best epoch, in the order in which they are logged; those of `groups` in a table
// of their own.
void print_best(const std::string& arch, const Values& best,
                const std::vector<ClassGroup>& groups) {
  const auto title = [](std::string name) {
    if (name == "top1" || name == "top5") name.insert(3, "-");
    return name;
  };
  const auto cell = [](const std::string& name, double value) {
    return name.ends_with("loss") ? fmt::format("{:.4f}", value) : percent(value);
  };
  std::vector<std::string> header = {"network", "best epoch"};
  std::vector<std::string> row = {arch, fmt::format("{:.0f}", value_of(best, "epoch"))};
  for (const auto& [name, value] : best) {
    const bool held_out = name.starts_with("val_");
    const std::string rest = held_out ? name.substr(4) : name;
    if (name == "epoch" || name == "lr" || rest.find('_') != std::string::npos) continue;
    header.push_back((held_out ? "val " : "train ") + title(rest));
    row.push_back(cell(name, value));
  }
  Table table(header);
  table.row(row);
  table.print();
  if (groups.empty()) return;
  Table apart({"classes", "val loss", "val top-1", "val top-5"});
  for (const ClassGroup& group : groups) {
    std::vector<std::string> cells = {group.name};
    for (const char* name : {"loss", "top1", "top5"})
      cells.push_back(cell(name, value_of(best, "val_" + group.name + "_" + name)));
    apart.row(std::move(cells));
  }
  apart.print();
}

void train_classifier(Options& options, const CommandLine& line) {
  line.refuse({"--split", "--dump-logits"}, "needs --evaluate");
  check_usage(!options.run.output_dir.empty(), "--output-dir is required");
  ImageFolder folder = read_images(options.images.data, write_warning);
  random::Generator generator(options.run.seed);
  const std::vector<std::string> classes = folder.train.classes;
  for (const std::string& name : classes)
    check(nlohmann::ordered_json::parse(text_of_json(name)) == name,
          "{}: the name of the class folder {} is not UTF-8, as checkpoints hold it; rename it",
          folder.train.root.string(), name);
  const std::shared_ptr<Network> network = build(options, line, classes, generator);

  LoaderOptions train_options = loader_options(options.images, options.device.place);
  train_options.shuffle = true;
  train_options.seed = options.run.seed;
  if (!options.half.empty()) {
    Halves halves = split_halves(folder.train);
    train_options.subset = options.half == "a" ? std::move(halves.first) : std::move(halves.second);
    check(!train_options.subset.empty(), "{}: half {} has no images", folder.train.root.string(),
          options.half);
  }
  // Batch normalisation has no variance to take over one image with maps of one pixel.
  const std::size_t images =
      train_options.subset.empty() ? folder.train.samples.size() : train_options.subset.size();
  const auto batch = static_cast<std::size_t>(options.images.batch_size);
  train_options.drop_last = batch > 1 && images > batch && images % batch == 1;
  if (train_options.drop_last)
    note("{} images in batches of {} leave one over; each epoch trains on all but its last image",
         images, batch);
  TrainingSetup setup;
  setup.settings = settings_of(options, folder.train);
  setup.network = {{"kind", "classifier"},
                   {"arch", options.arch},
                   {"classes", classes.size()},
                   {"class_names", classes},
                   {"image_size", options.images.image_size}};
  setup.run = options.run;
  setup.optimizer = options.optimizer;
  setup.generator = &generator;
  setup.continue_from = options.continue_from;

  Loader train_loader(std::move(folder.train), std::move(train_options));
  std::unique_ptr<Loader> validation;
  if (folder.validation)
    validation = std::make_unique<Loader>(std::move(*folder.validation),
                                          loader_options(options.images, options.device.place));
  else
    note("{}: has no val/ or test/; the best epoch is that of the lowest training loss",
         options.images.data);
  options.run.inputs = {options.weights, options.continue_from};
  RunDirectory directory(options.run, kTrainingFiles);
  note("{}: {} classes, {} images to train on, {} to validate on, {} px", options.arch,
       classes.size(), train_loader.size(), validation ? validation->size() : 0,
       options.images.image_size);

  ClassifierTask task(*network, train_loader, validation.get(), options.device.cuda_graph);
  const Values best = train(task, setup, line, directory);
  report_skipped(train_loader);
  if (validation) report_skipped(*validation);

  print_best(options.arch, best, validation ? validation->set().groups : std::vector<ClassGroup>());
}

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-train",
       .summary = "Trains an image classifier, or evaluates one (--evaluate).",
       .example = "  concord-prepare synthetic --output-dir shapes\n"
                  "  concord-train --data shapes --arch resnet18 --image-size 64 --epochs 10 \\\n"
                  "      --batch-size 32 --output-dir run-a\n"
                  "  concord-train --evaluate --weights run-a/best.safetensors --data shapes\n"
                  "The last prints a table with top-1, top-5 and loss; chance is 10 % on these 10 "
                  "classes.",
       .footnote = "Architectures: " + list_of(concord::network_names()) +
                   "\nNAME_ft is NAME fine-tuned from --weights (--finetune)."});
  add_image_options(line, options.images,
                    "both sides in pixels (with --weights: as they were trained)");
  line.app().get_option("--data")->required();
  line.option("--arch", options.arch, "architecture, see below (with --weights: that of the file)",
              one_of(architecture_names()));
  line.option("--weights", options.weights, "checkpoint to start from or to evaluate");
  line.option("--continue-from", options.continue_from,
              "checkpoint to go on from in a new run: PyTorch's {epoch, state_dict, optimizer} or "
              "one of Concord's; weights, optimiser's state and epochs are taken over");
  add_fine_tuning_options(line, options.fine_tuning);
  line.option("--half", options.half,
              "train on one half of every class's sorted images only: a (first) or b (rest)",
              one_of({"a", "b"}));
  line.flag("--freeze-batch-norm", options.freeze_batch_norm,
            "batch normalisation stays in evaluation mode");
  add_optimizer_options(line, options.optimizer);
  add_output_options(line, options.run, "folder for checkpoints and logs; must be new or empty");
  add_resume_option(line, options.run);
  add_seed_option(line, options.run);
  add_device_options(line, options.device);
  add_cuda_graph_option(line, options.device);
  line.flag("--evaluate", options.evaluate, "only print the accuracy of --weights");
  line.option("--split", options.split, "of --evaluate: train, or val (val/ or test/)",
              one_of({"train", "val"}));
  line.option(
      "--dump-logits", options.dump_logits,
      "of --evaluate: safetensors file for logits [N,classes] and labels [N] (of a set "
      "with several labels an image targets [N,classes]), class by class in file-name order");
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    options.evaluate ? evaluate(options, line) : train_classifier(options, line);
  });
}
