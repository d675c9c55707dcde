#pragma once
// The inner loops of Winograd's F(4x4,3x3) on vectors of channels, written once for any vector
// length (GCC's vector types) and compiled once per instruction set: winograd_avx512.cpp,
// winograd_avx2.cpp. The algorithm is explained in docs/kernels.md, the loops around these in
// winograd.cpp.
//
// Everything here has internal linkage and nothing of the standard library is used: a function that
// the linker shared between objects of two instruction sets could fault on a lesser machine.

#include "kernels/cpu/winograd_loops.h"

namespace concord::kernels::winograd {
namespace {

// Interpolation points of F(4,3): 0, +-kA, +-kB and infinity. Any distinct five are exact in real
// arithmetic; these have exact powers and, of all pairs of eighths, nearly the smallest rounding
// error (tools/winograd_points.py), less than half that of the textbook's 1 and 2.
constexpr float kA = 0.625F;
constexpr float kB = 1.5F;
constexpr float kA2 = kA * kA;
constexpr float kB2 = kB * kB;
constexpr float kA3 = kA2 * kA;
constexpr float kB3 = kB2 * kB;
// 1 / product of the differences to the other points.
constexpr float kScale0 = 1 / (kA2 * kB2);
constexpr float kScaleA = 1 / (2 * kA2 * (kA2 - kB2));
constexpr float kScaleB = 1 / (2 * kB2 * (kB2 - kA2));

template <int kLanes>
struct VectorOf {
  typedef float Type __attribute__((vector_size(kLanes * sizeof(float))));
  typedef float Unaligned __attribute__((vector_size(kLanes * sizeof(float)), aligned(4)));
  typedef int Lanes __attribute__((vector_size(kLanes * sizeof(int))));
};

// kRows, kColumns: the accumulators of a matrix product held in registers, as scalars of one
// operand times vectors of the other; forward (and data) and weights.
template <int kLanes, int kRows, int kColumns, int kGradientRows, int kGradientColumns>
struct Loops {
  using Vector = typename VectorOf<kLanes>::Type;
  using Unaligned = typename VectorOf<kLanes>::Unaligned;
  using Lanes = typename VectorOf<kLanes>::Lanes;

  static Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
  static void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }
  // `lanes` elements from any address, zeros above.
  static Vector load_some(const float* from, Index lanes) {
    if (lanes == kLanes) return *reinterpret_cast<const Unaligned*>(from);
    Vector value = {};
    for (Index l = 0; l < lanes; ++l) value[l] = from[l];
    return value;
  }
  static void store_some(float* to, Vector value, Index lanes) {
    if (lanes == kLanes) {
      *reinterpret_cast<Unaligned*>(to) = value;
      return;
    }
    for (Index l = 0; l < lanes; ++l) to[l] = value[l];
  }

  // The one-dimensional transforms, each matrix times a column. With the points in pairs +-f the
  // even and the odd powers are shared.

