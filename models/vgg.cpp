#include "models/vgg.h"

#include <array>

namespace concord {
namespace {

// Convolutions in each of the five blocks; a 2x2 max pool ends a block.
struct Variant {
  const char* name;
  std::array<int, 5> convolutions;
};
constexpr Variant kVariants[] = {{"vgg11", {1, 1, 2, 2, 2}},
                                 {"vgg13", {2, 2, 2, 2, 2}},
                                 {"vgg16", {2, 2, 3, 3, 3}},
                                 {"vgg19", {2, 2, 4, 4, 4}}};
constexpr std::array<std::int64_t, 5> kChannels = {64, 128, 256, 512, 512};
constexpr std::int64_t kHidden = 4096;
constexpr double kDropout = 0.5;

class Vgg final : public Network {
 public:
  Vgg(const std::string& arch, const Variant& variant, bool batch_norm, std::int64_t classes,
      random::Generator& generator)
      : Network(arch, classes) {
    const auto features = register_module("features", std::make_shared<Sequential>());
    const auto pool = register_module("avgpool", std::make_shared<AdaptiveAvgPool2d>(Size2d{7, 7}));
    const auto flat = register_module("flatten", std::make_shared<Flatten>());
    const auto classifier = register_module("classifier", std::make_shared<Sequential>());

    std::int64_t channels = 3;
    for (std::size_t block = 0; block < kChannels.size(); ++block) {
      for (int i = 0; i < variant.convolutions[block]; ++i) {
        const Conv2dLayer layer = {.in_channels = channels,
                                   .out_channels = kChannels[block],
                                   .kernel = {3, 3},
                                   .options = {.padding = {1, 1}},
                                   .initialization = Initialization::kKaimingNormal};
        channels = kChannels[block];
        add_step("features", *features, std::make_shared<Conv2d>(layer, generator));
        add_alias(fmt::format("conv{}_{}", block + 1, i + 1));
        if (batch_norm)
          add_step("features", *features,
                   std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = channels}));
        add_step("features", *features, std::make_shared<ReLU>());
      }
      add_step("features", *features, std::make_shared<MaxPool2d>(MaxPool2dOptions{}));
    }
    add_step("avgpool", pool);
    add_step("flatten", flat);

    const auto linear = [&](std::int64_t in, std::int64_t out) {
      add_step("classifier", *classifier,
               std::make_shared<Linear>(in, out, generator, Initialization::kSmallNormal));
    };
    linear(channels * 49, kHidden);
    add_alias("FC6");
    add_step("classifier", *classifier, std::make_shared<ReLU>());
    add_step("classifier", *classifier, std::make_shared<Dropout>(kDropout, generator));
    linear(kHidden, kHidden);
    add_alias("FC7");
    add_step("classifier", *classifier, std::make_shared<ReLU>());
    add_step("classifier", *classifier, std::make_shared<Dropout>(kDropout, generator));
    linear(kHidden, classes);
  }
};

}  // namespace

std::vector<std::string> vgg_names() {
  std::vector<std::string> names;
  for (const Variant& variant : kVariants) {
    names.emplace_back(variant.name);
    names.push_back(std::string(variant.name) + "_bn");
  }
  return names;
}

std::shared_ptr<Network> make_vgg(const std::string& arch, std::int64_t classes,
                                  random::Generator& generator) {
  for (const Variant& variant : kVariants)
    for (bool batch_norm : {false, true})
      if (arch == std::string(variant.name) + (batch_norm ? "_bn" : ""))
        return std::make_shared<Vgg>(arch, variant, batch_norm, classes, generator);
  fail("vgg: no variant {}", arch);
}

}  // namespace concord
