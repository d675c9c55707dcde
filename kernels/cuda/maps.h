#pragma once
// Kernels that make each pixel of some maps from a rectangle of pixels of others (pooling,
// resizing). A thread moves a lane: the channels of a pixel that lie side by side in memory, 16
// bytes of them where their count and the alignment allow it, else one. Threads follow each other
// as the lanes do in memory, so that accesses coalesce in plain tensors (along the columns) and in
// channels-last ones (along the channels).

#include "kernels/cuda/device.h"

namespace concord::cuda {

using kernels::ConstView;
using kernels::View;

// V elements of T side by side.
template <class T, int V>
struct alignas(V * sizeof(T) < 16 ? V * sizeof(T) : 16) Lane {
  T v[V];
};

// The same as it is computed with.
template <class T, int V>
using LaneValues = Lane<Compute<T>, V>;
template <class T, int V>
__device__ __forceinline__ LaneValues<T, V> values_of(const Lane<T, V>& lane) {
  LaneValues<T, V> values;
  for (int k = 0; k < V; ++k) values.v[k] = static_cast<Compute<T>>(lane.v[k]);
  return values;
}
template <class T, int V>
__device__ __forceinline__ Lane<T, V> lane_of(const LaneValues<T, V>& values) {
  Lane<T, V> lane;
  for (int k = 0; k < V; ++k) lane.v[k] = static_cast<T>(values.v[k]);
  return lane;
}

// Whether pixels of so many channels are whole lanes of V, and those of all buffers aligned.
template <int V, class... Pointer>
bool fits_lanes(std::int64_t channels, const Pointer*... pointers) {
  return channels % V == 0 &&
         ((reinterpret_cast<std::uintptr_t>(pointers) % alignof(Lane<Pointer, V>) == 0) && ...);
}

// Division of 32-bit numbers by one that the host knows, without the device's slow one.
struct Divider {
  unsigned divisor = 1;
  unsigned inverse = 0;  // floor((2^32 - 1) / divisor): its product is at most one too small

  Divider() = default;
  explicit Divider(std::int64_t by)
      : divisor(static_cast<unsigned>(by)), inverse(0xFFFFFFFFU / static_cast<unsigned>(by)) {}

  struct Result {
    unsigned quotient;
    unsigned remainder;
  };
  __device__ __forceinline__ Result divide(unsigned number) const {
    const unsigned quotient = __umulhi(number, inverse);
    const unsigned remainder = number - quotient * divisor;
    return remainder < divisor ? Result{quotient, remainder}
                               : Result{quotient + 1, remainder - divisor};
  }
};

// [count][height][width][channels]: count is that of samples where the channels lie side by side,
// and of samples and channels in plain tensors, whose pixels have but one.
struct Maps {
  std::int64_t count = 0;
  int height = 0;
  int width = 0;
  std::int64_t channels = 0;

  // Throws for blocked formats and for maps too large for 32-bit numbers of their elements.
  Maps(const ConstView& view, const char* what) {
    check(view.format == MemoryFormat::kPlain || view.format == MemoryFormat::kChannelsLast,
          "{}: CUDA has no kernel for the format {} of a tensor {}; use plain or channels_last",
          what, name_of(view.format), view.shape.to_string());
    const ChannelLayout layout = view.channels();
    check(layout.spatial * layout.lanes <= kMostElements && view.shape[2] <= kMostElements &&
              view.shape[3] <= kMostElements,
          "{}: maps of {} elements in a tensor {} are larger than CUDA's kernels take, 2^30", what,
          layout.spatial * layout.lanes, view.shape.to_string());
    count = layout.outer * layout.groups;
    height = static_cast<int>(view.shape[2]);
    width = static_cast<int>(view.shape[3]);
    channels = layout.lanes;
  }
  static constexpr std::int64_t kMostElements = 1 << 30;
  std::int64_t pixels() const { return count * height * width; }
};

// What a kernel knows of maps whose pixels have `lanes` lanes of V elements.
template <int V>
struct Lanes {
  std::int64_t count;  // of all maps
  unsigned count_of_map;
  int height;
  int width;
  int lanes;
  Divider by_lanes;
  Divider by_width;

  explicit Lanes(const Maps& maps)
      : height(maps.height), width(maps.width), lanes(static_cast<int>(maps.channels / V)) {
    count_of_map = static_cast<unsigned>(height * width * lanes);
    count = maps.count * count_of_map;
    if (count == 0) return;
    by_lanes = Divider(lanes);
    by_width = Divider(width);
  }

