#include "tools/common/trans_net_training.h"

#include "engine/autograd.h"
#include "engine/ops/loss.h"
#include "tools/common/interrupt.h"
#include "tools/common/progress.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"
#include "tools/common/training_pictures.h"
#include "tools/common/training_steps.h"

namespace concord::tool {
namespace {

class TransNetTask : public TrainingTask {
 public:
  TransNetTask(TransNet& net, PairSources& sources, std::vector<double> alpha, bool graphs)
      : net_(net),
        step_(net, std::move(alpha), graphs),
        sources_(sources),
        shown_(sources.validation == nullptr ? 0 : sources.validation->size()) {}

  Module& module() override { return net_; }
  std::int64_t steps() const override { return sources_.train->batches(); }
  std::int64_t samples() const override { return sources_.train->size(); }

  void start(std::int64_t epoch, std::int64_t first_step) override {
    net_.set_training(true);
    sources_.train->start(epoch, first_step);
  }

  bool step(Step& step) override {
    if (!sources_.train->next(batch_)) return false;
    step = step_.run(batch_);
    return true;
  }
  void update(Optimizer& optimizer, double learning_rate) override {
    step_.update(optimizer, learning_rate);
  }

  void replay() override {
    check_finite(batch_);
    net_(batch_.a);
  }

  Values evaluate() override {
    const NoGradGuard no_gradients;
    Values values;
    const auto p = net_.gates().to_vector<float>();
    for (std::size_t i = 0; i < p.size(); ++i) values.emplace_back(fmt::format("p_{}", i), p[i]);
    if (sources_.validation == nullptr) return values;
    net_.set_training(false);
    double squares = 0;
    std::int64_t samples = 0;
    Progress progress("validating", sources_.validation->size(), "images");
    sources_.validation->start(0, 0);
    for (PairBatch pair; sources_.validation->next(pair);) {
      stop_if_interrupted();
      const std::int64_t count = pair.a.dim(0);
      shown_.collect(pair, samples);
      const Tensor y = net_(pair.a);
      squares += mse_loss(y, pair.b.to(y.device())).item() * static_cast<double>(count);
      samples += count;
      progress.update(samples);
    }
    values.emplace_back("val_mse", squares / static_cast<double>(samples));
    return values;
  }

  double score(const Values& values) const override {
    return -value_of(values, sources_.validation == nullptr ? "loss" : "val_mse");
  }

  std::vector<std::pair<std::string, Image>> pictures() override {
    if (shown_.empty()) {  // nothing is held out
      sources_.train->start(0, 0);
      PairBatch pair;
      if (!sources_.train->next(pair)) return {};
      shown_ = ShownPairs(pair.a.dim(0));
      shown_.collect(pair, 0);
    }
    net_.set_training(false);
    return {{"maps/orders", shown_.picture(net_)}};
  }

 private:
  TransNet& net_;
  TransNetStep step_;
  PairSources& sources_;
  PairBatch batch_;
  ShownPairs shown_;
};

void check_alike(const char* which, const Shape& train, const Shape& validation) {
  check(validation == train.with(0, validation[0]),
        "features {} to train on are {}, those to validate on {}; extract both alike", which,
        train.to_string(), validation.to_string());
}

nlohmann::ordered_json settings_of(const TransNetTraining& training, const FeaturePairs& pairs,
                                   const TransNet& net, const std::vector<double>& alpha) {
  nlohmann::ordered_json settings;
  settings["features"] = pairs.fingerprint();
  for (const auto& [name, value] : training.settings.items()) settings[name] = value;
  settings["--weights"] = training.weights;
  settings["--continue-from"] = training.continue_from;
  settings["Trans-Net"] = to_json(net.options());
  settings["--alpha"] = alpha;
  settings["--seed"] = training.run.seed;
  add_settings(settings, training.device);
  add_settings(settings, training.optimizer);
  return settings;
}

}  // namespace

void add_penalty_options(CommandLine& line, PenaltyOptions& options) {
  line.option("--alpha", options.alpha,
              "weight of the penalty alpha p^2: one value, or one per gate", in_range(0, 1e9));
  line.flag("--no-penalty", options.off, "leave the penalty of the gates out");
}

std::vector<double> penalties(const PenaltyOptions& options, std::int64_t orders) {
  const auto gates = static_cast<std::size_t>(orders - 1);
  if (options.off) return std::vector<double>(gates, 0.0);
  if (options.alpha.size() == 1) return std::vector<double>(gates, options.alpha.front());
  check_usage(options.alpha.size() == gates,
              "--alpha has {} values; give one, or one for each of the {} gates of --orders {}",
              options.alpha.size(), gates, orders);
  return options.alpha;
}

TrainedTransNet train_trans_net(const TransNetTraining& training, PairSources& sources,
                                const CommandLine& line) {
  const std::vector<double> alpha = penalties(training.penalty, training.net.orders);
  const Shape a = sources.train->shape_a();
  const Shape b = sources.train->shape_b();
  if (sources.validation != nullptr) {
    check_alike("A", a, sources.validation->shape_a());
    check_alike("B", b, sources.validation->shape_b());
  }
  if (a[2] * a[3] == 1 && b[2] * b[3] > 1 && training.net.input_norm != "batch")
    warn(
        "features A are single values, constant once brought to B's {}x{} maps, and --input-norm "
        "{} divides by their deviation over the map; use --input-norm batch",
        b[2], b[3], training.net.input_norm);
  random::Generator generator(training.run.seed);
  TrainedTransNet trained;
  trained.net = std::make_unique<TransNet>(trans_net_options(training.net, a[1], b[1]), generator);
  check_usage(training.weights.empty() || training.continue_from.empty(),
              "--weights and --continue-from exclude each other");
  if (!training.weights.empty()) load_weights(training.weights, *trained.net);
  trained.net->to(training.device.place);

  TrainingSetup setup;
  setup.run = training.run;
  setup.optimizer = training.optimizer;
  setup.network = {{"kind", "trans-net"},
                   {"trans_net", to_json(trained.net->options())},
                   {"features_a", a.to_string()},
                   {"features_b", b.to_string()}};
  setup.settings = settings_of(training, *sources.train, *trained.net, alpha);
  setup.generator = &generator;
  setup.continue_from = training.continue_from;
  setup.run.inputs.insert(setup.run.inputs.end(), {training.weights, training.continue_from});
  RunDirectory directory(setup.run, kTrainingFiles);
  note("Trans-Net of {} orders, {} to {}", training.net.orders, a.to_string(), b.to_string());
  TransNetTask task(*trained.net, sources, alpha, training.device.cuda_graph);
  trained.best = train(task, setup, line, directory);
  trained.net->set_training(false);
  return trained;
}

}  // namespace concord::tool
