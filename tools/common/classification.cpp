#include "tools/common/classification.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/autograd.h"
#include "engine/checkpoint.h"
#include "engine/layers.h"
#include "engine/ops/loss.h"
#include "tools/common/interrupt.h"
#include "tools/common/non_finite.h"
#include "tools/common/progress.h"
#include "tools/common/saved_configuration.h"

namespace concord::tool {
namespace {

std::int64_t classes_of(const SafetensorsFile& file) {
  for (const char* name : {"fc.weight", "classifier.6.weight"})
    for (const std::string& prefix : {std::string(), std::string("module.")})
      if (file.contains(prefix + name)) return file.shape(prefix + name)[0];
  fail("{}: has neither fc.weight nor classifier.6.weight, so it is no classifier of Concord's",
       file.path().string());
}

}  // namespace

SavedNetwork load_network(const std::string& weights, const std::string& arch) {
  const nlohmann::json configuration = saved_configuration(weights);
  SavedNetwork saved;
  const std::string name = arch.empty() ? configuration.value("arch", "") : arch;
  check(!name.empty(),
        "{}: does not name its architecture (a Trans-Net, or not written by concord-train); give "
        "--arch",
        weights);
  std::int64_t classes = configuration.value("classes", std::int64_t{0});
  if (classes == 0) classes = classes_of(SafetensorsFile(weights));
  saved.class_names = configuration.value("class_names", std::vector<std::string>());
  saved.image_size = configuration.value("image_size", 0);
  saved.generator = std::make_shared<random::Generator>(0);
  {
    const UninitializedParameters loaded_next;
    saved.network = make_network(name, classes, *saved.generator);
  }
  load_parameters(weights, *saved.network);
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
    sample.label = renamed[static_cast<std::size_t>(sample.label)];
  return missing;
}

Accuracy evaluate_classifier(Network& network, Loader& loader,
                             const std::function<void(const Batch&, const Tensor&)>& each) {
  const NoGradGuard no_gradients;
  network.set_training(false);
  Progress progress("evaluating", loader.size(), "images");
  Accuracy result;
  loader.start(0);
  for (Batch batch; loader.next(batch);) {
    stop_if_interrupted();
    const Tensor logits = network(batch.images).to(Device{});
    const std::int64_t count = logits.dim(0);
    result.loss += cross_entropy(logits, batch.labels).item() * static_cast<double>(count);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t rank = rank_of_label(logits, i, batch.labels.data<std::int64_t>()[i]);
      result.top1 += rank < 1;
      result.top5 += rank < 5;
    }
    result.samples += count;
    if (each) each(batch, logits);
    progress.update(result.samples);
  }
  const double samples = static_cast<double>(std::max<std::int64_t>(1, result.samples));
  result.loss /= samples;
  result.top1 /= samples;
  result.top5 /= samples;
  return result;
}

}  // namespace concord::tool