  // B^T [6x6]: six neighbouring inputs to the six points.
  [[gnu::always_inline]] static inline void input_1d(const Vector* d, Vector* v) {
    const Vector even_a = d[4] - kB2 * d[2];
    const Vector odd_a = d[3] - kB2 * d[1];
    const Vector even_b = d[4] - kA2 * d[2];
    const Vector odd_b = d[3] - kA2 * d[1];
    v[0] = (kA2 * kB2) * d[0] - (kA2 + kB2) * d[2] + d[4];
    v[1] = even_a + kA * odd_a;
    v[2] = even_a - kA * odd_a;
    v[3] = even_b + kB * odd_b;
    v[4] = even_b - kB * odd_b;
    v[5] = (kA2 * kB2) * d[1] - (kA2 + kB2) * d[3] + d[5];
  }
  // A^T [4x6]: six points to four neighbouring outputs.
  [[gnu::always_inline]] static inline void output_1d(const Vector* m, Vector* y) {
    const Vector even_a = m[1] + m[2];
    const Vector odd_a = m[1] - m[2];
    const Vector even_b = m[3] + m[4];
    const Vector odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = kA * odd_a + kB * odd_b;
    y[2] = kA2 * even_a + kB2 * even_b;
    y[3] = kA3 * odd_a + kB3 * odd_b + m[5];
  }
  // A [6x4], the transpose: gradients of four outputs to those of the six points.
  [[gnu::always_inline]] static inline void output_gradient_1d(const Vector* y, Vector* m) {
    const Vector even_a = y[0] + kA2 * y[2];
    const Vector odd_a = kA * y[1] + kA3 * y[3];
    const Vector even_b = y[0] + kB2 * y[2];
    const Vector odd_b = kB * y[1] + kB3 * y[3];
    m[0] = y[0];
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
    m[5] = y[3];
  }
  // G [6x3]: three weights to the six points.
  [[gnu::always_inline]] static inline void weight_1d(const Vector* g, Vector* u) {
    const Vector even_a = kScaleA * g[0] + (kScaleA * kA2) * g[2];
    const Vector odd_a = (kScaleA * kA) * g[1];
    const Vector even_b = kScaleB * g[0] + (kScaleB * kB2) * g[2];
    const Vector odd_b = (kScaleB * kB) * g[1];
    u[0] = kScale0 * g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
  }
  // G^T [3x6], the transpose.
  [[gnu::always_inline]] static inline void weight_gradient_1d(const Vector* u, Vector* g) {
    const Vector even_a = u[1] + u[2];
    const Vector odd_a = u[1] - u[2];
    const Vector even_b = u[3] + u[4];
    const Vector odd_b = u[3] - u[4];
    g[0] = kScale0 * u[0] + kScaleA * even_a + kScaleB * even_b;
    g[1] = (kScaleA * kA) * odd_a + (kScaleB * kB) * odd_b;
    g[2] = (kScaleA * kA2) * even_a + (kScaleB * kB2) * even_b + u[5];
  }

  // kFrom x kFrom values to kTo x kTo by a one-dimensional transform along each axis. get(r, c)
  // gives a value, put(r, c, value) takes a result.
  template <int kFrom, int kTo, class Transform, class Get, class Put>
  [[gnu::always_inline]] static inline void transform_2d(Transform transform, Get get, Put put) {
    Vector half[kTo][kFrom];
#pragma GCC unroll 6
    for (int c = 0; c < kFrom; ++c) {
      Vector column[kFrom];
      Vector result[kTo];
#pragma GCC unroll 6
      for (int r = 0; r < kFrom; ++r) column[r] = get(r, c);
      transform(column, result);
#pragma GCC unroll 6
      for (int r = 0; r < kTo; ++r) half[r][c] = result[r];
    }
#pragma GCC unroll 6
    for (int r = 0; r < kTo; ++r) {
      Vector result[kTo];
      transform(half[r], result);
#pragma GCC unroll 6
      for (int c = 0; c < kTo; ++c) put(r, c, result[c]);
    }
  }

  // Where a tile's window begins: a pixel of the canvas, and of the image it lies in.
  struct Window {
    Index row = 0;  // of the canvas; negative in the padding
    Index column = 0;
    Index sample = 0;  // first of the canvas
    Index down = 0;    // image of the canvas
    Index across = 0;
    Index image_row = 0;
    Index image_column = 0;
  };

  // Calls body(tile - begin, window) for the tiles [begin, end).
  template <class Body>
  [[gnu::always_inline]] static inline void for_each_tile(const Grid& grid, const Image& image,
                                                          Index begin, Index end, Body body) {
    Index j = begin % grid.columns;
    Index i = begin / grid.columns % grid.rows;
    Index n = begin / (grid.columns * grid.rows);
    for (Index tile = begin; tile < end; ++tile) {
      Window window;
      window.row = i * kTile - image.padding_rows;
      window.column = j * kTile - image.padding_columns;
      window.sample = n;
      window.image_row = window.row;
      window.image_column = window.column;
      if (window.row >= image.period_rows) {
        window.down = window.row / image.period_rows;
        window.image_row -= window.down * image.period_rows;
      }
      if (window.column >= image.period_columns) {
        window.across = window.column / image.period_columns;
        window.image_column -= window.across * image.period_columns;
      }
      body(tile - begin, window);
      if (++j == grid.columns) {
        j = 0;
        if (++i == grid.rows) {
          i = 0;
          ++n;
        }
      }
    }
  }

