// concord-born-again: generations of a classifier, each of which learns from the one before it.

#include "data/files.h"
#include "data/sha256.h"
#include "engine/autograd.h"
#include "tools/common/classifier_training.h"
#include "tools/common/consistency.h"
#include "tools/common/ensemble.h"
#include "tools/common/generation_report.h"
#include "tools/common/kd_weight.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Options {
  ImageOptions images;
  RunOptions run;
  DeviceOptions device;
  OptimizerOptions optimizer;
  ConsistencyOptions consistency;
  std::string arch, weights, half, layer;
  std::int64_t generations = 5;
  std::uint64_t seed_step = 10;
  std::string lambda_text = "0.5";
  std::string lambda_over = "generations";
  double tau = 1;
  std::string teacher = "best";
  std::string teacher_device = "auto";
  bool freeze_batch_norm = false;

  KdWeight lambda;       // what the two texts say
  Device teacher_place;  // what teacher_device came to
};

// One after the other; a network keeps its generator.
std::shared_ptr<Network> network_of(const std::string& weights, const std::string& arch,
                                    Device device) {
  const auto saved = std::make_shared<SavedNetwork>(load_network(weights, arch));
  saved->network->to(device);
  return {saved, saved->network.get()};
}

// Epochs of a generation that has a teacher.
class StudentTask : public ClassifierTask {
 public:
  StudentTask(Network& network, ClassifierData& data, ClassifierStep step, const KdWeight& lambda,
              std::int64_t epochs)
      : ClassifierTask(network, data, std::move(step)), lambda_(lambda), epochs_(epochs) {}

  void start(std::int64_t epoch, std::int64_t first_step) override {
    if (lambda_.over_epochs) step_.set_lambda(lambda_.at(epoch, epochs_));
    ClassifierTask::start(epoch, first_step);
  }

 private:
  KdWeight lambda_;
  std::int64_t epochs_;
};

class BornAgain {
 public:
  BornAgain(Options& options, const CommandLine& line) : options_(options), line_(line) {}

  void run() {
    prepare();
    if (options_.run.force && fs::is_directory(options_.run.output_dir))
      remove_former(options_.run.output_dir);
    RunDirectory directory(options_.run, {"config.json", "born-again.json"},
                           Generation::kFolder + "*");
    const auto configure = [&] { directory.write_config(line_, {{"generations", plan()}}); };
    if (!directory.resuming()) configure();
    note("{}: {} generations, {} classes, {} images to train on{}, {} to validate on, {} px",
         options_.arch, options_.generations, folder_.train.classes.size(),
         folder_.train.samples.size(),
         options_.half.empty() ? "" : " (of which half " + options_.half + ")",
         folder_.validation ? folder_.validation->samples.size() : 0, options_.images.image_size);
    for (std::int64_t number = 0; number < options_.generations; ++number)
      report_.generations.push_back(number == 0 && !options_.weights.empty() ? given()
                                                                             : train(number));
    // Not before: a --resume that a generation refuses must leave the run's own config.json.
    if (directory.resuming()) configure();
    evaluate();
    report_.print_accuracies();
    if (options_.layer.empty())
      note("the consistency between generations is measured where --layer is given");
    else
      measure_consistency(directory.path());
    report_.print_consistency();
    Json json = {{"command", line_.command()}, {"version", CONCORD_VERSION}};
    json.update(report_.json());
    write_file(directory.path() / "born-again.json", text_of_json(json, 2) + "\n");
  }

 private:
  // Everything that can be refused before hours of training.
  void prepare() {
    check_usage(!options_.run.output_dir.empty(), "--output-dir is required");
    options_.lambda = *kd_weight(options_.lambda_text);
    options_.lambda.over_epochs = options_.lambda_over == "epochs";
    if (options_.layer.empty())
      line_.refuse(kConsistencyOptions,
                   "needs --layer, where the consistency between generations is measured");
    trans_net_options(options_.consistency.net, 1, 1);
    penalties(options_.consistency.penalty, options_.consistency.net.orders);
    choose_teacher_device();
    if (!options_.weights.empty()) {
      const nlohmann::json saved = saved_configuration(options_.weights);
      if (options_.arch.empty()) options_.arch = saved.value("arch", "");
      if (!line_.given("--image-size"))
        options_.images.image_size = saved.value("image_size", options_.images.image_size);
    }
    check_usage(!options_.arch.empty(), "--arch is required");
    options_.run.inputs = {options_.weights};
    folder_ = images_of_data(options_.images.data);
    check_class_names(folder_.train);
    if (!options_.weights.empty()) check_classes_of_given();
    if (!options_.layer.empty()) check_layer();
  }

