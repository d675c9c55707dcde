#include "models/network.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "engine/autograd.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"
#include "tests/models/naive_classifier.h"
#include "tests/models/quick_network.h"

namespace concord {
namespace {

using test::expect_error;
using test::network_structure;

Tensor images(std::int64_t count, std::int64_t size, std::uint64_t stream = 1) {
  return test::random_tensor({count, 3, size, size}, stream).to(DType::kFloat32);
}

std::int64_t parameter_count(const Module& module) {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : module.named_parameters()) count += tensor.numel();
  return count;
}

struct Counted {
  std::string arch;
  std::int64_t parameters;
};
class ParameterCount : public ::testing::TestWithParam<Counted> {};

// The counts that torchvision documents for its weights.
TEST_P(ParameterCount, IsTorchvisions) {
  EXPECT_EQ(parameter_count(*network_structure(GetParam().arch, 1000)), GetParam().parameters);
}
INSTANTIATE_TEST_SUITE_P(
    Archs, ParameterCount,
    ::testing::Values(Counted{"alexnet", 61'100'840}, Counted{"vgg11", 132'863'336},
                      Counted{"vgg11_bn", 132'868'840}, Counted{"vgg13", 133'047'848},
                      Counted{"vgg13_bn", 133'053'736}, Counted{"vgg16", 138'357'544},
                      Counted{"vgg16_bn", 138'365'992}, Counted{"vgg19", 143'667'240},
                      Counted{"vgg19_bn", 143'678'248}, Counted{"resnet18", 11'689'512},
                      Counted{"resnet34", 21'797'672}, Counted{"resnet50", 25'557'032},
                      Counted{"resnext50_32x4d", 25'028'904}, Counted{"resnet101", 44'549'160},
                      Counted{"resnet152", 60'192'808}, Counted{"resnext101_32x8d", 88'791'336}),
    [](const auto& tested) { return tested.param.arch; });

std::set<std::string> state_names(const Module& module) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : module.named_state()) names.insert(name);
  return names;
}

// The names of torchvision's state dict, from its documented structure.
void add_conv(std::set<std::string>& names, const std::string& at, bool bias) {
  names.insert(at + ".weight");
  if (bias) names.insert(at + ".bias");
}
void add_norm(std::set<std::string>& names, const std::string& at) {
  for (const char* part :
       {".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked"})
    names.insert(at + part);
}

TEST(Network, AlexNetNames) {
  std::set<std::string> expected;
  for (int i : {0, 3, 6, 8, 10}) add_conv(expected, "features." + std::to_string(i), true);
  for (int i : {1, 4, 6}) add_conv(expected, "classifier." + std::to_string(i), true);
  EXPECT_EQ(state_names(*network_structure("alexnet", 10)), expected);
}

TEST(Network, VggNames) {
  std::set<std::string> expected;
  for (int i : {0, 3, 6, 8, 11, 13, 16, 18})
    add_conv(expected, "features." + std::to_string(i), true);
  for (int i : {0, 3, 6}) add_conv(expected, "classifier." + std::to_string(i), true);
  EXPECT_EQ(state_names(*network_structure("vgg11", 10)), expected);

  expected.clear();
  for (int i : {0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40}) {
    add_conv(expected, "features." + std::to_string(i), true);
    add_norm(expected, "features." + std::to_string(i + 1));
  }
  for (int i : {0, 3, 6}) add_conv(expected, "classifier." + std::to_string(i), true);
  EXPECT_EQ(state_names(*network_structure("vgg16_bn", 10)), expected);
}

std::set<std::string> resnet_state(const std::vector<int>& blocks, int convolutions,
                                   bool downsample_in_layer1) {
  std::set<std::string> names = {"conv1.weight", "fc.weight", "fc.bias"};
  add_norm(names, "bn1");
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
    for (int block = 0; block < blocks[layer]; ++block) {
      const std::string at = "layer" + std::to_string(layer + 1) + "." + std::to_string(block);
      for (int i = 1; i <= convolutions; ++i) {
        add_conv(names, at + ".conv" + std::to_string(i), false);
        add_norm(names, at + ".bn" + std::to_string(i));
      }
      if (block == 0 && (layer > 0 || downsample_in_layer1)) {
        add_conv(names, at + ".downsample.0", false);
        add_norm(names, at + ".downsample.1");
      }
    }
  }
  return names;
}

