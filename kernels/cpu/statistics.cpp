#include "kernels/statistics.h"

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

void channel_moments_cpu(ConstView x, View mean, View squares) {
  const ChannelLayout layout = x.channels();
  const double count = static_cast<double>(layout.outer * layout.spatial);
  double* means = mean.as<double>();
  double* sums = squares.as<double>();
  with_float(x, "channel_moments", [&]<class T>(T) {
    const T* values = x.as<T>();
    parallel_for(layout.channels(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c) {
        // The sum of f over the channel, one row of pixels at a time, so that rounding grows with
        // the length of a row and the number of samples and not with their product.
        const auto total = [&](auto f) {
          double sum = 0;
          for (std::int64_t n = 0; n < layout.outer; ++n) {
            const T* row =
                values + ((n * layout.groups + c / layout.lanes) * layout.spatial) * layout.lanes +
                c % layout.lanes;
            double part = 0;
            for (std::int64_t s = 0; s < layout.spatial; ++s)
              part += f(static_cast<double>(row[s * layout.lanes]));
            sum += part;
          }
          return sum;
        };
        const double centre = total([](double v) { return v; }) / count;
        means[c] = centre;
        sums[c] = total([centre](double v) { return (v - centre) * (v - centre); });
      }
    });
  });
}

const Registration registration{channel_moments, DeviceType::kCpu, channel_moments_cpu};

}  // namespace
}  // namespace concord::kernels
