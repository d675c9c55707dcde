// concord-train: trains an image classifier from a folder of class folders, or evaluates one.

#include <optional>

#include "tools/common/classifier_training.h"
#include "tools/common/fine_tuning.h"
#include "tools/common/progress.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"

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

// Whether the checkpoint is of a training that kept the first layers: the original's name of the
// architecture says it (saved_configuration), or Concord's settings.
bool was_fine_tuned(const nlohmann::json& saved) {
  const auto settings = saved.find("settings");
  const bool set = settings != saved.end() && settings->is_object() &&
                   settings->value("--finetune", nlohmann::json()) == true;
  return set || saved.contains("fine_tuned");
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
    check_usage(
        !continues || !was_fine_tuned(saved) || fine_tuning.on || options.arch.ends_with("_ft"),
        "{}: was fine-tuned, with its first layers frozen; go on so with --finetune (and "
        "the --train-from of its training), or train all of it from its weights with "
        "--weights",
        file);
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
  const Waiting waiting("setting up " + options.arch);
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
  if (options.freeze_batch_norm) freeze_batch_norm(*network);
  return network;
}

void train_classifier(Options& options, const CommandLine& line) {
  line.refuse({"--split", "--dump-logits"}, "needs --evaluate");
  check_usage(!options.run.output_dir.empty(), "--output-dir is required");
  ImageFolder folder = images_of_data(options.images.data);
  random::Generator generator(options.run.seed);
  const std::vector<std::string> classes = folder.train.classes;
  check_class_names(folder.train);
  const std::shared_ptr<Network> network = build(options, line, classes, generator);

  TrainingSetup setup;
  setup.settings = settings_of(options, folder.train);
  setup.network = describe_classifier(*network, classes, options.images.image_size);
  setup.run = options.run;
  setup.optimizer = options.optimizer;
  setup.generator = &generator;
  setup.continue_from = options.continue_from;

  ClassifierData data = classifier_data(std::move(folder), options.images, options.half,
                                        options.run.seed, options.device.place);
  options.run.inputs = {options.weights, options.continue_from};
  RunDirectory directory(options.run, kTrainingFiles);
  note("{}: {} classes, {} images to train on, {} to validate on, {} px", options.arch,
       classes.size(), data.train->size(), data.validation ? data.validation->size() : 0,
       options.images.image_size);

  ClassifierTask task(*network, data, ClassifierStep(*network, options.device.cuda_graph));
  const Values best = train(task, setup, line, directory);
  report_skipped(data);
  print_best(options.arch, best,
             data.validation ? data.validation->set().groups : std::vector<ClassGroup>());
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
  line.at("--data").required();
  line.option("--arch", options.arch, "architecture, see below (with --weights: that of the file)",
              one_of(architecture_names()));
  line.option("--weights", options.weights, "checkpoint to start from or to evaluate");
  line.option("--continue-from", options.continue_from,
              "checkpoint to go on from in a new run: PyTorch's {epoch, state_dict, optimizer} or "
              "one of Concord's; weights, optimiser's state and epochs are taken over");
  add_fine_tuning_options(line, options.fine_tuning);
  add_half_option(line, options.half);
  line.flag("--freeze-batch-norm", options.freeze_batch_norm,
            "batch normalisation stays in evaluation mode");
  add_optimizer_options(line, options.optimizer);
  add_output_options(line, options.run, "folder for checkpoints and logs; must be new or empty");
  add_training_run_options(line, options.run, options.device);
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
