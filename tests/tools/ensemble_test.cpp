#include "tools/common/ensemble.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/expect_error.h"

namespace concord::tool {
namespace {

ImageSet labelled(const std::vector<std::int64_t>& labels, std::size_t classes) {
  ImageSet set;
  for (std::size_t i = 0; i < classes; ++i) set.classes.push_back("c" + std::to_string(i));
  for (const std::int64_t label : labels) set.samples.push_back({.path = "x.png", .label = label});
  return set;
}

// Logits whose softmax is `p`, shifted by `shift`, which must not matter.
Tensor logits_of(const Shape& shape, const std::vector<double>& p, double shift = 0) {
  std::vector<float> values;
  for (const double probability : p)
    values.push_back(static_cast<float>(std::log(probability) + shift));
  return Tensor::of(shape, values);
}

TEST(Ensemble, IsTheMeanOfProbabilities) {
  ImageSet set = labelled({0, 2}, 3);
  set.groups = {{"first", 0, 1}, {"rest", 1, 2}};
  Ensemble ensemble(set);
  ensemble.add({0, 1}, logits_of({2, 3}, {0.5, 0.3, 0.2, 0.6, 0.1, 0.3}, 100));
  // The second classifier's images come one by one and in another order.
  ensemble.add({1}, logits_of({1, 3}, {0.05, 0.05, 0.9}));
  ensemble.add({0}, logits_of({1, 3}, {0.2, 0.7, 0.1}, -200));
  // Means: 0.35 0.5 0.15, where the label 0 comes second, and 0.325 0.075 0.6, where 2 comes first.
  const Evaluation result = ensemble.evaluate();
  EXPECT_EQ(result.all.samples, 2);
  EXPECT_EQ(result.all.top1, 0.5);
  EXPECT_EQ(result.all.top5, 1);
  EXPECT_NEAR(result.all.loss, -(std::log(0.35) + std::log(0.6)) / 2, 1e-5);
  ASSERT_EQ(result.groups.size(), 2U);
  EXPECT_EQ(result.groups[0].group, "first");
  EXPECT_EQ(result.groups[0].top1, 0);
  EXPECT_NEAR(result.groups[0].loss, -std::log(0.35), 1e-5);
  EXPECT_EQ(result.groups[1].samples, 1);
  EXPECT_EQ(result.groups[1].top1, 1);
}

TEST(Ensemble, HasAFiniteLossWhereAllAreSure) {
  const ImageSet set = labelled({1}, 2);
  Ensemble ensemble(set);
  // softmax would be exactly 0 in double.
  for (int i = 0; i < 3; ++i) ensemble.add({0}, Tensor::of<float>({1, 2}, {1000, -1000}));
  const Evaluation result = ensemble.evaluate();
  EXPECT_NEAR(result.all.loss, 2000, 1e-9);
  EXPECT_EQ(result.all.top1, 0);
}

TEST(Ensemble, LeavesOutImagesThatCouldNotBeRead) {
  const ImageSet set = labelled({0, 0, 1}, 2);
  Ensemble ensemble(set);
  ensemble.add({0, 2}, logits_of({2, 2}, {0.9, 0.1, 0.4, 0.6}));
  EXPECT_EQ(ensemble.evaluate().all.samples, 2);
  EXPECT_EQ(ensemble.evaluate().all.top1, 1);
}

TEST(Ensemble, OfSeveralLabelsAnImage) {
  ImageSet set = labelled({-1, -1}, 2);
  set.multi_labels = {1, 0, 1, 1};
  Ensemble ensemble(set);
  const auto logit = [](double p) { return static_cast<float>(std::log(p / (1 - p))); };
  ensemble.add({0, 1}, Tensor::of<float>({2, 2}, {logit(0.9), logit(0.2), logit(0.3), 800}));
  ensemble.add({0, 1}, Tensor::of<float>({2, 2}, {logit(0.3), logit(0.4), logit(0.5), 900}));
  // Means: 0.6 0.3, both right; 0.4 1, of which the first is wrong.
  const Evaluation result = ensemble.evaluate();
  EXPECT_TRUE(result.multi_label);
  EXPECT_EQ(result.all.samples, 2);
  EXPECT_EQ(result.all.labels_right, 0.75);
  EXPECT_NEAR(result.all.loss, -(std::log(0.6) + std::log(0.7) + std::log(0.4)) / 4, 1e-6);
}

TEST(Ensemble, RefusesLogitsOfOtherClasses) {
  const ImageSet set = labelled({0}, 2);
  Ensemble ensemble(set);
  test::expect_error([&] { ensemble.add({0}, Tensor::zeros({1, 3})); }, {"1x3", "1x2"});
}

}  // namespace
}  // namespace concord::tool
