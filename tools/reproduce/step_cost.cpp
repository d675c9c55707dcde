#include "tools/reproduce/step_cost.h"

#include <algorithm>
#include <functional>
#include <map>

#include "engine/autograd.h"
#include "models/trans_net.h"
#include "tools/common/refinement.h"

namespace concord::reproduce {
namespace {

constexpr double kBytesOfValue = 4;
// Training is timed in small batches: a large one takes minutes on a CPU, and its rate is alike.
constexpr double kLargestTimedBatch = 16;
// As measured: a report and the columns of a list for each channel, and the pictures of a
// diagnosis at their usual size.
constexpr double kBytesOfChannel = 260;
constexpr double kBytesOfReport = 4096;
constexpr double kBytesOfPictures = 1.5e6;
// As measured: a histogram and a picture of TensorBoard's (training_events.h says how many).
constexpr double kBytesOfHistogram = 3600;
constexpr double kBytesOfEventPicture = 120e3;

std::string maps_text(const MapShape& shape) {
  return fmt::format("{}x{}x{}", shape[0], shape[1], shape[2]);
}

double bytes_of_maps(const MapShape& shape) {
  double bytes = kBytesOfValue;
  for (const std::int64_t extent : shape) bytes *= static_cast<double>(extent);
  return bytes;
}

// best.safetensors, and last.safetensors, which has the optimiser's values too.
double bytes_of_checkpoints(double values, double trained, const std::string& optimizer) {
  return kBytesOfValue * (2 * values + (optimizer == "adam" ? 2 : 1) * trained);
}

// One step's options and what is known of what they name.
class Costing {
 public:
  Costing(const Step& step, Facts& facts) : step_(step), facts_(facts) {}

  StepCost train() {
    const auto network = facts_.network(step_);
    const auto images = data();
    if (!network || !images) return {};
    StepCost cost;
    cost.bytes = classifier_checkpoints(*network);
    const double epochs = number("--epochs");
    cost.work = {training(*network, epochs * training_images(*images)),
                 inference(*network, epochs * static_cast<double>(images->validation))};
    return cost;
  }

  StepCost features() {
    const auto network = facts_.network_in(option("--weights"));
    const auto features = facts_.features(step_);
    if (!features) return {};
    const auto images = static_cast<double>(features->images);
    StepCost cost;
    cost.bytes =
        images * bytes_of_maps(features->shape) / (option("--store-dtype") == "fp32" ? 1 : 2);
    if (network) cost.work = {inference(*network, images)};
    return cost;
  }

  StepCost transnet() {
    const auto a = side("a", "train");
    const auto b = side("b", "train");
    if (!a || !b) return {};
    StepCost cost;
    cost.bytes = trans_net_checkpoints(*a, *b, option("--optimizer"), "--epochs");
    const double images = number("--epochs") * static_cast<double>(b->images);
    cost.work = {trans_net_training(*b, images)};
    for (const Side& one : {*a, *b})
      if (one.network) cost.work.push_back(inference(*one.network, images));
    return cost;
  }

  StepCost variance() {
    const auto a = side("a", option("--split"));
    const auto b = side("b", option("--split"));
    if (!a || !b) return {};
    const auto images = static_cast<double>(b->images);
    StepCost cost;
    cost.bytes = kBytesOfReport + kBytesOfChannel * static_cast<double>(b->shape[0]);
    cost.work = {splitting(*b, images)};
    for (const Side& one : {*a, *b})
      if (one.network) cost.work.push_back(inference(*one.network, images));
    return cost;
  }

  StepCost similarity() {
    if (option("--measures").find("stitch") != std::string::npos) return {};
    StepCost cost;
    cost.bytes = kBytesOfReport;
    return cost;
  }

  StepCost refine() {
    const auto a = side("a", "train");
    const auto b = side("b", "train");
    const auto images = data();
    if (!a || !b || !a->network || !b->network || !images) return {};
    const auto trained = facts_.trained_after(*b->network, b->layer);
    if (!trained) return {};
    const Step* net = facts_.step_in(option("--transnet-weights"));
    const double orders =
        net != nullptr ? facts_.number(*net, "--orders").value_or(kOrders) : kOrders;
    const auto subsets = static_cast<double>(
        tool::order_subsets(list("--orders"), static_cast<std::int64_t>(orders)).size());
    StepCost cost;
    cost.bytes =
        kBytesOfReport + subsets * bytes_of_checkpoints(static_cast<double>(b->network->parameters),
                                                        static_cast<double>(*trained),
                                                        option("--optimizer"));
    const double seen = subsets * number("--epochs") * training_images(*images);
    const double judged = (2 + 2 * subsets) * static_cast<double>(images->validation);
    cost.work = {training(*b->network, seen), inference(*a->network, seen + judged),
                 splitting(*b, seen + judged), inference(*b->network, judged)};
    return cost;
  }

