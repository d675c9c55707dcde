// Max pooling, both ways, and the backward pass of averages have a thread for each lane of the
// result (kernels/cuda/maps.h), which reads the few pixels that it is made of: neighbours read the
// same ones, out of the cache. Backward passes gather over the windows that hold a pixel, so that
// each element is written once, without atomics. Averages may be over whole maps, and share a
// window among threads. Sums are in Compute<T>, as on the
// CPU.

#include <type_traits>

#include "kernels/cuda/maps.h"
#include "kernels/pooling.h"

namespace concord::cuda {
namespace {

__device__ __forceinline__ int at_least(int a, int b) { return a < b ? b : a; }
__device__ __forceinline__ int at_most(int a, int b) { return a < b ? a : b; }

// One axis of a max pooling.
struct MaxAxis {
  int kernel;
  int stride;
  int padding;
  int inputs;
  int outputs;
  Divider by_stride;

  MaxAxis(std::int64_t kernel_size, std::int64_t stride_size, std::int64_t padding_size,
          int input_count, int output_count)
      : kernel(static_cast<int>(kernel_size)),
        stride(static_cast<int>(stride_size)),
        padding(static_cast<int>(padding_size)),
        inputs(input_count),
        outputs(output_count),
        by_stride(stride_size) {}

  // Where window i begins, which may be outside the image.
  __device__ int first(int i) const { return i * stride - padding; }
  __device__ Range cells_of_window(int i) const {
    return {at_least(first(i), 0), at_most(first(i) + kernel, inputs)};
  }
  __device__ Range windows_of_cell(int cell) const {
    const int beyond = cell + padding - kernel;  // first(i) of windows that end before
    const auto quotient = [this](int a) {
      return static_cast<int>(by_stride.divide(static_cast<unsigned>(a)).quotient);
    };
    return {beyond < 0 ? 0 : quotient(beyond) + 1, at_most(quotient(cell + padding) + 1, outputs)};
  }
};
struct MaxAxes {
  MaxAxis rows;
  MaxAxis columns;

