// Bilinear resizing. Forward, a thread makes a lane of the result of its four pixels, which its
// neighbours read too, out of the cache. Backward, what flows to a pixel is gathered as a weighted
// sum over the rectangle of results that read it, without atomics; threads share the rectangle
// where the maps were enlarged much. Coordinates are fractions of whole numbers: exact, and cheaper
// than double.

#include <limits>
#include <type_traits>

#include "kernels/cuda/maps.h"
#include "kernels/resize.h"

namespace concord::cuda {
namespace {

// One output coordinate of an axis: (1 - weight) * input[low] + weight * input[high].
template <class T>
struct Tap {
  int low;
  int high;
  T weight;

  // How much of input `cell` it holds.
  __device__ T of(int cell) const {
    return (low == cell ? T(1) - weight : T(0)) + (high == cell ? weight : T(0));
  }
};

template <class T>
struct ResizeAxis {
  int inputs;
  int outputs;
  bool small;  // all numerators fit 31 bits
  Divider by_denominator;

  ResizeAxis(int input_count, int output_count) : inputs(input_count), outputs(output_count) {
    const std::int64_t denominator = 2 * std::int64_t{outputs};
    small = denominator * inputs <= std::numeric_limits<int>::max();
    if (small && outputs > 0) by_denominator = Divider(denominator);
  }

  // max(0, (i + 1/2) inputs / outputs - 1/2) = low + weight
  __device__ __forceinline__ Tap<T> tap(int i) const {
    const std::int64_t denominator = 2 * std::int64_t{outputs};
    int low = 0;
    std::int64_t rest = 0;
    if (small) {
      const int numerator = (2 * i + 1) * inputs - outputs;
      const auto [quotient, remainder] =
          by_denominator.divide(static_cast<unsigned>(numerator < 0 ? 0 : numerator));
      low = static_cast<int>(quotient);
      rest = remainder;
    } else {
      const std::int64_t numerator = (2 * std::int64_t{i} + 1) * inputs - outputs;
      if (numerator > 0) {
        low = static_cast<int>(numerator / denominator);
        rest = numerator % denominator;
      }
    }
    return {low, low + 1 < inputs ? low + 1 : low,
            static_cast<T>(rest) / static_cast<T>(denominator)};
  }

  // The outputs that read input `cell`: those whose coordinate is less than 1 away from it; at the
  // ends, all that lie beyond.
  __device__ Range readers(int cell) const {
    const std::int64_t twice = 2 * std::int64_t{inputs};
    const std::int64_t below = (2 * std::int64_t{cell} - 1) * outputs - inputs;
    const std::int64_t above = (2 * std::int64_t{cell} + 3) * outputs - inputs;
    const std::int64_t end = above <= 0 ? 0 : (above + twice - 1) / twice;
    return {cell == 0 || below < 0 ? 0 : static_cast<int>(below / twice) + 1,
            cell + 1 == inputs || end > outputs ? outputs : static_cast<int>(end)};
  }
};

template <class T>
struct ResizeAxes {
  ResizeAxis<T> rows;
  ResizeAxis<T> columns;

  ResizeAxes(const Maps& in, const Maps& out)
      : rows(in.height, out.height), columns(in.width, out.width) {}

  // What the backward pass sums for a pixel.
  struct Window {
    const ResizeAxes& axes;
    int row;
    int column;
    Range rows;
    Range columns;
    __device__ T weight(int i, int j) const {
      return axes.rows.tap(i).of(row) * axes.columns.tap(j).of(column);
    }
    __device__ T scale() const { return T(1); }
  };
  __device__ Window window(int row, int column) const {
    return {*this, row, column, rows.readers(row), columns.readers(column)};
  }
};

template <class T, int V>
__global__ void resize_bilinear_kernel(const T* x, Lanes<V> in, ResizeAxes<Compute<T>> axes, T* y,
                                       Lanes<V> out) {
  const auto* const from = reinterpret_cast<const Lane<T, V>*>(x);
  for (std::int64_t i = first_item(); i < out.count; i += item_stride()) {
    const auto place = out.place(i);
    const Tap<Compute<T>> row = axes.rows.tap(place.row);
    const Tap<Compute<T>> column = axes.columns.tap(place.column);
    const auto top_left = values_of(from[in.at(place.map, row.low, column.low, place.lane)]);
    const auto top_right = values_of(from[in.at(place.map, row.low, column.high, place.lane)]);
    const auto bottom_left = values_of(from[in.at(place.map, row.high, column.low, place.lane)]);
    const auto bottom_right = values_of(from[in.at(place.map, row.high, column.high, place.lane)]);
    LaneValues<T, V> to;
    for (int k = 0; k < V; ++k) {
      const Compute<T> top = (1 - column.weight) * top_left.v[k] + column.weight * top_right.v[k];
      const Compute<T> bottom =
          (1 - column.weight) * bottom_left.v[k] + column.weight * bottom_right.v[k];
      to.v[k] = (1 - row.weight) * top + row.weight * bottom;
    }
    reinterpret_cast<Lane<T, V>*>(y)[i] = lane_of<T, V>(to);
  }
}

void resize_bilinear_forward_cuda(ConstView x, View y) {
  const Maps in(x, "resize_bilinear");
  const Maps out(y, "resize_bilinear");
  if (y.numel() == 0) return;
  kernels::with_storage(x, "resize_bilinear", [&]<class T>(T) {
    const auto run = [&]<int V>(std::integral_constant<int, V>) {
      const Lanes<V> lanes(out);
      launch(resize_bilinear_kernel<T, V>, strided_shape(lanes.count), x.as<T>(), Lanes<V>(in),
             ResizeAxes<Compute<T>>(in, out), y.as<T>(), lanes);
    };
    constexpr int kWide = 16 / sizeof(T);
    if (fits_lanes<kWide>(in.channels, x.as<T>(), y.as<T>())) {
      run(std::integral_constant<int, kWide>{});
    } else {
      run(std::integral_constant<int, 1>{});
    }
  });
}

void resize_bilinear_backward_cuda(ConstView dy, View dx) {
  const Maps in(dx, "resize_bilinear");
  const Maps out(dy, "resize_bilinear");
  if (dx.numel() == 0) return;
  // Of an axis that is enlarged, a pixel is read over twice its share.
  const std::int64_t rows = (2 * std::int64_t{out.height} + in.height - 1) / in.height;
  const std::int64_t columns = (2 * std::int64_t{out.width} + in.width - 1) / in.width;
  kernels::with_storage(dy, "resize_bilinear", [&]<class T>(T) {
    sum_rectangles(dy.as<T>(), out, dx.as<T>(), in, rows * columns,
                   ResizeAxes<Compute<T>>(in, out));
  });
}

const kernels::Registration registrations[] = {
    {kernels::resize_bilinear_forward, DeviceType::kCuda, resize_bilinear_forward_cuda},
    {kernels::resize_bilinear_backward, DeviceType::kCuda, resize_bilinear_backward_cuda},
};

}  // namespace
}  // namespace concord::cuda