  void choose_teacher_device() {
    if (options_.teacher_device == "auto") options_.teacher_device = options_.device.device;
    options_.teacher_place = ready(options_.teacher_device);
  }

  Device ready(const std::string& word) const {
    const Device student = options_.device.place;
    const bool cuda = word.starts_with("cuda");
    const int index = cuda && word.size() > 5 ? std::stoi(word.substr(5)) : 0;
    // Not asked for twice, and not another one: a process has one GPU.
    if (cuda && student.type == DeviceType::kCuda) {
      check_usage(index == student.index || word == "cuda",
                  "--teacher-device {}: what learns is on cuda:{}, and a run uses one GPU; give "
                  "cpu, or leave it out",
                  word, student.index);
      return student;
    }
    return ready_device("--teacher-device", word);
  }

  // A teacher must score the classes that the others learn, in their order.
  void check_classes_of_given() {
    const SavedNetwork saved = load_network(options_.weights, arch_of_given());
    const std::vector<std::string>& classes = folder_.train.classes;
    const auto count = static_cast<std::int64_t>(classes.size());
    check(saved.network->classes() == count,
          "{}: tells {} classes apart and {} has {}; a teacher must know the same",
          options_.weights, saved.network->classes(), options_.images.data, count);
    for (std::size_t i = 0; i < saved.class_names.size(); ++i)
      check(saved.class_names[i] == classes[i],
            "{}: its class {} is {}, and that of {} is {}; a teacher must know the same classes",
            options_.weights, i, saved.class_names[i], options_.images.data, classes[i]);
  }

  // Of the file where it says it: what learns from it may have another.
  std::string arch_of_given() const {
    return saved_configuration(options_.weights).value("arch", options_.arch);
  }

  void check_layer() const {
    const NoGradGuard no_gradients;
    random::Generator generator(0);
    const auto network = make_network(
        options_.arch, static_cast<std::int64_t>(folder_.train.classes.size()), generator);
    network->set_training(false);
    const std::int64_t side = options_.images.image_size;
    network->features(Tensor::zeros({1, 3, side, side}), options_.layer);
  }

  std::string arch_of(const Generation& generation) const {
    return generation.seed ? options_.arch : arch_of_given();
  }

  std::uint64_t seed_of(std::int64_t generation) const {
    return options_.run.seed + options_.seed_step * static_cast<std::uint64_t>(generation);
  }
  // What a generation is going to be.
  Generation planned(std::int64_t number) const {
    Generation generation;
    generation.number = number;
    if (number > 0 || options_.weights.empty()) generation.seed = seed_of(number);
    if (number == 0) return generation;
    generation.tau = options_.tau;
    const double first = options_.lambda.of_generation(number, options_.generations);
    generation.lambda = {first, options_.lambda.over_epochs ? options_.lambda.end : first};
    return generation;
  }

  Json plan() const {
    Json plan = Json::array();
    for (std::int64_t number = 0; number < options_.generations; ++number)
      plan.push_back(planned(number).json());
    return plan;
  }

