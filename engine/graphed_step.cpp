#include "engine/graphed_step.h"

#include <utility>

namespace concord {

GraphedStep::GraphedStep(Device device, bool graphs, Step step)
    : device_(device), graphs_(graphs), step_(std::move(step)) {
  check(!graphs || kernels::capture.available(device.type),
        "graph: {} captures no work; graphs need a CUDA device", name_of(device));
}

GraphedStep::Signature GraphedStep::signature_of(const Tensors& inputs) {
  Signature signature;
  for (const Tensor& input : inputs) {
    signature.numbers.insert(
        signature.numbers.end(),
        {static_cast<std::int64_t>(input.dtype()), static_cast<std::int64_t>(input.format()),
         static_cast<std::int64_t>(input.shape().rank())});
    for (const std::int64_t size : input.shape().sizes()) signature.numbers.push_back(size);
  }
  return signature;
}

// Whether it is now this signature's turn to be captured.
bool GraphedStep::is_due(const Signature& signature) {
  int& done = warm_ups_[signature];
  if (done >= kWarmUps) return true;
  ++done;
  return false;
}

void GraphedStep::capture(const Signature& signature, const Tensors& inputs) {
  // The update's graph holds memory of the pass.
  update_.reset();
  pass_.reset();
  results_.clear();
  captured_results_.clear();
  inputs_.clear();
  for (const Tensor& input : inputs)
    inputs_.push_back(Tensor::empty(input.shape(), {input.dtype(), device_, input.format()}));
  auto pass =
      std::make_unique<DeviceGraph>(device_, [this] { captured_results_ = step_(inputs_); });
  pass_ = std::move(pass);
  captured_ = signature;
}

const GraphedStep::Tensors& GraphedStep::run(const Tensors& inputs) {
  replayed_ = false;
  if (graphs_) {
    check(!awaits_update_,
          "graph: a second step without an update of the first; gradients of several steps do not "
          "add up in graphs");
    const Signature signature = signature_of(inputs);
    const bool is_captured = pass_ != nullptr && signature == captured_;
    if (!is_captured && is_due(signature)) capture(signature, inputs);
    if (pass_ != nullptr && signature == captured_) {
      warm_ups_.clear();
      for (std::size_t i = 0; i < inputs.size(); ++i) inputs_[i].copy_from(inputs[i]);
      pass_->replay();
      replayed_ = true;
      awaits_update_ = true;
      return captured_results_;
    }
  }
  results_ = step_(inputs);
  awaits_update_ = true;
  return results_;
}

void GraphedStep::update(Optimizer& optimizer, double learning_rate) {
  check(optimizer_ == nullptr || optimizer_ == &optimizer,
        "graph: another optimiser than before; its update is not what was captured");
  optimizer_ = &optimizer;
  optimizer.set_learning_rate(learning_rate);
  awaits_update_ = false;
  if (!replayed_) {
    optimizer.update();
    return;
  }
  if (update_ == nullptr)
    update_ = std::make_unique<DeviceGraph>(device_, [&optimizer] { optimizer.update(); });
  update_->replay();
}

}  // namespace concord
