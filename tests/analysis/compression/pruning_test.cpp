#include "analysis/compression/pruning.h"

#include <bit>
#include <cmath>

#include "engine/ops/arithmetic.h"
#include "engine/ops/loss.h"
#include "engine/optimizer.h"
#include "tests/analysis/compression/goldens.h"
#include "tests/analysis/compression/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::bits_of;

LayerWeight layer_of(const std::vector<float>& values) {
  return {"features.0", LayerKind::kLinear,
          Tensor::of({static_cast<std::int64_t>(values.size())}, values)};
}

TEST(Pruning, ByHand) {
  // Mean 0, mean square 10/6: a deviation of 1.29099 (the sample's would be 1.41421).
  const std::vector<float> values = {-2, -1, 0, 2, 1, -0.0F};
  LayerWeight layer = layer_of(values);
  const PrunedLayer all = prune(layer, 0.7);  // below 0.9037
  EXPECT_DOUBLE_EQ(all.deviation, std::sqrt(10.0 / 6));
  EXPECT_DOUBLE_EQ(all.threshold, 0.7 * std::sqrt(10.0 / 6));
  EXPECT_EQ(all.weights, 6);
  EXPECT_EQ(all.kept, 4);
  EXPECT_EQ(bits_of(layer.weight), bits_of(Tensor::of<float>({6}, {-2, -1, 0, 2, 1, 0})));
  EXPECT_EQ(prune(layer, 1).kept, 2);
  EXPECT_EQ(bits_of(layer.weight), bits_of(Tensor::of<float>({6}, {-2, 0, 0, 2, 0, 0})));
  EXPECT_EQ(prune(layer, 9).kept, 0);
  EXPECT_EQ(bits_of(layer.weight), std::vector<std::uint32_t>(6, 0));
}

TEST(Pruning, WhatLiesOnTheThresholdStays) {
  LayerWeight layer = layer_of({1, -1});  // deviation 1
  EXPECT_EQ(prune(layer, 1).kept, 2);
  EXPECT_EQ(prune(layer, 1.0001).kept, 0);
  // A mean apart from 0 is no part of the deviation; equal weights have none, and none is pruned.
  layer = layer_of({5, 7});
  EXPECT_DOUBLE_EQ(prune(layer, 4).deviation, 1);
  EXPECT_EQ(prune(layer, 6).kept, 1);
  layer = layer_of({3, 3, 3});
  EXPECT_EQ(prune(layer, 100).kept, 3);
}

TEST(Pruning, AsNumpyCounts) {
  LayerWeight layer = layer_of(test::golden_values());
  const PrunedLayer conv = prune(layer, 0.2);
  EXPECT_NEAR(conv.deviation, test::kDeviation, 1e-14);
  EXPECT_EQ(conv.kept, test::kKeptAtOneFifth);
  EXPECT_EQ(count_kept(layer.weight), test::kKeptAtOneFifth);
  layer = layer_of(test::golden_values());
  EXPECT_EQ(prune(layer, 1).kept, test::kKeptAtOne);
}

TEST(Pruning, Misuse) {
  LayerWeight layer = layer_of({1, 2});
  test::expect_error([&] { prune(layer, -0.5); }, {"features.0", "-0.5"});
  test::expect_error([&] { prune(layer, std::nan("")); }, {"features.0", "nan"});
  layer = layer_of({1, NAN, 2});
  test::expect_error([&] { prune(layer, 1); }, {"features.0", "NaN or infinity"});
  layer = layer_of({});
  test::expect_error([&] { prune(layer, 1); }, {"features.0", "no weights"});
}

TEST(Pruning, FindsTheLayersOfANetwork) {
  const auto network = test::small_network(1);
  const auto layers = layer_weights(*network);
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].layer, "0");
  EXPECT_EQ(layers[0].kind, LayerKind::kConvolution);
  EXPECT_EQ(layers[0].weight.shape(), (Shape{3, 2, 3, 3}));
  EXPECT_EQ(layers[1].tensor_name(), "3.weight");
  EXPECT_EQ(layers[1].kind, LayerKind::kLinear);
}

// Trains `network` for some steps; returns its two weights.
std::vector<Tensor> trained(Module& network, Optimizer& optimizer, PruningMasks* masks) {
  const Tensor wanted = test::random_tensor({5, 4}, 12).to(DType::kFloat32);
  for (int i = 0; i < 4; ++i) {
    mse_loss(network(test::small_images()), wanted).backward();
    if (masks != nullptr) masks->mask_gradients();
    optimizer.step(0.05);
  }
  std::vector<Tensor> weights;
  for (const LayerWeight& layer : layer_weights(network)) weights.push_back(layer.weight);
  return weights;
}

// Through momentum, weight decay and Adam's moments; without the masks they move.
TEST(PruningMasks, HoldWhatIsPrunedAtZero) {
  for (const bool adam : {false, true}) {
    for (const bool masked : {true, false}) {
      const auto network = test::small_network(1);
      std::vector<std::vector<float>> before;
      for (LayerWeight& layer : layer_weights(*network)) {
        EXPECT_LT(prune(layer, 0.8).kept, layer.weight.numel());
        before.push_back(layer.weight.to_vector<float>());
      }
      PruningMasks masks(layer_weights(*network));
      const auto optimizer =
          adam ? make_adam(network->named_parameters(), {.weight_decay = 0.01})
               : make_sgd(network->named_parameters(), {.momentum = 0.9, .weight_decay = 0.01});
      const auto after = trained(*network, *optimizer, masked ? &masks : nullptr);
      for (std::size_t l = 0; l < after.size(); ++l) {
        const auto values = after[l].to_vector<float>();
        int zeros = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
          const bool was_zero = before[l][i] == 0;
          if (was_zero)
            zeros += std::bit_cast<std::uint32_t>(values[i]) == 0;
          else
            EXPECT_NE(values[i], before[l][i]) << "a weight that is kept is not trained";
        }
        const auto pruned = std::count(before[l].begin(), before[l].end(), 0.0F);
        if (masked)
          EXPECT_EQ(zeros, pruned);
        else
          EXPECT_LT(zeros, pruned);
      }
    }
  }
}

// A step of SGD by the formulas: of the kept weights the masks change nothing.
TEST(PruningMasks, LeaveTheOtherGradientsAlone) {
  const auto network = test::small_network(2);
  for (LayerWeight& layer : layer_weights(*network)) prune(layer, 0.8);
  PruningMasks masks(layer_weights(*network));
  const auto loss = [&] {
    return mse_loss((*network)(test::small_images()),
                    test::random_tensor({5, 4}, 12).to(DType::kFloat32));
  };
  loss().backward();
  std::vector<std::vector<float>> plain;
  for (const LayerWeight& layer : layer_weights(*network))
    plain.push_back(layer.weight.grad().to_vector<float>());
  masks.mask_gradients();
  for (std::size_t l = 0; l < plain.size(); ++l) {
    const Tensor weight = layer_weights(*network)[l].weight;
    const auto values = weight.to_vector<float>();
    const auto gradient = weight.grad().to_vector<float>();
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(gradient[i], values[i] == 0 ? 0 : plain[l][i]);
  }
}

}  // namespace
}  // namespace concord