  // The files of all generations and Trans-Nets of the run that --force replaces, also of more
  // generations than there will be.
  void remove_former(const fs::path& folder) const {
    std::error_code error;
    std::vector<fs::path> generations;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_directory(error) && name.starts_with(Generation::kFolder) &&
          name.find_first_not_of("0123456789", Generation::kFolder.size()) == std::string::npos)
        generations.push_back(entry.path());
    }
    // Before any of them is emptied.
    std::vector<std::string> names;
    for (const fs::path& generation : generations) {
      names.push_back(generation.filename().string());
      check(
          options_.weights.empty() ||
              !fs::equivalent(fs::absolute(options_.weights).parent_path(), generation, error),
          "{}: is an input of this run, and --force would remove it from {}; copy it elsewhere or "
          "name another folder",
          options_.weights, generation.string());
    }
    remove_consistency(folder, names, {options_.weights});
    for (const fs::path& generation : generations) {
      RunOptions run = options_.run;
      run.output_dir = generation.string();
      { const RunDirectory emptied(run, kTrainingFiles); }
      fs::remove(generation, error);  // what is not ours stays, and its folder
    }
  }

  Json settings_of(const std::string& teacher_file) const {
    Json settings;
    settings["--data"] = fingerprint(folder_.train);
    settings["--arch"] = options_.arch;
    settings["--image-size"] = options_.images.image_size;
    settings["--weights"] = options_.weights;
    settings["--half"] = options_.half;
    settings["--seed"] = options_.run.seed;
    settings["--seed-step"] = options_.seed_step;
    settings["--batch-size"] = options_.images.batch_size;
    settings["--freeze-batch-norm"] = options_.freeze_batch_norm;
    settings["--lambda"] = {options_.lambda.start, options_.lambda.end};
    settings["--lambda-over"] = options_.lambda_over;
    // What a generation is given then depends on how many there are.
    if (options_.lambda.varies() && !options_.lambda.over_epochs)
      settings["--generations"] = options_.generations;
    settings["--tau"] = options_.tau;
    settings["--teacher"] = options_.teacher;
    settings["--teacher-device"] = options_.teacher_device;
    add_settings(settings, options_.device);
    add_settings(settings, options_.optimizer);
    // Whatever the schedule: other teachers would come of other epochs.
    settings["--epochs"] = options_.optimizer.epochs;
    if (!teacher_file.empty()) settings["the teacher's SHA-256"] = sha256_of_file(teacher_file);
    return settings;
  }

  Generation given() {
    note("generation 0 is {}", options_.weights);
    Generation generation = planned(0);
    generation.weights = options_.weights;
    return generation;
  }

  // The checkpoint that teaches the generation after this one.
  std::string teacher_file(const Generation& generation) const {
    if (!generation.seed) return generation.weights;
    return (fs::path(options_.run.output_dir) / generation.name() /
            (options_.teacher + ".safetensors"))
        .string();
  }

  Generation train(std::int64_t number) {
    Generation result = planned(number);
    const fs::path path = fs::path(options_.run.output_dir) / result.name();
    result.weights = (path / "best.safetensors").string();
    const std::string taught_by = number == 0 ? "" : teacher_file(report_.generations.back());

    random::Generator generator(*result.seed);
    const auto network = make_network(
        options_.arch, static_cast<std::int64_t>(folder_.train.classes.size()), generator);
    network->to(options_.device.place);
    if (options_.freeze_batch_norm) freeze_batch_norm(*network);
    ClassifierData data = classifier_data(folder_, options_.images, options_.half, *result.seed,
                                          options_.device.place);
    TrainingSetup setup;
    setup.run = options_.run;
    setup.run.output_dir = path.string();
    setup.run.seed = *result.seed;
    setup.run.resume = options_.run.resume && fs::exists(path);
    setup.optimizer = options_.optimizer;
    setup.network =
        describe_classifier(*network, folder_.train.classes, options_.images.image_size);
    setup.network["generation"] = number;
    setup.settings = settings_of(taught_by);
    setup.generator = &generator;
    RunDirectory directory(setup.run, kTrainingFiles);
    note("generation {} of {}, seed {}{}", number, options_.generations, *result.seed,
         number == 0
             ? ""
             : fmt::format(", learns from {} with lambda {}", taught_by, result.lambda_text()));
    const bool graphs = options_.device.cuda_graph;
    if (number == 0) {
      ClassifierTask task(*network, data, ClassifierStep(*network, graphs));
      result.best = tool::train(task, setup, line_, directory);
    } else {
      const auto teacher =
          network_of(taught_by, arch_of(report_.generations.back()), options_.teacher_place);
      const Teaching teaching = {
          .teacher = teacher.get(), .lambda = result.lambda->first, .tau = options_.tau};
      StudentTask task(*network, data, ClassifierStep(*network, teaching, graphs), options_.lambda,
                       options_.optimizer.epochs);
      result.best = tool::train(task, setup, line_, directory);
    }
    report_skipped(data);
    return result;
  }

  void evaluate() {
    report_.arch = options_.arch;
    report_.layer = options_.layer;
    report_.multi_label = !folder_.train.multi_labels.empty();
    report_.validated = folder_.validation.has_value();
    if (!folder_.validation) return;
    Loader loader(*folder_.validation, loader_options(options_.images, options_.device.place));
    Ensemble all(loader.set());
    Ensemble students(loader.set());
    for (Generation& generation : report_.generations) {
      const auto network =
          network_of(generation.weights, arch_of(generation), options_.device.place);
      generation.held_out =
          evaluate_classifier(*network, loader, [&](const Batch& batch, const Tensor& logits) {
            all.add(batch.indices, logits);
            if (generation.number > 0) students.add(batch.indices, logits);
          });
    }
    const std::int64_t last = options_.generations - 1;
    if (last > 0) report_.ensembles.push_back({0, last, all.evaluate()});
    if (last > 1) report_.ensembles.push_back({1, last, students.evaluate()});
  }

  // Trans-Nets from each generation to the next, and from generation 0 to each.
  void measure_consistency(const fs::path& folder) {
    const ComparedImages images = {folder_, options_.images};
    ConsistencyMeter meter(folder, images, options_.consistency, options_.run, options_.device,
                           line_);
    const auto side = [&](std::size_t number) {
      const Generation& generation = report_.generations[number];
      return NetworkAtLayer{
          network_of(generation.weights, arch_of(generation), options_.device.place),
          options_.layer, generation.name()};
    };
    const auto add = [&](std::size_t from, std::size_t to) {
      report_.pairs.push_back({static_cast<std::int64_t>(from), static_cast<std::int64_t>(to),
                               meter.measure(side(from), side(to)).report});
    };
    for (std::size_t to = 1; to < report_.generations.size(); ++to) add(to - 1, to);
    for (std::size_t to = 2; to < report_.generations.size(); ++to) add(0, to);
    meter.finish();
  }

  Options& options_;
  const CommandLine& line_;
  ImageFolder folder_;
  GenerationReport report_;
};

}  // namespace
}  // namespace concord::tool

