#include "tools/common/compression_training.h"

namespace concord::tool {

BoundTask::BoundTask(Network& network, ClassifierData& data, bool graphs, Module& module,
                     const std::function<void()>& before, const std::function<void()>& after)
    : ClassifierTask(network, data, ClassifierStep(network, graphs, before, after)),
      module_(module),
      before_(before) {}

void BoundTask::replay() {
  if (before_) before_();
  ClassifierTask::replay();
}

Values BoundTask::evaluate() {
  if (before_) before_();
  return ClassifierTask::evaluate();
}

}  // namespace concord::tool
