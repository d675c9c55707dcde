// Between plain and channels-last a sample is a matrix that is transposed: [C][HW] and [HW][C]. A
// block moves a tile of it through shared memory, so that both sides are accessed along their rows.
// Each of its threads has 16 loads in flight, one element wide: a warp's 128 bytes together suffice
// for the whole bandwidth, whatever the alignment of the rows. Of an image's three channels a
// square tile would be nearly empty: tiles for few rows or columns are as much longer as they are
// narrower. Everything else is elementwise.

#include <algorithm>
#include <type_traits>

#include "kernels/cuda/elementwise.h"
#include "kernels/memory.h"

namespace concord::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kPerThread = 16;
// Or the compiler keeps 32 addresses from one sample to the next, at the price of half the blocks.
constexpr unsigned kBlocksAtOnce = 4;

// kRows x kColumns of the matrix that is read.
template <class From, class To, unsigned kRows, unsigned kColumns>
struct Tile {
  static_assert(kRows * kColumns == kThreads * kPerThread);
  using Held = std::conditional_t<sizeof(From) < sizeof(To), From, To>;
  static constexpr unsigned kNarrow = kRows < kColumns ? kRows : kColumns;
  static constexpr unsigned kWide = kRows < kColumns ? kColumns : kRows;
  // The lanes that access shared memory at once lie across as many lines of the narrow side as
  // there are, with runs along the wide one: the padding sends every run to banks of its own.
  static constexpr unsigned kBanks = 128 / sizeof(Held);
  static constexpr unsigned kPitch = kWide + (kNarrow < kBanks ? kBanks / kNarrow : 1);
  static constexpr std::size_t kBytes = kNarrow * kPitch * sizeof(Held);
  __device__ static constexpr unsigned at(unsigned row, unsigned column) {
    return kRows < kColumns ? row * kPitch + column : column * kPitch + row;
  }
};

__device__ __forceinline__ unsigned at_most(std::int64_t count, unsigned most) {
  return count < most ? static_cast<unsigned>(count) : most;
}

// to[n][k][r] = from[n][r][k] for matrices of rows x columns. blockIdx.x is the tile, blockIdx.y
// the first matrix.
template <class From, class To, unsigned kRows, unsigned kColumns>
__global__ void __launch_bounds__(kThreads, kBlocksAtOnce)
    transpose_kernel(const From* from, To* to, std::int64_t matrices, std::int64_t rows,
                     std::int64_t columns, unsigned tiles_across) {
  using Shared = Tile<From, To, kRows, kColumns>;
  using Held = typename Shared::Held;
  Held* tile = shared_memory<Held>();
  const std::int64_t first_row = std::int64_t{blockIdx.x / tiles_across} * kRows;
  const std::int64_t first_column = std::int64_t{blockIdx.x % tiles_across} * kColumns;
  const unsigned rows_here = at_most(rows - first_row, kRows);
  const unsigned columns_here = at_most(columns - first_column, kColumns);
  for (std::int64_t n = blockIdx.y; n < matrices; n += gridDim.y) {
    const From* const source = from + (n * rows + first_row) * columns + first_column;
    To* const target = to + (n * columns + first_column) * rows + first_row;
    // All loads before the first use of one.
    Held held[kPerThread];
    for (unsigned i = 0; i < kPerThread; ++i) {
      const unsigned element = threadIdx.x + i * kThreads;
      const unsigned row = element / kColumns;
      const unsigned column = element % kColumns;
      if (row < rows_here && column < columns_here)
        held[i] = static_cast<Held>(source[row * columns + column]);
    }
    for (unsigned i = 0; i < kPerThread; ++i) {
      const unsigned element = threadIdx.x + i * kThreads;
      const unsigned row = element / kColumns;
      const unsigned column = element % kColumns;
      if (row < rows_here && column < columns_here) tile[Shared::at(row, column)] = held[i];
    }
    __syncthreads();
    for (unsigned i = 0; i < kPerThread; ++i) {
      const unsigned element = threadIdx.x + i * kThreads;
      const unsigned row = element % kRows;
      const unsigned column = element / kRows;
      if (row < rows_here && column < columns_here)
        target[column * rows + row] = static_cast<To>(tile[Shared::at(row, column)]);
    }
    __syncthreads();  // the next matrix overwrites the tile
  }
}

template <unsigned kRows, unsigned kColumns, class From, class To>
void transpose_tiles(const From* from, To* to, std::int64_t matrices, std::int64_t rows,
                     std::int64_t columns) {
  const std::int64_t across = (columns + kColumns - 1) / kColumns;
  const std::int64_t tiles = (rows + kRows - 1) / kRows * across;
  // Small matrices share blocks once there are enough of these.
  constexpr std::int64_t kEnoughBlocks = 132 * 32;
  const std::int64_t together = std::min(matrices, (kEnoughBlocks + tiles - 1) / tiles);
  launch(transpose_kernel<From, To, kRows, kColumns>,
         {dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(together)), dim3(kThreads),
          Tile<From, To, kRows, kColumns>::kBytes},
         from, to, matrices, rows, columns, static_cast<unsigned>(across));
}

