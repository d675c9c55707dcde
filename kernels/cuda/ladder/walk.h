#pragma once
// How the rungs of the ladders find their elements. The lower ones have a thread for each element,
// or for each channel, and compute its place; the higher ones cut a tensor into tasks of at most
// 4096 elements, one for a block at a time, in which a thread keeps to one channel:
//   plain          a piece of one map, neighbouring threads at neighbouring pixels
//   channels-last  32 channels by a run of pixels, neighbouring threads at neighbouring channels

#include "kernels/cuda/channels.h"

namespace concord::cuda::ladder {

inline constexpr int kThreads = kSweepThreads;
inline constexpr int kSteps = 16;   // of a thread in a task
inline constexpr int kBeside = 32;  // channels of a task in a channels-last tensor
inline constexpr int kDeep = kThreads / kBeside;

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

struct Maps {
  std::int64_t samples = 0;
  std::int64_t channels = 0;
  std::int64_t spatial = 0;
  bool last = false;  // channels are the fastest axis
  // Of the tasks.
  std::int64_t chunk = 0;   // pixels
  std::int64_t chunks = 0;  // of a sample's pixels
  std::int64_t tiles = 0;   // of its channels

  // Throws for a blocked format, naming `what`.
  Maps(const ConstView& view, const char* what) {
    check(view.format == MemoryFormat::kPlain || view.format == MemoryFormat::kChannelsLast,
          "{}: a ladder works on plain or channels-last tensors; this one, of shape {}, is {}",
          what, view.shape.to_string(), name_of(view.format));
    const ChannelLayout layout = view.channels();
    samples = layout.outer;
    channels = layout.channels();
    spatial = layout.spatial;
    last = view.format == MemoryFormat::kChannelsLast;
    cut();
  }
  // The same memory as packs of `size` elements, where a row is a whole number of them.
  bool fits(int size) const { return (last ? channels : spatial) % size == 0; }
  Maps packed(int size) const {
    Maps packs = *this;
    (last ? packs.channels : packs.spatial) /= size;
    packs.cut();
    return packs;
  }

  __host__ __device__ std::int64_t count() const { return samples * channels * spatial; }
  __host__ __device__ std::int64_t count_of_channel() const { return samples * spatial; }
  __device__ std::int64_t at(std::int64_t sample, std::int64_t channel, std::int64_t pixel) const {
    return last ? (sample * spatial + pixel) * channels + channel
                : (sample * channels + channel) * spatial + pixel;
  }

  std::int64_t parts() const { return samples * chunks; }
  __host__ __device__ std::int64_t tasks() const { return samples * chunks * tiles; }
  // Threads t, t + slots, t + 2 slots .. of a block have the same channel.
  __host__ __device__ int slots() const { return last ? kBeside : 1; }

 private:
  void cut() {
    chunk = std::int64_t{kSteps} * (last ? kDeep : kThreads);
    chunks = ceil_div(spatial, chunk);
    tiles = last ? ceil_div(channels, kBeside) : channels;
  }
};

// A thread's elements of a task, all of one channel: begin, begin + step .. before end. In the last
// tile of the channels a thread may have none.
struct Walk {
  std::int64_t part;  // sample and chunk
  std::int64_t sample;
  std::int64_t channel;
  std::int64_t begin;
  std::int64_t end;
  std::int64_t step;
  bool is_mine;
};

__device__ __forceinline__ Walk walk_of(const Maps& maps, std::int64_t task) {
  const auto thread = static_cast<std::int64_t>(threadIdx.x);
  const std::int64_t part = task / maps.tiles;
  const std::int64_t tile = task % maps.tiles;
  const std::int64_t sample = part / maps.chunks;
  const std::int64_t pixel = part % maps.chunks * maps.chunk;
  const std::int64_t end = maps.spatial - pixel < maps.chunk ? maps.spatial : pixel + maps.chunk;
  if (!maps.last) {
    const std::int64_t map = (sample * maps.channels + tile) * maps.spatial;
    return {part, sample, tile, map + pixel + thread, map + end, kThreads, true};
  }
  const std::int64_t channel = tile * kBeside + thread % kBeside;
  const std::int64_t map = sample * maps.spatial * maps.channels;
  return {part,
          sample,
          channel,
          map + (pixel + thread / kBeside) * maps.channels + channel,
          map + end * maps.channels,
          kDeep * maps.channels,
          channel < maps.channels};
}

// A block of threads for each kThreads items.
inline LaunchShape thread_for_each(std::int64_t items) {
  return {dim3(static_cast<unsigned>(ceil_div(items, kThreads))), dim3(kThreads), 0};
}
// A block for each task, which strides by the grid where there are more.
inline LaunchShape block_for_each(std::int64_t tasks, std::size_t shared_bytes = 0) {
  return {dim3(grid_of(tasks)), dim3(kThreads), shared_bytes};
}

}  // namespace concord::cuda::ladder
