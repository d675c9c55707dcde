// The loops around winograd_vector.h: what is transformed when, by which thread, and where it is
// kept. docs/kernels.md has the reasons and the measurements.

#include "kernels/cpu/winograd.h"

#include <algorithm>

#include "kernels/cpu/winograd_loops.h"
#include "kernels/cpu/workspace.h"
#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

using winograd::Ending;
using winograd::Grid;
using winograd::Image;
using winograd::Index;
using winograd::kPoints;
using winograd::kTile;
using winograd::LoopTable;
using winograd::Weights;

Index tiles_of(const Grid& grid) { return grid.canvases * grid.rows * grid.columns; }
Index divide_up(Index value, Index by) { return (value + by - 1) / by; }

// The loops for a format: blocks of 16 need AVX-512; other formats take the widest vectors.
const LoopTable* loops_for(MemoryFormat format) {
  const MemoryFormat machine = onednn::vector_format();
  if (format == MemoryFormat::kChannelsLast) format = machine;
  if (format == MemoryFormat::kBlocked16 && machine == MemoryFormat::kBlocked16)
    return &winograd::kAvx512Loops;
  if (format == MemoryFormat::kBlocked8 && machine != MemoryFormat::kPlain)
    return &winograd::kAvx2Loops;
  return nullptr;
}

Image image_of(const Shape& shape, MemoryFormat format, float* data, Index lanes) {
  Image image;
  image.data = data;
  image.channels = shape[1];
  image.height = shape[2];
  image.width = shape[3];
  image.sample_stride = shape[1] * shape[2] * shape[3];
  const bool blocked = format != MemoryFormat::kChannelsLast;
  image.pixel_stride = blocked ? lanes : image.channels;
  image.block_stride = blocked ? image.height * image.width * lanes : lanes;
  image.row_stride = image.width * image.pixel_stride;
  return image;
}

// How the images of a batch are cut into tiles: each by itself, or laid side by side with one strip
// of padding between neighbours, in as many columns as gives the fewest tiles. 14 outputs fill 3.5
// tiles; 8 images of 14x14 by themselves take 128 tiles, as a canvas of 2x4 120, and 32 images 450
// of 512.
struct Layout {
  Grid grid;
  Index across = 1;
  Index period_rows = 0;  // 0: each by itself
  Index period_columns = 0;

  Image lay(Image image, Index padding_rows, Index padding_columns, Index samples) const {
    image.padding_rows = padding_rows;
    image.padding_columns = padding_columns;
    if (period_rows == 0) return image;
    image.images = samples;
    image.across = across;
    image.period_rows = period_rows;
    image.period_columns = period_columns;
    return image;
  }
};

// padding: of the input, on each side.
Layout layout_of(const Shape& inputs, const Shape& outputs, Size2d padding) {
  Layout layout;
  const Index samples = outputs[0];
  layout.grid = {samples, divide_up(outputs[2], kTile), divide_up(outputs[3], kTile)};
  if (padding.height < 0 || padding.width < 0) return layout;
  const Index period_rows = std::max(inputs[2] + padding.height, outputs[2]);
  const Index period_columns = std::max(inputs[3] + padding.width, outputs[3]);
  // Windows at the borders cost more, so a few tiles less do not pay.
  Index fewest = tiles_of(layout.grid) * 31 / 32;
  for (Index across = 1; across <= samples; ++across) {
    const Index down = divide_up(samples, across);
    const Grid grid = {1, divide_up((down - 1) * period_rows + outputs[2], kTile),
                       divide_up((across - 1) * period_columns + outputs[3], kTile)};
    if (tiles_of(grid) >= fewest) continue;
    fewest = tiles_of(grid);
    layout = {grid, across, period_rows, period_columns};
  }
  return layout;
}

// Floats from one point to the next: an odd number of vectors, because the 36 points of a tile are
// written together and strides of a power of two would send them all to one set of the cache.
Index odd_stride(Index floats, Index lanes) { return (floats / lanes | 1) * lanes; }

