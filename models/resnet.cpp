#include "models/resnet.h"

#include <array>

#include "models/residual_block.h"

namespace concord {
namespace {

struct Variant {
  const char* name;
  std::array<int, 4> blocks;
  bool bottleneck;
  std::int64_t groups = 1;
  std::int64_t width_per_group = 64;  // in layer1; doubles from layer to layer
};
constexpr Variant kVariants[] = {{"resnet18", {2, 2, 2, 2}, false},
                                 {"resnet34", {3, 4, 6, 3}, false},
                                 {"resnet50", {3, 4, 6, 3}, true},
                                 {"resnet101", {3, 4, 23, 3}, true},
                                 {"resnet152", {3, 8, 36, 3}, true},
                                 {"resnext50_32x4d", {3, 4, 6, 3}, true, 32, 4},
                                 {"resnext101_32x8d", {3, 4, 23, 3}, true, 32, 8}};

class ResNet final : public Network {
 public:
  ResNet(const Variant& variant, std::int64_t classes, random::Generator& generator)
      : Network(variant.name, classes) {
    std::int64_t channels = 64;
    const Conv2dLayer stem = {.in_channels = 3,
                              .out_channels = channels,
                              .kernel = {7, 7},
                              .options = {.stride = {2, 2}, .padding = {3, 3}},
                              .bias = false,
                              .initialization = Initialization::kKaimingNormal};
    step("conv1", std::make_shared<Conv2d>(stem, generator));
    step("bn1", std::make_shared<BatchNorm2d>(BatchNorm2dLayer{.channels = channels}));
    step("relu", std::make_shared<ReLU>());
    step("maxpool", std::make_shared<MaxPool2d>(
                        MaxPool2dOptions{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}));
    for (std::size_t layer = 0; layer < variant.blocks.size(); ++layer) {
      const std::string name = fmt::format("layer{}", layer + 1);
      const auto blocks = register_module(name, std::make_shared<Sequential>());
      const std::int64_t planes = std::int64_t{64} << layer;
      for (int block = 0; block < variant.blocks[layer]; ++block) {
        const ResidualBlockOptions options = {
            .in_channels = channels,
            .width = planes * variant.width_per_group / 64 * variant.groups,
            .out_channels = variant.bottleneck ? 4 * planes : planes,
            .stride = layer > 0 && block == 0 ? 2 : 1,
            .groups = variant.groups,
            .bottleneck = variant.bottleneck};
        add_step(name, *blocks, std::make_shared<ResidualBlock>(options, generator));
        channels = options.out_channels;
      }
      add_alias(name, /*before_relu=*/true);
    }
    step("avgpool", std::make_shared<AdaptiveAvgPool2d>(Size2d{1, 1}));
    step("flatten", std::make_shared<Flatten>());
    step("fc", std::make_shared<Linear>(channels, classes, generator));
  }

 private:
  void step(const char* name, const ModulePtr& module) {
    register_module(name, module);
    add_step(name, module);
  }
};

}  // namespace

std::vector<std::string> resnet_names() {
  std::vector<std::string> names;
  for (const Variant& variant : kVariants) names.emplace_back(variant.name);
  return names;
}

std::shared_ptr<Network> make_resnet(const std::string& arch, std::int64_t classes,
                                     random::Generator& generator) {
  for (const Variant& variant : kVariants)
    if (arch == variant.name) return std::make_shared<ResNet>(variant, classes, generator);
  fail("resnet: no variant {}", arch);
}

}  // namespace concord
