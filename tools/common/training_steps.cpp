#include "tools/common/training_steps.h"

#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "tools/common/classification.h"

namespace concord::tool {

Step classifier_step(Network& network, const Batch& batch) {
  const Tensor on_device = network(batch.images);
  const Tensor loss = cross_entropy(on_device, batch.labels.to(on_device.device()));
  loss.backward();
  const Tensor logits = on_device.to(Device{});
  std::int64_t hits = 0;
  for (std::int64_t i = 0; i < logits.dim(0); ++i)
    hits += rank_of_label(logits, i, batch.labels.data<std::int64_t>()[i]) == 0;
  Step step{.number = batch.number, .samples = logits.dim(0), .means = {}};
  step.means = {{"loss", loss.item()},
                {"top1", static_cast<double>(hits) / static_cast<double>(step.samples)}};
  return step;
}

Step trans_net_step(TransNet& net, const PairBatch& batch, const std::vector<double>& alpha) {
  const Tensor y = net(batch.a);
  const Tensor mse = mse_loss(y, batch.b.to(y.device()));
  const Tensor gates = net.gates();
  const Tensor penalty = gate_penalty(gates, alpha);
  const Tensor loss = add(mse, penalty);
  const auto p = gates.to_vector<float>();
  loss.backward();
  Step step{.number = batch.number, .samples = batch.a.dim(0), .means = {}};
  step.means = {{"loss", loss.item()}, {"mse", mse.item()}, {"penalty", penalty.item()}};
  const Tensor& gradient = net.gate_logits().grad();
  if (!gradient.defined()) return step;
  const auto dq = gradient.to_vector<float>();
  for (std::size_t i = 0; i < p.size(); ++i)
    step.means.emplace_back(fmt::format("dL/dp_{}", i), dq[i] / (p[i] * (1.0 - p[i])));
  return step;
}

}  // namespace concord::tool
