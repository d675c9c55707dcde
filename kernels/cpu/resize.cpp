#include "kernels/resize.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

// One output coordinate of an axis: (1 - weight) * input[low] + weight * input[high].
template <class T>
struct Tap {
  std::int64_t low;
  std::int64_t high;
  T weight;
};

template <class T>
std::vector<Tap<T>> taps_of(std::int64_t input, std::int64_t output) {
  std::vector<Tap<T>> taps;
  const double ratio = static_cast<double>(input) / static_cast<double>(output);
  for (std::int64_t i = 0; i < output; ++i) {
    const double source = std::max(0.0, (static_cast<double>(i) + 0.5) * ratio - 0.5);
    const auto low = std::min(static_cast<std::int64_t>(source), input - 1);
    taps.push_back(
        {low, std::min(low + 1, input - 1), static_cast<T>(source - static_cast<double>(low))});
  }
  return taps;
}

// Calls body(input map, output map, lanes) for every map: lanes is a constant in the formats that
// have one, so that the loop over it becomes a vector.
template <class In, class Out, class Body>
void for_each_map(In* input, const ChannelLayout& in, Out* output, const ChannelLayout& out,
                  Body body) {
  const auto run = [&](auto lanes) {
    parallel_for(in.outer * in.groups, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t map = begin; map < end; ++map)
        body(input + map * in.spatial * lanes, output + map * out.spatial * lanes, lanes);
    });
  };
  switch (in.lanes) {
    case 1:
      return run(std::integral_constant<std::int64_t, 1>{});
    case 8:
      return run(std::integral_constant<std::int64_t, 8>{});
    case 16:
      return run(std::integral_constant<std::int64_t, 16>{});
    default:
      return run(in.lanes);
  }
}

void resize_bilinear_forward_cpu(ConstView x, View y) {
  with_float(x, "resize_bilinear", [&]<class T>(T) {
    const auto rows = taps_of<T>(x.shape[2], y.shape[2]);
    const auto columns = taps_of<T>(x.shape[3], y.shape[3]);
    const std::int64_t width = x.shape[3];
    const auto resize = [&](const T* from, T* to, auto lanes) {
      for (const Tap<T>& row : rows) {
        for (const Tap<T>& column : columns) {
          const T* top_left = from + (row.low * width + column.low) * lanes;
          const T* top_right = from + (row.low * width + column.high) * lanes;
          const T* bottom_left = from + (row.high * width + column.low) * lanes;
          const T* bottom_right = from + (row.high * width + column.high) * lanes;
#pragma omp simd
          for (std::int64_t l = 0; l < lanes; ++l) {
            const T top = (1 - column.weight) * top_left[l] + column.weight * top_right[l];
            const T bottom = (1 - column.weight) * bottom_left[l] + column.weight * bottom_right[l];
            to[l] = (1 - row.weight) * top + row.weight * bottom;
          }
          to += lanes;
        }
      }
    };
    for_each_map(x.as<T>(), x.channels(), y.as<T>(), y.channels(), resize);
  });
}

void resize_bilinear_backward_cpu(ConstView dy, View dx) {
  with_float(dy, "resize_bilinear", [&]<class T>(T) {
    const auto rows = taps_of<T>(dx.shape[2], dy.shape[2]);
    const auto columns = taps_of<T>(dx.shape[3], dy.shape[3]);
    const std::int64_t width = dx.shape[3];
    const std::int64_t pixels = dx.channels().spatial;
    const auto spread = [&](const T* from, T* to, auto lanes) {
      std::fill_n(to, pixels * lanes, T(0));
      for (const Tap<T>& row : rows) {
        for (const Tap<T>& column : columns) {
          // One corner at a time: at the borders two corners are the same pixel.
          const auto add = [&](std::int64_t r, std::int64_t c, T weight) {
            T* pixel = to + (r * width + c) * lanes;
#pragma omp simd
            for (std::int64_t l = 0; l < lanes; ++l) pixel[l] += weight * from[l];
          };
          add(row.low, column.low, (1 - row.weight) * (1 - column.weight));
          add(row.low, column.high, (1 - row.weight) * column.weight);
          add(row.high, column.low, row.weight * (1 - column.weight));
          add(row.high, column.high, row.weight * column.weight);
          from += lanes;
        }
      }
    };
    for_each_map(dy.as<T>(), dy.channels(), dx.as<T>(), dx.channels(), spread);
  });
}

const Registration registrations[] = {
    {resize_bilinear_forward, DeviceType::kCpu, resize_bilinear_forward_cpu},
    {resize_bilinear_backward, DeviceType::kCpu, resize_bilinear_backward_cpu},
};

}  // namespace
}  // namespace concord::kernels