  MaxAxes(const MaxPool2dOptions& o, const Maps& in, const Maps& out)
      : rows(o.kernel.height, o.stride.height, o.padding.height, in.height, out.height),
        columns(o.kernel.width, o.stride.width, o.padding.width, in.width, out.width) {}
};

// Coordinates of windows are 32-bit numbers.
void check_options(const MaxPool2dOptions& o) {
  for (const std::int64_t size : {o.kernel.height, o.kernel.width, o.stride.height, o.stride.width})
    check(0 < size && size <= Maps::kMostElements / 2,
          "max_pool2d: a kernel or stride of {} is larger than CUDA's kernels take, 2^29", size);
}

// Index is the type that is stored, or void where no index is wanted.
template <class T, class Index, int V>
__global__ void max_pool_kernel(const T* x, Lanes<V> in, MaxAxes axes, T* y, Index* index,
                                Lanes<V> out) {
  using Number = std::conditional_t<std::is_same_v<Index, std::int64_t>, std::int64_t, int>;
  const auto* const from = reinterpret_cast<const Lane<T, V>*>(x);
  for (std::int64_t i = first_item(); i < out.count; i += item_stride()) {
    const auto place = out.place(i);
    const Range rows = axes.rows.cells_of_window(place.row);
    const Range columns = axes.columns.cells_of_window(place.column);
    Number number = Number{rows.begin - axes.rows.first(place.row)} * axes.columns.kernel -
                    axes.columns.first(place.column);
    LaneValues<T, V> best =
        values_of(from[in.at(place.map, rows.begin, columns.begin, place.lane)]);
    Number best_cell[V];
    for (int k = 0; k < V; ++k) best_cell[k] = number + columns.begin;
    for (int h = rows.begin; h < rows.end; ++h) {
      std::int64_t at = in.at(place.map, h, columns.begin, place.lane);
      for (int v = columns.begin; v < columns.end; ++v, at += in.lanes) {
        const LaneValues<T, V> value = values_of(from[at]);
        for (int k = 0; k < V; ++k) {
          // A NaN is taken, and never beaten but by another.
          const bool take = value.v[k] > best.v[k] || value.v[k] != value.v[k];
          best.v[k] = take ? value.v[k] : best.v[k];
          best_cell[k] = take ? number + v : best_cell[k];
        }
      }
      number += axes.columns.kernel;
    }
    reinterpret_cast<Lane<T, V>*>(y)[i] = lane_of<T, V>(best);
    if constexpr (!std::is_void_v<Index>) {
      Lane<Index, V> cells;
      for (int k = 0; k < V; ++k) cells.v[k] = static_cast<Index>(best_cell[k]);
      reinterpret_cast<Lane<Index, V>*>(index)[i] = cells;
    }
  }
}

template <class T, class Index, int V>
__global__ void max_pool_backward_kernel(const T* dy, const Index* index, Lanes<V> out,
                                         MaxAxes axes, T* dx, Lanes<V> in) {
  using Number = std::conditional_t<std::is_same_v<Index, std::int64_t>, std::int64_t, int>;
  const auto* const gradients = reinterpret_cast<const Lane<T, V>*>(dy);
  const auto* const winners = reinterpret_cast<const Lane<Index, V>*>(index);
  for (std::int64_t i = first_item(); i < in.count; i += item_stride()) {
    const auto place = in.place(i);
    const Range rows = axes.rows.windows_of_cell(place.row);
    const Range columns = axes.columns.windows_of_cell(place.column);
    LaneValues<T, V> total = {};
    for (int h = rows.begin; h < rows.end; ++h) {
      // This pixel's number in the windows of a row falls by the stride from one to the next.
      Number number = Number{place.row - axes.rows.first(h)} * axes.columns.kernel + place.column -
                      axes.columns.first(columns.begin);
      std::int64_t at = out.at(place.map, h, columns.begin, place.lane);
      for (int v = columns.begin; v < columns.end; ++v, at += out.lanes) {
        const Lane<Index, V> winner = winners[at];
        const LaneValues<T, V> gradient = values_of(gradients[at]);
        for (int k = 0; k < V; ++k)
          total.v[k] += static_cast<Number>(winner.v[k]) == number ? gradient.v[k] : 0;
        number -= axes.columns.stride;
      }
    }
    reinterpret_cast<Lane<T, V>*>(dx)[i] = lane_of<T, V>(total);
  }
}

template <class T, class Index>
void max_pool_forward(const T* x, const Maps& in, const MaxAxes& axes, T* y, Index* index,
                      const Maps& out) {
  const auto run = [&]<int V>(std::integral_constant<int, V>) {
    const Lanes<V> lanes(out);
    if (lanes.count == 0) return;
    launch(max_pool_kernel<T, Index, V>, strided_shape(lanes.count), x, Lanes<V>(in), axes, y,
           index, lanes);
  };
  constexpr int kWide = 16 / sizeof(T);
  bool wide = fits_lanes<kWide>(in.channels, x, y);
  if constexpr (!std::is_void_v<Index>) wide = wide && fits_lanes<kWide>(in.channels, index);
  if (wide) {
    run(std::integral_constant<int, kWide>{});
  } else {
    run(std::integral_constant<int, 1>{});
  }
}

template <class T, class Index>
void max_pool_backward(const T* dy, const Index* index, const Maps& out, const MaxAxes& axes, T* dx,
                       const Maps& in) {
  const auto run = [&]<int V>(std::integral_constant<int, V>) {
    const Lanes<V> lanes(in);
    if (lanes.count == 0) return;
    launch(max_pool_backward_kernel<T, Index, V>, strided_shape(lanes.count), dy, index,
           Lanes<V>(out), axes, dx, lanes);
  };
  constexpr int kWide = 16 / sizeof(T);
  if (fits_lanes<kWide>(in.channels, dy, index, dx)) {
    run(std::integral_constant<int, kWide>{});
  } else {
    run(std::integral_constant<int, 1>{});
  }
}

void max_pool2d_forward_cuda(ConstView x, const MaxPool2dOptions& options, View y, View index) {
  check_options(options);
  const Maps in(x, "max_pool2d");
  const Maps out(y, "max_pool2d");
  const MaxAxes axes(options, in, out);
  kernels::with_storage(x, "max_pool2d", [&]<class T>(T) {
    if (!index) {
      max_pool_forward(x.as<T>(), in, axes, y.as<T>(), static_cast<void*>(nullptr), out);
    } else if (index.dtype == DType::kUInt8) {
      max_pool_forward(x.as<T>(), in, axes, y.as<T>(), index.as<std::uint8_t>(), out);
    } else {
      max_pool_forward(x.as<T>(), in, axes, y.as<T>(), index.as<std::int64_t>(), out);
    }
  });
}

void max_pool2d_backward_cuda(ConstView dy, ConstView index, const MaxPool2dOptions& options,
                              View dx) {
  check_options(options);
  const Maps in(dx, "max_pool2d");
  const Maps out(dy, "max_pool2d");
  if (dx.numel() == 0) return;
  check(static_cast<bool>(index), "max_pool2d: the backward pass needs the indices");
  const MaxAxes axes(options, in, out);
  kernels::with_storage(dy, "max_pool2d", [&]<class T>(T) {
    if (index.dtype == DType::kUInt8) {
      max_pool_backward(dy.as<T>(), index.as<std::uint8_t>(), out, axes, dx.as<T>(), in);
    } else {
      max_pool_backward(dy.as<T>(), index.as<std::int64_t>(), out, axes, dx.as<T>(), in);
    }
  });
}

// --- averages ---

// One axis of an average: outputs share out the inputs, and neighbours share a cell that a border
// between them cuts.
struct AverageAxis {
  int inputs;
  int outputs;

