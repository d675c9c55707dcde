// What cuDNN and cuBLAS leave of a bias: adding it, and its gradient.
//
// add_bias: a thread per element, channels found by division; it is bound by memory.
// sum_per_channel: a warp's lanes run along what is contiguous, pixels of a plain map or
// neighbouring channels of a channels-last one; in the second case a block is 32 channels by 8
// rows, whose sums meet in shared memory.

#include "kernels/cuda/bias.h"
#include "kernels/cuda/reduce.h"

namespace concord::cuda {
namespace {

using kernels::ConstView;
using kernels::View;

template <class T>
__global__ void add_bias_kernel(T* y, const Compute<T>* bias, bool relu, std::int64_t count,
                                std::int64_t channels, std::int64_t inner) {
  for (std::int64_t i = first_item(); i < count; i += item_stride()) {
    auto value = static_cast<Compute<T>>(y[i]);
    if (bias != nullptr) value += bias[i / inner % channels];
    y[i] = static_cast<T>(relu && value <= 0 ? 0 : value);
  }
}

// A block a channel; x is [outer][channels][inner].
template <class T>
__global__ void sum_maps_kernel(const T* x, Compute<T>* sums, std::int64_t outer,
                                std::int64_t channels, std::int64_t inner) {
  double sum[1] = {0};
  const std::int64_t count = outer * inner;
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x)
    sum[0] += static_cast<double>(x[(i / inner * channels + blockIdx.x) * inner + i % inner]);
  block_sum(sum, shared_memory<double>());
  if (threadIdx.x == 0) sums[blockIdx.x] = static_cast<Compute<T>>(sum[0]);
}

// A block of 32 x 8 threads for 32 channels; x is [rows][channels].
constexpr unsigned kRows = 8;
template <class T>
__global__ void sum_columns_kernel(const T* x, Compute<T>* sums, std::int64_t rows,
                                   std::int64_t channels) {
  double* const shared = shared_memory<double>();
  const std::int64_t channel = std::int64_t{blockIdx.x} * kWarp + threadIdx.x;
  double sum = 0;
  if (channel < channels)
    for (std::int64_t row = threadIdx.y; row < rows; row += kRows)
      sum += static_cast<double>(x[row * channels + channel]);
  shared[threadIdx.y * kWarp + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || channel >= channels) return;
  for (unsigned row = 1; row < kRows; ++row) sum += shared[row * kWarp + threadIdx.x];
  sums[channel] = static_cast<Compute<T>>(sum);
}

}  // namespace

void add_bias(const View& y, const ConstView& bias, bool relu) {
  if (y.numel() == 0 || (!bias && !relu)) return;
  const ChannelLayout layout = y.channels();
  check(layout.lanes == 1 || layout.groups == 1, "add_bias: {} maps have no place on a CUDA device",
        name_of(y.format));
  const std::int64_t inner = layout.lanes == 1 ? layout.spatial : 1;
  kernels::with_storage(y, "add_bias", [&]<class T>(T) {
    launch(add_bias_kernel<T>, strided_shape((y.numel() + 3) / 4), y.as<T>(),
           bias ? bias.as<Compute<T>>() : nullptr, relu, y.numel(), layout.channels(), inner);
  });
}

void sum_per_channel(const ConstView& x, const View& sums) {
  const ChannelLayout layout = x.channels();
  check(layout.lanes == 1 || layout.groups == 1,
        "sum_per_channel: {} maps have no place on a CUDA device", name_of(x.format));
  const auto channels = static_cast<unsigned>(layout.channels());
  if (channels == 0) return;
  kernels::with_storage(x, "sum_per_channel", [&]<class T>(T) {
    if (layout.lanes == 1 && layout.spatial > 1) {
      launch(sum_maps_kernel<T>, {dim3(channels), dim3(256), block_sum_bytes<double>(1)}, x.as<T>(),
             sums.as<Compute<T>>(), layout.outer, layout.channels(), layout.spatial);
    } else {
      launch(sum_columns_kernel<T>,
             {dim3((channels + kWarp - 1) / kWarp), dim3(kWarp, kRows),
              kWarp * kRows * sizeof(double)},
             x.as<T>(), sums.as<Compute<T>>(), layout.outer * layout.spatial, layout.channels());
    }
  });
}

}  // namespace concord::cuda
