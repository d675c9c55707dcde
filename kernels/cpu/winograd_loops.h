#pragma once
// The inner loops of Winograd's F(4x4,3x3) as winograd.cpp calls them: one table per instruction
// set. Buffers of points are 64-byte aligned; strides count floats and are multiples of the lanes.
// Only types here: see winograd_vector.h for why nothing may be defined.

#include <cstdint>

namespace concord::kernels::winograd {

using Index = std::int64_t;

inline constexpr int kTile = 4;                        // outputs per tile and axis
inline constexpr int kPoints1d = 6;                    // inputs of a tile, and points, per axis
inline constexpr int kPoints = kPoints1d * kPoints1d;  // products per tile, channel and output

// Output tiles, counted canvas-major, then rows, then columns. A canvas is an image, or several
// laid side by side so that tiles run across their borders (see Image).
struct Grid {
  Index canvases = 0;
  Index rows = 0;
  Index columns = 0;
};

// Images in a blocked or channels-last format: pixel (n, block of channels, y, x) starts at
// data[n * sample_stride + block * block_stride + y * row_stride + x * pixel_stride].
struct Image {
  float* data = nullptr;
  Index sample_stride = 0;
  Index block_stride = 0;
  Index row_stride = 0;
  Index pixel_stride = 0;
  Index height = 0;
  Index width = 0;
  Index channels = 0;
  // Images of a canvas: the first at its pixel (0, 0), the next `across` - 1 each a period of
  // columns further, then a period of rows down. Periods leave room for the padding, which
  // neighbours share.
  Index images = 1;
  Index across = 1;
  Index period_rows = std::int64_t{1} << 40;  // of a canvas of one image: never reached
  Index period_columns = std::int64_t{1} << 40;
  // Tile (i, j) has its first pixel at (4 i - padding_rows, 4 j - padding_columns).
  Index padding_rows = 0;
  Index padding_columns = 0;
};

// A plain weight, seen as kernels of 3x3 for (lane, step): lanes are the channels that become
// vectors, steps the others.
struct Weights {
  float* data = nullptr;
  Index lanes = 0;
  Index steps = 0;
  Index lane_stride = 0;
  Index step_stride = 0;
  bool rotated = false;  // by 180 degrees
};

// What becomes of an output before it is stored.
struct Ending {
  const float* bias = nullptr;  // by channel, from the block's first on; null: none
  bool add = false;             // to what stands there
  bool relu = false;            // at last; keeps NaN
};

// `block` counts blocks of `lanes` channels; [begin, end) are tiles (or steps). Points go to, or
// come from, points[p * point_stride + (tile - begin) * lanes].
struct LoopTable {
  Index lanes;
  Index rows;     // of a register tile, in tiles
  Index columns;  // the same, in vectors of outputs

  // B^T d B of windows of 6x6 pixels, zeros beyond the image.
  void (*transform_input)(const Grid& grid, const Image& image, Index block, Index begin, Index end,
                          float* points, Index point_stride, Index group_stride);
  // A dY A^T of windows of 4x4 pixels, tiles one after the other; sums[lanes] is the sum of the
  // pixels.
  void (*transform_output_gradient)(const Grid& grid, const Image& image, Index block, Index begin,
                                    Index end, float* points, Index point_stride, float* sums);
  // A^T m A, ended, to the pixels inside the image.
  void (*transform_output)(const Grid& grid, const Image& image, Index block, Index begin,
                           Index end, const float* points, Index point_stride, Index group_stride,
                           const Ending& ending);
  // G g G^T for the block of lanes and steps [begin, end), to points[p * point_stride +
  // (step - begin) * step_stride]; zeros for lanes and steps that do not exist.
  void (*transform_weights)(const Weights& weights, Index block, Index begin, Index end,
                            float* points, Index point_stride, Index step_stride);
  // G^T u G, the other way.
  void (*transform_weight_gradient)(const Weights& weights, Index block, Index begin, Index end,
                                    const float* points, Index point_stride, Index step_stride);
  // One point: m[group][vector][row][lane] = sum over steps of v[group][step / lanes][row][step %
  // lanes] times u[panel][step][vector of panel][lane], where a group has `rows` tiles and a panel
  // `columns` vectors; the last of each what is left.
  void (*multiply)(const float* v, const float* u, float* m, Index tiles, Index step_blocks,
                   Index vectors);
  // One point: d_u[row][vector * lanes + lane] (+)= sum over tiles of
  // v[row / lanes][tile][row % lanes] times y[vector][tile][lane], rows in blocks [begin, end).
  // v[..] and y[..] have room for tile_stride / lanes tiles.
  void (*multiply_gradient)(const float* v, const float* y, float* d_u, Index tiles,
                            Index tile_stride, Index begin, Index end, Index vectors, bool add);
};

// Compiled for AVX-512 and for AVX2 with FMA; to be called where the machine has them.
extern const LoopTable kAvx512Loops;
extern const LoopTable kAvx2Loops;

}  // namespace concord::kernels::winograd
