// A pooling is walked by the rows of its result, pixel by pixel, and at each pixel by vectors of
// the channels that lie side by side there: one vector in blocked formats, many in channels-last, a
// single channel in plain. Backward passes gather: what flows to a pixel is summed over the windows
// that hold it, so that every element is written once and no two threads write the same.

#include "kernels/pooling.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/cpu/vector.h"
#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

// Indices [begin, end); none where end <= begin.
struct Range {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t size() const { return end - begin; }
};

// One Range for each of `count` indices.
template <class RangeOf>
std::vector<Range> ranges(std::int64_t count, RangeOf range_of) {
  std::vector<Range> all;
  all.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) all.push_back(range_of(i));
  return all;
}

// One axis of a max pooling.
struct MaxAxis {
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t padding;
  std::int64_t inputs;
  std::int64_t outputs;

  // Where window i begins, which may be outside the image.
  std::int64_t first(std::int64_t i) const { return i * stride - padding; }
  std::vector<Range> cells_of_windows() const {
    return ranges(outputs, [this](std::int64_t i) {
      return Range{std::max<std::int64_t>(first(i), 0), std::min(first(i) + kernel, inputs)};
    });
  }
  std::vector<Range> windows_of_cells() const {
    return ranges(inputs, [this](std::int64_t cell) {
      const std::int64_t beyond = cell + padding - kernel;  // first(i) of windows that end before
      return Range{beyond < 0 ? 0 : beyond / stride + 1,
                   std::min((cell + padding) / stride + 1, outputs)};
    });
  }
};

// One axis of an average: outputs share out the inputs, and neighbours share a cell that a border
// between them cuts.
struct AverageAxis {
  std::int64_t inputs;
  std::int64_t outputs;

  std::vector<Range> cells_of_windows() const { return shares(outputs, inputs); }
  std::vector<Range> windows_of_cells() const { return shares(inputs, outputs); }

 private:
  // Those of `others` intervals that each of `count` of equal total length touches.
  static std::vector<Range> shares(std::int64_t count, std::int64_t others) {
    return ranges(count, [=](std::int64_t i) {
      return Range{i * others / count, ((i + 1) * others + count - 1) / count};
    });
  }
};

// A map, pixel by pixel: the channels that lie side by side in memory.
struct Maps {
  std::int64_t count;
  std::int64_t height;
  std::int64_t width;
  std::int64_t lanes;

  explicit Maps(const ConstView& view) : height(view.shape[2]), width(view.shape[3]) {
    const ChannelLayout layout = view.channels();
    count = layout.outer * layout.groups;
    lanes = layout.lanes;
  }
  // The first element of a pixel.
  std::int64_t at(std::int64_t map, std::int64_t row, std::int64_t column) const {
    return ((map * height + row) * width + column) * lanes;
  }
};

// Calls body(map, row) for every row of all maps, split over threads. Each has its copy of the
// body, so that a body that captures by value works on registers, whatever its stores might alias.
template <class Body>
void for_each_row(const Maps& maps, Body body) {
  constexpr std::int64_t kGrain = 1 << 14;  // elements worth a thread
  const std::int64_t height = maps.height;
  const std::int64_t row_size = std::max<std::int64_t>(1, maps.width * maps.lanes);
  parallel_for(maps.count * height, kGrain / row_size, [&](std::int64_t begin, std::int64_t end) {
    const Body own = body;
    for (std::int64_t row = begin; row < end; ++row) own(row / height, row % height);
  });
}

// Calls body(first lane, std::integral_constant<int, L>) for vectors of L that cover the lanes.
template <class Body>
[[gnu::always_inline]] inline void for_each_vector(std::int64_t lanes, Body body) {
  std::int64_t lane = 0;
  for (; lane + 16 <= lanes; lane += 16) body(lane, std::integral_constant<int, 16>{});
  for (; lane + 8 <= lanes; lane += 8) body(lane, std::integral_constant<int, 8>{});
  for (; lane < lanes; ++lane) body(lane, std::integral_constant<int, 1>{});
}

