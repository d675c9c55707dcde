#include "tools/reproduce/facts.h"

#include <utility>

#include "data/feature_store.h"
#include "data/planned_set.h"
#include "engine/autograd.h"
#include "models/network.h"
#include "tools/common/classification.h"
#include "tools/common/fine_tuning.h"
#include "tools/common/saved_configuration.h"

namespace concord::reproduce {
namespace fs = std::filesystem;

namespace {

// As published; concord-prepare compares what it finds with them (data/cub200.cpp, ...).
const std::map<std::string, DataFacts> kPublished = {
    {"cub200", {.train = 5994, .validation = 5794, .classes = 200}},
    {"dogs120", {.train = 12000, .validation = 8580, .classes = 120}},
    {"mix320", {.train = 17994, .validation = 14374, .classes = 320}},
    {"voc-crop", {.train = 13609, .validation = 13841, .classes = 20}},
    {"voc-animals", {.train = 2961, .validation = 3001, .classes = 6}},
};

std::shared_ptr<Network> build(const NetworkFacts& facts) {
  // Only sizes are asked: nothing is drawn, and memory that nobody touches is not taken.
  const UninitializedParameters nothing_drawn;
  static random::Generator generator(0);
  return make_network(facts.arch, facts.classes, generator);
}

// What fails to be read is unknown here; the step itself will say why.
template <class Find>
auto unless_it_fails(Find find) -> decltype(find()) {
  try {
    return find();
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

const Step* Facts::step_in(const std::string& path) const {
  const std::vector<std::string> names = steps_in(path);
  if (names.size() != 1) return nullptr;
  for (const Step& step : suite_.steps)
    if (step.name == names.front()) return &step;
  return nullptr;
}

std::string Facts::option(const Step& step, const std::string& name) const {
  if (step.options.contains(name) && !step.options[name].is_null()) {
    const Json& value = step.options[name];
    return value.is_string() ? value.get<std::string>() : value.dump();
  }
  const ProgramHelp& help = programs_.help(step.program);
  const auto found = help.find(name);
  return found == help.end() ? "" : found->second.default_value;
}

std::optional<double> Facts::number(const Step& step, const std::string& name) const {
  const Json value = Json::parse(option(step, name), nullptr, false);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::optional<DataFacts> Facts::data(const std::string& path) {
  const auto known = data_.find(path);
  if (known != data_.end()) return known->second;
  const auto find = [&]() -> std::optional<DataFacts> {
    const std::string place = workspace_.resolve(path);
    std::error_code error;
    const Step* step = step_in(path);
    if (step != nullptr && !fs::exists(place, error)) {
      const std::string kind =
          step->program == "prepare" && !step->arguments.empty() ? step->arguments.front() : "";
      if (const auto published = kPublished.find(kind); published != kPublished.end())
        return published->second;
      const auto classes = number(*step, "--classes");
      const auto train = number(*step, "--train-per-class");
      const auto validation = number(*step, "--val-per-class");
      if (kind != "synthetic" || !classes || !train || !validation) return {};
      return DataFacts{.train = static_cast<std::int64_t>(*classes * *train),
                       .validation = static_cast<std::int64_t>(*classes * *validation),
                       .classes = static_cast<std::int64_t>(*classes)};
    }
    const ImageFolder folder = read_images(place);
    return DataFacts{
        .train = static_cast<std::int64_t>(folder.train.samples.size()),
        .validation =
            folder.validation ? static_cast<std::int64_t>(folder.validation->samples.size()) : 0,
        .classes = static_cast<std::int64_t>(folder.train.classes.size())};
  };
  return data_[path] = unless_it_fails(find);
}

std::optional<NetworkFacts> Facts::network(const Step& step) {
  NetworkFacts facts;
  facts.arch = option(step, "--arch");
  facts.image_size = static_cast<std::int64_t>(number(step, "--image-size").value_or(0));
  if (facts.arch.empty()) {
    const auto from = network_in(option(step, "--weights"));
    if (!from) return {};
    facts.arch = from->arch;
    if (!step.options.contains("--image-size")) facts.image_size = from->image_size;
  }
  tool::remove_fine_tuning_suffix(facts.arch);
  const auto images = data(option(step, "--data"));
  if (!images) return {};
  facts.classes = images->classes;
  return unless_it_fails([&]() -> std::optional<NetworkFacts> {
    count_parameters(facts);
    return facts;
  });
}

void Facts::count_parameters(NetworkFacts& facts) {
  const std::string key = fmt::format("{} {}", facts.arch, facts.classes);
  if (!networks_.contains(key)) {
    const auto network = build(facts);
    NetworkFacts counted;
    for (const auto& [name, value] : network->named_state()) counted.parameters += value.numel();
    for (const auto& [name, value] : network->named_parameters()) {
      counted.trained += value.numel();
      ++counted.tensors;
    }
    networks_[key] = counted;
  }
  facts.parameters = networks_[key].parameters;
  facts.trained = networks_[key].trained;
  facts.tensors = networks_[key].tensors;
}

std::optional<NetworkFacts> Facts::network_in(const std::string& path) {
  if (path.empty()) return {};
  const std::string place = workspace_.resolve(path);
  std::error_code error;
  if (fs::is_regular_file(place, error))
    return unless_it_fails([&]() -> std::optional<NetworkFacts> {
      const nlohmann::json saved = tool::saved_configuration(place);
      if (!saved.contains("arch") || !saved.contains("classes")) return {};
      NetworkFacts facts;
      facts.arch = saved["arch"];
      facts.classes = saved["classes"];
      facts.image_size = saved.value("image_size", 0);
      count_parameters(facts);
      return facts;
    });
  const Step* step = step_in(path);
  return step != nullptr ? network(*step) : std::nullopt;
}

std::optional<MapShape> Facts::shape(const NetworkFacts& network, std::int64_t image_size,
                                     const std::string& layer) {
  if (image_size < 1) return {};
  const std::string key = fmt::format("{} {} {}", network.arch, image_size, layer);
  if (const auto known = shapes_.find(key); known != shapes_.end()) return known->second;
  return unless_it_fails([&]() -> std::optional<MapShape> {
    const NoGradGuard no_gradients;
    const auto built = build(network);
    built->set_training(false);
    const Shape found =
        built->features(Tensor::zeros({1, 3, image_size, image_size}), layer).shape();
    return shapes_[key] = {found[1], found[2], found[3]};
  });
}

std::optional<std::int64_t> Facts::trained_after(const NetworkFacts& network,
                                                 const std::string& layer) {
  return unless_it_fails([&]() -> std::optional<std::int64_t> {
    const auto built = build(network);
    built->freeze_through(layer);
    std::int64_t values = 0;
    for (const auto& [name, value] : built->named_parameters())
      if (value.requires_grad()) values += value.numel();
    return values;
  });
}

std::optional<FeatureFacts> Facts::features(const Step& step) {
  const auto network = network_in(option(step, "--weights"));
  const auto images = data(option(step, "--data"));
  if (!network || !images) return {};
  const std::int64_t size =
      step.options.contains("--image-size")
          ? static_cast<std::int64_t>(number(step, "--image-size").value_or(0))
          : network->image_size;
  const auto found = shape(*network, size, option(step, "--layer"));
  if (!found) return {};
  const bool train = option(step, "--split") == "train";
  return FeatureFacts{.images = train ? images->train : images->validation, .shape = *found};
}

std::optional<FeatureFacts> Facts::features_in(const std::string& path) {
  if (path.empty()) return {};
  const std::string place = workspace_.resolve(path);
  std::error_code error;
  if (fs::exists(place, error))
    if (const auto read = unless_it_fails([&]() -> std::optional<FeatureFacts> {
          const FeatureStore store(place);
          return FeatureFacts{.images = store.size(),
                              .shape = {store.shape()[1], store.shape()[2], store.shape()[3]}};
        }))
      return read;
  const Step* step = step_in(path);
  return step != nullptr && step->program == "features" ? features(*step) : std::nullopt;
}

}  // namespace concord::reproduce
