// What a step of the trainings reports, against the same computed one by one.

#include "tools/common/training_steps.h"

#include <gtest/gtest.h>

#include "engine/ops/arithmetic.h"
#include "engine/ops/gated_stage.h"
#include "engine/ops/loss.h"
#include "tests/gradient_check.h"
#include "tools/common/classification.h"

namespace concord::tool {
namespace {

using test::random_tensor;

TEST(TrainingSteps, OfAClassifierReportLossAndHits) {
  const auto network_of = [](random::Generator& generator) {
    return make_network("resnet18", 3, generator);
  };
  random::Generator generator(1);
  random::Generator other_generator(1);
  const auto network = network_of(generator);
  const auto other = network_of(other_generator);
  ClassifierStep step(*network, false);
  std::int64_t all_hits = 0;
  for (std::uint64_t number = 0; number < 3; ++number) {
    Batch batch;
    batch.images = random_tensor({7, 3, 32, 32}, number).to(DType::kFloat32);
    batch.labels = Tensor::of<std::int64_t>({7}, {0, 1, 2, 2, 1, 0, 1});
    batch.device_labels = batch.labels;
    batch.number = static_cast<std::int64_t>(number);
    const Step result = step.run(batch);
    const Tensor logits = (*other)(batch.images);
    EXPECT_EQ(result.number, batch.number);
    EXPECT_EQ(result.samples, 7);
    EXPECT_EQ(value_of(result.means, "loss"), cross_entropy(logits, batch.labels).item());
    std::int64_t hits = 0;
    for (std::int64_t i = 0; i < 7; ++i)
      hits += rank_of_label(logits, i, batch.labels.data<std::int64_t>()[i]) == 0;
    EXPECT_EQ(value_of(result.means, "top1"), static_cast<double>(hits) / 7);
    all_hits += hits;
  }
  EXPECT_GT(all_hits, 0) << "of some";
  EXPECT_LT(all_hits, 21) << "not of all";
}

TEST(TrainingSteps, OfATransNetReportTheirLossesAndGates) {
  const std::vector<double> alpha = {0.1, 0.3};
  for (const bool fixed_gates : {false, true}) {
    const TransNetOptions options = {
        .channels_in = 4, .channels_out = 4, .fixed_gates = fixed_gates};
    random::Generator generator(1);
    TransNet net(options, generator);
    random::Generator other_generator(1);
    TransNet other(options, other_generator);
    PairBatch batch;
    batch.a = random_tensor({3, 4, 5, 5}, 1).to(DType::kFloat32);
    batch.b = random_tensor({3, 4, 5, 5}, 2).to(DType::kFloat32);
    batch.number = 4;
    TransNetStep step(net, alpha, false);
    const Step result = step.run(batch);
    EXPECT_EQ(result.number, 4);
    EXPECT_EQ(result.samples, 3);
    const Tensor mse = mse_loss(other(batch.a), batch.b);
    const Tensor penalty = gate_penalty(other.gates(), alpha);
    const Tensor loss = add(mse, penalty);
    EXPECT_EQ(value_of(result.means, "loss"), loss.item());
    EXPECT_EQ(value_of(result.means, "mse"), mse.item());
    EXPECT_EQ(value_of(result.means, "penalty"), penalty.item());
    loss.backward();
    ASSERT_EQ(result.means.size(), fixed_gates ? 3U : 5U);
    if (fixed_gates) continue;
    const auto dq = other.gate_logits().grad().to_vector<double>();
    const auto p = other.gates().to_vector<double>();
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_NEAR(value_of(result.means, fmt::format("dL/dp_{}", i)), dq[i] / (p[i] * (1 - p[i])),
                  1e-6);
  }
}

}  // namespace
}  // namespace concord::tool
