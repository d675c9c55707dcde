#include <cmath>
#include <optional>

#include "engine/autograd.h"
#include "tools/bench/step_inputs.h"
#include "tools/bench/step_kinds.h"
#include "tools/common/options.h"
#include "tools/common/program.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/training_steps.h"

namespace concord::bench {
namespace {

struct Classifier {
  random::Generator generator;
  std::shared_ptr<Network> network;
  std::vector<Batch> batches;
};

std::unique_ptr<Classifier> classifier_of(const std::string& arch, const StepOptions& options) {
  auto result = std::make_unique<Classifier>();
  result->generator = random::Generator(options.seed);
  std::optional<UninitializedParameters> loaded_next;
  if (!options.weights.empty()) loaded_next.emplace();
  result->network = make_network(arch, options.classes, result->generator);
  loaded_next.reset();
  if (!options.weights.empty()) tool::load_weights(options.weights, *result->network);
  result->network->to(options.device);
  if (options.no_dropout)
    for (const auto& [name, module] : result->network->named_modules())
      if (dynamic_cast<Dropout*>(module) != nullptr) module->freeze_mode();
  if (!options.inputs.empty()) {
    const auto images = read_input_batches(options.inputs, "images", 4, options.input_batches);
    const auto labels = read_input_batches(options.inputs, "labels", 1, options.input_batches);
    for (std::size_t i = 0; i < images.size(); ++i) {
      result->batches.emplace_back().images = images[i];
      result->batches.back().labels = labels[i];
    }
  } else {
    Batch& batch = result->batches.emplace_back();
    const std::int64_t n = options.batch_size;
    batch.images = random_maps({n, 3, options.image_size, options.image_size}, options.seed, 1);
    random::Stream stream(options.seed, 2);
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < n; ++i)
      labels.push_back(
          static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(options.classes))));
    batch.labels = Tensor::of({n}, labels);
  }
  for (Batch& batch : result->batches) {
    batch.images = batch.images.to(options.device);
    batch.device_labels = batch.labels.to(options.device);
  }
  return result;
}

class TrainClassifier final : public WholeStep {
 public:
  TrainClassifier(const std::string& arch, const StepOptions& options)
      : classifier_(classifier_of(arch, options)),
        step_(*classifier_->network, options.cuda_graph),
        lr_(options.lr > 0 ? options.lr : 0.01) {
    tool::OptimizerOptions optimizer;  // the experiments': SGD, momentum 0.9, weight decay 1e-4
    optimizer_ = tool::make_optimizer(optimizer, classifier_->network->named_parameters());
    flops_ = count_flops(*classifier_->network, classifier_->batches[0].images).training;
    classifier_->network->set_training(true);
  }
  void run() override {
    loss_ = tool::value_of(step_.run(classifier_->batches[next_]).means, "loss");
    next_ = (next_ + 1) % classifier_->batches.size();
    step_.update(*optimizer_, lr_);
  }
  double value() const override { return loss_; }
  double images() const override {
    return static_cast<double>(classifier_->batches[0].images.dim(0));
  }
  double flops() const override { return flops_; }
  std::string shape() const override { return classifier_->batches[0].images.shape().to_string(); }

 private:
  std::unique_ptr<Classifier> classifier_;
  tool::ClassifierStep step_;
  std::unique_ptr<Optimizer> optimizer_;
  double lr_;
  std::size_t next_ = 0;  // of the batches
  double loss_ = 0;
  double flops_ = 0;
};

class RunClassifier final : public WholeStep {
 public:
  RunClassifier(const std::string& arch, const StepOptions& options)
      : classifier_(classifier_of(arch, options)) {
    flops_ = count_flops(*classifier_->network, classifier_->batches[0].images).forward;
    classifier_->network->set_training(false);
  }
  void run() override {
    const NoGradGuard no_gradients;
    logits_ = (*classifier_->network)(classifier_->batches[0].images);
  }
  double value() const override {
    double sum = 0;
    for (const double logit : logits_.to_vector<double>()) sum += std::abs(logit);
    return sum / static_cast<double>(logits_.numel());
  }
  double images() const override {
    return static_cast<double>(classifier_->batches[0].images.dim(0));
  }
  double flops() const override { return flops_; }
  std::string shape() const override { return classifier_->batches[0].images.shape().to_string(); }

 private:
  std::unique_ptr<Classifier> classifier_;
  Tensor logits_;
  double flops_ = 0;
};

constexpr StepKind kKinds[] = {
    {"train", StepArgument::kArchitecture, "a classifier's training step, SGD",
     make_step_of<TrainClassifier>},
    {"infer", StepArgument::kArchitecture, "a classifier's logits, evaluation mode",
     make_step_of<RunClassifier>}};

}  // namespace

std::span<const StepKind> classifier_steps() { return kKinds; }

}  // namespace concord::bench
