// What cuDNN and cuBLAS leave of a bias, adding it and its gradient, as sweeps over the channels
// (kernels/cuda/channels.h).

#include "kernels/cuda/bias.h"
#include "kernels/cuda/channels.h"

namespace concord::cuda {
namespace {

// 0 where there is no bias.
template <class T>
struct BiasOfChannel {
  const T* bias;
  __device__ T operator()(std::int64_t, std::int64_t c) const {
    return bias != nullptr ? bias[c] : T(0);
  }
};

template <class T>
struct AddBias {
  using Element = T;
  static constexpr int kSums = 0;
  bool relu;
  T* y;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    Values<T> values = elements.load(y);
    for (int k = 0; k < Pack<T>::kSize; ++k) {
      values.v[k] += channels.of(k);
      // Written so that the comparison with a NaN keeps it.
      if (relu) values.v[k] = values.v[k] <= 0 ? 0 : values.v[k];
    }
    elements.store(y, values);
  }
};

struct NoCoefficient {
  __device__ int operator()(std::int64_t, std::int64_t) const { return 0; }
};

template <class T>
struct SumElements {
  using Element = T;
  static constexpr int kSums = 1;
  const T* x;
  template <class Elements, class Channels>
  __device__ void operator()(const Elements& elements, Channels& channels) const {
    const Values<T> values = elements.load(x);
    for (int k = 0; k < Pack<T>::kSize; ++k)
      if (elements.has(k)) channels.add(k, 0, static_cast<double>(values.v[k]));
  }
};

template <class T>
struct WriteSum {
  T* sums;
  __device__ void operator()(std::int64_t, std::int64_t c, const double* values) const {
    sums[c] = static_cast<T>(values[0]);
  }
};

}  // namespace

void add_bias(const View& y, const ConstView& bias, bool relu) {
  if (y.numel() == 0 || (!bias && !relu)) return;
  kernels::with_storage(y, "add_bias", [&]<class T>(T) {
    const AddBias<T> body{relu, y.as<T>()};
    const ChannelSweep sweep = plan_sweep(y, false, are_aligned(body.y), false, Pack<T>::kSize);
    sweep_channels(sweep, BiasOfChannel<Compute<T>>{bias ? bias.as<Compute<T>>() : nullptr}, body,
                   nullptr);
  });
}

void sum_per_channel(const ConstView& x, const View& sums) {
  if (sums.numel() == 0) return;
  kernels::with_storage(x, "sum_per_channel", [&]<class T>(T) {
    using P = Compute<T>;
    if (x.numel() == 0)
      return kernels::zero(sums.device, sums.data,
                           static_cast<std::size_t>(sums.numel()) * sizeof(P));
    const SumElements<T> body{x.as<T>()};
    const ChannelSweep sweep = plan_sweep(x, false, are_aligned(body.x), true, Pack<T>::kSize);
    const Scratch partial(sweep.bytes_of_sums(1));
    sweep_channels(sweep, NoCoefficient{}, body, partial.as<double>());
    finish_sums<1>(sweep.rows(), sweep.parts_per_row(), sweep.channels, partial.as<double>(),
                   WriteSum<P>{sums.as<P>()});
  });
}

}  // namespace concord::cuda