  __device__ Range cells_of_window(int i) const { return share(i, outputs, inputs); }
  __device__ Range windows_of_cell(int cell) const { return share(cell, inputs, outputs); }

 private:
  // Those of `others` intervals that interval i of `count` of equal total length touches.
  __device__ static Range share(int i, int count, int others) {
    // Without a division: the mean of whole maps.
    if (count == 1) return {0, others};
    if (others == 1) return {0, 1};
    const std::int64_t begin = std::int64_t{i} * others;
    return {static_cast<int>(begin / count),
            static_cast<int>((begin + others + count - 1) / count)};
  }
};
template <class T>
struct AverageAxes {
  AverageAxis rows;
  AverageAxis columns;

  AverageAxes(const Maps& in, const Maps& out)
      : rows{in.height, out.height}, columns{in.width, out.width} {}

  struct Window {
    Range rows;
    Range columns;
    __device__ T weight(int, int) const { return T(1); }
    __device__ T scale() const {
      return T(1) / (static_cast<T>(rows.size()) * static_cast<T>(columns.size()));
    }
  };
  __device__ Window window(int row, int column) const {
    return {rows.cells_of_window(row), columns.cells_of_window(column)};
  }
};

template <class T, int V>
__global__ void average_backward_kernel(const T* dy, Lanes<V> out, AverageAxes<Compute<T>> axes,
                                        T* dx, Lanes<V> in) {
  const auto* const from = reinterpret_cast<const Lane<T, V>*>(dy);
  for (std::int64_t i = first_item(); i < in.count; i += item_stride()) {
    const auto place = in.place(i);
    const Range rows = axes.rows.windows_of_cell(place.row);
    const Range columns = axes.columns.windows_of_cell(place.column);
    LaneValues<T, V> total = {};
    for (int h = rows.begin; h < rows.end; ++h) {
      for (int v = columns.begin; v < columns.end; ++v) {
        const LaneValues<T, V> gradient = values_of(from[out.at(place.map, h, v, place.lane)]);
        const Compute<T> share = axes.window(h, v).scale();
        for (int k = 0; k < V; ++k) total.v[k] += gradient.v[k] * share;
      }
    }
    reinterpret_cast<Lane<T, V>*>(dx)[i] = lane_of<T, V>(total);
  }
}

void adaptive_avg_pool2d_forward_cuda(ConstView x, View y) {
  const Maps in(x, "adaptive_avg_pool2d");
  const Maps out(y, "adaptive_avg_pool2d");
  if (y.numel() == 0) return;
  const std::int64_t cells = std::int64_t{(in.height + out.height - 1) / out.height} *
                             ((in.width + out.width - 1) / out.width);
  kernels::with_storage(x, "adaptive_avg_pool2d", [&]<class T>(T) {
    sum_rectangles(x.as<T>(), in, y.as<T>(), out, cells, AverageAxes<Compute<T>>(in, out));
  });
}

void adaptive_avg_pool2d_backward_cuda(ConstView dy, View dx) {
  const Maps in(dx, "adaptive_avg_pool2d");
  const Maps out(dy, "adaptive_avg_pool2d");
  if (dx.numel() == 0) return;
  kernels::with_storage(dy, "adaptive_avg_pool2d", [&]<class T>(T) {
    const auto run = [&]<int V>(std::integral_constant<int, V>) {
      const Lanes<V> lanes(in);
      launch(average_backward_kernel<T, V>, strided_shape(lanes.count), dy.as<T>(), Lanes<V>(out),
             AverageAxes<Compute<T>>(in, out), dx.as<T>(), lanes);
    };
    constexpr int kWide = 16 / sizeof(T);
    if (fits_lanes<kWide>(in.channels, dy.as<T>(), dx.as<T>())) {
      run(std::integral_constant<int, kWide>{});
    } else {
      run(std::integral_constant<int, 1>{});
    }
  });
}

const kernels::Registration registrations[] = {
    {kernels::max_pool2d_forward, DeviceType::kCuda, max_pool2d_forward_cuda},
    {kernels::max_pool2d_backward, DeviceType::kCuda, max_pool2d_backward_cuda},
    {kernels::adaptive_avg_pool2d_forward, DeviceType::kCuda, adaptive_avg_pool2d_forward_cuda},
    {kernels::adaptive_avg_pool2d_backward, DeviceType::kCuda, adaptive_avg_pool2d_backward_cuda},
};

}  // namespace
}  // namespace concord::cuda