TEST(Network, ResNetNamesAndShapes) {
  EXPECT_EQ(state_names(*network_structure("resnet34", 10)), resnet_state({3, 4, 6, 3}, 2, false));
  const auto net = network_structure("resnext50_32x4d", 10);
  EXPECT_EQ(state_names(*net), resnet_state({3, 4, 6, 3}, 3, true));
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : net->named_state()) shapes[name] = tensor.shape();
  EXPECT_EQ(shapes.at("conv1.weight"), Shape({64, 3, 7, 7}));
  EXPECT_EQ(shapes.at("layer1.0.conv1.weight"), Shape({128, 64, 1, 1}));
  EXPECT_EQ(shapes.at("layer1.0.conv2.weight"), Shape({128, 4, 3, 3}));
  EXPECT_EQ(shapes.at("layer1.0.conv3.weight"), Shape({256, 128, 1, 1}));
  EXPECT_EQ(shapes.at("layer4.0.downsample.0.weight"), Shape({2048, 1024, 1, 1}));
  EXPECT_EQ(shapes.at("layer4.2.conv2.weight"), Shape({1024, 32, 3, 3}));
  EXPECT_EQ(shapes.at("fc.weight"), Shape({10, 2048}));
  EXPECT_EQ(shapes.at("bn1.num_batches_tracked"), Shape());
}

TEST(Network, InitializationIsTorchvisions) {
  random::Generator generator(3);
  const auto deviation = [](const Tensor& tensor) {
    double squares = 0;
    for (double v : tensor.to_vector<double>()) squares += v * v;
    return std::sqrt(squares / static_cast<double>(tensor.numel()));
  };
  std::map<std::string, Tensor> resnet, vgg;
  for (const auto& [name, tensor] : make_network("resnet18", 10, generator)->named_parameters())
    resnet[name] = tensor;
  EXPECT_NEAR(deviation(resnet.at("layer2.0.conv1.weight")), std::sqrt(2.0 / (128 * 9)), 2e-4);
  EXPECT_NEAR(deviation(resnet.at("layer2.0.downsample.0.weight")), std::sqrt(2.0 / 128), 2e-3);
  EXPECT_NEAR(deviation(resnet.at("fc.weight")), 1 / std::sqrt(3.0 * 512), 1e-3);
  EXPECT_EQ(deviation(resnet.at("bn1.bias")), 0);
  EXPECT_EQ(deviation(resnet.at("bn1.weight")), 1);
  for (const auto& [name, tensor] : make_network("vgg11_bn", 10, generator)->named_parameters())
    vgg[name] = tensor;
  EXPECT_NEAR(deviation(vgg.at("features.4.weight")), std::sqrt(2.0 / (128 * 9)), 2e-4);
  EXPECT_EQ(deviation(vgg.at("features.4.bias")), 0);
  EXPECT_NEAR(deviation(vgg.at("classifier.3.weight")), 0.01, 1e-4);
  EXPECT_EQ(deviation(vgg.at("classifier.3.bias")), 0);
}

TEST(Network, SameSeedSameWeights) {
  random::Generator one(3), two(3), three(4);
  const auto a = make_network("resnet18", 5, one);
  const auto b = make_network("resnet18", 5, two);
  const auto c = make_network("resnet18", 5, three);
  const auto first = [](const std::shared_ptr<Network>& net) {
    return net->named_parameters()[3].second.to_vector<float>();
  };
  EXPECT_EQ(first(a), first(b));
  EXPECT_NE(first(a), first(c));
  EXPECT_EQ(one.offset(), two.offset());
}

