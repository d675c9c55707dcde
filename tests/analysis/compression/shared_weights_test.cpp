#include "analysis/compression/shared_weights.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/compression/pruning.h"
#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "engine/optimizer.h"
#include "tests/analysis/compression/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::bits_of;

Tensor wanted() { return test::random_tensor({5, 4}, 12).to(DType::kFloat32); }

std::map<std::string, Tensor> by_name(const std::vector<Named<Tensor>>& tensors) {
  return {tensors.begin(), tensors.end()};
}

TEST(SharedWeights, GivesEachWeightTheNearestCentroid) {
  const auto network = test::small_network(1);
  std::vector<std::vector<float>> before;
  for (LayerWeight& layer : layer_weights(*network)) {
    prune(layer, 0.3);
    before.push_back(layer.weight.to_vector<float>());
  }
  SharedWeights shared(*network, 4, false);
  for (LayerWeight& layer : layer_weights(*network)) layer.weight.fill(99);
  shared.share();
  const auto parameters = by_name(shared.named_parameters());
  for (std::size_t l = 0; l < 2; ++l) {
    const LayerWeight layer = layer_weights(*network)[l];
    const auto codebook = parameters.at(layer.layer + "/codebook").to_vector<float>();
    EXPECT_LE(codebook.size(), 4U);
    EXPECT_GE(codebook.size(), 2U);
    EXPECT_TRUE(std::is_sorted(codebook.begin(), codebook.end()));
    const auto after = layer.weight.to_vector<float>();
    std::int64_t kept = 0;
    for (std::size_t i = 0; i < after.size(); ++i) {
      kept += before[l][i] != 0;
      float nearest = before[l][i] == 0 ? 0 : codebook[0];
      if (before[l][i] != 0)
        for (const float value : codebook)
          if (std::abs(value - before[l][i]) < std::abs(nearest - before[l][i])) nearest = value;
      ASSERT_EQ(after[i], nearest) << i;
    }
    EXPECT_EQ(shared.layers()[l].layer, layer.layer);
    EXPECT_EQ(shared.layers()[l].kept, kept);
    EXPECT_EQ(shared.layers()[l].weights, static_cast<std::int64_t>(after.size()));
    EXPECT_EQ(shared.layers()[l].centroids, static_cast<int>(codebook.size()));
    EXPECT_TRUE(shared.layers()[l].converged);
  }
  // Biases and normalisations are there, weights are not.
  std::vector<std::string> names;
  for (const auto& [name, tensor] : shared.named_state()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"0/codebook", "3/codebook", "1/weight", "1/bias", "3/bias",
                                      "1/running_mean", "1/running_var", "1/num_batches_tracked"}));
}

// Against the gradients of the single weights, as autograd has them.
TEST(SharedWeights, AnEntrysGradientIsTheSumOfItsWeights) {
  const auto network = test::small_network(1);
  for (LayerWeight& layer : layer_weights(*network)) prune(layer, 0.3);
  SharedWeights shared(*network, 3, false);
  mse_loss(shared(test::small_images()), wanted()).backward();
  std::vector<std::vector<float>> single;
  for (const LayerWeight& layer : layer_weights(*network))
    single.push_back(layer.weight.grad().to_vector<float>());
  shared.gather_gradients();
  const auto parameters = by_name(shared.named_parameters());
  for (std::size_t l = 0; l < 2; ++l) {
    const LayerWeight layer = layer_weights(*network)[l];
    EXPECT_FALSE(layer.weight.grad().defined());
    const auto values = layer.weight.to_vector<float>();
    const Tensor codebook = parameters.at(layer.layer + "/codebook");
    const auto entries = codebook.to_vector<float>();
    const auto gradient = codebook.grad().to_vector<float>();
    for (std::size_t k = 0; k < entries.size(); ++k) {
      double sum = 0;
      for (std::size_t i = 0; i < values.size(); ++i)
        if (values[i] == entries[k]) sum += single[l][i];
      EXPECT_NEAR(gradient[k], sum, 1e-6 * std::max(1.0, std::abs(sum)));
    }
  }
}