// output = input (*) weights: forward, and the gradient of the data, which is a correlation of dy
// with the kernels rotated and their two channel axes exchanged.
struct Correlation {
  const LoopTable& loops;
  Grid grid;
  Image input;
  Image output;
  Weights weights;
  Ending ending;

  Index lanes = loops.lanes;
  Index step_blocks = divide_up(input.channels, lanes);
  Index steps = step_blocks * lanes;
  Index vectors = divide_up(output.channels, lanes);
  Index tiles = tiles_of(grid);

  Ending ending_of(Index vector) const {
    Ending result = ending;
    if (ending.bias != nullptr) result.bias += vector * lanes;
    return result;
  }
};

constexpr Index kStepsPerTask = 64;
constexpr Index kGroupsPerTask = 4;
constexpr Index kTilesPerTask = 32;

float* take_floats(Workspace& workspace, Index count) {
  return static_cast<float*>(workspace.take(static_cast<std::size_t>(count) * 4));
}

// Bytes of transformed tiles that a thread works on at a time, unless fewer than kFewestTiles: the
// transformed weights pass once per block of tiles.
constexpr Index kBlockBytes = Index{3} << 20;
constexpr Index kFewestTiles = 56;

// Many tiles: the weights are transformed once, then every thread takes blocks of tiles through all
// three steps while they stay in its cache.
void correlate_by_tiles(const Correlation& c) {
  const LoopTable& loops = c.loops;
  const Index group = loops.rows * c.lanes;
  const Index bytes_per_tile = kPoints * (c.steps + c.vectors * c.lanes) * 4;
  const Index most = std::max(kFewestTiles, kBlockBytes / bytes_per_tile);
  const Index parts = std::min<Index>(thread_count(), divide_up(c.tiles, loops.rows));
  const Index rounds = divide_up(c.tiles, most * parts);
  const Index block_tiles = divide_up(divide_up(c.tiles, rounds * parts), loops.rows) * loops.rows;
  const Index blocks = divide_up(c.tiles, block_tiles);

  const Index u_stride = odd_stride(c.steps * c.vectors * c.lanes, c.lanes);
  const Index v_stride = odd_stride(c.steps * block_tiles, c.lanes);
  const Index m_stride = odd_stride(c.vectors * c.lanes * block_tiles, c.lanes);
  const Index floats = kPoints * (u_stride + parts * (v_stride + m_stride));
  Workspace& workspace = Workspace::with_room(static_cast<std::size_t>(floats) * 4, 3);
  float* const u = take_floats(workspace, kPoints * u_stride);
  float* const v = take_floats(workspace, parts * kPoints * v_stride);
  float* const m = take_floats(workspace, parts * kPoints * m_stride);

  const Index step_tasks = divide_up(c.steps, kStepsPerTask);
  parallel_for(c.vectors * step_tasks, 1, [&](Index begin, Index end) {
    for (Index task = begin; task < end; ++task) {
      const Index vector = task / step_tasks;
      const Index first = task % step_tasks * kStepsPerTask;
      const Index panel = vector / loops.columns * loops.columns;
      const Index width = std::min(loops.columns, c.vectors - panel);
      loops.transform_weights(c.weights, vector, first, std::min(c.steps, first + kStepsPerTask),
                              u + (panel * c.steps + first * width + vector - panel) * c.lanes,
                              u_stride, width * c.lanes);
    }
  });
  parallel_for(parts, 1, [&](Index begin_part, Index end_part) {
    for (Index part = begin_part; part < end_part; ++part) {
      float* const my_v = v + part * kPoints * v_stride;
      float* const my_m = m + part * kPoints * m_stride;
      const Index end_block = blocks * (part + 1) / parts;
      for (Index block = blocks * part / parts; block < end_block; ++block) {
        const Index begin = block * block_tiles;
        const Index end = std::min(c.tiles, begin + block_tiles);
        for (Index b = 0; b < c.step_blocks; ++b)
          loops.transform_input(c.grid, c.input, b, begin, end, my_v + b * group, v_stride,
                                c.step_blocks * group);
        for (int p = 0; p < kPoints; ++p)
          loops.multiply(my_v + p * v_stride, u + p * u_stride, my_m + p * m_stride, end - begin,
                         c.step_blocks, c.vectors);
        for (Index k = 0; k < c.vectors; ++k)
          loops.transform_output(c.grid, c.output, k, begin, end, my_m + k * group, m_stride,
                                 c.vectors * group, c.ending_of(k));
      }
    }
  });
}