  // Whether kSize x kSize pixels lie in one image.
  template <int kSize>
  static bool is_inside(const Image& image, const Window& w) {
    return w.image_row >= 0 && w.image_column >= 0 && w.image_row + kSize <= image.height &&
           w.image_column + kSize <= image.width && w.down * image.across + w.across < image.images;
  }
  static float* address_of(const Image& image, const Window& w, Index block) {
    return image.data + (w.sample + w.down * image.across + w.across) * image.sample_stride +
           block * image.block_stride + w.image_row * image.row_stride +
           w.image_column * image.pixel_stride;
  }

  // Asks for the pixels of the tile to the right that this one has not: tiles of a canvas jump from
  // image to image, which the machine's own prefetcher does not follow. An address outside does no
  // harm.
  template <int kSize>
  [[gnu::always_inline]] static inline void fetch_next_window(const Image& image, const Window& w,
                                                              Index block) {
    Window next = w;
    next.image_column += kTile;
    if (next.image_column >= image.period_columns) {
      next.image_column -= image.period_columns;
      ++next.across;
    }
    const float* const from = address_of(image, next, block);
#pragma GCC unroll 6
    for (int r = 0; r < kSize; ++r)
#pragma GCC unroll 6
      for (int c = kSize - kTile; c < kSize; ++c)
        __builtin_prefetch(from + r * image.row_stride + c * image.pixel_stride);
  }

  // pixels[r][c] = address of a pixel of the window, or `outside` where it lies in no image. By
  // masks: half the tiles of a small map lie at its border, each at another side, and would be as
  // many mispredicted branches.
  template <int kSize>
  static void find_pixels(const Image& image, const Window& w, Index block, const float* outside,
                          float* (&pixels)[kSize][kSize]) {
    using Address = decltype(sizeof(0));
    const auto elsewhere = reinterpret_cast<Address>(outside);
    const auto mask_of = [](bool condition) { return Address{0} - Address{condition}; };
    Address column_mask[kSize];
    Index column_offset[kSize];
    Index column_image[kSize];
    Index x = w.image_column;
    Index across = w.across;
    for (int c = 0; c < kSize; ++c, ++x) {
      if (x == image.period_columns) {
        x = 0;
        ++across;
      }
      column_mask[c] = mask_of((x >= 0) & (x < image.width) & (across < image.across));
      column_offset[c] = across * image.sample_stride + x * image.pixel_stride;
      column_image[c] = across;
    }
    const float* const first =
        image.data + w.sample * image.sample_stride + block * image.block_stride;
    Index y = w.image_row;
    Index down = w.down;
    for (int r = 0; r < kSize; ++r, ++y) {
      if (y == image.period_rows) {
        y = 0;
        ++down;
      }
      const Index before = down * image.across;
      const Address row_mask = mask_of((y >= 0) & (y < image.height));
      const auto row =
          reinterpret_cast<Address>(first) +
          static_cast<Address>(before * image.sample_stride + y * image.row_stride) * sizeof(float);
      for (int c = 0; c < kSize; ++c) {
        const Address mask =
            row_mask & column_mask[c] & mask_of(before + column_image[c] < image.images);
        const Address pixel = row + static_cast<Address>(column_offset[c]) * sizeof(float);
        pixels[r][c] = reinterpret_cast<float*>((pixel & mask) | (elsewhere & ~mask));
      }
    }
  }

  // A kSize x kSize window with zeros outside the images and beyond the channels.
  template <int kSize>
  static void gather_window(const Image& image, const Window& window, Index block, Index lanes,
                            Vector (&d)[kSize][kSize]) {
    alignas(64) static constexpr float kZeros[kLanes] = {};
    float* pixels[kSize][kSize];
    find_pixels<kSize>(image, window, block, kZeros, pixels);
    if (lanes == kLanes) {
      for (int r = 0; r < kSize; ++r)
        for (int c = 0; c < kSize; ++c) d[r][c] = *reinterpret_cast<const Unaligned*>(pixels[r][c]);
    } else {
      for (int r = 0; r < kSize; ++r)
        for (int c = 0; c < kSize; ++c) d[r][c] = load_some(pixels[r][c], lanes);
    }
  }

  static Index lanes_of(const Image& image, Index block) {
    const Index left = image.channels - block * kLanes;
    return left < kLanes ? left : kLanes;
  }

  // Tiles are kept in groups as long as a register tile, so that what a product reads is
  // contiguous.
  static Index place(Index tile, Index group_stride) {
    return tile / kRows * group_stride + tile % kRows * kLanes;
  }