  struct Place {
    std::int64_t map;
    int row;
    int column;
    int lane;
  };
  // Of lane i of all, in memory order.
  __device__ __forceinline__ Place place(std::int64_t i) const {
    const std::int64_t map = i / count_of_map;
    const auto [pixel, lane] = by_lanes.divide(static_cast<unsigned>(i - map * count_of_map));
    const auto [row, column] = by_width.divide(pixel);
    return {map, static_cast<int>(row), static_cast<int>(column), static_cast<int>(lane)};
  }
  __device__ __forceinline__ std::int64_t at(std::int64_t map, int row, int column,
                                             int lane) const {
    return map * count_of_map + (row * width + column) * lanes + lane;
  }
};

// Indices [begin, end); none where end <= begin.
struct Range {
  int begin;
  int end;
  __device__ int size() const { return end > begin ? end - begin : 0; }
};

// --- sums over rectangles ---

constexpr unsigned kMostSharing = 1024;  // threads of a block

// y[p] = scale(rows, columns) * sum over i in rows, j in columns of weight(i, j) x[i, j], where
//   Window(row, column of p): rows(), columns() (ranges in x's maps), weight(i, j), scale()
// The block's x goes over lanes, y over the pixels of a rectangle, z over pixels p: large
// rectangles need many threads each, and there may be few of them (the mean of whole maps). What
// the threads of a rectangle have summed is added up in shared memory, in a fixed order, and in
// Compute<T>: a thread's own sum is short.
template <class T, int V, class Axes>
__global__ void __launch_bounds__(kMostSharing)
    rectangle_sum_kernel(const T* x, Lanes<V> in, T* y, Lanes<V> out, Axes axes) {
  const auto* const from = reinterpret_cast<const Lane<T, V>*>(x);
  auto* const to = reinterpret_cast<Lane<T, V>*>(y);
  auto* const shared = shared_memory<LaneValues<T, V>>();
  const std::int64_t tiles = (out.lanes + blockDim.x - 1) / blockDim.x;
  const std::int64_t pixels = out.count / out.lanes;
  const std::int64_t groups = (pixels + blockDim.z - 1) / blockDim.z * tiles;
  const unsigned slot = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  for (std::int64_t group = blockIdx.x; group < groups; group += gridDim.x) {
    const std::int64_t pixel = group / tiles * blockDim.z + threadIdx.z;
    const int lane = static_cast<int>(group % tiles * blockDim.x + threadIdx.x);
    const bool mine = pixel < pixels && lane < out.lanes;
    LaneValues<T, V> sum = {};
    Compute<T> scale = 1;
    if (mine) {
      const auto place = out.place(pixel * out.lanes);
      const auto window = axes.window(place.row, place.column);
      const Range rows = window.rows;
      const Range columns = window.columns;
      const int width = columns.size();
      scale = window.scale();
      // Pixels threadIdx.y, threadIdx.y + blockDim.y, ... of the rectangle, row by row.
      const int step = static_cast<int>(blockDim.y);
      int row = rows.begin;
      int column = columns.begin;
      if (width > 0 && step > 1) {
        row += static_cast<int>(threadIdx.y) / width;
        column += static_cast<int>(threadIdx.y) % width;
      }
      const int row_step = width > 0 && step > 1 ? step / width : 0;
      const int column_step = width > 0 && step > 1 ? step % width : 1;
      while (width > 0 && row < rows.end) {
        const LaneValues<T, V> value = values_of(from[in.at(place.map, row, column, lane)]);
        const Compute<T> weight = window.weight(row, column);
        for (int k = 0; k < V; ++k) sum.v[k] += weight * value.v[k];
        row += row_step;
        column += column_step;
        if (column >= columns.end) {
          column -= width;
          ++row;
        }
      }
    }
    if (blockDim.y > 1) {
      shared[slot] = sum;
      __syncthreads();
      for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        if (threadIdx.y < half)
          for (int k = 0; k < V; ++k) shared[slot].v[k] += shared[slot + half * blockDim.x].v[k];
        __syncthreads();
      }
      sum = shared[slot];
    }
    if (mine && threadIdx.y == 0) {
      for (int k = 0; k < V; ++k) sum.v[k] *= scale;
      to[pixel * out.lanes + lane] = lane_of<T, V>(sum);
    }
    // The next sums overwrite what thread 0 of a rectangle has read itself: no barrier.
  }
}

// `cells` is about how many pixels a rectangle has.
template <class T, int V, class Axes>
void launch_rectangle_sums(const T* x, const Maps& in, T* y, const Maps& out, std::int64_t cells,
                           const Axes& axes) {
  const Lanes<V> lanes(out);
  if (lanes.count == 0) return;
  constexpr unsigned kThreads = 256;
  constexpr std::int64_t kCellsOfThread = 8;
  constexpr unsigned kFewBlocks = 132 * 2;
  const unsigned width = lanes.lanes < 32 ? static_cast<unsigned>(lanes.lanes) : 32;
  const auto shape_of = [&](unsigned threads) {
    unsigned sharing = 1;  // a power of two
    while (sharing * kCellsOfThread < cells && sharing * 2 * width <= threads) sharing *= 2;
    const unsigned depth = threads / (width * sharing) < 64 ? threads / (width * sharing) : 64;
    const std::int64_t tiles = (lanes.lanes + width - 1) / width;
    const std::int64_t groups = (out.pixels() + depth - 1) / depth * tiles;
    LaunchShape shape = strided_shape(groups, 1, 132 * 32);
    shape.block = dim3(width, sharing, depth);
    if (sharing > 1)
      shape.shared_bytes = std::size_t{width} * sharing * depth * sizeof(LaneValues<T, V>);
    return shape;
  };
  LaunchShape shape = shape_of(kThreads);
  // With few blocks, larger ones keep more loads in flight.
  if (shape.grid.x < kFewBlocks && shape.block.y * kCellsOfThread < cells)
    shape = shape_of(kMostSharing);
  launch(rectangle_sum_kernel<T, V, Axes>, shape, x, Lanes<V>(in), y, lanes, axes);
}

template <class T, class Axes>
void sum_rectangles(const T* x, const Maps& in, T* y, const Maps& out, std::int64_t cells,
                    const Axes& axes) {
  constexpr int kWide = 16 / sizeof(T);
  if (fits_lanes<kWide>(out.channels, x, y)) {
    launch_rectangle_sums<T, kWide>(x, in, y, out, cells, axes);
  } else {
    launch_rectangle_sums<T, 1>(x, in, y, out, cells, axes);
  }
}

}  // namespace concord::cuda
