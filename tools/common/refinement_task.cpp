#include "tools/common/refinement_task.h"

#include <limits>

#include "engine/autograd.h"
#include "tools/common/feature_pairs.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/training_pictures.h"

namespace concord::tool {

RefinementTask::RefinementTask(std::shared_ptr<Network> network, const std::string& layer,
                               RefinedFeatures& features, ClassifierData& data,
                               const OrderSubset& subset, const EvaluationPlan& plan, bool graphs)
    : network_(std::move(network)),
      layer_(layer),
      rest_(network_, layer),
      step_(rest_, graphs),
      features_(features),
      data_(data),
      subset_(subset),
      plan_(plan) {}

Tensor RefinementTask::refined(const Batch& batch) {
  return features_.sum(features_.maps(batch.images), subset_);
}

void RefinementTask::start(std::int64_t epoch, std::int64_t first_step) {
  epoch_ = epoch;
  rest_.set_training(true);
  data_.train->start(epoch, first_step);
}

bool RefinementTask::step(Step& step) {
  if (!data_.train->next(batch_)) return false;
  batch_.images = refined(batch_);
  step = step_.run(batch_);
  return true;
}

void RefinementTask::update(Optimizer& optimizer, double learning_rate) {
  step_.update(optimizer, learning_rate);
}

void RefinementTask::replay() { rest_(batch_.images); }

Values RefinementTask::evaluate() {
  const std::int64_t done = epoch_ + 1;
  if (done % plan_.every != 0 && done != plan_.epochs) return {};
  const NoGradGuard no_gradients;
  rest_.set_training(false);
  Loader& loader = *data_.validation;
  Progress progress("evaluating", loader.size(), "images");
  EvaluationSums sums(loader.set());
  std::int64_t seen = 0;
  loader.start(0);
  for (Batch batch; loader.next(batch);) {
    stop_if_interrupted();
    sums.add(batch, rest_(refined(batch)));
    seen += batch.labels.numel();
    progress.update(seen);
  }
  return values_of(sums.result());
}

double RefinementTask::score(const Values& values) const {
  for (const auto& [name, value] : values)
    if (name == "val_top1" || name == "val_accuracy") return value;
  return -std::numeric_limits<double>::infinity();  // not evaluated: never the best
}

std::vector<std::pair<std::string, Image>> RefinementTask::pictures() {
  if (shown_.empty()) shown_ = shown_photographs(*data_.validation);
  if (shown_.empty()) return {};
  const NoGradGuard no_gradients;
  rest_.set_training(false);
  const Tensor images = network_input(shown_);
  return pictures_of_rest(rest_, shown_, as_maps(network_->features(images, layer_)),
                          features_.sum(features_.maps(images), subset_), subset_.formula());
}

}  // namespace concord::tool
