#include <filesystem>

#include "data/feature_store.h"
#include "tools/bench/random_stores.h"
#include "tools/bench/step_inputs.h"
#include "tools/bench/step_kinds.h"
#include "tools/common/options.h"
#include "tools/common/program.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/training_steps.h"
#include "tools/common/trans_net_file.h"

namespace concord::bench {
namespace {

namespace fs = std::filesystem;

struct Translator {
  std::unique_ptr<TransNet> net;
  tool::PairBatch batch;
};

Translator translator_of(const std::string& maps, const StepOptions& options) {
  const Shape shape = maps_of(maps)->with(0, options.batch_size);
  Translator result;
  random::Generator generator(options.seed);
  result.net = std::make_unique<TransNet>(
      tool::trans_net_options(tool::TransNetChoice{}, shape[1], shape[1]), generator);
  if (!options.weights.empty()) tool::load_weights(options.weights, *result.net);
  result.net->to(options.device);
  result.batch.a = options.inputs.empty() ? random_maps(shape, options.seed, 1)
                                          : read_input(options.inputs, "a", 4);
  result.batch.b = options.inputs.empty() ? random_maps(shape, options.seed, 2)
                                          : read_input(options.inputs, "b", 4);
  for (Tensor* side : {&result.batch.a, &result.batch.b}) *side = side->to(options.device);
  return result;
}

class TrainTransNet final : public WholeStep {
 public:
  TrainTransNet(const std::string& maps, const StepOptions& options)
      : translator_(translator_of(maps, options)),
        step_(*translator_.net, alpha_of(*translator_.net), options.cuda_graph),
        lr_(options.lr > 0 ? options.lr : 1e-4) {
    tool::OptimizerOptions optimizer;
    optimizer.optimizer = "adam";
    optimizer_ = tool::make_optimizer(optimizer, translator_.net->named_parameters());
    flops_ = count_flops(*translator_.net, translator_.batch.a).training;
    translator_.net->set_training(true);
    if (options.input_batches == 1) return;
    const auto a = read_input_batches(options.inputs, "a", 4, options.input_batches);
    const auto b = read_input_batches(options.inputs, "b", 4, options.input_batches);
    for (std::size_t i = 0; i < a.size(); ++i) {
      batches_.emplace_back().a = a[i].to(options.device);
      batches_.back().b = b[i].to(options.device);
    }
  }
  void run() override {
    if (!batches_.empty()) translator_.batch = batches_[next_++ % batches_.size()];
    loss_ = tool::value_of(step_.run(translator_.batch).means, "loss");
    step_.update(*optimizer_, lr_);
  }
  double value() const override { return loss_; }
  double images() const override { return static_cast<double>(translator_.batch.a.dim(0)); }
  double flops() const override { return flops_; }
  std::string shape() const override { return translator_.batch.a.shape().to_string(); }
  tool::PairBatch& batch() { return translator_.batch; }

 private:
  static std::vector<double> alpha_of(const TransNet& net) {
    return std::vector<double>(static_cast<std::size_t>(net.options().orders - 1), 0.1);
  }

  Translator translator_;
  std::vector<tool::PairBatch> batches_;  // empty: the one of translator_
  std::size_t next_ = 0;
  tool::TransNetStep step_;
  std::unique_ptr<Optimizer> optimizer_;
  double lr_;
  double loss_ = 0;
  double flops_ = 0;
};

// What concord-transnet --evaluate and concord-variance do to a batch.
class Disentangle final : public WholeStep {
 public:
  Disentangle(const std::string& maps, const StepOptions& options)
      : translator_(translator_of(maps, options)) {
    translator_.net->set_training(false);
  }
  void run() override { translator_.net->disentangle(translator_.batch.a); }
  double images() const override { return static_cast<double>(translator_.batch.a.dim(0)); }
  std::string shape() const override { return translator_.batch.a.shape().to_string(); }

 private:
  Translator translator_;
};

std::unique_ptr<tool::FeaturePairs> stored_pairs(const std::string& maps,
                                                 const StepOptions& options) {
  tool::check_usage(!options.stores.empty(),
                    "give --stores, a folder for the feature stores a and b");
  const fs::path folder = options.stores;
  const Shape shape = maps_of(maps)->with(0, options.rows);
  if (!fs::exists(folder))
    write_random_stores(folder, shape, tool::stored_dtype_of_option(options.store_dtype),
                        options.seed);
  auto pairs = tool::pairs_from_stores(FeatureStore(folder / "a"), FeatureStore(folder / "b"),
                                       {.batch_size = options.batch_size,
                                        .shuffle = true,
                                        .seed = options.seed,
                                        .device = options.device,
                                        .memory = options.memory});
  check(pairs->shape_a() == shape.with(0, pairs->size()),
        "{}: holds features of {}, the step's are {}", options.stores, pairs->shape_a().to_string(),
        maps);
  pairs->start(0, 0);
  return pairs;
}

// The next batch of the shuffled order, of the next epoch when one is through.
void next_pair(tool::FeaturePairs& pairs, std::int64_t& epoch, tool::PairBatch& batch) {
  if (pairs.next(batch)) return;
  pairs.start(++epoch, 0);
  pairs.next(batch);
}

class TrainFromStores final : public WholeStep {
 public:
  TrainFromStores(const std::string& maps, const StepOptions& options)
      : trainer_(maps, options), pairs_(stored_pairs(maps, options)) {}
  void run() override {
    next_pair(*pairs_, epoch_, trainer_.batch());
    trainer_.run();
  }
  double value() const override { return trainer_.value(); }
  double images() const override { return trainer_.images(); }
  double flops() const override { return trainer_.flops(); }
  std::string shape() const override { return trainer_.shape(); }

 private:
  TrainTransNet trainer_;
  std::unique_ptr<tool::FeaturePairs> pairs_;
  std::int64_t epoch_ = 0;
};

class ReadStores final : public WholeStep {
 public:
  ReadStores(const std::string& maps, const StepOptions& options)
      : pairs_(stored_pairs(maps, options)), batch_size_(options.batch_size) {}
  void run() override { next_pair(*pairs_, epoch_, batch_); }
  double images() const override { return static_cast<double>(batch_size_); }
  std::string shape() const override { return pairs_->shape_a().with(0, batch_size_).to_string(); }

 private:
  std::unique_ptr<tool::FeaturePairs> pairs_;
  std::int64_t batch_size_;
  std::int64_t epoch_ = 0;
  tool::PairBatch batch_;
};

constexpr StepKind kKinds[] = {
    {"transnet", StepArgument::kMaps, "a Trans-Net's training step, Adam",
     make_step_of<TrainTransNet>},
    {"transnet-store", StepArgument::kMaps,
     "the same on the next batch of --stores, which is written where it is not there",
     make_step_of<TrainFromStores>},
    {"store-next", StepArgument::kMaps,
     "the next batch of --stores, read ahead; nothing is computed", make_step_of<ReadStores>},
    {"disentangle", StepArgument::kMaps, "a Trans-Net's orders of fuzziness",
     make_step_of<Disentangle>}};

}  // namespace

std::span<const StepKind> trans_net_steps() { return kKinds; }

}  // namespace concord::bench