// Bytes of the transformed tiles of a round, which every thread reads once per panel.
constexpr Index kInputBytes = Index{32} << 20;

// Many weights: a round of tiles is transformed, then every thread takes panels of outputs, whose
// weights it transforms, uses and forgets without their leaving the cache.
void correlate_by_outputs(const Correlation& c) {
  const LoopTable& loops = c.loops;
  const Index group = loops.rows * c.lanes;
  const Index parts = std::min<Index>(thread_count(), c.vectors);
  const Index width = std::min(loops.columns, divide_up(c.vectors, parts));
  const Index panels = divide_up(c.vectors, width);
  const Index rounds = divide_up(c.tiles * kPoints * c.steps * 4, kInputBytes);
  const Index round_tiles = divide_up(divide_up(c.tiles, rounds), loops.rows) * loops.rows;

  const Index u_stride = odd_stride(c.steps * width * c.lanes, c.lanes);
  const Index v_stride = odd_stride(c.steps * round_tiles, c.lanes);
  const Index m_stride = odd_stride(width * c.lanes * round_tiles, c.lanes);
  const Index floats = kPoints * (v_stride + parts * (u_stride + m_stride));
  Workspace& workspace = Workspace::with_room(static_cast<std::size_t>(floats) * 4, 3);
  float* const v = take_floats(workspace, kPoints * v_stride);
  float* const u = take_floats(workspace, parts * kPoints * u_stride);
  float* const m = take_floats(workspace, parts * kPoints * m_stride);

  const Index task_tiles = kGroupsPerTask * loops.rows;
  for (Index begin = 0; begin < c.tiles; begin += round_tiles) {
    const Index tiles = std::min(round_tiles, c.tiles - begin);
    const Index tile_tasks = divide_up(tiles, task_tiles);
    parallel_for(c.step_blocks * tile_tasks, 1, [&](Index begin_task, Index end_task) {
      for (Index task = begin_task; task < end_task; ++task) {
        const Index block = task / tile_tasks;
        const Index first = task % tile_tasks * task_tiles;
        loops.transform_input(c.grid, c.input, block, begin + first,
                              begin + std::min(tiles, first + task_tiles),
                              v + first * c.steps + block * group, v_stride, c.step_blocks * group);
      }
    });
    parallel_for(parts, 1, [&](Index begin_part, Index end_part) {
      for (Index part = begin_part; part < end_part; ++part) {
        float* const my_u = u + part * kPoints * u_stride;
        float* const my_m = m + part * kPoints * m_stride;
        const Index end_panel = panels * (part + 1) / parts;
        for (Index panel = panels * part / parts; panel < end_panel; ++panel) {
          const Index first = panel * width;
          const Index count = std::min(width, c.vectors - first);
          for (Index k = 0; k < count; ++k)
            loops.transform_weights(c.weights, first + k, 0, c.steps, my_u + k * c.lanes, u_stride,
                                    count * c.lanes);
          for (int p = 0; p < kPoints; ++p)
            loops.multiply(v + p * v_stride, my_u + p * u_stride, my_m + p * m_stride, tiles,
                           c.step_blocks, count);
          for (Index k = 0; k < count; ++k)
            loops.transform_output(c.grid, c.output, first + k, begin, begin + tiles,
                                   my_m + k * group, m_stride, count * group,
                                   c.ending_of(first + k));
        }
      }
    });
  }
}

