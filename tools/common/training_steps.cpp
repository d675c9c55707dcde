#include "tools/common/training_steps.h"

#include <cstring>
#include <utility>

#include "engine/autograd.h"
#include "engine/ops/activation.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "engine/ops/top_k.h"
#include "engine/precision.h"

namespace concord::tool {
namespace {

// The elements of plain tensors of one device, side by side, so that the host waits once to read
// them all.
Tensor packed(const std::vector<Tensor>& tensors) {
  std::int64_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += static_cast<std::int64_t>(tensor.bytes());
  Tensor result =
      Tensor::empty({bytes}, {.dtype = DType::kUInt8, .device = tensors.front().device()});
  auto* to = result.data<std::uint8_t>();
  for (const Tensor& tensor : tensors) {
    kernels::copy(tensor.device(), to, tensor.view().data, tensor.bytes());
    to += tensor.bytes();
  }
  return result;
}

// Packed values on the host, to be taken off one after the other.
class Unpacked {
 public:
  explicit Unpacked(const Tensor& packed) : host_(packed.to(Device{})) {}
  template <class T>
  std::vector<T> next(std::size_t count) {
    std::vector<T> values(count);
    if (count > 0)
      std::memcpy(values.data(), std::as_const(host_).data<std::uint8_t>() + at_,
                  count * sizeof(T));
    at_ += count * sizeof(T);
    return values;
  }

