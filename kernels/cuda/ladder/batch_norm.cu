// The ladder of batch norm in training: a mean and a variance for each channel, then a line through
// every element. Sums are what is new here. A GPU wants some hundred thousand threads, a channel
// has one sum: who adds up how much, and how the threads then bring their sums together, is what
// most rungs change. All sums are doubles, and their order depends on the shape alone.

#include "kernels/cuda/ladder/walk.h"
#include "kernels/ladder.h"
#include "kernels/norm.h"

namespace concord::cuda::ladder {
namespace {

// What the kernels are given; y may be null.
template <class T>
struct BatchNorm {
  Maps maps;
  const T* x;
  const T* weight;
  const T* bias;
  double eps;
  double* mean;
  double* variance;
  T* y;

  // One of the channel's values: sums of differences to it lose little, however large the mean.
  __device__ double shift(std::int64_t channel) const {
    return static_cast<double>(x[maps.at(0, channel, 0)]);
  }
  // From the sums of d and d^2, d being a value less the shift.
  __device__ void write_moments(std::int64_t channel, const double* sums) const {
    const auto count = static_cast<double>(maps.count_of_channel());
    const double offset = sums[0] / count;
    const double square = sums[1] / count - offset * offset;
    mean[channel] = shift(channel) + offset;
    // Written so that the comparison with a NaN keeps it.
    variance[channel] = square <= 0 ? 0.0 : square;
  }
};

// --- 1: a thread for each channel, then one for each element ---

template <class T>
__global__ void channel_of_thread_kernel(BatchNorm<T> norm) {
  const Maps& maps = norm.maps;
  const std::int64_t c = first_item();
  if (c >= maps.channels) return;
  double sum = 0;
  for (std::int64_t n = 0; n < maps.samples; ++n)
    for (std::int64_t s = 0; s < maps.spatial; ++s)
      sum += static_cast<double>(norm.x[maps.at(n, c, s)]);
  const double mean = sum / static_cast<double>(maps.count_of_channel());
  double square = 0;
  for (std::int64_t n = 0; n < maps.samples; ++n) {
    for (std::int64_t s = 0; s < maps.spatial; ++s) {
      const double d = static_cast<double>(norm.x[maps.at(n, c, s)]) - mean;
      square += d * d;
    }
  }
  norm.mean[c] = mean;
  norm.variance[c] = square / static_cast<double>(maps.count_of_channel());
}

// In double, which costs a square root and a division of doubles for every element.
template <class T>
__global__ void normalize_plain_kernel(BatchNorm<T> norm) {
  const Maps& maps = norm.maps;
  const std::int64_t i = first_item();
  if (i >= maps.count()) return;
  const std::int64_t c = (maps.last ? i : i / maps.spatial) % maps.channels;
  const double deviation = static_cast<double>(norm.x[i]) - norm.mean[c];
  norm.y[i] = static_cast<T>(static_cast<double>(norm.weight[c]) * deviation /
                                 sqrt(norm.variance[c] + norm.eps) +
                             static_cast<double>(norm.bias[c]));
}

// --- 2: a block for each channel ---

// The sum over the threads t, t + slots .. of the block, in thread t < slots: half of the threads
// add to their own number that of a thread of the other half, then half of these do.
__device__ __forceinline__ double tree_sum(double value, int slots, double* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  shared[thread] = value;
  __syncthreads();
  for (int half = kThreads / 2; half >= slots; half /= 2) {
    if (thread < half) shared[thread] += shared[thread + half];
    __syncthreads();
  }
  const double sum = shared[thread % slots];
  __syncthreads();
  return sum;
}
constexpr std::size_t kTreeBytes = kThreads * sizeof(double);

// The thread's part of the sum of f(value) over a channel that the block shares.
template <class T, class Function>
__device__ __forceinline__ void for_values_of_channel(const BatchNorm<T>& norm, std::int64_t c,
                                                      Function f) {
  const Maps& maps = norm.maps;
  for (std::int64_t k = threadIdx.x; k < maps.count_of_channel(); k += kThreads)
    f(static_cast<double>(norm.x[maps.at(k / maps.spatial, c, k % maps.spatial)]));
}

template <class T>
__global__ void channel_of_block_kernel(BatchNorm<T> norm) {
  auto* const shared = shared_memory<double>();
  const auto count = static_cast<double>(norm.maps.count_of_channel());
  for (std::int64_t c = blockIdx.x; c < norm.maps.channels; c += gridDim.x) {
    double sum = 0;
    for_values_of_channel(norm, c, [&](double value) { sum += value; });
    const double mean = tree_sum(sum, 1, shared) / count;
    double square = 0;
    for_values_of_channel(norm, c,
                          [&](double value) { square += (value - mean) * (value - mean); });
    square = tree_sum(square, 1, shared);
    if (threadIdx.x != 0) continue;
    norm.mean[c] = mean;
    norm.variance[c] = square / count;
  }
}

// --- 3: one pass over the values ---

template <class T>
__global__ void one_pass_kernel(BatchNorm<T> norm) {
  auto* const shared = shared_memory<double>();
  for (std::int64_t c = blockIdx.x; c < norm.maps.channels; c += gridDim.x) {
    const double shift = norm.shift(c);
    double sums[2] = {};
    for_values_of_channel(norm, c, [&](double value) {
      const double d = value - shift;
      sums[0] += d;
      sums[1] += d * d;
    });
    for (double& sum : sums) sum = tree_sum(sum, 1, shared);
    if (threadIdx.x == 0) norm.write_moments(c, sums);
  }
}

// --- 4: a block for each task, then a thread for each channel ---

// partial[(part * 2 + sum) * C + channel]
struct Tree {
  static constexpr std::size_t kBytes = kTreeBytes;
  __device__ void operator()(double (&sums)[2], int slots, double* shared) const {
    for (double& sum : sums) sum = tree_sum(sum, slots, shared);
  }
};

template <class T, class Sum>
__global__ void parts_kernel(BatchNorm<T> norm, Sum sum_of_block, double* partial) {
  const Maps& maps = norm.maps;
  for (std::int64_t task = blockIdx.x; task < maps.tasks(); task += gridDim.x) {
    const Walk walk = walk_of(maps, task);
    double sums[2] = {};
    if (walk.is_mine) {
      const double shift = norm.shift(walk.channel);
      for (std::int64_t i = walk.begin; i < walk.end; i += walk.step) {
        const double d = static_cast<double>(norm.x[i]) - shift;
        sums[0] += d;
        sums[1] += d * d;
      }
    }
    sum_of_block(sums, maps.slots(), shared_memory<double>());
    if (static_cast<int>(threadIdx.x) >= maps.slots() || !walk.is_mine) continue;
    for (int r = 0; r < 2; ++r)
      partial[(walk.part * 2 + r) * maps.channels + walk.channel] = sums[r];
  }
}

template <class T>
__global__ void finish_kernel(BatchNorm<T> norm, std::int64_t parts, const double* partial) {
  const std::int64_t channels = norm.maps.channels;
  const std::int64_t c = first_item();
  if (c >= channels) return;
  double sums[2] = {};
  for (std::int64_t part = 0; part < parts; ++part)
    for (int r = 0; r < 2; ++r) sums[r] += partial[(part * 2 + r) * channels + c];
  norm.write_moments(c, sums);
}

// --- 5: sums of a warp in its registers ---

struct Shuffles {
  static constexpr std::size_t kBytes = team_sum_bytes(kBeside, 2);
  __device__ void operator()(double (&sums)[2], int slots, double* shared) const {
    team_sum(sums, slots, shared);
  }
};

// --- 6: the coefficients of a channel in registers ---

// y = (x - center) scale + shift. The mean is rounded, so that the subtraction of nearly equal
// numbers is exact, and what that took from it comes back in the shift.
template <class T>
struct Line {
  T center;
  T scale;
  T shift;

