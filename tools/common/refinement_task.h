#pragma once
// The training of the rest of network B on sums of orders.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tools/common/classifier_training.h"
#include "tools/common/refinement.h"
#include "tools/common/training.h"

namespace concord::tool {

// After which epochs, of how many, validation images are looked at; after the last in any case.
struct EvaluationPlan {
  std::int64_t every = 10;
  std::int64_t epochs = 100;
};

// Epochs of B's rest after `layer` on one subset of orders of the images of ClassifierData. Its
// module is all of B, so that its checkpoints are networks like any other; what must not be trained
// is frozen before (Network::freeze_through). The best epoch is that of the highest val_top1, for
// several labels an image val_accuracy, among those that were evaluated.
class RefinementTask : public TrainingTask {
 public:
  // What is referred to must outlive this.
  RefinementTask(std::shared_ptr<Network> network, const std::string& layer,
                 RefinedFeatures& features, ClassifierData& data, const OrderSubset& subset,
                 const EvaluationPlan& plan, bool graphs);

  Module& module() override { return *network_; }
  std::int64_t steps() const override { return data_.train->batches(); }
  std::int64_t samples() const override { return data_.train->size(); }
  void start(std::int64_t epoch, std::int64_t first_step) override;
  bool step(Step& step) override;
  void update(Optimizer& optimizer, double learning_rate) override;
  void replay() override;
  Values evaluate() override;
  double score(const Values& values) const override;
  // pictures_of_rest of images that are validated on.
  std::vector<std::pair<std::string, Image>> pictures() override;

 private:
  Tensor refined(const Batch& batch);

  std::shared_ptr<Network> network_;
  std::string layer_;
  RestOfNetwork rest_;
  ClassifierStep step_;
  RefinedFeatures& features_;
  ClassifierData& data_;
  const OrderSubset& subset_;
  EvaluationPlan plan_;
  Batch batch_;  // its images are B's features
  std::int64_t epoch_ = 0;
  std::vector<Image> shown_;  // what pictures() shows, once read
};

}  // namespace concord::tool
