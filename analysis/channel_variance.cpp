#include "analysis/channel_variance.h"

#include <numeric>

#include "kernels/norm.h"

namespace concord {

void ChannelVariance::add(const Tensor& batch) {
  check(batch.shape().rank() >= 2, "variance: [n,C,H,W] or [n,C] expected, got {}",
        batch.shape().to_string());
  const std::size_t channels = static_cast<std::size_t>(batch.dim(1));
  check(means_.empty() || means_.size() == channels,
        "variance: a batch of {} channels (shape {}) follows batches of {}", channels,
        batch.shape().to_string(), means_.size());
  if (batch.numel() == 0) return;
  const TensorOptions options = {.dtype = DType::kFloat64, .device = batch.device()};
  Tensor means = Tensor::empty({batch.dim(1)}, options);
  Tensor variances = empty_like(means);
  kernels::mean_and_variance(batch.device(), batch.view(), means.view(), variances.view());

  means_.resize(channels);
  squares_.resize(channels);
  const double added = static_cast<double>(batch.numel()) / static_cast<double>(channels);
  const double total = count_ + added;
  const std::vector<double> new_means = means.to_vector<double>();
  const std::vector<double> new_variances = variances.to_vector<double>();
  for (std::size_t c = 0; c < channels; ++c) {
    const double delta = new_means[c] - means_[c];
    means_[c] += delta * (added / total);
    squares_[c] += new_variances[c] * added + delta * delta * (count_ * added / total);
  }
  count_ = total;
}

std::vector<double> ChannelVariance::channels() const {
  check(count_ > 0, "variance: no data were added");
  std::vector<double> result = squares_;
  for (double& value : result) value /= count_;
  return result;
}

double ChannelVariance::result() const {
  const std::vector<double> values = channels();
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace concord