  __device__ static Line of(const BatchNorm<T>& norm, std::int64_t c) {
    const auto center = static_cast<T>(norm.mean[c]);
    const double scale = static_cast<double>(norm.weight[c]) / sqrt(norm.variance[c] + norm.eps);
    const double rest = static_cast<double>(center) - norm.mean[c];
    return {center, static_cast<T>(scale),
            static_cast<T>(static_cast<double>(norm.bias[c]) + rest * scale)};
  }
  __device__ T operator()(T x) const { return (x - center) * scale + shift; }
};

template <class T>
__global__ void normalize_walk_kernel(BatchNorm<T> norm) {
  for (std::int64_t task = blockIdx.x; task < norm.maps.tasks(); task += gridDim.x) {
    const Walk walk = walk_of(norm.maps, task);
    if (!walk.is_mine) continue;
    const Line<T> line = Line<T>::of(norm, walk.channel);
    for (std::int64_t i = walk.begin; i < walk.end; i += walk.step) norm.y[i] = line(norm.x[i]);
  }
}

// --- 7: 16 bytes at a time ---

// Of a thread: one channel, or that of each element of its packs.
template <class T, bool kLast>
__global__ void parts_wide_kernel(BatchNorm<T> norm, Maps packs, double* partial) {
  constexpr int kSize = Pack<T>::kSize;
  constexpr int kChannels = kLast ? kSize : 1;
  const auto* const x = reinterpret_cast<const Pack<T>*>(norm.x);
  for (std::int64_t task = blockIdx.x; task < packs.tasks(); task += gridDim.x) {
    const Walk walk = walk_of(packs, task);
    const std::int64_t channel = walk.channel * kChannels;
    double sums[2 * kChannels] = {};
    if (walk.is_mine) {
      double shift[kChannels];
      for (int k = 0; k < kChannels; ++k) shift[k] = norm.shift(channel + k);
      for (std::int64_t i = walk.begin; i < walk.end; i += walk.step) {
        const Pack<T> values = x[i];
        for (int k = 0; k < kSize; ++k) {
          const int of = kLast ? k : 0;
          const double d = static_cast<double>(values.v[k]) - shift[of];
          sums[of * 2] += d;
          sums[of * 2 + 1] += d * d;
        }
      }
    }
    team_sum(sums, packs.slots(), shared_memory<double>());
    if (static_cast<int>(threadIdx.x) >= packs.slots() || !walk.is_mine) continue;
    for (int k = 0; k < kChannels; ++k)
      for (int r = 0; r < 2; ++r)
        partial[(walk.part * 2 + r) * norm.maps.channels + channel + k] = sums[k * 2 + r];
  }
}

template <class T, bool kLast>
__global__ void normalize_wide_kernel(BatchNorm<T> norm, Maps packs) {
  constexpr int kSize = Pack<T>::kSize;
  constexpr int kChannels = kLast ? kSize : 1;
  const auto* const x = reinterpret_cast<const Pack<T>*>(norm.x);
  auto* const y = reinterpret_cast<Pack<T>*>(norm.y);
  for (std::int64_t task = blockIdx.x; task < packs.tasks(); task += gridDim.x) {
    const Walk walk = walk_of(packs, task);
    if (!walk.is_mine) continue;
    Line<T> lines[kChannels];
    for (int k = 0; k < kChannels; ++k) lines[k] = Line<T>::of(norm, walk.channel * kChannels + k);
    for (std::int64_t i = walk.begin; i < walk.end; i += walk.step) {
      Pack<T> values = x[i];
      for (int k = 0; k < kSize; ++k) values.v[k] = lines[kLast ? k : 0](values.v[k]);
      y[i] = values;
    }
  }
}

// --- the rungs ---

template <class T>
void normalize_plain(const BatchNorm<T>& norm) {
  if (norm.y != nullptr)
    launch(normalize_plain_kernel<T>, thread_for_each(norm.maps.count()), norm);
}

template <class T, class Sum>
void moments_by_parts(const BatchNorm<T>& norm, Sum sum_of_block) {
  const Maps& maps = norm.maps;
  const Scratch partial(static_cast<std::size_t>(maps.parts() * 2 * maps.channels) *
                        sizeof(double));
  launch(parts_kernel<T, Sum>, block_for_each(maps.tasks(), Sum::kBytes), norm, sum_of_block,
         partial.template as<double>());
  launch(finish_kernel<T>, thread_for_each(maps.channels), norm, maps.parts(),
         partial.template as<double>());
}

template <class T, bool kLast>
void moments_wide(const BatchNorm<T>& norm, const Maps& packs) {
  constexpr int kSums = 2 * (kLast ? Pack<T>::kSize : 1);
  const Scratch partial(static_cast<std::size_t>(packs.parts() * 2 * norm.maps.channels) *
                        sizeof(double));
  launch(parts_wide_kernel<T, kLast>,
         block_for_each(packs.tasks(), team_sum_bytes(packs.slots(), kSums)), norm, packs,
         partial.template as<double>());
  launch(finish_kernel<T>, thread_for_each(norm.maps.channels), norm, packs.parts(),
         partial.template as<double>());
}

// Calls body(BatchNorm<T>).
template <class Body>
void with_norm(const ConstView& x, const ConstView& weight, const ConstView& bias, double eps,
               const View& mean, const View& variance, const View& y, Body body) {
  const Maps maps(x, "batch_norm");
  check(x.numel() > 0, "batch_norm: tensor of shape {} is empty", x.shape.to_string());
  kernels::with_float(x, "batch_norm", [&]<class T>(T) {
    body(BatchNorm<T>{maps, x.as<T>(), weight.as<T>(), bias.as<T>(), eps, mean.as<double>(),
                      variance.as<double>(), y ? y.as<T>() : nullptr});
  });
}

void plain(ConstView x, ConstView weight, ConstView bias, double eps, View mean, View variance,
           View y) {
  with_norm(x, weight, bias, eps, mean, variance, y, []<class T>(const BatchNorm<T>& norm) {
    launch(channel_of_thread_kernel<T>, thread_for_each(norm.maps.channels), norm);
    normalize_plain(norm);
  });
}

void block_per_channel(ConstView x, ConstView weight, ConstView bias, double eps, View mean,
                       View variance, View y) {
  with_norm(x, weight, bias, eps, mean, variance, y, []<class T>(const BatchNorm<T>& norm) {
    launch(channel_of_block_kernel<T>, block_for_each(norm.maps.channels, kTreeBytes), norm);
    normalize_plain(norm);
  });
}

void one_pass(ConstView x, ConstView weight, ConstView bias, double eps, View mean, View variance,
              View y) {
  with_norm(x, weight, bias, eps, mean, variance, y, []<class T>(const BatchNorm<T>& norm) {
    launch(one_pass_kernel<T>, block_for_each(norm.maps.channels, kTreeBytes), norm);
    normalize_plain(norm);
  });
}

void two_stages(ConstView x, ConstView weight, ConstView bias, double eps, View mean, View variance,
                View y) {
  with_norm(x, weight, bias, eps, mean, variance, y, []<class T>(const BatchNorm<T>& norm) {
    moments_by_parts(norm, Tree{});
    normalize_plain(norm);
  });
}

void shuffles(ConstView x, ConstView weight, ConstView bias, double eps, View mean, View variance,
              View y) {
  with_norm(x, weight, bias, eps, mean, variance, y, []<class T>(const BatchNorm<T>& norm) {
    moments_by_parts(norm, Shuffles{});
    normalize_plain(norm);
  });
}

template <class T>
void run_by_walks(const BatchNorm<T>& norm) {
  moments_by_parts(norm, Shuffles{});
  if (norm.y != nullptr) launch(normalize_walk_kernel<T>, block_for_each(norm.maps.tasks()), norm);
}

void coefficients(ConstView x, ConstView weight, ConstView bias, double eps, View mean,
                  View variance, View y) {
  with_norm(x, weight, bias, eps, mean, variance, y,
            []<class T>(const BatchNorm<T>& norm) { run_by_walks(norm); });
}

template <class T, bool kLast>
void run_wide(const BatchNorm<T>& norm, const Maps& packs) {
  moments_wide<T, kLast>(norm, packs);
  if (norm.y != nullptr)
    launch(normalize_wide_kernel<T, kLast>, block_for_each(packs.tasks()), norm, packs);
}

void wide(ConstView x, ConstView weight, ConstView bias, double eps, View mean, View variance,
          View y) {
  with_norm(x, weight, bias, eps, mean, variance, y, []<class T>(const BatchNorm<T>& norm) {
    constexpr int kSize = Pack<T>::kSize;
    if (!norm.maps.fits(kSize) || !are_aligned(norm.x, norm.y)) return run_by_walks(norm);
    const Maps packs = norm.maps.packed(kSize);
    if (packs.last) {
      run_wide<T, true>(norm, packs);
    } else {
      run_wide<T, false>(norm, packs);
    }
  });
}

void engine(ConstView x, ConstView weight, ConstView bias, double eps, View mean, View variance,
            View y) {
  kernels::mean_and_variance(x.device, x, mean, variance);
  if (!y) return;
  kernels::normalize_forward(x.device,
                             kernels::NormArguments{.x = x,
                                                    .mean = mean,
                                                    .variance = variance,
                                                    .weight = weight,
                                                    .bias = bias,
                                                    .eps = eps,
                                                    .relu = false},
                             ConstView(), y);
}

using Signature = void(ConstView, ConstView, ConstView, double, View, View, View);
constexpr kernels::Rung<Signature> kRungs[] = {
    {"1_plain", "A thread sums up each channel, twice; another does each element of y.", plain},
    {"2_block_per_channel", "256 threads share a channel and add up in shared memory.",
     block_per_channel},
    {"3_one_pass", "Mean and variance come from one reading of x.", one_pass},
    {"4_two_stages", "Many blocks share a channel, and a second kernel adds up their sums.",
     two_stages},
    {"5_warp_shuffles", "The threads of a warp add up by shuffles.", shuffles},
    {"6_coefficients", "A thread that writes y keeps the coefficients of its channel.",
     coefficients},
    {"7_wide", "Reads and writes are of 16 bytes.", wide},
    {"8_engine", "Maps share a block as they fit, and parts are cut to fill the device.", engine},
};
std::span<const kernels::Rung<Signature>> rungs() { return kRungs; }

const kernels::Registration registration{kernels::batch_norm_ladder, DeviceType::kCuda, rungs};

}  // namespace
}  // namespace concord::cuda::ladder