struct MaxAxes {
  MaxAxis rows;
  MaxAxis columns;

  MaxAxes(const MaxPool2dOptions& o, const Maps& in, const Maps& out)
      : rows{o.kernel.height, o.stride.height, o.padding.height, in.height, out.height},
        columns{o.kernel.width, o.stride.width, o.padding.width, in.width, out.width} {}
  bool overlap() const { return rows.kernel > rows.stride || columns.kernel > columns.stride; }
};

// Pixels that the forward pass asks for early: it reads several rows at once, of which the
// processor foresees too little.
constexpr std::int64_t kAhead = 16;

// Index is the type that is stored, or void where no index is wanted.
template <class T, class Index>
void max_pool_forward(const T* x, const Maps& in, const MaxAxes& axes, T* y, Index* index,
                      const Maps& out) {
  const std::vector<Range> row_cells = axes.rows.cells_of_windows();
  const std::vector<Range> column_cells = axes.columns.cells_of_windows();
  for_each_row(out, [=, row_ranges = row_cells.data(), column_ranges = column_cells.data()](
                        std::int64_t map, std::int64_t i) {
    const Range rows = row_ranges[i];
    for (std::int64_t j = 0; j < out.width; ++j) {
      const Range columns = column_ranges[j];
      const std::int64_t to = out.at(map, i, j);
      const std::int64_t row_number =
          (rows.begin - axes.rows.first(i)) * axes.columns.kernel - axes.columns.first(j);
      for_each_vector(out.lanes, [&]<int L>(std::int64_t lane, std::integral_constant<int, L>) {
        using Number = MaskOf<T>;  // as wide as T, so that a comparison selects both
        Vector<T, L> best = load<L>(x + in.at(map, rows.begin, columns.begin) + lane);
        Vector<Number, L> best_cell =
            Vector<Number, L>{} + static_cast<Number>(row_number + columns.begin);
        std::int64_t number = row_number;
        for (std::int64_t h = rows.begin; h < rows.end; ++h) {
          const T* from = x + in.at(map, h, columns.begin) + lane;
          for (std::int64_t v = columns.begin; v < columns.end; ++v, from += in.lanes) {
            const Vector<T, L> value = load<L>(from);
            __builtin_prefetch(from + kAhead * in.lanes);
            // A NaN is taken, and never beaten but by another.
            const Vector<Number, L> take = (value > best) | (value != value);
            best = take ? value : best;
            best_cell = take ? Vector<Number, L>{} + static_cast<Number>(number + v) : best_cell;
          }
          number += axes.columns.kernel;
        }
        store<L>(y + to + lane, best);
        if constexpr (!std::is_void_v<Index>)
          store<L>(index + to + lane, convert_lanes<Index, Number, L>(best_cell));
      });
    }
  });
}

// Of windows that overlap: a pixel sums what those that hold it give.
template <class T, class Index>
void max_pool_backward(const T* dy, const Index* index, const Maps& out, const MaxAxes& axes, T* dx,
                       const Maps& in) {
  const std::vector<Range> row_windows = axes.rows.windows_of_cells();
  const std::vector<Range> column_windows = axes.columns.windows_of_cells();
  for_each_row(in, [=, row_ranges = row_windows.data(), column_ranges = column_windows.data()](
                       std::int64_t map, std::int64_t h) {
    const Range rows = row_ranges[h];
    for (std::int64_t v = 0; v < in.width; ++v) {
      const Range columns = column_ranges[v];
      T* const to = dx + in.at(map, h, v);
      for_each_vector(in.lanes, [&]<int L>(std::int64_t lane, std::integral_constant<int, L>) {
        using Number = MaskOf<T>;
        Vector<T, L> total = {};
        for (std::int64_t i = rows.begin; i < rows.end; ++i) {
          // This pixel's number in the windows of a row falls by the stride from one to the next.
          std::int64_t number = (h - axes.rows.first(i)) * axes.columns.kernel + v -
                                axes.columns.first(columns.begin);
          std::int64_t from = out.at(map, i, columns.begin) + lane;
          for (std::int64_t j = columns.begin; j < columns.end; ++j) {
            const auto winner = convert_lanes<Number, Index, L>(load<L>(index + from));
            total += winner == static_cast<Number>(number) ? load<L>(dy + from) : Vector<T, L>{};
            number -= axes.columns.stride;
            from += out.lanes;
          }
        }
        store<L>(to + lane, total);
      });
    }
  });
}