  StepCost diagnose() {
    const auto strong = network_at_layer(facts_.network_in(option("--weights-strong")), "-strong");
    const auto weak = network_at_layer(facts_.network_in(option("--weights-weak")), "-weak");
    if (!strong || !weak) return {};
    StepCost cost;
    cost.bytes = kBytesOfReport + 2 * kBytesOfPictures +
                 2 * kBytesOfChannel * static_cast<double>(strong->shape[0] + weak->shape[0]);
    compare(*strong, *weak, 1, "--epochs", cost);
    compare(*weak, *strong, 1, "--epochs", cost);
    return cost;
  }

  StepCost compress() {
    const auto network = facts_.network_in(option("--weights"));
    const auto images = data();
    if (!network || !images) return {};
    const auto values = static_cast<double>(network->parameters);
    const double bits = option("--bits").empty() ? 5 : number("--bits");
    StepCost cost;
    // pruned, shared and compressed; the codes of all weights, of which some are pruned.
    cost.bytes = 3 * kBytesOfValue * values + values * bits / 8;
    if (number("--epochs") > 0) *cost.bytes += classifier_checkpoints(*network);
    const double epochs = number("--epochs") + number("--share-epochs");
    cost.work = {training(*network, epochs * training_images(*images)),
                 inference(*network, (5 + epochs) * static_cast<double>(images->validation))};
    if (option("--layer").empty()) return cost;
    const auto at = network_at_layer(network, "");
    if (!at) return {};
    compare(*at, *at, 2, "--transnet-epochs", cost);
    return cost;
  }

  StepCost born_again() {
    const auto network = facts_.network(step_);
    const auto images = data();
    if (!network || !images) return {};
    const double generations = number("--generations");
    const double trained = generations - (option("--weights").empty() ? 0 : 1);
    const double epochs = number("--epochs");
    const double seen = epochs * training_images(*images);
    StepCost cost;
    cost.bytes = kBytesOfReport + trained * classifier_checkpoints(*network);
    cost.work = {training(*network, trained * seen),
                 inference(*network,
                           (generations - 1) * seen + (trained * epochs + generations) *
                                                          static_cast<double>(images->validation))};
    if (option("--layer").empty()) return cost;
    const auto at = network_at_layer(network, "");
    if (!at) return {};
    // From each generation to the next, and from the first to each after that.
    const double pairs = std::max(0.0, generations - 1) + std::max(0.0, generations - 2);
    compare(*at, *at, pairs, "--transnet-epochs", cost);
    return cost;
  }

 private:
  static constexpr double kOrders = 3;

  struct Side {
    MapShape shape{};
    std::int64_t images = 0;
    std::int64_t held_out = 0;            // where it is computed on the way
    std::optional<NetworkFacts> network;  // where it is computed on the way
    std::string layer;
  };

  std::string option(const std::string& name) const { return facts_.option(step_, name); }
  double number(const std::string& name) const { return facts_.number(step_, name).value_or(0); }
  std::vector<std::string> list(const std::string& name) const {
    std::vector<std::string> texts;
    if (!step_.options.contains(name)) return texts;
    const Json& value = step_.options[name];
    for (const Json& one : value.is_array() ? value : Json::array({value})) {
      const std::string text = one.is_string() ? one.get<std::string>() : one.dump();
      for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        texts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
      }
    }
    return texts;
  }

  std::optional<DataFacts> data() { return facts_.data(option("--data")); }
  double training_images(const DataFacts& images) const {
    return static_cast<double>(images.train) * (option("--half").empty() ? 1 : 0.5);
  }

  // Features of A or B: a store, or a network at a layer.
  std::optional<Side> side(const std::string& which, const std::string& split) {
    if (const auto stored = facts_.features_in(option("--features-" + which)))
      return Side{.shape = stored->shape, .images = stored->images, .network = {}, .layer = {}};
    auto result = network_at_layer(facts_.network_in(option("--weights-" + which)), "-" + which);
    if (result && split != "train") result->images = result->held_out;
    return result;
  }
  std::optional<Side> network_at_layer(const std::optional<NetworkFacts>& network,
                                       const std::string& suffix) {
    const auto images = data();
    std::string layer = option("--layer" + suffix);
    if (layer.empty()) layer = option("--layer");
    if (!network || !images || layer.empty()) return {};
    const auto size = step_.options.contains("--image-size")
                          ? static_cast<std::int64_t>(number("--image-size"))
                          : network->image_size;
    const auto shape = facts_.shape(*network, size, layer);
    if (!shape) return {};
    return Side{.shape = *shape,
                .images = images->train,
                .held_out = images->validation > 0 ? images->validation : images->train,
                .network = network,
                .layer = layer};
  }