  // A tile writes to 36 places far apart, more than the machine's own prefetcher follows.
  static constexpr Index kAhead = 2;

  // Transforms windows of kSize x kSize pixels to the 36 points, which go to
  // points[p * point_stride + place(tile)].
  template <int kSize, class Transform, class Visit>
  [[gnu::always_inline]] static inline void windows_to_points(const Grid& grid, const Image& image,
                                                              Index block, Index begin, Index end,
                                                              float* points, Index point_stride,
                                                              Index group_stride,
                                                              Transform transform, Visit visit) {
    const Index lanes = lanes_of(image, block);
    for_each_tile(
        grid, image, begin,
        end, [&](Index tile, const Window& window) __attribute__((always_inline)) {
          float* const to = points + place(tile, group_stride);
          float* const soon = points + place(tile + kAhead, group_stride);
#pragma GCC unroll 4
          for (int p = 0; p < kPoints; ++p) __builtin_prefetch(soon + p * point_stride, 1);
          fetch_next_window<kSize>(image, window, block);
          const auto put = [&](int r, int c, Vector value) __attribute__((always_inline)) {
            store(to + (r * kPoints1d + c) * point_stride, value);
          };
          if (lanes == kLanes && is_inside<kSize>(image, window)) {
            const float* const from = address_of(image, window, block);
            transform_2d<kSize, kPoints1d>(
                transform,
                [&](int r, int c) __attribute__((always_inline))->Vector {
                  const Vector value = *reinterpret_cast<const Unaligned*>(
                      from + r * image.row_stride + c * image.pixel_stride);
                  visit(value);
                  return value;
                },
                put);
          } else {
            Vector d[kSize][kSize];
            gather_window<kSize>(image, window, block, lanes, d);
            transform_2d<kSize, kPoints1d>(
                transform,
                [&](int r, int c) __attribute__((always_inline))->Vector {
                  visit(d[r][c]);
                  return d[r][c];
                },
                put);
          }
        });
  }

  static void transform_input(const Grid& grid, const Image& image, Index block, Index begin,
                              Index end, float* points, Index point_stride, Index group_stride) {
    windows_to_points<kPoints1d>(
        grid, image, block, begin, end, points, point_stride, group_stride,
        [](const Vector* d, Vector* v) __attribute__((always_inline)) { input_1d(d, v); },
        [](Vector) {});
  }

  static void transform_output_gradient(const Grid& grid, const Image& image, Index block,
                                        Index begin, Index end, float* points, Index point_stride,
                                        float* sums) {
    Vector sum = {};
    windows_to_points<kTile>(
        grid, image, block, begin, end, points, point_stride, kRows * kLanes,
        [](const Vector* y, Vector* m) __attribute__((always_inline)) { output_gradient_1d(y, m); },
        [&](Vector value) __attribute__((always_inline)) { sum += value; });
    store(sums, sum);
  }

  static void transform_output(const Grid& grid, const Image& image, Index block, Index begin,
                               Index end, const float* points, Index point_stride,
                               Index group_stride, const Ending& ending) {
    if (ending.add)
      transform_and_end<true>(grid, image, block, begin, end, points, point_stride, group_stride,
                              ending);
    else
      transform_and_end<false>(grid, image, block, begin, end, points, point_stride, group_stride,
                               ending);
  }