// Of windows that do not: each is read once for all its cells of a row, and what lies between them
// gets nothing.
template <class T, class Index>
void max_pool_backward_disjoint(const T* dy, const Index* index, const Maps& out,
                                const MaxAxes& axes, T* dx, const Maps& in) {
  const std::vector<Range> row_windows = axes.rows.windows_of_cells();
  const std::vector<Range> column_cells = axes.columns.cells_of_windows();
  for_each_row(in, [=, row_ranges = row_windows.data(), column_ranges = column_cells.data()](
                       std::int64_t map, std::int64_t h) {
    const Range rows = row_ranges[h];
    T* const to = dx + in.at(map, h, 0);
    std::int64_t written = 0;
    for (std::int64_t j = 0; rows.size() > 0 && j < out.width; ++j) {
      const Range columns = column_ranges[j];
      if (columns.begin > written)
        std::fill(to + written * in.lanes, to + columns.begin * in.lanes, T(0));
      const std::int64_t from = out.at(map, rows.begin, j);
      const std::int64_t row_number =
          (h - axes.rows.first(rows.begin)) * axes.columns.kernel - axes.columns.first(j);
      for_each_vector(in.lanes, [&]<int L>(std::int64_t lane, std::integral_constant<int, L>) {
        using Number = MaskOf<T>;
        const auto winner = convert_lanes<Number, Index, L>(load<L>(index + from + lane));
        const Vector<T, L> gradient = load<L>(dy + from + lane);
        for (std::int64_t v = columns.begin; v < columns.end; ++v) {
          const Vector<T, L> part =
              winner == static_cast<Number>(row_number + v) ? gradient : Vector<T, L>{};
          store<L>(to + v * in.lanes + lane, part);
        }
      });
      written = columns.end;
    }
    std::fill(to + written * in.lanes, to + in.width * in.lanes, T(0));
  });
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
  const Maps in(x);
  const Maps out(y);
  with_float(x, "max_pool2d", [&]<class T>(T) {
    with_index(index, [&](auto* indices) {
      max_pool_forward(x.as<T>(), in, MaxAxes(options, in, out), y.as<T>(), indices, out);
    });
  });
}

void max_pool2d_backward_cpu(ConstView dy, ConstView index, const MaxPool2dOptions& options,
                             View dx) {
  const Maps in(dx);
  const Maps out(dy);
  check(static_cast<bool>(index), "max_pool2d: the backward pass needs the indices");
  with_float(dy, "max_pool2d", [&]<class T>(T) {
    with_index(index, [&]<class Index>(Index* indices) {
      if constexpr (!std::is_void_v<Index>) {
        const MaxAxes axes(options, in, out);
        const auto backward =
            axes.overlap() ? max_pool_backward<T, Index> : max_pool_backward_disjoint<T, Index>;
        backward(dy.as<T>(), indices, out, axes, dx.as<T>(), in);
      }
    });
  });
}

struct AverageAxes {
  AverageAxis rows;
  AverageAxis columns;

  AverageAxes(const Maps& in, const Maps& out)
      : rows{in.height, out.height}, columns{in.width, out.width} {}