// Measured: by outputs where the transformed weights are too large for the second-level cache and
// not small beside the transformed tiles.
void correlate(const Correlation& c) {
  constexpr Index kFewWeightBytes = Index{4} << 20;
  const Index weight_bytes = kPoints * c.steps * c.vectors * c.lanes * 4;
  const Index input_bytes = kPoints * c.steps * c.tiles * 4;
  if (weight_bytes > kFewWeightBytes && input_bytes <= 4 * weight_bytes)
    correlate_by_outputs(c);
  else
    correlate_by_tiles(c);
}

// d_weight[k,c] = G^T (sum over tiles of (B^T x B) (A dy A^T)) G, and d_bias the sum of dy.
struct WeightGradient {
  const LoopTable& loops;
  Grid grid;
  Image x;
  Image dy;
  Weights d_weight;
  float* d_bias;  // or null

  Index lanes = loops.lanes;
  Index row_blocks = divide_up(x.channels, lanes);
  Index vectors = divide_up(dy.channels, lanes);
  Index tiles = tiles_of(grid);
  Index u_stride = odd_stride(row_blocks * lanes * vectors * lanes, lanes);
  Index u_bytes = kPoints * u_stride * 4;
  Index bytes_per_tile = kPoints * (row_blocks + vectors) * lanes * 4;

  void add_to_bias(const float* sums) const {
    if (d_bias == nullptr) return;
    for (Index k = 0; k < dy.channels; ++k) d_bias[k] += sums[k];
  }
};

// u, where the products of all tiles are summed, to the weight.
void finish(const WeightGradient& g, const float* u) {
  const Index step_tasks = divide_up(g.x.channels, kStepsPerTask);
  parallel_for(g.vectors * step_tasks, 1, [&](Index begin_task, Index end_task) {
    for (Index task = begin_task; task < end_task; ++task) {
      const Index vector = task / step_tasks;
      const Index first = task % step_tasks * kStepsPerTask;
      g.loops.transform_weight_gradient(
          g.d_weight, vector, first, std::min(g.x.channels, first + kStepsPerTask),
          u + (first * g.vectors + vector) * g.lanes, g.u_stride, g.vectors * g.lanes);
    }
  });
}

// Few channels: kSlices sums, each over its share of the tiles, which pass in blocks small enough
// to stay in a thread's cache beside the sum. A fixed number, so that the bits do not depend on
// that of the threads.
constexpr Index kSlices = 8;
constexpr Index kSliceBytes = Index{3} << 19;  // of one sum

