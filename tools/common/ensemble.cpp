#include "tools/common/ensemble.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace concord::tool {
namespace {

constexpr double kLogOfZero = -std::numeric_limits<double>::infinity();

// log(exp(a) + exp(b))
double log_add(double a, double b) {
  const double most = std::max(a, b);
  return most == kLogOfZero ? most : most + std::log1p(std::exp(std::min(a, b) - most));
}

// log sigmoid(x)
double log_sigmoid(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); }

double log_sum_exp(const float* values, std::size_t count) {
  const double most = *std::max_element(values, values + count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += std::exp(values[i] - most);
  return most + std::log(sum);
}

// Adds an image of that loss whose label `rank` classes come before.
void add_image(Accuracy& accuracy, double loss, std::int64_t rank) {
  ++accuracy.samples;
  accuracy.loss += loss;
  accuracy.top1 += rank < 1;
  accuracy.top5 += rank < 5;
}

void divide(Accuracy& accuracy) {
  const double samples = static_cast<double>(std::max<std::int64_t>(1, accuracy.samples));
  for (double* sum : {&accuracy.loss, &accuracy.top1, &accuracy.top5, &accuracy.labels_right})
    *sum /= samples;
}

}  // namespace

Ensemble::Ensemble(const ImageSet& set)
    : set_(set),
      classes_(set.classes.size()),
      multi_label_(!set.multi_labels.empty()),
      log_sums_(set.samples.size() * classes_, kLogOfZero),
      log_rests_(multi_label_ ? log_sums_.size() : 0, kLogOfZero),
      members_(set.samples.size(), 0) {}

void Ensemble::add(const std::vector<std::int64_t>& indices, const Tensor& logits) {
  const Shape expected{static_cast<std::int64_t>(indices.size()),
                       static_cast<std::int64_t>(classes_)};
  check(logits.shape() == expected, "ensemble: logits are {}, {} is expected",
        logits.shape().to_string(), expected.to_string());
  for (std::size_t row = 0; row < indices.size(); ++row) {
    const auto image = static_cast<std::size_t>(indices[row]);
    const float* values = logits.data<float>() + row * classes_;
    const double total = multi_label_ ? 0 : log_sum_exp(values, classes_);
    ++members_.at(image);
    for (std::size_t i = 0; i < classes_; ++i) {
      double& sum = log_sums_[image * classes_ + i];
      sum = log_add(sum, multi_label_ ? log_sigmoid(values[i]) : values[i] - total);
      if (!multi_label_) continue;
      double& rest = log_rests_[image * classes_ + i];
      rest = log_add(rest, log_sigmoid(-double{values[i]}));
    }
  }
}

Evaluation Ensemble::evaluate() const {
  Evaluation result;
  result.multi_label = multi_label_;
  for (const ClassGroup& group : set_.groups) result.groups.push_back({.group = group.name});
  for (std::size_t image = 0; image < members_.size(); ++image) {
    if (members_[image] == 0) continue;
    const double log_members = std::log(static_cast<double>(members_[image]));
    const double* sums = &log_sums_[image * classes_];
    if (multi_label_) {
      const double* rests = &log_rests_[image * classes_];
      double loss = 0;
      std::int64_t right = 0;
      for (std::size_t i = 0; i < classes_; ++i) {
        const bool shown = set_.multi_labels[image * classes_ + i] != 0;
        loss += log_members - (shown ? sums[i] : rests[i]);
        right += (sums[i] > rests[i]) == shown;
      }
      const double classes = static_cast<double>(classes_);
      ++result.all.samples;
      result.all.loss += loss / classes;
      result.all.labels_right += static_cast<double>(right) / classes;
      continue;
    }
    const std::int64_t label = set_.samples[image].label;
    const auto at = static_cast<std::size_t>(label);
    std::int64_t rank = 0;
    for (std::size_t i = 0; i < classes_; ++i)
      // As rank_of_label has it: a NaN never counts as below the label.
      rank += i != at && !(sums[i] < sums[at] || (sums[i] == sums[at] && i > at));
    add_image(result.all, log_members - sums[at], rank);
    for (std::size_t i = 0; i < set_.groups.size(); ++i)
      if (set_.groups[i].first <= label && label < set_.groups[i].first + set_.groups[i].count)
        add_image(result.groups[i], log_members - sums[at], rank);
  }
  divide(result.all);
  for (Accuracy& accuracy : result.groups) divide(accuracy);
  return result;
}

}  // namespace concord::tool