// A fully connected layer under a square loss is a parabola in each entry, so that a central
// difference has no error of its own.
TEST(SharedWeights, AnEntrysGradientIsTheLosss) {
  random::Generator generator(3);
  Sequential network({std::make_shared<Linear>(12, 7, generator)});
  for (LayerWeight& layer : layer_weights(network)) prune(layer, 0.4);
  SharedWeights shared(network, 4, false);
  const Tensor x = test::random_tensor({9, 12}, 5).to(DType::kFloat32);
  const Tensor t = test::random_tensor({9, 7}, 6).to(DType::kFloat32);
  const auto loss = [&] { return mse_loss(shared(x), t); };
  loss().backward();
  shared.gather_gradients();
  Tensor codebook = by_name(shared.named_parameters()).at("0/codebook");
  const auto gradient = codebook.grad().to_vector<float>();
  ASSERT_EQ(gradient.size(), 4U);
  for (std::size_t k = 0; k < gradient.size(); ++k) {
    constexpr float kStep = 0.25F;
    const float at = codebook.data<float>()[k];
    codebook.data<float>()[k] = at + kStep;
    const double above = loss().item();
    codebook.data<float>()[k] = at - kStep;
    const double below = loss().item();
    codebook.data<float>()[k] = at;
    EXPECT_NEAR(gradient[k], (above - below) / (2.0 * kStep), 2e-6);  // losses of 1, in float32
  }
}

TEST(SharedWeights, StayEqualToTheBitAndLearn) {
  for (const bool adam : {false, true}) {
    const auto network = test::small_network(1);
    for (LayerWeight& layer : layer_weights(*network)) prune(layer, 0.5);
    SharedWeights shared(*network, 3, false);
    const auto optimizer =
        adam ? make_adam(shared.named_parameters(), {.weight_decay = 0.01})
             : make_sgd(shared.named_parameters(), {.momentum = 0.9, .weight_decay = 0.01});
    const auto coded_before = shared.coded();
    double first = 0;
    double last = 0;
    for (int i = 0; i < 30; ++i) {
      const Tensor loss = mse_loss(shared(test::small_images()), wanted());
      (i == 0 ? first : last) = loss.item();
      loss.backward();
      shared.gather_gradients();
      optimizer->step(0.01);
    }
    EXPECT_LT(last, first);
    shared.share();
    const auto coded = shared.coded();
    for (std::size_t l = 0; l < 2; ++l) {
      EXPECT_EQ(coded[l].codes, coded_before[l].codes);
      EXPECT_NE(coded[l].codebook, coded_before[l].codebook);
      const Tensor weight = layer_weights(*network)[l].weight;
      std::vector<float> expected;
      for (const std::uint16_t code : coded[l].codes)
        expected.push_back(code == 0 ? 0.0F : coded[l].codebook[code - 1U]);
      EXPECT_EQ(bits_of(weight), bits_of(Tensor::of(weight.shape(), expected)));
      EXPECT_GT(std::count(coded[l].codes.begin(), coded[l].codes.end(), 0), 0);
    }
  }
}

TEST(SharedWeights, OnlyTheCodebooksWhereAskedFor) {
  const auto network = test::small_network(1);
  const SharedWeights shared(*network, 3, true);
  EXPECT_EQ(shared.named_parameters().size(), 2U);
  EXPECT_EQ(shared.named_buffers().size(), 6U);
  for (const auto& [name, tensor] : network->named_parameters())
    EXPECT_EQ(tensor.requires_grad(), name == "0.weight" || name == "3.weight") << name;
}

TEST(SharedWeights, ALayerOfPrunedWeightsOnlyHasNoCodebook) {
  const auto network = test::small_network(1);
  layer_weights(*network)[0].weight.fill(0);
  SharedWeights shared(*network, 3, false);
  EXPECT_EQ(shared.layers()[0].centroids, 0);
  mse_loss(shared(test::small_images()), wanted()).backward();
  shared.gather_gradients();
  const auto coded = shared.coded();
  EXPECT_TRUE(coded[0].codebook.empty());
  EXPECT_EQ(coded[0].codes, std::vector<std::uint16_t>(54, 0));
  EXPECT_FALSE(by_name(shared.named_parameters()).contains("0/codebook"));
}

TEST(SharedWeights, Misuse) {
  const auto network = test::small_network(1);
  test::expect_error([&] { SharedWeights(*network, 0, false); }, {"0 centroids", "32768"});
  test::expect_error([&] { SharedWeights(*network, 32769, false); }, {"32769"});
  layer_weights(*network)[1].weight.data<float>()[5] = NAN;
  test::expect_error([&] { SharedWeights(*network, 4, false); }, {"layer 3", "nan"});
}

}  // namespace
}  // namespace concord
