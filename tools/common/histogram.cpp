#include "tools/common/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "kernels/parallel.h"

namespace concord::tool {
namespace {

constexpr std::int64_t kChunk = std::int64_t{1} << 16;  // values whose sums are taken as one

struct ChunkSums {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  double sum = 0;
  double sum_of_squares = 0;
};

// Runs of empty buckets become one, as TensorFlow writes them.
void compress(Histogram& histogram, const std::vector<std::int64_t>& counts) {
  const std::vector<double>& limits = histogram_limits();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const bool goes_on =
        counts[i] == 0 && !histogram.counts.empty() && histogram.counts.back() == 0;
    if (goes_on) {
      histogram.limits.back() = limits[i];
    } else {
      histogram.limits.push_back(limits[i]);
      histogram.counts.push_back(static_cast<double>(counts[i]));
    }
  }
}

}  // namespace

const std::vector<double>& histogram_limits() {
  static const std::vector<double> limits = [] {
    std::vector<double> positive;
    for (double limit = 1e-12; limit < 1e20; limit *= 1.1) positive.push_back(limit);
    positive.push_back(std::numeric_limits<double>::max());
    std::vector<double> all;
    for (auto limit = positive.rbegin(); limit != positive.rend(); ++limit) all.push_back(-*limit);
    all.push_back(0);
    all.insert(all.end(), positive.begin(), positive.end());
    return all;
  }();
  return limits;
}

Histogram histogram_of(const Tensor& values) {
  const Tensor host =
      values.detach().to(Device{}).to(DType::kFloat32).in_format(MemoryFormat::kPlain);
  const float* data = host.data<float>();
  const std::vector<double>& limits = histogram_limits();
  const std::int64_t chunks = (host.numel() + kChunk - 1) / kChunk;
  std::vector<ChunkSums> sums(static_cast<std::size_t>(chunks));
  std::vector<std::int64_t> counts(limits.size(), 0);
  std::mutex mutex;
  parallel_for(chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> own(limits.size(), 0);
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      ChunkSums& sum = sums[static_cast<std::size_t>(chunk)];
      const std::int64_t last = std::min(host.numel(), (chunk + 1) * kChunk);
      for (std::int64_t i = chunk * kChunk; i < last; ++i) {
        const double value = data[i];
        if (!std::isfinite(value)) continue;
        ++own[static_cast<std::size_t>(std::upper_bound(limits.begin(), limits.end(), value) -
                                       limits.begin())];
        sum.min = std::min(sum.min, value);
        sum.max = std::max(sum.max, value);
        sum.sum += value;
        sum.sum_of_squares += value * value;
      }
    }
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += own[i];
  });

  Histogram histogram;
  ChunkSums all;
  for (const ChunkSums& sum : sums) {
    all.min = std::min(all.min, sum.min);
    all.max = std::max(all.max, sum.max);
    histogram.sum += sum.sum;
    histogram.sum_of_squares += sum.sum_of_squares;
  }
  for (const std::int64_t count : counts) histogram.count += count;
  if (histogram.count > 0) {
    histogram.min = all.min;
    histogram.max = all.max;
  }
  compress(histogram, counts);
  return histogram;
}

}  // namespace concord::tool
