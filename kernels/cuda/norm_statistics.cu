// Mean and variance come from one sweep (kernels/cuda/channels.h) of the sums of d and d^2, d being
// a value less the channel's first one. That shift is itself one of the values, so that it is at
// most sqrt(count) standard deviations from the mean: however large the mean, little cancels. All
// parts of a channel share it, and their sums just add up.

#include "kernels/cuda/channels.h"
#include "kernels/norm.h"

namespace concord::cuda {
namespace {

template <class T>
struct FirstValue {
  const T* x;
  std::int64_t sample_stride;
  std::int64_t channel_stride;
  __device__ Compute<T> operator()(std::int64_t row, std::int64_t c) const {
    return x[row * sample_stride + c * channel_stride];
  }
};

template <class T>
struct MomentSums {
  using Element = T;
  static constexpr int kSums = 2;
  const T* x;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    const Values<T> values = elements.load(x);
    for (int k = 0; k < Pack<T>::kSize; ++k) {
      if (!elements.has(k)) continue;
      const double d = static_cast<double>(values.v[k]) - static_cast<double>(channels.of(k));
      channels.add(k, 0, d);
      channels.add(k, 1, d * d);
    }
  }
};

template <class T>
struct WriteMoments {
  FirstValue<T> shift;
  double count;
  std::int64_t channels;
  double* mean;
  double* variance;
  __device__ void operator()(std::int64_t row, std::int64_t c, const double* sums) const {
    const double offset = sums[0] / count;
    const double square = sums[1] / count - offset * offset;
    mean[row * channels + c] = static_cast<double>(shift(row, c)) + offset;
    // Written so that the comparison with a NaN keeps it.
    variance[row * channels + c] = square <= 0 ? 0.0 : square;
  }
};

void mean_and_variance_cuda(ConstView x, View mean, View variance) {
  check(x.numel() > 0, "mean_and_variance: tensor of shape {} is empty", x.shape.to_string());
  kernels::with_storage(x, "mean_and_variance", [&]<class T>(T) {
    const T* values = x.as<T>();
    const ChannelLayout layout = x.channels();
    const std::int64_t channels = layout.channels();
    const ChannelSweep sweep =
        plan_sweep(x, mean.shape.rank() == 2, are_aligned(values), true, Pack<T>::kSize);
    const FirstValue<T> shift{values, channels * layout.spatial,
                              x.format == MemoryFormat::kChannelsLast ? 1 : layout.spatial};
    const Scratch partial(sweep.bytes_of_sums(2));
    sweep_channels(sweep, shift, MomentSums<T>{values}, partial.as<double>());
    finish_sums<2>(sweep.rows(), sweep.parts_per_row(), channels, partial.as<double>(),
                   WriteMoments<T>{shift, static_cast<double>(x.numel() / mean.numel()), channels,
                                   mean.as<double>(), variance.as<double>()});
  });
}

template <class Mean, class Variance>
__global__ void update_kernel(std::int64_t channels, const double* mean, const double* variance,
                              double momentum, double unbiased, Mean* running_mean,
                              Variance* running_var) {
  for (std::int64_t c = first_item(); c < channels; c += item_stride()) {
    running_mean[c] = static_cast<Mean>((1 - momentum) * static_cast<double>(running_mean[c]) +
                                        momentum * mean[c]);
    running_var[c] = static_cast<Variance>((1 - momentum) * static_cast<double>(running_var[c]) +
                                           momentum * unbiased * variance[c]);
  }
}

void update_running_moments_cuda(ConstView mean, ConstView variance, std::int64_t count,
                                 double momentum, View running_mean, View running_var) {
  if (running_mean.numel() == 0) return;
  const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
  kernels::with_float(running_mean, "update_running_moments", [&]<class Mean>(Mean) {
    kernels::with_float(running_var, "update_running_moments", [&]<class Variance>(Variance) {
      launch(update_kernel<Mean, Variance>, strided_shape(running_mean.numel()),
             running_mean.numel(), mean.as<double>(), variance.as<double>(), momentum, unbiased,
             running_mean.as<Mean>(), running_var.as<Variance>());
    });
  });
}

const kernels::Registration registrations[] = {
    {kernels::mean_and_variance, DeviceType::kCuda, mean_and_variance_cuda},
    {kernels::update_running_moments, DeviceType::kCuda, update_running_moments_cuda},
};

}  // namespace
}  // namespace concord::cuda