void gradient_by_slices(const WeightGradient& g) {
  const LoopTable& loops = g.loops;
  const Index parts = std::min<Index>(thread_count(), kSlices);
  const Index tile_stride = kTilesPerTask * g.lanes;
  const Index v_stride = odd_stride(g.row_blocks * tile_stride, g.lanes);
  const Index y_stride = odd_stride(g.vectors * tile_stride, g.lanes);
  const Index sum_floats = g.vectors * g.lanes;
  const Index floats =
      kPoints * (kSlices * g.u_stride + parts * (v_stride + y_stride)) + 2 * kSlices * sum_floats;
  Workspace& workspace = Workspace::with_room(static_cast<std::size_t>(floats) * 4, 4);
  float* const u = take_floats(workspace, kSlices * kPoints * g.u_stride);
  float* const v = take_floats(workspace, parts * kPoints * v_stride);
  float* const y = take_floats(workspace, parts * kPoints * y_stride);
  float* const sums = take_floats(workspace, 2 * kSlices * sum_floats);
  std::fill_n(sums, 2 * kSlices * sum_floats, 0.0F);

  parallel_for(parts, 1, [&](Index begin_part, Index end_part) {
    for (Index part = begin_part; part < end_part; ++part) {
      float* const my_v = v + part * kPoints * v_stride;
      float* const my_y = y + part * kPoints * y_stride;
      for (Index slice = kSlices * part / parts; slice < kSlices * (part + 1) / parts; ++slice) {
        float* const my_u = u + slice * kPoints * g.u_stride;
        float* const block_sums = sums + 2 * slice * sum_floats;
        float* const slice_sums = block_sums + sum_floats;
        const Index begin = g.tiles * slice / kSlices;
        const Index end = g.tiles * (slice + 1) / kSlices;
        for (Index first = begin; first < end; first += kTilesPerTask) {
          const Index last = std::min(end, first + kTilesPerTask);
          for (Index b = 0; b < g.row_blocks; ++b)
            loops.transform_input(g.grid, g.x, b, first, last, my_v + b * tile_stride, v_stride,
                                  loops.rows * g.lanes);
          for (Index k = 0; k < g.vectors; ++k)
            loops.transform_output_gradient(g.grid, g.dy, k, first, last, my_y + k * tile_stride,
                                            y_stride, block_sums + k * g.lanes);
          for (Index k = 0; k < sum_floats; ++k) slice_sums[k] += block_sums[k];
          for (int p = 0; p < kPoints; ++p)
            loops.multiply_gradient(my_v + p * v_stride, my_y + p * y_stride, my_u + p * g.u_stride,
                                    last - first, tile_stride, 0, g.row_blocks, g.vectors,
                                    first > begin);
        }
      }
    }
  });
  for (Index slice = 0; slice < kSlices; ++slice)
    g.add_to_bias(sums + (2 * slice + 1) * sum_floats);
  const Index values = g.row_blocks * g.lanes * g.vectors * g.lanes;
  parallel_for(kPoints, 1, [&](Index begin, Index end) {
    for (Index p = begin; p < end; ++p) {
      float* const to = u + p * g.u_stride;
      for (Index slice = 1; slice < kSlices; ++slice) {
        const float* const from = to + slice * kPoints * g.u_stride;
        for (Index i = 0; i < values; ++i) to[i] += from[i];
      }
    }
  });
  finish(g, u);
}

// Bytes of transformed tiles, of x and dy together, between two rounds of products. Each round
// reads and writes the sum once, so they are at least of that size too.
constexpr Index kRoundBytes = Index{16} << 20;
// Rows of the sum for which a panel of dy stays in the cache.
constexpr Index kRowBlocks = 8;

// Many channels: one sum, of which every thread has points or rows of its own.
void gradient_by_points(const WeightGradient& g) {
  const LoopTable& loops = g.loops;
  const Index budget = std::max(kRoundBytes, g.u_bytes * 3 / 2);
  const Index rounds =
      divide_up(g.tiles, std::max<Index>(kTilesPerTask, budget / g.bytes_per_tile));
  const Index round_tiles = divide_up(divide_up(g.tiles, rounds), kTilesPerTask) * kTilesPerTask;
  const Index tile_stride = round_tiles * g.lanes;
  const Index v_stride = odd_stride(g.row_blocks * tile_stride, g.lanes);
  const Index y_stride = odd_stride(g.vectors * tile_stride, g.lanes);
  const Index sum_floats = g.vectors * g.lanes;
  const Index floats =
      kPoints * (g.u_stride + v_stride + y_stride) + round_tiles / kTilesPerTask * sum_floats;
  Workspace& workspace = Workspace::with_room(static_cast<std::size_t>(floats) * 4, 4);
  float* const u = take_floats(workspace, kPoints * g.u_stride);
  float* const v = take_floats(workspace, kPoints * v_stride);
  float* const y = take_floats(workspace, kPoints * y_stride);
  float* const sums = take_floats(workspace, round_tiles / kTilesPerTask * sum_floats);

  for (Index begin = 0; begin < g.tiles; begin += round_tiles) {
    const Index count = std::min(round_tiles, g.tiles - begin);
    const Index tasks = divide_up(count, kTilesPerTask);
    parallel_for((g.row_blocks + g.vectors) * tasks, 1, [&](Index begin_task, Index end_task) {
      for (Index task = begin_task; task < end_task; ++task) {
        const Index block = task / tasks;
        const Index at = task % tasks * kTilesPerTask;
        const Index first = begin + at;
        const Index last = std::min(begin + count, first + kTilesPerTask);
        if (block < g.row_blocks) {
          loops.transform_input(g.grid, g.x, block, first, last,
                                v + block * tile_stride + at * g.lanes, v_stride,
                                loops.rows * g.lanes);
        } else {
          const Index k = block - g.row_blocks;
          loops.transform_output_gradient(g.grid, g.dy, k, first, last,
                                          y + k * tile_stride + at * g.lanes, y_stride,
                                          sums + task % tasks * sum_floats + k * g.lanes);
        }
      }
    });
    parallel_for(kPoints * g.row_blocks, 1, [&](Index begin_task, Index end_task) {
      for (Index task = begin_task; task < end_task;) {
        const Index p = task / g.row_blocks;
        const Index first = task % g.row_blocks;
        const Index last = std::min({g.row_blocks, first + end_task - task, first + kRowBlocks});
        loops.multiply_gradient(v + p * v_stride, y + p * y_stride, u + p * g.u_stride, count,
                                tile_stride, first, last, g.vectors, begin > 0);
        task += last - first;
      }
    });
    for (Index task = 0; task < tasks; ++task) g.add_to_bias(sums + task * sum_floats);
  }
  finish(g, u);
}