  // 1 / the number of cells of each window.
  template <class T>
  std::vector<T> shares() const {
    std::vector<T> all;
    for (const Range& row : rows.cells_of_windows())
      for (const Range& column : columns.cells_of_windows())
        all.push_back(static_cast<T>(1.0 / static_cast<double>(row.size() * column.size())));
    return all;
  }
};

template <class T>
void average_forward(const T* x, const Maps& in, T* y, const Maps& out) {
  const AverageAxes axes(in, out);
  const std::vector<Range> row_cells = axes.rows.cells_of_windows();
  const std::vector<Range> column_cells = axes.columns.cells_of_windows();
  const std::vector<T> all_shares = axes.shares<T>();
  for_each_row(out, [=, row_ranges = row_cells.data(), column_ranges = column_cells.data(),
                     shares = all_shares.data()](std::int64_t map, std::int64_t i) {
    const Range rows = row_ranges[i];
    for (std::int64_t j = 0; j < out.width; ++j) {
      const Range columns = column_ranges[j];
      const T share = shares[i * out.width + j];
      T* const to = y + out.at(map, i, j);
      for_each_vector(out.lanes, [&]<int L>(std::int64_t lane, std::integral_constant<int, L>) {
        Vector<T, L> total = {};
        for (std::int64_t h = rows.begin; h < rows.end; ++h) {
          const T* from = x + in.at(map, h, columns.begin) + lane;
          for (std::int64_t v = columns.begin; v < columns.end; ++v, from += in.lanes)
            total += load<L>(from);
        }
        store<L>(to + lane, Vector<T, L>(total * share));
      });
    }
  });
}

template <class T>
void average_backward(const T* dy, const Maps& out, T* dx, const Maps& in) {
  const AverageAxes axes(in, out);
  const std::vector<Range> row_windows = axes.rows.windows_of_cells();
  const std::vector<Range> column_windows = axes.columns.windows_of_cells();
  const std::vector<T> all_shares = axes.shares<T>();
  for_each_row(in, [=, row_ranges = row_windows.data(), column_ranges = column_windows.data(),
                    shares = all_shares.data()](std::int64_t map, std::int64_t h) {
    const Range rows = row_ranges[h];
    for (std::int64_t v = 0; v < in.width; ++v) {
      const Range columns = column_ranges[v];
      T* const to = dx + in.at(map, h, v);
      for_each_vector(in.lanes, [&]<int L>(std::int64_t lane, std::integral_constant<int, L>) {
        Vector<T, L> total = {};
        for (std::int64_t i = rows.begin; i < rows.end; ++i) {
          const T* from = dy + out.at(map, i, columns.begin) + lane;
          for (std::int64_t j = columns.begin; j < columns.end; ++j, from += out.lanes)
            total += load<L>(from) * shares[i * out.width + j];
        }
        store<L>(to + lane, total);
      });
    }
  });
}

void adaptive_avg_pool2d_forward_cpu(ConstView x, View y) {
  with_float(x, "adaptive_avg_pool2d",
             [&]<class T>(T) { average_forward(x.as<T>(), Maps(x), y.as<T>(), Maps(y)); });
}

void adaptive_avg_pool2d_backward_cpu(ConstView dy, View dx) {
  with_float(dy, "adaptive_avg_pool2d",
             [&]<class T>(T) { average_backward(dy.as<T>(), Maps(dy), dx.as<T>(), Maps(dx)); });
}

const Registration registrations[] = {
    {max_pool2d_forward, DeviceType::kCpu, max_pool2d_forward_cpu},
    {max_pool2d_backward, DeviceType::kCpu, max_pool2d_backward_cpu},
    {adaptive_avg_pool2d_forward, DeviceType::kCpu, adaptive_avg_pool2d_forward_cpu},
    {adaptive_avg_pool2d_backward, DeviceType::kCpu, adaptive_avg_pool2d_backward_cpu},
};

}  // namespace
}  // namespace concord::kernels
