#pragma once
// Sweeps over [N,C] and [N,C,H,W] tensors, plain or channels-last, with a few coefficients for each
// channel (or each sample and channel) and, where they are wanted, sums for each.
//
// A thread keeps to one channel, or in a channels-last tensor to the 16 bytes of channels that lie
// side by side: so coefficients are computed once and stay in registers, and sums need no memory
// until the thread is through. It then walks pixels.
//   plain          up to a warp per map, its lanes along the pixels; small maps share a warp
//   channels-last  a block is `slots` packs of channels wide and `team` pixels deep
// A thread moves 16 bytes at a time where every access is aligned. Where not (a 7x7 map of floats,
// a channel count of 3) it moves as many elements, a team apart: neighbours still read neighbours,
// and as many bytes are on their way.
//
// Sums are doubles: of a thread, then of its team, then (finish_sums) of the parts into which the
// launch cut a channel. The cut depends on the shape of the tensor alone.

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/reduce.h"

namespace concord::cuda {

inline constexpr int kSweepThreads = 256;
// As many blocks of a sweep must fit on a multiprocessor at once. A thread that moves eight
// elements of bfloat16 holds the coefficients and sums of eight channels, and gets more registers.
constexpr int blocks_at_once(int pack, bool sums) { return (pack == 8 ? 3 : 4) - (sums ? 1 : 0); }
inline constexpr int kSweepWarps = kSweepThreads / static_cast<int>(kWarp);

// How a launch cuts a tensor. A part is `sample_chunk` samples by `pixel_chunk` pixels of every
// channel.
struct ChannelSweep {
  std::int64_t samples = 0;
  std::int64_t channels = 0;
  std::int64_t spatial = 0;
  bool last = false;        // channels are the fastest axis
  bool wide = false;        // every access is of 16 aligned bytes
  bool per_sample = false;  // coefficients and sums are [N,C], not [C]
  int slots = 0;            // channels (or packs of them) side by side in a block
  int team = 0;             // threads that share one
  std::int64_t sample_chunk = 0;
  std::int64_t sample_parts = 0;
  std::int64_t pixel_chunk = 0;
  std::int64_t pixel_parts = 0;