template <class From, class To>
void transpose(const From* from, To* to, std::int64_t matrices, std::int64_t rows,
               std::int64_t columns) {
  const auto transpose_by = rows <= 4       ? transpose_tiles<4, 1024, From, To>
                            : columns <= 4  ? transpose_tiles<1024, 4, From, To>
                            : rows <= 16    ? transpose_tiles<16, 256, From, To>
                            : columns <= 16 ? transpose_tiles<256, 16, From, To>
                                            : transpose_tiles<64, 64, From, To>;
  transpose_by(from, to, matrices, rows, columns);
}

// So many elements that the wider type has 16 bytes of them: a warp's accesses are whole lines for
// both types.
template <class T, int N>
struct alignas(N * sizeof(T)) Group {
  T v[N];
};
template <class From, class To>
constexpr int kCastAtOnce = static_cast<int>(16 / std::max(sizeof(From), sizeof(To)));

template <class From, class To>
__global__ void cast_kernel(const From* from, To* to, std::int64_t count, std::int64_t groups) {
  constexpr int N = kCastAtOnce<From, To>;
  for (std::int64_t i = first_item(); i < groups; i += item_stride()) {
    const auto group = reinterpret_cast<const Group<From, N>*>(from)[i];
    Group<To, N> result;
    for (int k = 0; k < N; ++k) result.v[k] = static_cast<To>(group.v[k]);
    reinterpret_cast<Group<To, N>*>(to)[i] = result;
  }
  for (std::int64_t i = N * groups + first_item(); i < count; i += item_stride())
    to[i] = static_cast<To>(from[i]);
}

template <class From, class To>
void cast(const From* from, To* to, std::int64_t count) {
  const std::int64_t groups = are_aligned(from, to) ? count / kCastAtOnce<From, To> : 0;
  launch(cast_kernel<From, To>, strided_shape(groups > 0 ? groups : count), from, to, count,
         groups);
}

void check_format(const kernels::ConstView& view) {
  check(view.format == MemoryFormat::kPlain || view.format == MemoryFormat::kChannelsLast,
        "convert: {} in {} format on {}: only plain and channels-last tensors are held there",
        view.shape.to_string(), name_of(view.format), name_of(view.device));
}

void convert_cuda(ConstView from, View to) {
  check(from.shape == to.shape, "convert: shapes {} and {} differ", from.shape.to_string(),
        to.shape.to_string());
  check_format(from);
  check_format(to);
  if (from.dtype == DType::kInt64)
    check(to.dtype == DType::kInt64 && from.format == to.format,
          "convert: int64 tensors convert to nothing else");
  const std::int64_t count = from.numel();
  if (count == 0) return;
  const auto copy = [&] {
    kernels::copy(to.device, to.data, from.data,
                  static_cast<std::size_t>(count) * size_of(to.dtype));
  };
  if (from.dtype == DType::kInt64) {
    copy();
    return;
  }
  // A matrix of one row or one column is its own transpose.
  const bool is_rearranged =
      from.format != to.format && from.shape[1] > 1 && from.shape[2] * from.shape[3] > 1;
  kernels::with_storage(from, "convert", [&]<class From>(From) {
    kernels::with_storage(to, "convert", [&]<class To>(To) {
      if (is_rearranged) {
        const std::int64_t channels = from.shape[1];
        const std::int64_t spatial = from.shape[2] * from.shape[3];
        const bool is_plain = from.format == MemoryFormat::kPlain;
        transpose(from.as<From>(), to.as<To>(), from.shape[0], is_plain ? channels : spatial,
                  is_plain ? spatial : channels);
      } else if constexpr (std::is_same_v<From, To>) {
        copy();
      } else {
        cast(from.as<From>(), to.as<To>(), count);
      }
    });
  });
}

template <class T>
__global__ void fill_kernel(T value, T* to, std::int64_t count, std::int64_t packs) {
  Pack<T> pack;
  for (int k = 0; k < Pack<T>::kSize; ++k) pack.v[k] = value;
  for (std::int64_t i = first_item(); i < packs; i += item_stride())
    reinterpret_cast<Pack<T>*>(to)[i] = pack;
  for (std::int64_t i = packs * Pack<T>::kSize + first_item(); i < count; i += item_stride())
    to[i] = value;
}

template <class T>
void fill_elements(double value, const View& to) {
  const std::int64_t count = to.numel();
  if (count == 0) return;
  T* data = to.as<T>();
  const std::int64_t packs = are_aligned(data) ? count / Pack<T>::kSize : 0;
  launch(fill_kernel<T>, strided_shape(packs > 0 ? packs : count), static_cast<T>(value), data,
         count, packs);
}

void fill_cuda(double value, View to) {
  if (to.dtype == DType::kInt64) {
    fill_elements<std::int64_t>(value, to);
    return;
  }
  kernels::with_storage(to, "fill", [&]<class T>(T) { fill_elements<T>(value, to); });
}

const kernels::Registration registrations[] = {
    {kernels::convert, DeviceType::kCuda, convert_cuda},
    {kernels::fill, DeviceType::kCuda, fill_cuda},
};

}  // namespace
}  // namespace concord::cuda
