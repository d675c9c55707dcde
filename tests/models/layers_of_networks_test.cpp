// Features at a layer, and the rest of the network from there.

#include <algorithm>
#include <map>

#include "engine/autograd.h"
#include "engine/ops/shape.h"
#include "models/network.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/models/quick_network.h"
#include "tests/relative_error.h"

namespace concord {
namespace {

using test::expect_error;

Tensor images(std::int64_t count, std::int64_t size, std::uint64_t stream = 1) {
  return test::random_tensor({count, 3, size, size}, stream).to(DType::kFloat32);
}

// In evaluation mode; built once for all tests that run in one process.
Network& network(const std::string& arch) {
  static std::map<std::string, std::shared_ptr<Network>> built;
  std::shared_ptr<Network>& net = built[arch];
  if (!net) {
    net = test::quick_network(arch, 5);
    net->set_training(false);
  }
  return *net;
}

class Outputs : public ForwardObserver {
 public:
  void after(const Module& module, const Tensor& output) override { outputs[&module] = output; }
  std::map<const Module*, Tensor> outputs;
};

// What `layer` gives in a pass through the whole network.
Tensor observed(Network& net, const Tensor& x, const std::string& layer) {
  const Outputs outputs;
  net(x);
  for (const auto& [name, module] : net.named_modules())
    if (name == layer) return outputs.outputs.at(module);
  fail("no module {}", layer);
}

std::map<std::string, std::string> alias_map(Network& net) {
  std::map<std::string, std::string> result;
  for (const auto& [alias, stands_for] : net.aliases()) result[alias] = stands_for;
  return result;
}

TEST(Layers, AliasesOfTheSpecification) {
  const auto vgg = alias_map(network("vgg16_bn"));
  EXPECT_EQ(vgg.at("conv1_1"), "features.0");
  EXPECT_EQ(vgg.at("conv4_1"), "features.24");
  EXPECT_EQ(vgg.at("conv4_2"), "features.27");
  EXPECT_EQ(vgg.at("conv4_3"), "features.30");
  EXPECT_EQ(vgg.at("conv5_1"), "features.34");
  EXPECT_EQ(vgg.at("conv5_2"), "features.37");
  EXPECT_EQ(vgg.at("conv5_3"), "features.40");
  EXPECT_EQ(vgg.at("FC6"), "classifier.0");
  EXPECT_EQ(vgg.at("FC7"), "classifier.3");
  EXPECT_EQ(vgg.size(), 15U);
  const auto alexnet = alias_map(network("alexnet"));
  EXPECT_EQ(alexnet.at("conv1"), "features.0");
  EXPECT_EQ(alexnet.at("conv4"), "features.8");
  EXPECT_EQ(alexnet.at("conv5"), "features.10");
  EXPECT_EQ(alexnet.at("FC6"), "classifier.1");
  EXPECT_EQ(alexnet.at("FC7"), "classifier.4");
  const auto resnet = alias_map(network("resnet18"));
  EXPECT_EQ(resnet.at("layer3"), "layer3.1 before its ReLU");
  EXPECT_EQ(resnet.size(), 4U);
}

TEST(Layers, ShapesOfTheSpecification) {
  const NoGradGuard no_grad;
  struct Case {
    const char* arch;
    const char* layer;
    std::int64_t size;
    Shape expected;
  };
  const std::vector<Case> cases = {
      {"vgg16_bn", "conv4_3", 224, {1, 512, 28, 28}}, {"vgg16_bn", "conv5_3", 64, {1, 512, 4, 4}},
      {"vgg16_bn", "FC6", 32, {1, 4096, 1, 1}},       {"vgg16_bn", "FC7", 32, {1, 4096, 1, 1}},
      {"alexnet", "conv4", 224, {1, 256, 13, 13}},    {"alexnet", "conv5", 224, {1, 256, 13, 13}},
      {"alexnet", "FC6", 224, {1, 4096, 1, 1}},       {"resnet18", "layer3", 224, {1, 256, 14, 14}},
      {"resnet50", "layer3", 224, {1, 1024, 14, 14}}, {"resnet18", "layer3", 112, {1, 256, 7, 7}}};
  for (const Case& test : cases)
    EXPECT_EQ(network(test.arch).features(images(1, test.size), test.layer).shape(), test.expected)
        << test.arch << " " << test.layer;
}

TEST(Layers, FeaturesAreWhatTheWholePassShows) {
  const NoGradGuard no_grad;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"vgg11", "features.11"},
      {"vgg11", "features.12"},
      {"vgg11", "avgpool"},
      {"vgg11", "classifier.1"},
      {"resnet18", "conv1"},
      {"resnet18", "bn1"},
      {"resnet18", "relu"},
      {"resnet18", "layer2.0"},
      {"resnet18", "layer3.0.conv1"},
      {"resnet18", "layer3.1.bn2"},
      {"resnet18", "layer3.0.downsample.0"},
      {"resnet18", "fc"}};
  for (const auto& [arch, layer] : cases) {
    SCOPED_TRACE(arch + " " + layer);
    Network& net = network(arch);
    const Tensor x = images(2, 32);
    const Tensor expected = observed(net, x, layer);
    const Tensor features = net.features(x, layer);
    EXPECT_EQ(features.shape().rank(), 4U);
    // The whole pass is unfused while it is watched, so the last bit may differ.
    test::expect_close(flatten(features), flatten(expected), 2e-6, layer);
  }
}