void gradient_of_weights(const WeightGradient& g) {
  if (g.d_bias != nullptr) std::fill_n(g.d_bias, g.dy.channels, 0.0F);
  if (g.u_bytes <= kSliceBytes && g.tiles >= kSlices * kTilesPerTask)
    gradient_by_slices(g);
  else
    gradient_by_points(g);
}

}  // namespace

bool winograd_supports(const ConvolutionSetup& setup) {
  const Conv2dOptions& o = setup.options;
  return setup.weight[2] == 3 && setup.weight[3] == 3 && o.stride == Size2d{1, 1} &&
         o.dilation == Size2d{1, 1} && o.groups == 1 && setup.x_format == setup.y_format &&
         loops_for(setup.x_format) != nullptr;
}

void run_winograd(Pass pass, const ConvolutionSetup& setup,
                  const ConvolutionBuffers<float>& buffers) {
  const LoopTable* const loops = loops_for(setup.x_format);
  check(loops != nullptr, "winograd: no loops for {} images on this machine",
        name_of(setup.x_format));
  const Index lanes = loops->lanes;
  const Size2d padding = setup.options.padding;
  const Index outputs = setup.y[1];
  const Index inputs = setup.x[1];
  const Image x = image_of(setup.x, setup.x_format, buffers.x, lanes);
  const Image y = image_of(setup.y, setup.y_format, buffers.y, lanes);
  const Index samples = setup.x[0];
  const Weights by_output = {buffers.weight, outputs, inputs, inputs * 9, 9, false};
  if (pass == Pass::kBackwardData) {
    const Size2d around = {2 - padding.height, 2 - padding.width};
    const Layout layout = layout_of(setup.y, setup.x, around);
    correlate({*loops,
               layout.grid,
               layout.lay(y, around.height, around.width, samples),
               layout.lay(x, 0, 0, samples),
               {buffers.weight, inputs, outputs, 9, inputs * 9, true},
               {}});
    return;
  }
  const Layout layout = layout_of(setup.x, setup.y, padding);
  const Image x_laid = layout.lay(x, padding.height, padding.width, samples);
  const Image y_laid = layout.lay(y, 0, 0, samples);
  if (pass == Pass::kForward)
    correlate({*loops,
               layout.grid,
               x_laid,
               y_laid,
               by_output,
               {buffers.bias, buffers.epilogue.add, buffers.epilogue.relu}});
  else
    gradient_of_weights({*loops, layout.grid, x_laid, y_laid, by_output, buffers.bias});
}

}  // namespace concord::kernels
