// A map here is a vector of L channels of one sample: pixel p starts at p * pitch. Blocked formats
// have pitch = L, plain ones L = 1, and channels-last is cut into vectors of 16 (and single
// channels for the rest) of pitch C. Threads share out maps, so no sum is shared between them.

#include "kernels/pooling.h"

#include <algorithm>
#include <type_traits>

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

// Where a map lies: its first element and the distance between its pixels.
struct MapPlace {
  std::int64_t offset_in;   // in the pooling's input
  std::int64_t offset_out;  // in its output
  std::int64_t pitch;
};

constexpr std::int64_t kVector = 16;

// Reads or writes worth a thread.
constexpr std::int64_t kGrain = 1 << 14;

// Calls body(place, std::integral_constant<int, L>) for every map of two tensors that differ in
// their spatial size alone.
template <class Body>
void for_each_map(const ChannelLayout& in, const ChannelLayout& out, Body body) {
  const std::int64_t lanes = in.lanes;
  const std::int64_t vector = lanes % 8 == 0 ? std::min<std::int64_t>(lanes, kVector) : kVector;
  const std::int64_t per_group = (lanes + vector - 1) / vector;
  const std::int64_t maps = in.outer * in.groups * per_group;
  const std::int64_t work = std::max(in.spatial, out.spatial) * std::min(vector, lanes);
  parallel_for(maps, kGrain / std::max<std::int64_t>(1, work),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t map = begin; map < end; ++map) {
                   const std::int64_t group = map / per_group;
                   const std::int64_t first = map % per_group * vector;
                   const std::int64_t width = std::min(vector, lanes - first);
                   MapPlace place{group * in.spatial * lanes + first,
                                  group * out.spatial * lanes + first, lanes};
                   if (width == 16) {
                     body(place, std::integral_constant<int, 16>{});
                   } else if (width == 8) {
                     body(place, std::integral_constant<int, 8>{});
                   } else {
                     for (std::int64_t lane = 0; lane < width; ++lane) {
                       body(place, std::integral_constant<int, 1>{});
                       ++place.offset_in;
                       ++place.offset_out;
                     }
                   }
                 }
               });
}

Size2d spatial_size(const Shape& shape) { return {shape[2], shape[3]}; }

// Rows and columns of the image that a window covers, from its first cell on.
struct Window {
  std::int64_t top;  // may lie above the image, as left may beside it
  std::int64_t left;
  std::int64_t row_begin;
  std::int64_t row_end;
  std::int64_t column_begin;
  std::int64_t column_end;
};

Window max_window(const MaxPool2dOptions& o, const Size2d& image, std::int64_t i, std::int64_t j) {
  const std::int64_t top = i * o.stride.height - o.padding.height;
  const std::int64_t left = j * o.stride.width - o.padding.width;
  return {top,
          left,
          std::max<std::int64_t>(top, 0),
          std::min(top + o.kernel.height, image.height),
          std::max<std::int64_t>(left, 0),
          std::min(left + o.kernel.width, image.width)};
}

// Index is the type that is stored, or void where no index is wanted.
template <int L, class T, class Index>
void max_pool_map(const T* x, std::int64_t pitch, const Size2d& image,
                  const MaxPool2dOptions& options, const Size2d& output, T* y, Index* index) {
  // An index as wide as T, so that the comparison's mask selects both.
  using Wide = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  for (std::int64_t i = 0; i < output.height; ++i) {
    for (std::int64_t j = 0; j < output.width; ++j) {
      const Window w = max_window(options, image, i, j);
      T best[L];
      Wide best_cell[L];
      const T* first = x + (w.row_begin * image.width + w.column_begin) * pitch;
      const auto first_cell =
          static_cast<Wide>((w.row_begin - w.top) * options.kernel.width + w.column_begin - w.left);
      for (int l = 0; l < L; ++l) {
        best[l] = first[l];
        best_cell[l] = first_cell;
      }
      for (std::int64_t h = w.row_begin; h < w.row_end; ++h) {
        for (std::int64_t v = w.column_begin; v < w.column_end; ++v) {
          const T* value = x + (h * image.width + v) * pitch;
          const auto cell = static_cast<Wide>((h - w.top) * options.kernel.width + v - w.left);
          for (int l = 0; l < L; ++l) {
            // A NaN is taken, and never beaten but by another.
            const bool take = value[l] > best[l] || value[l] != value[l];
            best[l] = take ? value[l] : best[l];
            best_cell[l] = take ? cell : best_cell[l];
          }
        }
      }
      const std::int64_t at = (i * output.width + j) * pitch;
      for (int l = 0; l < L; ++l) y[at + l] = best[l];
      if constexpr (!std::is_void_v<Index>)
        for (int l = 0; l < L; ++l) index[at + l] = static_cast<Index>(best_cell[l]);
    }
  }
}