  __host__ __device__ std::int64_t parts() const { return sample_parts * pixel_parts; }
  std::int64_t rows() const { return per_sample ? sample_parts : 1; }
  std::int64_t parts_per_row() const { return per_sample ? pixel_parts : parts(); }
  std::size_t bytes_of_sums(int k) const {
    return static_cast<std::size_t>(parts() * k * channels) * sizeof(double);
  }
};

// `pack` elements are 16 bytes; `aligned`: all buffers of the sweep are. Throws for a blocked
// format.
ChannelSweep plan_sweep(const ConstView& view, bool per_sample, bool aligned, bool sums, int pack);

// What a body may do with the elements that its thread has before it: as many as a pack holds.
template <class T>
struct WideElements {
  std::int64_t begin;
  __device__ Values<T> load(const T* from) const { return load_pack(from + begin, 0); }
  __device__ void store(T* to, const Values<T>& values) const { store_pack(to + begin, 0, values); }
  __device__ bool has(int) const { return true; }
};
template <class T>
struct StridedElements {
  std::int64_t begin;
  std::int64_t stride;
  int count;
  __device__ Values<T> load(const T* from) const {
    Values<T> values;
    for (int k = 0; k < Pack<T>::kSize; ++k)
      values.v[k] = k < count ? static_cast<Compute<T>>(from[begin + k * stride]) : 0;
    return values;
  }
  __device__ void store(T* to, const Values<T>& values) const {
    for (int k = 0; k < Pack<T>::kSize; ++k)
      if (k < count) to[begin + k * stride] = static_cast<T>(values.v[k]);
  }
  __device__ bool has(int k) const { return k < count; }
};

// Of a thread: the coefficients and sums of the channels of its elements, one or one for each.
template <class Coefficients, int kChannels, int kSums>
struct ThreadChannels {
  Coefficients coefficients[kChannels];
  double sums[kChannels * (kSums > 0 ? kSums : 1)];
  __device__ const Coefficients& of(int k) const { return coefficients[kChannels == 1 ? 0 : k]; }
  __device__ void add(int k, int sum, double value) {
    sums[(kChannels == 1 ? 0 : k) * kSums + sum] += value;
  }
};

// The sums over the threads t, t + slots, t + 2 slots .. of the block, in each thread t < slots.
// `shared` has room for team_sum_bytes(slots, K), and may be used again right after. `slots` is a
// power of two and at most a warp.
template <int K>
__device__ __forceinline__ void team_sum(double (&values)[K], int slots, double* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % static_cast<int>(kWarp);
  const int warp = thread / static_cast<int>(kWarp);
  for (int k = 0; k < K; ++k)
    for (int bits = static_cast<int>(kWarp) / 2; bits >= slots; bits /= 2)
      values[k] += __shfl_xor_sync(kAllLanes, values[k], bits);
  if (lane < slots)
    for (int k = 0; k < K; ++k) shared[(k * kSweepWarps + warp) * slots + lane] = values[k];
  __syncthreads();
  if (thread < slots) {
    for (int k = 0; k < K; ++k) {
      values[k] = 0;
      for (int w = 0; w < kSweepWarps; ++w)
        values[k] += shared[(k * kSweepWarps + w) * slots + thread];
    }
  }
  __syncthreads();
}
constexpr std::size_t team_sum_bytes(int slots, int k) {
  return static_cast<std::size_t>(k * kSweepWarps * slots) * sizeof(double);
}

// Calls body with the elements of a thread that lie `step` apart, from `begin` on: there are `left`
// pixels from the thread's first one to the end, `team` threads taking one each in turn.
template <class T>
__device__ __forceinline__ StridedElements<T> strided_elements(std::int64_t begin,
                                                               std::int64_t stride,
                                                               std::int64_t left, int team) {
  const std::int64_t count = (left + team - 1) / team;
  return {begin, stride, static_cast<int>(count < Pack<T>::kSize ? count : Pack<T>::kSize)};
}

// partial[(part * kSums + sum) * C + channel]
template <bool kWide, class Coefficients, class Body>
__global__ void __launch_bounds__(kSweepThreads, blocks_at_once(Pack<typename Body::Element>::kSize,
                                                                Body::kSums > 0))
    sweep_maps_kernel(ChannelSweep sweep, Coefficients coefficients, Body body, double* partial) {
  using T = typename Body::Element;
  constexpr int kSums = Body::kSums;
  constexpr int kPack = Pack<T>::kSize;
  const int lane = static_cast<int>(threadIdx.x) % sweep.team;
  const int slot = static_cast<int>(threadIdx.x) / sweep.team;
  const std::int64_t units = sweep.parts() * sweep.channels;
  const std::int64_t stride = std::int64_t{gridDim.x} * sweep.slots;
  for (std::int64_t first = std::int64_t{blockIdx.x} * sweep.slots; first < units;
       first += stride) {
    const std::int64_t unit = first + slot;
    const std::int64_t c = unit % sweep.channels;
    const std::int64_t part = unit / sweep.channels;
    ThreadChannels<decltype(coefficients(part, c)), 1, kSums> channel = {};
    if (unit < units) {
      const std::int64_t begin = part % sweep.pixel_parts * sweep.pixel_chunk;
      const std::int64_t sample = part / sweep.pixel_parts * sweep.sample_chunk;
      const std::int64_t end =
          sweep.spatial - begin < sweep.pixel_chunk ? sweep.spatial : begin + sweep.pixel_chunk;
      const std::int64_t last =
          sweep.samples - sample < sweep.sample_chunk ? sweep.samples : sample + sweep.sample_chunk;
      channel.coefficients[0] = coefficients(sweep.per_sample ? sample : 0, c);
      for (std::int64_t n = sample; n < last; ++n) {
        const std::int64_t map = (n * sweep.channels + c) * sweep.spatial;
        for (std::int64_t s = begin + lane * (kWide ? kPack : 1); s < end;
             s += sweep.team * kPack) {
          if constexpr (kWide) {
            body(WideElements<T>{map + s}, channel);
          } else {
            body(strided_elements<T>(map + s, sweep.team, end - s, sweep.team), channel);
          }
        }
      }
    }
    for (int r = 0; r < kSums; ++r) {
      for (int bits = sweep.team / 2; bits > 0; bits /= 2)
        channel.sums[r] += __shfl_xor_sync(kAllLanes, channel.sums[r], bits);
      if (unit < units && lane == 0)
        partial[(part * kSums + r) * sweep.channels + c] = channel.sums[r];
    }
  }
}

template <bool kWide, class Coefficients, class Body>
__global__ void __launch_bounds__(kSweepThreads, blocks_at_once(Pack<typename Body::Element>::kSize,
                                                                Body::kSums > 0))
    sweep_pixels_kernel(ChannelSweep sweep, Coefficients coefficients, Body body, double* partial) {
  using T = typename Body::Element;
  constexpr int kSums = Body::kSums;
  constexpr int kPack = Pack<T>::kSize;
  constexpr int kChannels = kWide ? kPack : 1;
  const int slot = static_cast<int>(threadIdx.x) % sweep.slots;
  const int lane = static_cast<int>(threadIdx.x) / sweep.slots;
  const std::int64_t width = std::int64_t{sweep.slots} * kChannels;
  const std::int64_t blocks = (sweep.channels + width - 1) / width;  // along the channels
  const std::int64_t tasks = sweep.parts() * blocks;
  for (std::int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const std::int64_t part = task / blocks;
    const std::int64_t c = task % blocks * width + slot * kChannels;
    ThreadChannels<decltype(coefficients(part, c)), kChannels, kSums> channel = {};
    if (c < sweep.channels) {
      const std::int64_t n = part / sweep.pixel_parts;
      const std::int64_t begin = part % sweep.pixel_parts * sweep.pixel_chunk;
      const std::int64_t end =
          sweep.spatial - begin < sweep.pixel_chunk ? sweep.spatial : begin + sweep.pixel_chunk;
      for (int k = 0; k < kChannels; ++k)
        channel.coefficients[k] = coefficients(sweep.per_sample ? n : 0, c + k);
      for (std::int64_t s = begin + lane; s < end; s += sweep.team * (kWide ? 1 : kPack)) {
        const std::int64_t i = (n * sweep.spatial + s) * sweep.channels + c;
        if constexpr (kWide) {
          body(WideElements<T>{i}, channel);
        } else {
          body(strided_elements<T>(i, sweep.team * sweep.channels, end - s, sweep.team), channel);
        }
      }
    }
    if constexpr (kSums > 0) {
      team_sum(channel.sums, sweep.slots, shared_memory<double>());
      if (lane == 0 && c < sweep.channels)
        for (int k = 0; k < kChannels; ++k)
          for (int r = 0; r < kSums; ++r)
            partial[(part * kSums + r) * sweep.channels + c + k] = channel.sums[k * kSums + r];
    }
  }
}

// Blocks of a grid of one dimension: as many as there may be, but on the host so few that the loops
// over more of them are tested.
inline unsigned grid_of(std::int64_t blocks) {
#if defined(__CUDACC__)
  constexpr std::int64_t kMost = 0x7FFFFFFF;
#else
  constexpr std::int64_t kMost = 7;
#endif
  return static_cast<unsigned>(blocks < kMost ? blocks : kMost);
}

// Calls body(elements, channels) for all elements of a tensor that is not empty, by a plan for
// buffers of Body::Element. coefficients(row, channel) gives what channels.of(k) is for element k;
// Body::kSums sums for each channel, to which channels.add(k, sum, value) adds, come to lie in
// `partial` (sweep.bytes_of_sums(kSums) bytes) as finish_sums wants them.
template <class Coefficients, class Body>
void sweep_channels(const ChannelSweep& sweep, Coefficients coefficients, Body body,
                    double* partial) {
  constexpr int kPack = Pack<typename Body::Element>::kSize;
  const std::int64_t width = std::int64_t{sweep.slots} * (sweep.last && sweep.wide ? kPack : 1);
  const std::int64_t blocks = sweep.last ? sweep.parts() * ((sweep.channels + width - 1) / width)
                                         : (sweep.parts() * sweep.channels + width - 1) / width;
  LaunchShape shape{dim3(grid_of(blocks)), dim3(kSweepThreads)};
  if (sweep.last) {
    shape.shared_bytes = team_sum_bytes(sweep.slots, Body::kSums * (sweep.wide ? kPack : 1));
    launch(sweep.wide ? sweep_pixels_kernel<true, Coefficients, Body>
                      : sweep_pixels_kernel<false, Coefficients, Body>,
           shape, sweep, coefficients, body, partial);
  } else {
    launch(sweep.wide ? sweep_maps_kernel<true, Coefficients, Body>
                      : sweep_maps_kernel<false, Coefficients, Body>,
           shape, sweep, coefficients, body, partial);
  }
}

// `parts` of each of `rows` rows, side by side. Few parts go to one thread of each channel, many to
// a team.
template <int K, class Finish>
__global__ void __launch_bounds__(kSweepThreads)
    finish_sums_kernel(std::int64_t rows, std::int64_t parts, std::int64_t channels, int slots,
                       const double* partial, Finish finish) {
  const int slot = static_cast<int>(threadIdx.x) % slots;
  const int lane = static_cast<int>(threadIdx.x) / slots;
  const int team = kSweepThreads / slots;
  const std::int64_t stride = std::int64_t{gridDim.x} * slots;
  for (std::int64_t first = std::int64_t{blockIdx.x} * slots; first < rows * channels;
       first += stride) {
    const std::int64_t unit = first + slot;
    const std::int64_t row = unit / channels;
    const std::int64_t c = unit % channels;
    double sums[K] = {};
    if (unit < rows * channels)
      for (std::int64_t part = lane; part < parts; part += team)
        for (int k = 0; k < K; ++k)
          sums[k] += partial[((row * parts + part) * K + k) * channels + c];
    if (team > 1) team_sum(sums, slots, shared_memory<double>());
    if (lane == 0 && unit < rows * channels) finish(row, c, sums);
  }
}

// finish(row, channel, sums) with the K sums over the parts of each row and channel.
template <int K, class Finish>
void finish_sums(std::int64_t rows, std::int64_t parts, std::int64_t channels,
                 const double* partial, Finish finish) {
  // 4 doubles are the 32 bytes in which memory is read.
  const int slots = parts <= 8 ? kSweepThreads : 4;
  launch(finish_sums_kernel<K, Finish>,
         {dim3(grid_of((rows * channels + slots - 1) / slots)), dim3(kSweepThreads),
          team_sum_bytes(slots == kSweepThreads ? 0 : slots, K)},
         rows, parts, channels, slots, partial, finish);
}

}  // namespace concord::cuda
