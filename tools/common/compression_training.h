#pragma once
// The two trainings of compression: with masks, and of shared weights.

#include <functional>

#include "tools/common/classifier_training.h"

namespace concord::tool {

// Epochs of a classifier whose parameters are bound: `before` each forward pass (and before the
// network is evaluated) they are brought into the network, `after` each backward pass its gradients
// are brought to them.
class BoundTask : public ClassifierTask {
 public:
  // `module` holds what is trained and goes into the checkpoints. What is referred to must outlive
  // this; `before` may be empty.
  BoundTask(Network& network, ClassifierData& data, bool graphs, Module& module,
            const std::function<void()>& before, const std::function<void()>& after);

  Module& module() override { return module_; }
  void replay() override;
  Values evaluate() override;

 private:
  Module& module_;
  std::function<void()> before_;
};

}  // namespace concord::tool