TEST(Layers, ResNetLayersStandBeforeTheirRelu) {
  const NoGradGuard no_grad;
  Network& net = network("resnet18");
  const Tensor x = images(2, 64);
  const auto before = net.features(x, "layer3").to_vector<float>();
  const auto after = net.features(x, "layer3.1").to_vector<float>();
  EXPECT_LT(*std::min_element(before.begin(), before.end()), 0);
  for (std::size_t i = 0; i < before.size(); ++i)
    ASSERT_EQ(after[i], std::max(before[i], 0.0F)) << i;
}

// From every step of every kind of network the same logits, to the bit.
TEST(Layers, TheRestOfTheNetworkGivesTheSameLogits) {
  const NoGradGuard no_grad;
  const std::map<std::string, std::vector<std::string>> cases = {
      {"alexnet",
       {"conv1", "conv4", "features.9", "conv5", "features", "avgpool", "flatten", "FC6", "FC7",
        "classifier.5", "classifier.6"}},
      {"vgg16_bn",
       {"conv1_1", "conv4_3", "features.31", "features.32", "conv5_3", "avgpool", "FC6",
        "classifier.1", "FC7", "classifier"}},
      {"resnet18",
       {"conv1", "bn1", "relu", "maxpool", "layer1.0", "layer1", "layer2", "layer3", "layer3.0",
        "layer3.1", "layer4", "avgpool", "flatten", "fc"}},
      {"resnet50", {"layer3", "layer3.5", "layer4"}}};
  for (const auto& [arch, layers] : cases) {
    Network& net = network(arch);
    const Tensor x = images(2, arch == "alexnet" ? 63 : 32);
    const Tensor logits = net(x);
    for (const std::string& layer : layers) {
      // Between a convolution and its norm, which are else one operation with other roundings.
      const bool between = arch != "alexnet" && layer.starts_with("conv");
      const Tensor h = net.features(x, layer);
      const Tensor plain = h.in_format(MemoryFormat::kPlain);  // as a feature store gives it
      for (const Tensor& features : {h, plain}) {
        const Tensor again = net.from_features(features, layer);
        if (between)
          EXPECT_LT(test::relative_error(again, logits), 1e-5) << arch << " " << layer;
        else
          EXPECT_EQ(again.to_vector<float>(), logits.to_vector<float>()) << arch << " " << layer;
      }
    }
  }
}

TEST(Layers, GradientsReachTheFeaturesAndTheRestOnly) {
  Network& net = network("resnet18");
  Tensor h = net.features(images(2, 64), "layer3").detach();
  net.zero_grad();
  h.set_requires_grad(true);
  net.from_features(h, "layer3").backward(Tensor::full({2, 5}, 1));
  EXPECT_TRUE(h.grad().defined());
  for (const auto& [name, tensor] : net.named_parameters())
    EXPECT_EQ(tensor.grad().defined(), name.starts_with("layer4") || name.starts_with("fc"))
        << name;
  net.zero_grad();
}