 private:
  Tensor host_;
  std::size_t at_ = 0;
};

// BCE for targets, CE for labels.
Tensor loss_of_truth(const Tensor& logits, const Tensor& truth) {
  return truth.dtype() == DType::kInt64 ? cross_entropy(logits, truth)
                                        : binary_cross_entropy_with_logits(logits, truth);
}

// What the host reads of a classifier's step: its answers, the truth, and the losses.
Tensor answers_and_losses(const Tensor& logits, const Tensor& truth,
                          const std::vector<Tensor>& losses) {
  const bool labels = truth.dtype() == DType::kInt64;
  std::vector<Tensor> results = {labels ? top_k(logits.detach(), 1).indices : logits.detach(),
                                 truth};
  for (const Tensor& loss : losses) results.push_back(loss.detach().to(DType::kFloat32));
  return packed(results);
}

// answers_and_losses of labels, read; `names` are those of the losses.
Step read_labels(const Tensor& results, const std::vector<std::string>& names) {
  constexpr std::size_t kPerSample = 2 * sizeof(std::int64_t);
  const std::size_t samples = (results.bytes() - names.size() * sizeof(float)) / kPerSample;
  Unpacked values(results);
  const auto best = values.next<std::int64_t>(samples);
  const auto labels = values.next<std::int64_t>(samples);
  std::int64_t hits = 0;
  for (std::size_t i = 0; i < samples; ++i) hits += best[i] == labels[i];
  Step step;
  step.samples = static_cast<std::int64_t>(samples);
  for (const std::string& name : names) step.means.emplace_back(name, values.next<float>(1)[0]);
  step.means.emplace_back("top1", static_cast<double>(hits) / static_cast<double>(samples));
  return step;
}

// Likewise of targets.
Step read_targets(const Tensor& results, std::int64_t labels,
                  const std::vector<std::string>& names) {
  const std::size_t elements = (results.bytes() / sizeof(float) - names.size()) / 2;
  Unpacked values(results);
  const auto logits = values.next<float>(elements);
  const auto targets = values.next<float>(elements);
  std::int64_t right = 0;
  for (std::size_t i = 0; i < elements; ++i) right += (logits[i] > 0) == (targets[i] > 0.5F);
  Step step;
  step.samples = static_cast<std::int64_t>(elements) / labels;
  for (const std::string& name : names) step.means.emplace_back(name, values.next<float>(1)[0]);
  step.means.emplace_back("accuracy", static_cast<double>(right) / static_cast<double>(elements));
  return step;
}

}  // namespace

Tensor run_classifier(Module& network, const Tensor& images, const Tensor& given) {
  const Tensor truth = given.to(network.device());  // first, for it waits where they are the host's
  const Tensor logits = network(images);
  const Tensor loss = loss_of_truth(logits, truth);
  loss.backward();
  return answers_and_losses(logits, truth, {loss});
}

Step read_classifier(const Tensor& results) { return read_labels(results, {"loss"}); }

Step read_multi_label_classifier(const Tensor& results, std::int64_t labels) {
  return read_targets(results, labels, {"loss"});
}

Tensor logits_of_teacher(Network& teacher, const Tensor& images) {
  const NoGradGuard no_gradients;
  return teacher(images).detach();
}

Tensor run_student(Network& network, const Tensor& images, const Tensor& given,
                   const Tensor& given_teacher_logits, const Tensor& lambda, double tau) {
  const Tensor truth = given.to(network.device());
  const Tensor teacher_logits = given_teacher_logits.to(network.device());
  const Tensor logits = network(images);
  const Tensor of_truth = loss_of_truth(logits, truth);
  const Tensor kd =
      truth.dtype() == DType::kInt64
          ? distillation_loss(logits, teacher_logits, tau)
          : scale(binary_cross_entropy_with_logits(scale(logits, 1 / tau),
                                                   sigmoid(scale(teacher_logits, 1 / tau))),
                  tau * tau);
  const Tensor loss = add(of_truth, multiply(kd, lambda));
  loss.backward();
  return answers_and_losses(logits, truth, {loss, of_truth, kd});
}

Step read_student(const Tensor& results) { return read_labels(results, {"loss", "ce", "kd"}); }

Step read_multi_label_student(const Tensor& results, std::int64_t labels) {
  return read_targets(results, labels, {"loss", "bce", "kd"});
}

Tensor run_trans_net(TransNet& net, const Tensor& a, const Tensor& b,
                     const std::vector<double>& alpha) {
  // Both sides in the network's precision, so that y need not be brought back to theirs.
  const Tensor y = net(in_network_precision(a.to(net.device())));
  const Tensor mse = mse_loss(y, in_network_precision(b.to(y.device())));
  const Tensor gates = net.gates();
  const Tensor penalty = gate_penalty(gates, alpha);
  const Tensor loss = add(mse, penalty);
  loss.backward();
  std::vector<Tensor> results = {loss, mse, penalty};
  if (const Tensor& gradient = net.gate_logits().grad(); gradient.defined())
    results.insert(results.end(), {gates, gradient});
  for (Tensor& result : results) result = result.detach().to(DType::kFloat32);
  return packed(results);
}

Step read_trans_net(const Tensor& results) {
  const std::size_t gates = (results.bytes() / sizeof(float) - 3) / 2;
  Unpacked values(results);
  const auto means = values.next<float>(3);
  const auto p = values.next<float>(gates);
  const auto dq = values.next<float>(gates);
  Step step;
  step.means = {{"loss", means[0]}, {"mse", means[1]}, {"penalty", means[2]}};
  for (std::size_t i = 0; i < gates; ++i)
    step.means.emplace_back(fmt::format("dL/dp_{}", i), dq[i] / (p[i] * (1.0 - p[i])));
  return step;
}

ClassifierStep::ClassifierStep(Module& network, bool graphs)
    : step_(network.device(), graphs, [&network](const std::vector<Tensor>& inputs) {
        return std::vector<Tensor>{run_classifier(network, inputs[0], inputs[1])};
      }) {}

ClassifierStep::ClassifierStep(Network& network, const Teaching& teaching, bool graphs)
    : teacher_(teaching.teacher),
      teacher_apart_(teaching.teacher->device() != network.device()),
      lambda_(Tensor::full({}, teaching.lambda, {.device = network.device()})),
      step_(network.device(), graphs,
            [&network, teacher = teaching.teacher,
             tau = teaching.tau](const std::vector<Tensor>& inputs) {
              const Tensor known =
                  inputs.size() > 3 ? inputs[3] : logits_of_teacher(*teacher, inputs[0]);
              return std::vector<Tensor>{
                  run_student(network, inputs[0], inputs[1], known, inputs[2], tau)};
            }) {}

void ClassifierStep::set_lambda(double lambda) { lambda_.fill(lambda); }

ClassifierStep::ClassifierStep(Module& network, bool graphs, std::function<void()> before,
                               std::function<void()> after)
    : step_(network.device(), graphs,
            [&network, before = std::move(before),
             after = std::move(after)](const std::vector<Tensor>& inputs) {
              if (before) before();
              const Tensor results = run_classifier(network, inputs[0], inputs[1]);
              after();
              return std::vector<Tensor>{results};
            }) {}

Step ClassifierStep::run(const Batch& batch) {
  const bool multi_label = batch.targets.defined();
  std::vector<Tensor> inputs = {batch.images, multi_label ? batch.targets : batch.device_labels};
  if (teacher_ != nullptr) inputs.push_back(lambda_);
  if (teacher_apart_) inputs.push_back(logits_of_teacher(*teacher_, batch.images));
  const Tensor results = step_.run(inputs).front();
  const std::int64_t labels = multi_label ? batch.targets.dim(1) : 0;
  Step step;
  if (teacher_ != nullptr)
    step = multi_label ? read_multi_label_student(results, labels) : read_student(results);
  else
    step = multi_label ? read_multi_label_classifier(results, labels) : read_classifier(results);
  step.number = batch.number;
  return step;
}

TransNetStep::TransNetStep(TransNet& net, std::vector<double> alpha, bool graphs)
    : step_(net.device(), graphs,
            [&net, alpha = std::move(alpha)](const std::vector<Tensor>& inputs) {
              return std::vector<Tensor>{run_trans_net(net, inputs[0], inputs[1], alpha)};
            }) {}

Step TransNetStep::run(const PairBatch& batch) {
  Step step = read_trans_net(step_.run({batch.a, batch.b}).front());
  step.number = batch.number;
  step.samples = batch.a.dim(0);
  return step;
}

}  // namespace concord::tool