int main(int argc, char** argv) {
  using namespace concord::tool;
  Options options;
  CommandLine line(
      {.name = "concord-born-again",
       .summary =
           "Trains generations of a classifier, each from scratch and taught by the one before it "
           "(born-again networks), and measures how much of a generation's features the next "
           "knows.",
       .example =
           "  concord-prepare synthetic --output-dir shapes\n"
           "  concord-born-again --data shapes --arch resnet18 --image-size 64 --epochs 10 \\\n"
           "      --batch-size 32 --generations 3 --layer layer3 --transnet-epochs 20 \\\n"
           "      --output-dir generations\n"
           "It prints top-1, top-5 and loss of each generation and of several together, and the\n"
           "variances of the orders between them. Generations differ by a few per cent; together\n"
           "they do better than most of them alone.",
       .footnote =
           "The loss of a generation that has a teacher is CE + lambda KD, with\n"
           "KD = -tau^2 sum softmax(t/tau) log softmax(s/tau) / N of its logits s and the "
           "teacher's "
           "t.\nOn images with several labels each CE is the binary cross-entropy, softmax the "
           "sigmoid, and KD\na mean over labels.\n"
           "OUTPUT/generation-G is a run as of concord-train. --resume goes on with the generation "
           "at\nwhich a run stopped; with more --generations a finished run goes on."});
  add_image_options(line, options.images,
                    "both sides in pixels (with --weights: as they were trained)");
  line.at("--data").required();
  line.option("--arch", options.arch, "architecture (with --weights: that of the file)",
              one_of(concord::network_names()));
  line.option("--generations", options.generations,
              "networks in all, generation 0, which has no teacher, among them", in_range(1, 1000));
  line.option("--weights", options.weights,
              "checkpoint that is generation 0, instead of training it");
  line.option("--seed-step", options.seed_step,
              "generation g has the seed --seed + g times this, for weights, order and dropout");
  line.option("--lambda", options.lambda_text,
              "weight of KD: a number, or START:END, between which it grows or shrinks by a "
              "constant factor",
              kd_weight_text());
  line.option("--lambda-over", options.lambda_over,
              "what START:END runs over: the generations from 1 to the last, or the epochs of each "
              "of them",
              one_of({"generations", "epochs"}));
  line.option("--tau", options.tau, "temperature of KD", above(0));
  line.option("--teacher", options.teacher,
              "which checkpoint of a generation teaches the next: best or last",
              one_of({"best", "last"}));
  line.option("--teacher-device", options.teacher_device,
              "where the teacher computes: auto (the same device), cpu or cuda[:N]", device_word());
  add_half_option(line, options.half);
  line.flag("--freeze-batch-norm", options.freeze_batch_norm,
            "batch normalisation stays in evaluation mode");
  line.option("--layer", options.layer,
              "measure the consistency between generations at this layer: Trans-Nets from each to "
              "the next and from generation 0 to each");
  add_consistency_options(line, options.consistency);
  add_optimizer_options(line, options.optimizer);
  add_output_options(line, options.run, "folder for all generations; must be new or empty");
  add_training_run_options(line, options.run, options.device);
  return run_program(line, argc, argv, [&] {
    apply(options.device);
    BornAgain(options, line).run();
  });
}
