#include "analysis/compression/clustering.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/error.h"

namespace concord {
namespace {

// The distinct ones of sorted values, or nothing when they are more than `most`.
std::vector<double> distinct_values(const std::vector<float>& sorted, std::size_t most) {
  std::vector<double> distinct;
  for (const float value : sorted) {
    if (!distinct.empty() && distinct.back() == value) continue;
    if (distinct.size() == most) return {};
    distinct.push_back(value);
  }
  return distinct;
}

// Where each centroid's values begin, among sorted values; the last entry is their number.
std::vector<std::size_t> boundaries(const std::vector<float>& sorted,
                                    const std::vector<double>& centroids) {
  std::vector<std::size_t> begins = {0};
  for (std::size_t c = 0; c + 1 < centroids.size(); ++c) {
    const double low = centroids[c];
    const double high = centroids[c + 1];
    const auto first =
        std::partition_point(sorted.begin() + static_cast<std::ptrdiff_t>(begins.back()),
                             sorted.end(), [&](double v) { return !(high - v < v - low); });
    begins.push_back(static_cast<std::size_t>(first - sorted.begin()));
  }
  begins.push_back(sorted.size());
  return begins;
}

}  // namespace

Clusters cluster_values(std::vector<float> values, int count) {
  check(count >= 1, "k-means: {} centroids are asked for, at least 1 is needed", count);
  for (std::size_t i = 0; i < values.size(); ++i)
    check(std::isfinite(values[i]), "k-means: value {} is {}, finite numbers are expected", i,
          values[i]);
  std::sort(values.begin(), values.end());
  Clusters result;
  result.centroids = distinct_values(values, static_cast<std::size_t>(count));
  result.converged = true;
  if (values.empty() || !result.centroids.empty()) return result;

  // sums[i]: of the first i values.
  std::vector<double> sums(values.size() + 1);
  for (std::size_t i = 0; i < values.size(); ++i) sums[i + 1] = sums[i] + values[i];
  const double least = values.front();
  const double step = count > 1 ? (values.back() - least) / (count - 1) : 0;
  for (int c = 0; c < count; ++c) result.centroids.push_back(least + c * step);

  std::vector<std::size_t> begins;
  for (result.converged = false; result.iterations < kMostLloydIterations; ++result.iterations) {
    std::vector<std::size_t> now = boundaries(values, result.centroids);
    result.converged = now == begins;
    if (result.converged) break;
    begins = std::move(now);
    for (std::size_t c = 0; c < result.centroids.size(); ++c) {
      const std::size_t begin = begins[c];
      const std::size_t end = begins[c + 1];
      if (begin == end) continue;
      // The difference of two long sums may leave the range of a few equal values.
      result.centroids[c] =
          std::clamp((sums[end] - sums[begin]) / static_cast<double>(end - begin),
                     static_cast<double>(values[begin]), static_cast<double>(values[end - 1]));
    }
  }
  std::vector<double> used;
  for (std::size_t c = 0; c < result.centroids.size(); ++c)
    if (begins[c] < begins[c + 1]) used.push_back(result.centroids[c]);
  result.centroids = std::move(used);
  return result;
}

}  // namespace concord
