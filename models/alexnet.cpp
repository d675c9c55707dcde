#include "models/alexnet.h"

namespace concord {
namespace {

struct Convolution {
  std::int64_t channels;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t padding;
  bool pooled;  // a 3x3 max pool of stride 2 follows the ReLU
};
constexpr Convolution kConvolutions[] = {{64, 11, 4, 2, true},
                                         {192, 5, 1, 2, true},
                                         {384, 3, 1, 1, false},
                                         {256, 3, 1, 1, false},
                                         {256, 3, 1, 1, true}};
constexpr std::int64_t kHidden = 4096;
constexpr double kDropout = 0.5;

class AlexNet final : public Network {
 public:
  AlexNet(std::int64_t classes, random::Generator& generator) : Network("alexnet", classes) {
    const auto features = register_module("features", std::make_shared<Sequential>());
    const auto pool = register_module("avgpool", std::make_shared<AdaptiveAvgPool2d>(Size2d{6, 6}));
    const auto flat = register_module("flatten", std::make_shared<Flatten>());
    const auto classifier = register_module("classifier", std::make_shared<Sequential>());

    std::int64_t channels = 3;
    for (int i = 0; i < 5; ++i) {
      const Convolution& c = kConvolutions[i];
      const Conv2dLayer layer = {
          .in_channels = channels,
          .out_channels = c.channels,
          .kernel = {c.kernel, c.kernel},
          .options = {.stride = {c.stride, c.stride}, .padding = {c.padding, c.padding}}};
      add_step("features", *features, std::make_shared<Conv2d>(layer, generator));
      add_alias(fmt::format("conv{}", i + 1));
      add_step("features", *features, std::make_shared<ReLU>());
      if (c.pooled)
        add_step("features", *features,
                 std::make_shared<MaxPool2d>(MaxPool2dOptions{.kernel = {3, 3}, .stride = {2, 2}}));
      channels = c.channels;
    }
    add_step("avgpool", pool);
    add_step("flatten", flat);

    add_step("classifier", *classifier, std::make_shared<Dropout>(kDropout, generator));
    add_step("classifier", *classifier,
             std::make_shared<Linear>(channels * 36, kHidden, generator));
    add_alias("FC6");
    add_step("classifier", *classifier, std::make_shared<ReLU>());
    add_step("classifier", *classifier, std::make_shared<Dropout>(kDropout, generator));
    add_step("classifier", *classifier, std::make_shared<Linear>(kHidden, kHidden, generator));
    add_alias("FC7");
    add_step("classifier", *classifier, std::make_shared<ReLU>());
    add_step("classifier", *classifier, std::make_shared<Linear>(kHidden, classes, generator));
  }
};

}  // namespace

std::shared_ptr<Network> make_alexnet(std::int64_t classes, random::Generator& generator) {
  return std::make_shared<AlexNet>(classes, generator);
}

}  // namespace concord
