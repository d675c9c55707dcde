#include "tools/common/classifier_training.h"

#include <utility>

#include "data/resize.h"
#include "engine/layers.h"
#include "tools/common/terminal.h"
#include "tools/common/training_pictures.h"

namespace concord::tool {

void add_half_option(CommandLine& line, std::string& half) {
  line.option("--half", half,
              "train on one half of every class's sorted images only: a (first) or b (rest)",
              one_of({"a", "b"}));
}

void check_class_names(const ImageSet& set) {
  for (const std::string& name : set.classes)
    check(nlohmann::ordered_json::parse(text_of_json(name)) == name,
          "{}: the name of the class folder {} is not UTF-8, as checkpoints hold it; rename it",
          set.root.string(), name);
}

ClassifierData classifier_data(ImageFolder folder, const ImageOptions& options,
                               const std::string& half, std::uint64_t seed, Device device) {
  LoaderOptions train = loader_options(options, device);
  train.shuffle = true;
  train.seed = seed;
  if (!half.empty()) {
    Halves halves = split_halves(folder.train);
    train.subset = half == "a" ? std::move(halves.first) : std::move(halves.second);
    check(!train.subset.empty(), "{}: half {} has no images", folder.train.root.string(), half);
  }
  // Batch normalisation has no variance to take over one image with maps of one pixel.
  const std::size_t images =
      train.subset.empty() ? folder.train.samples.size() : train.subset.size();
  const auto batch = static_cast<std::size_t>(options.batch_size);
  train.drop_last = batch > 1 && images > batch && images % batch == 1;
  if (train.drop_last)
    note("{} images in batches of {} leave one over; each epoch trains on all but its last image",
         images, batch);
  ClassifierData data;
  data.train = std::make_unique<Loader>(std::move(folder.train), std::move(train));
  if (folder.validation)
    data.validation =
        std::make_unique<Loader>(std::move(*folder.validation), loader_options(options, device));
  else
    note("{}: has no val/ or test/; the best epoch is that of the lowest training loss",
         options.data);
  return data;
}

void report_skipped(const Loader& loader) {
  if (loader.skipped() > 0)
    warn("{}: {} of {} images could not be read and were left out", loader.set().root.string(),
         loader.skipped(), loader.size());
}

void report_skipped(const ClassifierData& data) {
  report_skipped(*data.train);
  if (data.validation) report_skipped(*data.validation);
}

nlohmann::ordered_json describe_classifier(const Network& network,
                                           const std::vector<std::string>& class_names,
                                           int image_size) {
  return {{"kind", "classifier"},
          {"arch", network.arch()},
          {"classes", network.classes()},
          {"class_names", class_names},
          {"image_size", image_size}};
}

void freeze_batch_norm(Network& network) {
  for (const auto& [name, module] : network.named_modules())
    if (dynamic_cast<BatchNorm2d*>(module) != nullptr) module->freeze_mode();
}

ClassifierTask::ClassifierTask(Network& network, ClassifierData& data, ClassifierStep step)
    : step_(std::move(step)), network_(network), data_(data) {}

void ClassifierTask::start(std::int64_t epoch, std::int64_t first_step) {
  network_.set_training(true);
  data_.train->start(epoch, first_step);
}

bool ClassifierTask::step(Step& step) {
  if (!data_.train->next(batch_)) return false;
  step = step_.run(batch_);
  return true;
}

void ClassifierTask::update(Optimizer& optimizer, double learning_rate) {
  step_.update(optimizer, learning_rate);
}

void ClassifierTask::replay() { network_(batch_.images); }

Values ClassifierTask::evaluate() {
  if (data_.validation == nullptr) return {};
  return values_of(evaluate_classifier(network_, *data_.validation));
}

double ClassifierTask::score(const Values& values) const {
  if (data_.validation == nullptr) return -value_of(values, "loss");
  const bool multi_label = !data_.validation->set().multi_labels.empty();
  return value_of(values, multi_label ? "val_accuracy" : "val_top1");
}

std::vector<Image> shown_photographs(const Loader& loader) {
  const std::vector<ImageSample>& samples = loader.set().samples;
  constexpr std::size_t kShown = 4;
  std::vector<Image> shown;
  for (std::size_t i = 0; i < kShown; ++i) {
    try {
      const Image image = load_sample(samples[(2 * i + 1) * samples.size() / (2 * kShown)]);
      shown.push_back(resize_bilinear(image, loader.image_size(), loader.image_size()));
    } catch (const Error&) {
      // The loader has told of it, and left it out.
    }
  }
  return shown;
}

std::vector<std::pair<std::string, Image>> ClassifierTask::pictures() {
  if (shown_.empty())
    shown_ = shown_photographs(data_.validation != nullptr ? *data_.validation : *data_.train);
  network_.set_training(false);
  return pictures_of_classifier(network_, shown_);
}

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

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

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

}  // namespace concord::tool