  template <bool kAdd>
  static void transform_and_end(const Grid& grid, const Image& image, Index block, Index begin,
                                Index end, const float* points, Index point_stride,
                                Index group_stride, const Ending& ending) {
    const Index lanes = lanes_of(image, block);
    const Vector offset = ending.bias == nullptr ? Vector{} : load_some(ending.bias, lanes);
    const Vector least = ending.relu ? Vector{} : Vector{} - __builtin_inff();
    const auto put = [&](float* to, Vector value) __attribute__((always_inline)) {
      value += offset;
      if constexpr (kAdd) value += load_some(to, lanes);
      store_some(to, value < least ? least : value, lanes);
    };
    for_each_tile(
        grid, image, begin,
        end, [&](Index tile, const Window& window) __attribute__((always_inline)) {
          const float* const from = points + place(tile, group_stride);
          const auto get = [&](int r, int c) __attribute__((always_inline)) {
            return load(from + (r * kPoints1d + c) * point_stride);
          };
          const auto transform = [](const Vector* m, Vector* y) __attribute__((always_inline)) {
            output_1d(m, y);
          };
          if (lanes == kLanes && is_inside<kTile>(image, window)) {
            float* const to = address_of(image, window, block);
            transform_2d<kPoints1d, kTile>(
                transform, get, [&](int r, int c, Vector value) __attribute__((always_inline)) {
                  put(to + r * image.row_stride + c * image.pixel_stride, value);
                });
          } else {
            Vector y[kTile][kTile];
            transform_2d<kPoints1d, kTile>(
                transform, get, [&](int r, int c, Vector value) __attribute__((always_inline)) {
                  y[r][c] = value;
                });
            alignas(64) float nowhere[kLanes] = {};
            float* pixels[kTile][kTile];
            find_pixels<kTile>(image, window, block, nowhere, pixels);
            for (int r = 0; r < kTile; ++r)
              for (int c = 0; c < kTile; ++c) put(pixels[r][c], y[r][c]);
          }
        });
  }

  // rows[i][j] to rows[j][i]: halves are exchanged between rows a half apart, then quarters, ...
  [[gnu::always_inline]] static inline void transpose(Vector (&rows)[kLanes]) {
    exchange<kLanes / 2>(rows);
  }
  template <int kHalf>
  [[gnu::always_inline]] static inline void exchange(Vector (&rows)[kLanes]) {
    if constexpr (kHalf > 0) {
      Lanes low;
      Lanes high;
      for (int l = 0; l < kLanes; ++l) {
        low[l] = (l & kHalf) == 0 ? l : kLanes + l - kHalf;
        high[l] = (l & kHalf) == 0 ? l + kHalf : kLanes + l;
      }
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        if ((i & kHalf) != 0) continue;
        const Vector upper = rows[i];
        const Vector lower = rows[i + kHalf];
        rows[i] = __builtin_shuffle(upper, lower, low);
        rows[i + kHalf] = __builtin_shuffle(upper, lower, high);
      }
      exchange<kHalf / 2>(rows);
    }
  }

