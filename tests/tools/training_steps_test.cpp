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

// A network that says the same of every batch: its only parameter, of a row per image.
class FixedLogits final : public Network {
 public:
  explicit FixedLogits(const std::vector<float>& values) : Network("fixed", 4) {
    logits = register_parameter("logits", Tensor::of({3, 4}, values));
  }
  Tensor logits;

 private:
  Tensor forward(Tensor /*x*/) override { return logits; }
};

// Losses and gradients of PyTorch 2.15 in float64: F.cross_entropy(s, y) - lambda tau^2 / N
// (F.softmax(t / tau, 1) * F.log_softmax(s / tau, 1)).sum(), and for several labels an image
// F.binary_cross_entropy_with_logits(s, m) + lambda tau^2
// F.binary_cross_entropy_with_logits(s / tau, torch.sigmoid(t / tau)).
struct StudentGolden {
  bool multi_label;
  double tau;
  double of_truth, kd, loss;
  std::vector<double> gradient;
};
const StudentGolden kStudentGoldens[] = {
    {false,
     1,
     0.91016948244867,
     1.67863555363747,
     1.41376014853991,
     {0.03829068644, 0.007582366294, 0.2729369206, -0.3188099733, 0.008437670959, -0.02854507137,
      0.02651668118, -0.00640928077, -0.1729998619, 0.08749040798, -0.01938188977, 0.1048913437}},
    {false,
     2.5,
     0.91016948244867,
     8.91967969029141,
     3.58607338953609,
     {0.03407732055, 0.004746368638, 0.275504146, -0.3143278352, 0.01443839592, -0.02391035522,
      0.03659379056, -0.02712183126, -0.1793549625, 0.09968149402, -0.0262426414, 0.1059161099}},
    {true,
     1,
     0.611746650429583,
     0.717161619916738,
     0.826895136404605,
     {-0.03633960102, 0.01468733165, 0.08136527093, -0.03285918642, 0.03417670359, -0.002157729877,
      -0.01737902846, -0.002647833394, -0.02111478813, 0.05634181617, -0.06801018894,
      0.05648750674}},
    {true,
     2.5,
     0.611746650429583,
     4.33664135814323,
     1.91273905787255,
     {-0.03745061671, 0.01401926153, 0.08371196235, -0.03652361227, 0.03451507632, 0.0009572378001,
      -0.01928295176, -0.005054453067, -0.02089646366, 0.0575127601, -0.06890459043,
      0.05654743498}}};

TEST(TrainingSteps, OfAStudentAreThoseOfPyTorch) {
  for (const StudentGolden& golden : kStudentGoldens) {
    FixedLogits student({0.5, -1.25, 2, 0.75, -0.5, 3, 1.5, -2, 1, 0.25, -0.75, 0.5});
    FixedLogits teacher({1.5, -0.5, 0.25, 2.5, -1, 2, 2.25, 0.5, 0.75, -1.5, 1.25, -0.25});
    Batch batch;
    batch.images = Tensor::zeros({3, 3, 2, 2});
    batch.device_labels = Tensor::of<std::int64_t>({3}, {3, 1, 0});
    if (golden.multi_label)
      batch.targets = Tensor::of<float>({3, 4}, {1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0});
    batch.number = 5;
    // The weight that is set later is the one that counts.
    ClassifierStep step(student, {.teacher = &teacher, .lambda = 0.9, .tau = golden.tau}, false);
    step.set_lambda(0.3);
    const Step result = step.run(batch);
    SCOPED_TRACE(fmt::format("{}, tau {}", golden.multi_label ? "targets" : "labels", golden.tau));
    EXPECT_EQ(result.number, 5);
    EXPECT_EQ(result.samples, 3);
    ASSERT_EQ(result.means.size(), 4U);
    EXPECT_EQ(result.means.front().first, "loss");
    EXPECT_NEAR(value_of(result.means, "loss"), golden.loss, 1e-6);
    EXPECT_NEAR(value_of(result.means, golden.multi_label ? "bce" : "ce"), golden.of_truth, 1e-6);
    EXPECT_NEAR(value_of(result.means, "kd"), golden.kd, 1e-6);
    // Of the rows' best classes 2, 1, 0 the last two are right; of the signs eight.
    if (golden.multi_label)
      EXPECT_EQ(value_of(result.means, "accuracy"), 8.0 / 12);
    else
      EXPECT_EQ(value_of(result.means, "top1"), 2.0 / 3);
    const auto gradient = student.logits.grad().to_vector<double>();
    for (std::size_t i = 0; i < 12; ++i)
      EXPECT_NEAR(gradient[i], golden.gradient[i], 1e-7) << "element " << i;
    EXPECT_FALSE(teacher.logits.grad().defined()) << "a teacher learns nothing";
  }
}

}  // namespace
}  // namespace concord::tool