// What is left to train is what from_features() of that layer reaches.
TEST(Layers, FreezingThroughALayerLeavesTheRestToTrain) {
  struct Case {
    const char* arch;
    const char* layer;
    std::vector<std::string> rest;  // prefixes of what is trained
  };
  const std::vector<Case> cases = {
      {"resnet18", "layer3", {"layer4.", "fc."}},
      {"resnet18", "layer3.0", {"layer3.1.", "layer4.", "fc."}},
      {"resnet18", "fc", {}},
      {"vgg11_bn", "conv5_1", {"features.23.", "features.25.", "features.26.", "classifier."}},
      {"alexnet", "FC6", {"classifier.4.", "classifier.6."}}};
  for (const Case& test : cases) {
    const auto net = test::quick_network(test.arch, 5);
    std::int64_t frozen = 0;
    const std::int64_t reported = net->freeze_through(test.layer);
    for (const auto& [name, tensor] : net->named_parameters()) {
      const bool trained = std::any_of(test.rest.begin(), test.rest.end(), [&](const auto& prefix) {
        return name.starts_with(prefix);
      });
      EXPECT_EQ(tensor.requires_grad(), trained) << test.arch << " " << test.layer << " " << name;
      frozen += !trained;
    }
    EXPECT_EQ(reported, frozen) << test.arch << " " << test.layer;
  }
  expect_error([] { test::quick_network("resnet18", 5)->freeze_through("layer3.0.conv1"); },
               {"layer3.0.conv1", "inside the residual block layer3.0"});
}

// Statistics that move tell which layers ran.
TEST(Layers, NoLaterStepIsRun) {
  const auto net = test::quick_network("resnet18", 5);
  net->features(images(2, 32), "layer2");
  for (const auto& [name, tensor] : net->named_buffers()) {
    if (!name.ends_with("num_batches_tracked")) continue;
    const bool earlier =
        name.starts_with("bn1") || name.starts_with("layer1") || name.starts_with("layer2");
    EXPECT_EQ(tensor.item(), earlier ? 1 : 0) << name;
  }
}

TEST(Layers, UnknownLayersNameThoseNear) {
  Network& net = network("vgg16_bn");
  expect_error([&] { net.features(images(1, 32), "conv4_4"); },
               {"vgg16_bn", "no layer conv4_4", "conv4_3"});
  expect_error([&] { net.from_features(images(1, 32), "features.99"); },
               {"no layer features.99", "features.9"});
  expect_error([&] { net.features(images(1, 32), ""); }, {"no layer"});
}

TEST(Layers, TheInsideOfABlockCannotBeRunOnFrom) {
  expect_error([&] { network("resnet18").from_features(images(1, 32), "layer3.0.conv1"); },
               {"layer3.0.conv1", "inside the residual block layer3.0"});
}

TEST(Layers, EveryListedLayerIsAddressable) {
  const NoGradGuard no_grad;
  for (const char* arch : {"alexnet", "resnet18"}) {
    Network& net = network(arch);
    const Tensor x = images(1, 63);
    for (const std::string& layer : net.layers())
      EXPECT_EQ(net.features(x, layer).shape().rank(), 4U) << arch << " " << layer;
  }
}

TEST(ImageSize, TooSmallAnImageNamesTheLayer) {
  const NoGradGuard no_grad;
  Network& alexnet = network("alexnet");
  EXPECT_EQ(alexnet(images(1, 63)).shape(), Shape({1, 5}));
  expect_error([&] { alexnet(images(1, 62)); },
               {"alexnet", "features.12", "at least 3x3", "gets 2x2", "62x62"});
  expect_error([&] { alexnet(images(1, 5)); }, {"features.0", "at least 7x7", "gets 5x5"});
  EXPECT_EQ(alexnet.features(images(1, 62), "conv5").shape(), Shape({1, 256, 2, 2}));
  Network& vgg = network("vgg11");
  EXPECT_EQ(vgg(images(1, 32)).shape(), Shape({1, 5}));
  expect_error([&] { vgg(images(1, 31)); }, {"vgg11", "features.20", "gets 1x1", "31x31"});
  EXPECT_EQ(network("resnet18")(images(1, 1)).shape(), Shape({1, 5}));
}

TEST(ImageSize, NonSquareAndLargeImages) {
  const NoGradGuard no_grad;
  const Tensor x = test::random_tensor({1, 3, 75, 101}, 5).to(DType::kFloat32);
  for (const char* arch : {"alexnet", "vgg11", "resnet18"})
    EXPECT_EQ(network(arch)(x).shape(), Shape({1, 5})) << arch;
}

TEST(ImageSize, ImagesHaveThreeChannels) {
  expect_error(
      [&] {
        network("vgg11")(Tensor::zeros({1, 1, 64, 64}));
      },
      {"vgg11", "[N,3,H,W]", "1x1x64x64"});
  expect_error(
      [&] {
        network("vgg11").features(Tensor::zeros({3, 64, 64}), "FC6");
      },
      {"[N,3,H,W]", "3x64x64"});
}

}  // namespace
}  // namespace concord