template <int L, class T, class Index>
void max_pool_map_backward(const T* dy, const Index* index, std::int64_t pitch, const Size2d& image,
                           const MaxPool2dOptions& options, const Size2d& output, T* dx) {
  for (std::int64_t pixel = 0; pixel < image.height * image.width; ++pixel)
    for (int l = 0; l < L; ++l) dx[pixel * pitch + l] = T(0);
  for (std::int64_t i = 0; i < output.height; ++i) {
    for (std::int64_t j = 0; j < output.width; ++j) {
      const Window w = max_window(options, image, i, j);
      const T* gradient = dy + (i * output.width + j) * pitch;
      const Index* cells = index + (i * output.width + j) * pitch;
      if constexpr (L == 1) {
        const auto cell = static_cast<std::int64_t>(*cells);
        const std::int64_t h = w.top + cell / options.kernel.width;
        const std::int64_t v = w.left + cell % options.kernel.width;
        dx[(h * image.width + v) * pitch] += *gradient;
      } else {
        // Adding 0 to the cells of the window that lost is faster than scattering lane by lane.
        for (std::int64_t h = w.row_begin; h < w.row_end; ++h) {
          for (std::int64_t v = w.column_begin; v < w.column_end; ++v) {
            const auto cell = static_cast<Index>((h - w.top) * options.kernel.width + v - w.left);
            T* to = dx + (h * image.width + v) * pitch;
            for (int l = 0; l < L; ++l) to[l] += cells[l] == cell ? gradient[l] : T(0);
          }
        }
      }
    }
  }
}

// Calls body with a pointer of the index's type; null of void where there is none.
template <class AnyView, class Body>
void with_index(const AnyView& index, Body&& body) {
  if (!index) {
    body(static_cast<void*>(nullptr));
  } else if (index.dtype == DType::kUInt8) {
    body(index.template as<std::uint8_t>());
  } else {
    body(index.template as<std::int64_t>());
  }
}

void max_pool2d_forward_cpu(ConstView x, const MaxPool2dOptions& options, View y, View index) {
  const Size2d image = spatial_size(x.shape);
  const Size2d output = spatial_size(y.shape);
  with_float(x, "max_pool2d", [&]<class T>(T) {
    with_index(index, [&]<class Index>(Index* indices) {
      for_each_map(x.channels(), y.channels(),
                   [&]<int L>(const MapPlace& place, std::integral_constant<int, L>) {
                     Index* at = indices;
                     if constexpr (!std::is_void_v<Index>) at += place.offset_out;
                     max_pool_map<L>(x.as<T>() + place.offset_in, place.pitch, image, options,
                                     output, y.as<T>() + place.offset_out, at);
                   });
    });
  });
}

void max_pool2d_backward_cpu(ConstView dy, ConstView index, const MaxPool2dOptions& options,
                             View dx) {
  const Size2d image = spatial_size(dx.shape);
  const Size2d output = spatial_size(dy.shape);
  check(static_cast<bool>(index), "max_pool2d: the backward pass needs the indices");
  with_float(dy, "max_pool2d", [&]<class T>(T) {
    with_index(index, [&]<class Index>(Index* indices) {
      if constexpr (!std::is_void_v<Index>) {
        for_each_map(dx.channels(), dy.channels(),
                     [&]<int L>(const MapPlace& place, std::integral_constant<int, L>) {
                       max_pool_map_backward<L>(dy.as<T>() + place.offset_out,
                                                indices + place.offset_out, place.pitch, image,
                                                options, output, dx.as<T>() + place.offset_in);
                     });
      }
    });
  });
}

