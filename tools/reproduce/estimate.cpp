#include "tools/reproduce/estimate.h"

#include <algorithm>

#include "engine/autograd.h"
#include "models/trans_net.h"
#include "tools/common/terminal.h"
#include "tools/common/trans_net_file.h"

namespace concord::reproduce {
namespace {

constexpr double kBytesOfValue = 4;
// Training is timed in small batches: a large one takes minutes on a CPU, and its rate is alike.
constexpr double kLargestTimedBatch = 16;

// best.safetensors, and last.safetensors, which has the optimiser's values too.
double bytes_of_checkpoints(double values, double trained, const std::string& optimizer) {
  return kBytesOfValue * (2 * values + (optimizer == "adam" ? 2 : 1) * trained);
}

std::string maps_text(const std::array<std::int64_t, 3>& shape) {
  return fmt::format("{}x{}x{}", shape[0], shape[1], shape[2]);
}

std::int64_t whole(const std::optional<double>& number, std::int64_t otherwise) {
  return number ? static_cast<std::int64_t>(*number) : otherwise;
}

struct Pair {
  FeatureFacts a, b;
};

std::optional<Pair> pair_of(const Step& step, Facts& facts) {
  const auto a = facts.features_in(facts.option(step, "--features-a"));
  const auto b = facts.features_in(facts.option(step, "--features-b"));
  if (a && b) return Pair{*a, *b};
  // Computed on the fly from two networks.
  const auto from_network = [&](const std::string& which) -> std::optional<FeatureFacts> {
    const auto network = facts.network_in(facts.option(step, "--weights-" + which));
    const auto images = facts.data(facts.option(step, "--data"));
    std::string layer = facts.option(step, "--layer-" + which);
    if (layer.empty()) layer = facts.option(step, "--layer");
    if (!network || !images) return {};
    const std::int64_t size = step.options.contains("--image-size")
                                  ? whole(facts.number(step, "--image-size"), 0)
                                  : network->image_size;
    const auto shape = facts.shape(*network, size, layer);
    if (!shape) return {};
    return FeatureFacts{.images = images->train, .shape = *shape};
  };
  const auto on_the_fly_a = from_network("a");
  const auto on_the_fly_b = from_network("b");
  if (on_the_fly_a && on_the_fly_b) return Pair{*on_the_fly_a, *on_the_fly_b};
  return {};
}

std::int64_t values_of_trans_net(const Step& step, const Pair& pair, Facts& facts) {
  const UninitializedParameters nothing_drawn;
  random::Generator generator(0);
  TransNetOptions options{.channels_in = pair.a.shape[0], .channels_out = pair.b.shape[0]};
  options.orders = whole(facts.number(step, "--orders"), options.orders);
  options.kernel = whole(facts.number(step, "--kernel"), options.kernel);
  options.padding = (options.kernel - 1) / 2;
  std::int64_t values = 0;
  for (const auto& [name, value] : TransNet(options, generator).named_state())
    values += value.numel();
  return values;
}

}  // namespace

Estimator::Estimator(const Suite& suite, const Workspace& workspace, const Programs& programs,
                     bool measure)
    : suite_(suite),
      measure_(measure),
      timings_(read_timings(suite, workspace)),
      facts_(suite, workspace, programs) {}

Estimate Estimator::of(std::size_t index) {
  const Step& step = suite_.steps[index];
  Estimate estimate;
  if (const auto known = timings_.find(step.name); known != timings_.end())
    return {.seconds = {known->second.seconds, "measured here"},
            .bytes = {static_cast<double>(known->second.bytes), "measured here"}};
  if (step.seconds)
    estimate.seconds = {step.seconds, "as the plan says"};
  else
    estimate.seconds = measured_seconds(step);
  if (step.bytes)
    estimate.bytes = {step.bytes, "as the plan says"};
  else if (const auto bytes = computed_bytes(step))
    estimate.bytes = {bytes, "computed"};
  return estimate;
}

std::optional<double> Estimator::computed_bytes(const Step& step) {
  if (facts_.option(step, "--evaluate") == "true") return {};
  if (step.program == "train") {
    const auto network = facts_.network(step);
    if (!network) return {};
    return bytes_of_checkpoints(static_cast<double>(network->parameters),
                                static_cast<double>(network->trained),
                                facts_.option(step, "--optimizer"));
  }
  if (step.program == "features") {
    const auto features = facts_.features(step);
    if (!features) return {};
    double bytes = facts_.option(step, "--store-dtype") == "fp32" ? 4 : 2;
    for (const std::int64_t extent : features->shape) bytes *= static_cast<double>(extent);
    return bytes * static_cast<double>(features->images);
  }
  if (step.program == "transnet") {
    const auto pair = pair_of(step, facts_);
    if (!pair) return {};
    const auto values = static_cast<double>(values_of_trans_net(step, *pair, facts_));
    return bytes_of_checkpoints(values, values, facts_.option(step, "--optimizer"));
  }
  return {};
}

std::vector<Estimator::Work> Estimator::work_of(const Step& step) {
  if (facts_.option(step, "--evaluate") == "true") return {};
  const double epochs = facts_.number(step, "--epochs").value_or(0);
  const double batch =
      std::min(kLargestTimedBatch, facts_.number(step, "--batch-size").value_or(8));
  const std::vector<std::string> common = {"--batch-size", fmt::format("{:g}", batch)};
  const auto classifier = [&](const NetworkFacts& network) {
    std::vector<std::string> words = common;
    for (const std::string& word : {std::string("--image-size"), std::to_string(network.image_size),
                                    std::string("--classes"), std::to_string(network.classes)})
      words.push_back(word);
    return words;
  };
  if (step.program == "train") {
    const auto network = facts_.network(step);
    const auto images = facts_.data(facts_.option(step, "--data"));
    if (!network || !images) return {};
    const double share = facts_.option(step, "--half").empty() ? 1 : 0.5;
    return {{epochs * share * static_cast<double>(images->train), "train:" + network->arch,
             classifier(*network)},
            {epochs * static_cast<double>(images->validation), "infer:" + network->arch,
             classifier(*network)}};
  }
  if (step.program == "features") {
    const auto network = facts_.network_in(facts_.option(step, "--weights"));
    const auto features = facts_.features(step);
    if (!network || !features) return {};
    return {
        {static_cast<double>(features->images), "infer:" + network->arch, classifier(*network)}};
  }
  if (step.program == "transnet" && !facts_.option(step, "--features-a").empty()) {
    const auto pair = pair_of(step, facts_);
    if (!pair) return {};
    return {{epochs * static_cast<double>(pair->b.images), "transnet:" + maps_text(pair->b.shape),
             common}};
  }
  return {};
}

Amount Estimator::measured_seconds(const Step& step) {
  const std::vector<Work> work = work_of(step);
  if (work.empty()) return {};
  if (!measure_) return {.value = {}, .source = "--measure times it"};
  double seconds = 0;
  try {
    for (const Work& part : work)
      if (part.images > 0) seconds += part.images / rate_of(part);
  } catch (const Error& error) {
    return {.value = {}, .source = error.what()};
  }
  return {.value = seconds, .source = "timed now, without reading images"};
}

double Estimator::rate_of(const Work& work) {
  std::string key = work.step;
  for (const std::string& word : work.arguments) key += " " + word;
  if (const auto known = rates_.find(key); known != rates_.end()) return known->second;
  tool::write_live("timing " + key);
  std::vector<std::string> words = {"--step",        work.step, "--format",   "json",
                                    "--repetitions", "1",       "--min-time", "0.1"};
  words.insert(words.end(), work.arguments.begin(), work.arguments.end());
  const Json json = Json::parse(output_of(program_file("bench"), words), nullptr, false);
  tool::write_live("");
  const Json::json_pointer rate("/benchmarks/0/images_per_second");
  check(!json.is_discarded() && json.contains(rate) && json[rate].is_number() && json[rate] > 0,
        "concord-bench --step {} told no rate", work.step);
  return rates_[key] = json[rate].get<double>();
}

}  // namespace concord::reproduce