TEST(Network, NamesOfArchitectures) {
  const auto names = network_names();
  EXPECT_EQ(names.size(), 16U);
  random::Generator generator(1);
  expect_error([&] { make_network("resnet35", 10, generator); }, {"resnet35", "resnet34"});
  expect_error([&] { make_network("VGG16", 10, generator); }, {"VGG16", "vgg16"});
  expect_error([&] { make_network("resnet18", 0, generator); }, {"resnet18", "0 classes"});
}

// Each family runs forward and backward, and every parameter receives a gradient.
class EveryNetwork : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryNetwork, RunsAndTrains) {
  const auto net = test::quick_network(GetParam(), 7);
  EXPECT_EQ(net->arch(), GetParam());
  EXPECT_EQ(net->classes(), 7);
  const Tensor logits = (*net)(images(2, GetParam() == "alexnet" ? 63 : 32));
  ASSERT_EQ(logits.shape(), Shape({2, 7}));
  for (float v : logits.to_vector<float>()) ASSERT_TRUE(std::isfinite(v));
  logits.backward(Tensor::full({2, 7}, 1));
  for (const auto& [name, tensor] : net->named_parameters())
    ASSERT_TRUE(tensor.grad().defined()) << name;
}
// Along its own gradient g a parameter changes the objective by |g|^2 per step: a path that the
// backward pass forgets or counts twice shows. A dozen parameters, spread over the network.
TEST_P(EveryNetwork, GradientsAgreeWithDifferences) {
  const auto net = test::quick_network(GetParam(), 7);
  net->set_training(false);
  const Tensor x = images(2, GetParam() == "alexnet" ? 63 : 32);
  const Tensor cotangent = test::random_tensor({2, 7}, 5).to(DType::kFloat32);
  const std::vector<double> weights = cotangent.to_vector<double>();
  const auto objective = [&] {
    const NoGradGuard no_grad;
    const auto logits = (*net)(x).to_vector<double>();
    return std::inner_product(logits.begin(), logits.end(), weights.begin(), 0.0);
  };
  (*net)(x).backward(cotangent);
  const double scale = std::abs(objective());
  auto parameters = net->named_parameters();
  for (std::size_t i = 0; i < parameters.size(); i += 1 + parameters.size() / 12) {
    auto& [name, parameter] = parameters[i];
    const std::vector<float> gradient = parameter.grad().to_vector<float>();
    const Tensor before = parameter.clone();
    double squares = 0;
    for (float g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    ASSERT_GT(squares, 0) << name;
    // The objective then moves by a thousandth either way.
    const double step = 1e-3 * scale / squares;
    const auto moved = [&](double by) {
      float* to = parameter.data<float>();
      const float* from = before.data<float>();
      for (std::size_t k = 0; k < gradient.size(); ++k)
        to[k] = from[k] + static_cast<float>(by) * gradient[k];
      return objective();
    };
    const double difference = (moved(step) - moved(-step)) / (2 * step);
    parameter.copy_from(before);
    // Measured: at most 0.015, from kinks that are stepped over and the curvature behind them; the
    // rounding of float32 is below 0.001.
    EXPECT_NEAR(difference / squares, 1, 0.03) << name;
  }
}
INSTANTIATE_TEST_SUITE_P(Archs, EveryNetwork,
                         ::testing::Values("alexnet", "vgg13_bn", "resnet18", "resnext50_32x4d"),
                         [](const auto& tested) { return tested.param; });

class Formats : public ForwardObserver {
 public:
  explicit Formats(MemoryFormat wanted) : wanted_(wanted) {}
  void after(const Module&, const Tensor& output) override {
    if (output.shape().rank() != 4) return;
    ++maps;
    strangers += output.format() != wanted_;
  }
  int maps = 0;
  int strangers = 0;

 private:
  MemoryFormat wanted_;
};

// From the first convolution to the pool before the classifier all maps are in the format that
// convolutions want of 64 channels, so that none is rearranged between two layers.
class OneFormat : public ::testing::TestWithParam<std::string> {};

TEST_P(OneFormat, OfAllMaps) {
  const auto net = network_structure(GetParam(), 10);
  net->set_training(false);
  const MemoryFormat wanted =
      kernels::conv2d_formats(Device{}, Shape{1, 64, 8, 8}, MemoryFormat::kPlain, DType::kFloat32,
                              Shape{64, 64, 3, 3}, Conv2dOptions{.padding = {1, 1}})
          .input;
  const NoGradGuard no_grad;
  const Tensor x = images(1, GetParam() == "alexnet" ? 63 : 32);
  const Formats formats(wanted);
  EXPECT_EQ(net->features(x, "avgpool").format(), wanted);
  EXPECT_GT(formats.maps, 10);
  EXPECT_EQ(formats.strangers, 0) << "of " << formats.maps << ", wanted " << name_of(wanted);
}
INSTANTIATE_TEST_SUITE_P(Archs, OneFormat, ::testing::ValuesIn(network_names()),
                         [](const auto& tested) { return tested.param; });

// The whole network against plain loops that know the architecture from elsewhere.
struct Structure {
  std::string arch;
  std::int64_t size;
  test::Maps (*logits)(const test::NaiveClassifier& naive, const test::Maps& x);
};
class AgainstPlainLoops : public ::testing::TestWithParam<Structure> {};

TEST_P(AgainstPlainLoops, Logits) {
  const auto net = test::quick_network(GetParam().arch, 6);
  net->set_training(false);
  const Tensor x = images(1, GetParam().size);
  const NoGradGuard no_grad;
  const std::size_t size = static_cast<std::size_t>(GetParam().size);
  const test::NaiveClassifier naive(*net);
  const auto expected = GetParam().logits(naive, {1, 3, size, size, x.to_vector<double>()}).values;
  const auto actual = (*net)(x).to_vector<double>();
  ASSERT_EQ(actual.size(), expected.size());
  double largest = 0;
  for (double v : expected) largest = std::max(largest, std::abs(v));
  // float32 through up to fifty layers, each a rounding of sums of hundreds of terms.
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(std::abs(actual[i] - expected[i]) <= 2e-5 * largest)
        << i << ": " << actual[i] << " for " << expected[i];
}
INSTANTIATE_TEST_SUITE_P(
    Archs, AgainstPlainLoops,
    ::testing::Values(Structure{"alexnet", 67,
                                [](const auto& naive, const auto& x) { return naive.alexnet(x); }},
                      Structure{"vgg11", 37,
                                [](const auto& naive, const auto& x) {
                                  return naive.vgg(x, "CMCMCCMCCMCCM", false);
                                }},
                      Structure{"vgg16_bn", 32,
                                [](const auto& naive, const auto& x) {
                                  return naive.vgg(x, "CCMCCMCCCMCCCMCCCM", true);
                                }},
                      Structure{"resnet34", 45,
                                [](const auto& naive, const auto& x) {
                                  return naive.resnet(x, {3, 4, 6, 3}, false, 1);
                                }},
                      Structure{"resnet50", 37,
                                [](const auto& naive, const auto& x) {
                                  return naive.resnet(x, {3, 4, 6, 3}, true, 1);
                                }},
                      Structure{"resnext50_32x4d", 37,
                                [](const auto& naive, const auto& x) {
                                  return naive.resnet(x, {3, 4, 6, 3}, true, 32);
                                }}),
    [](const auto& tested) { return tested.param.arch; });

TEST(Network, DropoutStandsWhereTorchvisionHasIt) {
  const auto dropouts = [](const std::string& arch) {
    std::vector<std::string> names;
    const auto net = network_structure(arch, 10);
    for (const auto& [name, module] : net->named_modules())
      if (dynamic_cast<Dropout*>(module) != nullptr) names.push_back(name);
    return names;
  };
  EXPECT_EQ(dropouts("alexnet"), (std::vector<std::string>{"classifier.0", "classifier.3"}));
  EXPECT_EQ(dropouts("vgg13"), (std::vector<std::string>{"classifier.2", "classifier.5"}));
  EXPECT_TRUE(dropouts("resnet18").empty());
}

}  // namespace
}  // namespace concord