  // And the event files of the training.
  double classifier_checkpoints(const NetworkFacts& network) const {
    return bytes_of_checkpoints(static_cast<double>(network.parameters),
                                static_cast<double>(network.trained), option("--optimizer")) +
           events(number("--epochs"), static_cast<double>(network.tensors));
  }
  double events(double epochs, double tensors) const {
    if (option("--tensorboard") != "all") return 0;
    return std::min(epochs, 50.0) * 2 * tensors * kBytesOfHistogram +
           std::min(epochs, 10.0) * kBytesOfEventPicture;
  }
  double trans_net_checkpoints(const Side& from, const Side& to, const std::string& optimizer,
                               const std::string& epochs_option) {
    const UninitializedParameters nothing_drawn;
    random::Generator generator(0);
    TransNetOptions options{.channels_in = from.shape[0], .channels_out = to.shape[0]};
    if (const auto orders = facts_.number(step_, "--orders"))
      options.orders = static_cast<std::int64_t>(*orders);
    if (const auto kernel = facts_.number(step_, "--kernel"))
      options.kernel = static_cast<std::int64_t>(*kernel);
    options.padding = (options.kernel - 1) / 2;
    double values = 0;
    const TransNet net(options, generator);
    for (const auto& [name, value] : net.named_state())
      values += static_cast<double>(value.numel());
    const auto tensors = static_cast<double>(net.named_parameters().size());
    return bytes_of_checkpoints(values, values, optimizer) + events(number(epochs_option), tensors);
  }

  // Trans-Nets between networks, as tools/common/consistency.h trains them: features are stored
  // while they take no more than --feature-disk, else computed for every batch.
  void compare(const Side& from, const Side& to, double count, const std::string& epochs_option,
               StepCost& cost) {
    const double epochs = number(epochs_option);
    const auto images = static_cast<double>(from.images);
    const auto held_out = static_cast<double>(from.held_out);
    *cost.bytes += count * trans_net_checkpoints(from, to, "adam", epochs_option);
    const double stored =
        (images + held_out) * (bytes_of_maps(from.shape) + bytes_of_maps(to.shape));
    const bool fits = stored <= number("--feature-disk") * (1 << 30);
    if (fits) cost.temporary_bytes = std::max(cost.temporary_bytes, stored);
    cost.work.push_back(trans_net_training(to, count * epochs * images));
    cost.work.push_back(splitting(to, count * (epochs + 1) * held_out));
    for (const Side* side : {&from, &to})
      cost.work.push_back(
          inference(*side->network, count * (images + held_out) * (fits ? 1 : epochs)));
  }

  std::string timed_batch() const {
    const auto asked = facts_.number(step_, "--batch-size");
    return fmt::format("{:g}", std::min(kLargestTimedBatch, asked.value_or(8)));
  }
  Work on_network(const std::string& what, const NetworkFacts& network, double images) const {
    return {images,
            what + ":" + network.arch,
            {"--batch-size", timed_batch(), "--image-size", std::to_string(network.image_size),
             "--classes", std::to_string(network.classes)}};
  }
  Work training(const NetworkFacts& network, double images) const {
    return on_network("train", network, images);
  }
  Work inference(const NetworkFacts& network, double images) const {
    return on_network("infer", network, images);
  }
  Work trans_net_training(const Side& to, double images) const {
    return {images, "transnet:" + maps_text(to.shape), {"--batch-size", timed_batch()}};
  }
  Work splitting(const Side& to, double images) const {
    return {images, "disentangle:" + maps_text(to.shape), {"--batch-size", timed_batch()}};
  }

  const Step& step_;
  Facts& facts_;
};

}  // namespace

StepCost cost_of(const Step& step, Facts& facts) {
  static const std::map<std::string, StepCost (Costing::*)()> kCosts = {
      {"train", &Costing::train},           {"features", &Costing::features},
      {"transnet", &Costing::transnet},     {"variance", &Costing::variance},
      {"similarity", &Costing::similarity}, {"refine", &Costing::refine},
      {"diagnose", &Costing::diagnose},     {"compress", &Costing::compress},
      {"born-again", &Costing::born_again}};
  const auto cost = kCosts.find(step.program);
  if (cost == kCosts.end() || facts.option(step, "--evaluate") == "true") return {};
  Costing costing(step, facts);
  try {
    return (costing.*cost->second)();
  } catch (const Error&) {
    return {};  // the step itself will say what is wrong with its options
  }
}

}  // namespace concord::reproduce