  // The nine weights of a kernel for kLanes lanes. A plain weight has the weights of a kernel side
  // by side, so those of each lane are loaded as a row, with what follows them, and transposed.
  [[gnu::always_inline]] static inline void load_kernels(const float* from, Index lane_stride,
                                                         Vector (&g)[9]) {
    Vector rows[kLanes];
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; ++l)
      rows[l] = *reinterpret_cast<const Unaligned*>(from + l * lane_stride);
    transpose(rows);
#pragma GCC unroll 16
    for (int e = 0; e < 9 && e < kLanes; ++e) g[e] = rows[e];
    for (int e = kLanes; e < 9; ++e)
      for (int l = 0; l < kLanes; ++l) g[e][l] = from[l * lane_stride + e];
  }

  static void transform_weights(const Weights& w, Index block, Index begin, Index end,
                                float* points, Index point_stride, Index step_stride) {
    const Index left = w.lanes - block * kLanes;
    const Index lanes = left < kLanes ? left : kLanes;
    const float* const first_lane = w.data + block * kLanes * w.lane_stride;
    // Rows of kLanes floats from a kernel of nine would end beyond the weight at its last kernels.
    const Index last = (w.lanes - 1) * w.lane_stride + (w.steps - 1) * w.step_stride + 9 - kLanes;
    for (Index step = begin; step < end; ++step) {
      float* const to = points + (step - begin) * step_stride;
      const float* const from = first_lane + step * w.step_stride;
      Vector g[9] = {};
      if (lanes == kLanes && step < w.steps &&
          from - w.data + (kLanes - 1) * w.lane_stride <= last) {
        load_kernels(from, w.lane_stride, g);
      } else if (step < w.steps) {
        for (Index l = 0; l < lanes; ++l)
          for (int e = 0; e < 9; ++e) g[e][l] = from[l * w.lane_stride + e];
      }
      const auto put = [&](int r, int c, Vector value) __attribute__((always_inline)) {
        store(to + (r * kPoints1d + c) * point_stride, value);
      };
      const auto transform = [](const Vector* k, Vector* u) __attribute__((always_inline)) {
        weight_1d(k, u);
      };
      if (w.rotated)
        transform_2d<3, kPoints1d>(
            transform,
            [&](int r, int c) __attribute__((always_inline)) { return g[8 - r * 3 - c]; }, put);
      else
        transform_2d<3, kPoints1d>(
            transform, [&](int r, int c) __attribute__((always_inline)) { return g[r * 3 + c]; },
            put);
    }
  }

  static void transform_weight_gradient(const Weights& w, Index block, Index begin, Index end,
                                        const float* points, Index point_stride,
                                        Index step_stride) {
    alignas(64) float staged[kLanes][9][kLanes];
    const Index lanes_left = w.lanes - block * kLanes;
    const Index lanes = lanes_left < kLanes ? lanes_left : kLanes;
    for (Index first = begin; first < end; first += kLanes) {
      const Index count = end - first < kLanes ? end - first : kLanes;
      for (Index s = 0; s < count; ++s) {
        const float* const from = points + (first - begin + s) * step_stride;
        transform_2d<kPoints1d, 3>(
            [](const Vector* u, Vector* g)
                __attribute__((always_inline)) { weight_gradient_1d(u, g); },
            [&](int r, int c) __attribute__((always_inline)) {
              return load(from + (r * kPoints1d + c) * point_stride);
            },
            [&](int r, int c, Vector value)
                __attribute__((always_inline)) { store(staged[s][r * 3 + c], value); });
      }
      for (Index l = 0; l < lanes; ++l) {
        float* to = w.data + (block * kLanes + l) * w.lane_stride + first * w.step_stride;
        for (Index s = 0; s < count; ++s, to += w.step_stride)
          for (int e = 0; e < 9; ++e) to[e] = staged[s][e][l];
      }
    }
  }

  // The products. Accumulators [kR][kW] stay in registers; each step loads kW vectors and kR
  // scalars, which the machine broadcasts as it multiplies.
  template <int kR, int kW>
  static void product(const float* v, Index ahead, const float* u, Index step_blocks, float* m,
                      bool add) {
    constexpr Index kStride = kRows * kLanes;  // from block to block, from vector to vector
    Vector sum[kR][kW] = {};
    for (Index block = 0; block < step_blocks; ++block, v += kStride) {
#pragma GCC unroll 16
      for (int r = 0; r < kR; ++r) __builtin_prefetch(v + ahead + r * kLanes);
#pragma GCC unroll 4
      for (int l = 0; l < kLanes; ++l, u += kW * kLanes) {
        Vector right[kW];
#pragma GCC unroll 16
        for (int w = 0; w < kW; ++w) right[w] = load(u + w * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < kR; ++r)
#pragma GCC unroll 16
          for (int w = 0; w < kW; ++w) sum[r][w] += v[r * kLanes + l] * right[w];
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r)
#pragma GCC unroll 16
      for (int w = 0; w < kW; ++w) {
        float* const to = m + w * kStride + r * kLanes;
        store(to, add ? load(to) + sum[r][w] : sum[r][w]);
      }
  }

  template <int kR, int kW>
  static void rest_of_rows(Index rows, const float* v, const float* u, Index step_blocks, float* m,
                           bool add) {
    if constexpr (kR > 0) {
      if (rows == kR)
        product<kR, kW>(v, 0, u, step_blocks, m, add);
      else
        rest_of_rows<kR - 1, kW>(rows, v, u, step_blocks, m, add);
    }
  }
  // v_group, m_group: floats from one group of tiles to the next.
  template <int kW>
  static void panel_of_width(Index width, const float* v, Index v_group, const float* u,
                             Index step_blocks, float* m, Index m_group, Index tiles, bool add) {
    if constexpr (kW > 0) {
      if (width != kW)
        return panel_of_width<kW - 1>(width, v, v_group, u, step_blocks, m, m_group, tiles, add);
      for (; tiles >= kRows; tiles -= kRows, v += v_group, m += m_group)
        product<kRows, kW>(v, v_group, u, step_blocks, m, add);
      rest_of_rows<kRows - 1, kW>(tiles, v, u, step_blocks, m, add);
    }
  }

  // The steps of a chunk of a panel of u stay in the first-level cache while all tiles pass.
  static constexpr Index kChunkBytes = 32 << 10;

  static void multiply(const float* v, const float* u, float* m, Index tiles, Index step_blocks,
                       Index vectors) {
    constexpr Index kBlockFloats = kLanes * kLanes;  // of a block of steps, per vector
    constexpr Index kChunk = kChunkBytes / (kColumns * kBlockFloats * 4);
    constexpr Index kGroup = kRows * kLanes;
    for (Index chunk = 0; chunk < step_blocks; chunk += kChunk) {
      const Index blocks = step_blocks - chunk < kChunk ? step_blocks - chunk : kChunk;
      for (Index first = 0; first < vectors; first += kColumns) {
        const Index width = vectors - first < kColumns ? vectors - first : kColumns;
        panel_of_width<kColumns>(width, v + chunk * kGroup, step_blocks * kGroup,
                                 u + (first * step_blocks + chunk * width) * kBlockFloats, blocks,
                                 m + first * kGroup, vectors * kGroup, tiles, chunk > 0);
      }
    }
  }

  template <int kW>
  static void gradient_product(const float* v, const float* y, Index vector_stride, Index tiles,
                               float* d_u, Index row_stride, bool add) {
    constexpr int kR = kGradientRows;
    Vector sum[kR][kW] = {};
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 16
      for (int w = 0; w < kW; ++w) __builtin_prefetch(d_u + (kR + r) * row_stride + w * kLanes, 1);
    }
#pragma GCC unroll 2
    for (Index tile = 0; tile < tiles; ++tile, v += kLanes, y += kLanes) {
      Vector right[kW];
#pragma GCC unroll 16
      for (int w = 0; w < kW; ++w) right[w] = load(y + w * vector_stride);
#pragma GCC unroll 16
      for (int r = 0; r < kR; ++r)
#pragma GCC unroll 16
        for (int w = 0; w < kW; ++w) sum[r][w] += v[r] * right[w];
    }
#pragma GCC unroll 16
    for (int r = 0; r < kR; ++r)
#pragma GCC unroll 16
      for (int w = 0; w < kW; ++w) {
        float* const to = d_u + r * row_stride + w * kLanes;
        store(to, add ? load(to) + sum[r][w] : sum[r][w]);
      }
  }
  template <int kW>
  static void gradient_of_width(Index width, const float* v, const float* y, Index tile_stride,
                                Index tiles, float* d_u, Index row_stride, Index row_blocks,
                                bool add) {
    static_assert(kLanes % kGradientRows == 0);
    if constexpr (kW > 0) {
      if (width != kW)
        return gradient_of_width<kW - 1>(width, v, y, tile_stride, tiles, d_u, row_stride,
                                         row_blocks, add);
      for (Index block = 0; block < row_blocks; ++block)
        for (Index row = 0; row < kLanes; row += kGradientRows)
          gradient_product<kW>(v + block * tile_stride + row, y, tile_stride, tiles,
                               d_u + (block * kLanes + row) * row_stride, row_stride, add);
    }
  }

  static void multiply_gradient(const float* v, const float* y, float* d_u, Index tiles,
                                Index tile_stride, Index begin, Index end, Index vectors,
                                bool add) {
    constexpr Index kLongest = kChunkBytes / ((kGradientColumns + 1) * kLanes * 4);
    const Index row_stride = vectors * kLanes;
    const Index chunks = (tiles + kLongest - 1) / kLongest;
    for (Index part = 0; part < chunks; ++part) {
      const Index chunk = tiles * part / chunks;
      const Index count = tiles * (part + 1) / chunks - chunk;
      for (Index first = 0; first < vectors; first += kGradientColumns) {
        const Index width = vectors - first < kGradientColumns ? vectors - first : kGradientColumns;
        gradient_of_width<kGradientColumns>(width, v + begin * tile_stride + chunk * kLanes,
                                            y + first * tile_stride + chunk * kLanes, tile_stride,
                                            count,
                                            d_u + begin * kLanes * row_stride + first * kLanes,
                                            row_stride, end - begin, add || chunk > 0);
      }
    }
  }

  static constexpr LoopTable kTable = {kLanes,
                                       kRows,
                                       kColumns,
                                       transform_input,
                                       transform_output_gradient,
                                       transform_output,
                                       transform_weights,
                                       transform_weight_gradient,
                                       multiply,
                                       multiply_gradient};
};

}  // namespace
}  // namespace concord::kernels::winograd
