#include "tools/common/classification.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/autograd.h"
#include "engine/checkpoint.h"
#include "engine/layers.h"
#include "engine/ops/loss.h"
#include "engine/ops/top_k.h"
#include "engine/weights_file.h"
#include "tools/common/interrupt.h"
#include "tools/common/non_finite.h"
#include "tools/common/progress.h"
#include "tools/common/run_directory.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"

namespace concord::tool {

std::int64_t classes_in(const std::string& weights) {
  const WeightsFile file(weights);
  for (const char* name : {"fc.weight", "classifier.6.weight"})
    if (file.contains(name) && file.shape(name).rank() == 2) return file.shape(name)[0];
  fail("{}: has neither fc.weight nor classifier.6.weight, so it is no classifier of Concord's",
       weights);
}

nlohmann::ordered_json to_json(const Evaluation& evaluation) {
  const auto values = [&](const Accuracy& accuracy) -> nlohmann::ordered_json {
    if (evaluation.multi_label)
      return {{"images", accuracy.samples},
              {"loss", accuracy.loss},
              {"accuracy", accuracy.labels_right}};
    return {{"images", accuracy.samples},
            {"loss", accuracy.loss},
            {"top1", accuracy.top1},
            {"top5", accuracy.top5}};
  };
  nlohmann::ordered_json json = values(evaluation.all);
  for (const Accuracy& group : evaluation.groups) json["groups"][group.group] = values(group);
  return json;
}

SavedNetwork load_network(const std::string& weights, const std::string& arch) {
  const Waiting waiting("loading " + weights);
  const nlohmann::json configuration = saved_configuration(weights);
  SavedNetwork saved;
  const std::string name = arch.empty() ? configuration.value("arch", "") : arch;
  check(!name.empty(),
        "{}: does not name its architecture (a Trans-Net, or not written by concord-train); give "
        "--arch",
        weights);
  std::int64_t classes = configuration.value("classes", std::int64_t{0});
  if (classes == 0) classes = classes_in(weights);
  saved.class_names = configuration.value("class_names", std::vector<std::string>());
  saved.image_size = configuration.value("image_size", 0);
  const nlohmann::json refined = configuration.value("refined", nlohmann::json::object());
  if (refined.is_object() && refined.contains("layer") && refined.contains("sum"))
    note(
        "{}: the layers after {} were trained on {} of another network's features "
        "(concord-refine); on its own it is not what was trained",
        weights, text_of_json(refined["layer"]), text_of_json(refined["sum"]));
  saved.generator = std::make_shared<random::Generator>(0);
  {
    const UninitializedParameters loaded_next;
    saved.network = make_network(name, classes, *saved.generator);
  }
  load_weights(weights, *saved.network);
  check_finite(weights, *saved.network);
  saved.network->set_training(false);
  return saved;
}

std::int64_t rank_of_label(const Tensor& logits, std::int64_t row, std::int64_t label) {
  const std::int64_t classes = logits.dim(1);
  const float* values = logits.data<float>() + row * classes;
  std::int64_t rank = 0;
  for (std::int64_t i = 0; i < classes; ++i)
    // Written so that a NaN never counts as below the label.
    rank += i != label && !(values[i] < values[label] || (values[i] == values[label] && i > label));
  return rank;
}

Hits count_hits(const Tensor& logits, const Tensor& labels) {
  const std::int64_t classes = logits.dim(1);
  const std::int64_t k = std::min<std::int64_t>(5, classes);
  const TopK best = top_k(logits, k);
  const auto indices = best.indices.to_vector<std::int64_t>();
  const auto values = best.values.to_vector<double>();
  Hits hits;
  for (std::int64_t i = 0; i < logits.dim(0); ++i) {
    const std::int64_t label = labels.data<std::int64_t>()[i];
    check(0 <= label && label < classes, "label {} of sample {} is outside [0, {}), the classes",
          label, i, classes);
    const auto first = indices.begin() + i * k;
    const auto found = std::find(first, first + k, label);
    if (found == first + k) continue;
    // A label of which the network says NaN has every other class above it, not below.
    const bool is_nan = std::isnan(values[static_cast<std::size_t>(found - indices.begin())]);
    const std::int64_t rank = is_nan ? classes - 1 : found - first;
    hits.top1 += rank < 1;
    hits.top5 += rank < 5;
  }
  return hits;
}

std::string match_classes(ImageSet& set, const std::vector<std::string>& class_names) {
  std::map<std::string, std::int64_t> index;
  for (std::size_t i = 0; i < class_names.size(); ++i)
    index[class_names[i]] = static_cast<std::int64_t>(i);
  std::string missing;
  std::vector<std::int64_t> renamed;
  for (const std::string& name : set.classes) {
    const auto found = index.find(name);
    if (found == index.end() && missing.empty()) missing = name;
    renamed.push_back(found == index.end() ? -1 : found->second);
  }
  for (ImageSample& sample : set.samples)
    if (sample.label >= 0) sample.label = renamed[static_cast<std::size_t>(sample.label)];
  std::erase_if(set.groups, [&](ClassGroup& group) {
    const std::int64_t first = renamed[static_cast<std::size_t>(group.first)];
    for (std::int64_t i = 0; i < group.count; ++i)
      if (first < 0 || renamed[static_cast<std::size_t>(group.first + i)] != first + i) return true;
    group.first = first;
    return false;
  });
  return missing;
}

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

namespace {

// -log softmax(logits[row])[label], in double.
double cross_entropy_of_row(const Tensor& logits, std::int64_t row, std::int64_t label) {
  const std::int64_t classes = logits.dim(1);
  const float* values = logits.data<float>() + row * classes;
  const double most = *std::max_element(values, values + classes);
  double sum = 0;
  for (std::int64_t i = 0; i < classes; ++i) sum += std::exp(values[i] - most);
  return most + std::log(sum) - values[label];
}

// Adds the batch's images of the group's classes.
void add_group(Accuracy& accuracy, const ClassGroup& group, const Batch& batch,
               const Tensor& logits) {
  for (std::int64_t i = 0; i < logits.dim(0); ++i) {
    const std::int64_t label = batch.labels.data<std::int64_t>()[i];
    if (label < group.first || label >= group.first + group.count) continue;
    const std::int64_t rank = rank_of_label(logits, i, label);
    ++accuracy.samples;
    accuracy.loss += cross_entropy_of_row(logits, i, label);
    accuracy.top1 += rank < 1;
    accuracy.top5 += rank < 5;
  }
}

void add_targets(Accuracy& accuracy, const Tensor& logits, const Tensor& targets) {
  const auto values = logits.to_vector<float>();
  const auto truth = targets.to_vector<float>();
  std::int64_t right = 0;
  for (std::size_t i = 0; i < values.size(); ++i) right += (values[i] > 0) == (truth[i] > 0.5F);
  accuracy.labels_right += static_cast<double>(right) / static_cast<double>(logits.dim(1));
}

void divide(Accuracy& accuracy) {
  const double samples = static_cast<double>(std::max<std::int64_t>(1, accuracy.samples));
  for (double* sum : {&accuracy.loss, &accuracy.top1, &accuracy.top5, &accuracy.labels_right})
    *sum /= samples;
}

}  // namespace

EvaluationSums::EvaluationSums(const ImageSet& set) : set_(set) {
  sums_.multi_label = !set.multi_labels.empty();
  for (const ClassGroup& group : set.groups) sums_.groups.push_back({.group = group.name});
}

void EvaluationSums::add(const Batch& batch, const Tensor& logits) {
  const std::int64_t count = logits.dim(0);
  Accuracy& all = sums_.all;
  if (sums_.multi_label) {
    const Tensor targets = batch.targets.to(logits.device());
    all.loss +=
        binary_cross_entropy_with_logits(logits, targets).item() * static_cast<double>(count);
    add_targets(all, logits, targets);
  } else {
    const Tensor loss = cross_entropy(logits, batch.device_labels.to(logits.device()));
    const Hits hits = count_hits(logits, batch.labels);
    all.loss += loss.item() * static_cast<double>(count);
    all.top1 += static_cast<double>(hits.top1);
    all.top5 += static_cast<double>(hits.top5);
  }
  all.samples += count;
  if (set_.groups.empty()) return;
  const Tensor on_host = logits.to(Device{});
  for (std::size_t i = 0; i < set_.groups.size(); ++i)
    add_group(sums_.groups[i], set_.groups[i], batch, on_host);
}

Evaluation EvaluationSums::result() const {
  Evaluation result = sums_;
  divide(result.all);
  for (Accuracy& accuracy : result.groups) divide(accuracy);
  return result;
}

Evaluation evaluate_classifier(Network& network, Loader& loader,
                               const std::function<void(const Batch&, const Tensor&)>& each) {
  const NoGradGuard no_gradients;
  network.set_training(false);
  Progress progress("evaluating", loader.size(), "images");
  EvaluationSums sums(loader.set());
  std::int64_t done = 0;
  loader.start(0);
  for (Batch batch; loader.next(batch);) {
    stop_if_interrupted();
    const Tensor logits = network(batch.images);
    sums.add(batch, logits);
    if (each) each(batch, logits.to(Device{}));
    done += logits.dim(0);
    progress.update(done);
  }
  return sums.result();
}

std::optional<double> top1_on(const SavedNetwork& saved, ImageSet set,
                              const LoaderOptions& loader) {
  if (!set.multi_labels.empty()) return std::nullopt;
  const bool known = saved.class_names.empty()
                         ? static_cast<std::int64_t>(set.classes.size()) == saved.network->classes()
                         : match_classes(set, saved.class_names).empty();
  if (!known) return std::nullopt;
  Loader images(std::move(set), loader);
  return evaluate_classifier(*saved.network, images).all.top1;
}

}  // namespace concord::tool