// Cells [begin, end) that output `i` of `outputs` averages.
struct Range {
  std::int64_t begin;
  std::int64_t end;
};
Range average_range(std::int64_t i, std::int64_t outputs, std::int64_t inputs) {
  return {i * inputs / outputs, ((i + 1) * inputs + outputs - 1) / outputs};
}

// Calls body(output pixel, rows, columns, 1 / number of cells) for every window.
template <class Body>
void for_each_average(const Size2d& image, const Size2d& output, Body body) {
  for (std::int64_t i = 0; i < output.height; ++i) {
    const Range rows = average_range(i, output.height, image.height);
    for (std::int64_t j = 0; j < output.width; ++j) {
      const Range columns = average_range(j, output.width, image.width);
      const std::int64_t cells = (rows.end - rows.begin) * (columns.end - columns.begin);
      body(i * output.width + j, rows, columns, 1.0 / static_cast<double>(cells));
    }
  }
}

template <int L, class T>
void average_map(const T* x, std::int64_t pitch, const Size2d& image, const Size2d& output, T* y) {
  for_each_average(image, output, [&](std::int64_t pixel, Range rows, Range columns, double share) {
    T total[L] = {};
    for (std::int64_t h = rows.begin; h < rows.end; ++h) {
      for (std::int64_t v = columns.begin; v < columns.end; ++v) {
        const T* value = x + (h * image.width + v) * pitch;
        for (int l = 0; l < L; ++l) total[l] += value[l];
      }
    }
    for (int l = 0; l < L; ++l) y[pixel * pitch + l] = total[l] * static_cast<T>(share);
  });
}

template <int L, class T>
void average_map_backward(const T* dy, std::int64_t pitch, const Size2d& image,
                          const Size2d& output, T* dx) {
  for (std::int64_t pixel = 0; pixel < image.height * image.width; ++pixel)
    for (int l = 0; l < L; ++l) dx[pixel * pitch + l] = T(0);
  for_each_average(image, output, [&](std::int64_t pixel, Range rows, Range columns, double share) {
    T part[L];
    for (int l = 0; l < L; ++l) part[l] = dy[pixel * pitch + l] * static_cast<T>(share);
    for (std::int64_t h = rows.begin; h < rows.end; ++h) {
      for (std::int64_t v = columns.begin; v < columns.end; ++v) {
        T* to = dx + (h * image.width + v) * pitch;
        for (int l = 0; l < L; ++l) to[l] += part[l];
      }
    }
  });
}

void adaptive_avg_pool2d_forward_cpu(ConstView x, View y) {
  const Size2d image = spatial_size(x.shape);
  const Size2d output = spatial_size(y.shape);
  with_float(x, "adaptive_avg_pool2d", [&]<class T>(T) {
    for_each_map(x.channels(), y.channels(),
                 [&]<int L>(const MapPlace& place, std::integral_constant<int, L>) {
                   average_map<L>(x.as<T>() + place.offset_in, place.pitch, image, output,
                                  y.as<T>() + place.offset_out);
                 });
  });
}

void adaptive_avg_pool2d_backward_cpu(ConstView dy, View dx) {
  const Size2d image = spatial_size(dx.shape);
  const Size2d output = spatial_size(dy.shape);
  with_float(dy, "adaptive_avg_pool2d", [&]<class T>(T) {
    for_each_map(dx.channels(), dy.channels(),
                 [&]<int L>(const MapPlace& place, std::integral_constant<int, L>) {
                   average_map_backward<L>(dy.as<T>() + place.offset_out, place.pitch, image,
                                           output, dx.as<T>() + place.offset_in);
                 });
  });
}

const Registration registrations[] = {
    {max_pool2d_forward, DeviceType::kCpu, max_pool2d_forward_cpu},
    {max_pool2d_backward, DeviceType::kCpu, max_pool2d_backward_cpu},
    {adaptive_avg_pool2d_forward, DeviceType::kCpu, adaptive_avg_pool2d_forward_cpu},
    {adaptive_avg_pool2d_backward, DeviceType::kCpu, adaptive_avg_pool2d_backward_cpu},
};

}  // namespace
}  // namespace concord::kernels
