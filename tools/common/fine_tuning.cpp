#include "tools/common/fine_tuning.h"

#include "tools/common/classification.h"
#include "tools/common/saved_configuration.h"
#include "tools/common/terminal.h"

namespace concord::tool {
namespace {

constexpr std::string_view kSuffix = "_ft";

}  // namespace

void add_fine_tuning_options(CommandLine& line, FineTuningOptions& options) {
  line.flag("--finetune", options.on,
            "keep the first layers of --weights and train the others; another number of classes "
            "gets a new last layer (the same as an architecture's name with _ft)");
  line.option("--train-from", options.train_from,
              "of --finetune: the first layer to train; those before it are neither updated nor "
              "decayed (default: conv5_1 of VGG, features.10 of AlexNet, layer3 of ResNet)");
  line.option("--reset-from", options.reset_from,
              "of --finetune: the first layer to start anew instead of from the weights, or none "
              "(default: layer3 of ResNet, none of the others)");
}

std::vector<std::string> architecture_names() {
  std::vector<std::string> names = network_names();
  const std::size_t count = names.size();
  for (std::size_t i = 0; i < count; ++i) names.push_back(names[i] + std::string(kSuffix));
  return names;
}

bool remove_fine_tuning_suffix(std::string& arch) {
  if (!arch.ends_with(kSuffix)) return false;
  arch.resize(arch.size() - kSuffix.size());
  return true;
}

void settle(FineTuningOptions& options, const Network& network) {
  const bool residual = network.head() == "fc";
  if (options.train_from.empty())
    options.train_from = residual                      ? "layer3"
                         : network.arch() == "alexnet" ? "features.10"
                                                       : "conv5_1";
  const auto steps = [&](const std::string& layer) { return network.steps_from(layer).size(); };
  if (options.reset_from.empty() && residual)
    // What starts anew must be trained.
    options.reset_from =
        steps(options.train_from) < steps("layer3") ? options.train_from : "layer3";
  if (options.reset_from.empty()) options.reset_from = "none";
  check_usage(
      options.reset_from == "none" || steps(options.reset_from) <= steps(options.train_from),
      "--reset-from {} comes before --train-from {}: layers would start anew and be frozen so",
      options.reset_from, options.train_from);
}

void start_fine_tuning(const FineTuningOptions& options, const std::string& weights,
                       Network& network) {
  std::vector<std::string> anew;
  std::string told = "nothing starts anew";
  if (options.reset_from != "none") {
    anew = network.steps_from(options.reset_from);
    told = fmt::format("{} and what follows start anew", options.reset_from);
  } else if (const std::int64_t classes = classes_in(weights); classes != network.classes()) {
    anew = {network.head()};
    told = fmt::format("{} starts anew, for {} classes instead of {}", network.head(),
                       network.classes(), classes);
  }
  load_weights(weights, network, anew);
  note("fine-tuning {}: {}", weights, told);
  freeze(options, network);
}

void freeze(const FineTuningOptions& options, Network& network) {
  const std::int64_t frozen = network.freeze_before(options.train_from);
  note("{} of {} parameter tensors are frozen, those before {}", frozen,
       network.named_parameters().size(), options.train_from);
}

}  // namespace concord::tool
