// Rows are copied in words as wide as the alignment of the pointers, of the pitches and of the
// length allows. Every thread has four loads in flight, narrow words being too few bytes otherwise:
// of four pieces of a long row, or of four short rows, which share a block.

#include <bit>

#include "kernels/copy_rows.h"
#include "kernels/cuda/device.h"

namespace concord::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kPerThread = 4;

// Pitches and the length of a row are counted in words. A thread's words are row_step rows and
// column_step words apart.
template <class Word>
__global__ void __launch_bounds__(kThreads)
    copy_rows_kernel(const Word* __restrict__ from, std::int64_t from_pitch, Word* __restrict__ to,
                     std::int64_t to_pitch, std::int64_t words, std::int64_t rows,
                     unsigned row_step, unsigned column_step) {
  const std::int64_t tile_rows = row_step > 0 ? kPerThread * row_step : 1;
  const std::int64_t tile_words = column_step > 0 ? kPerThread * column_step : blockDim.x;
  for (std::int64_t row = blockIdx.x * tile_rows + threadIdx.y; row < rows;
       row += gridDim.x * tile_rows) {
    for (std::int64_t column = blockIdx.y * tile_words + threadIdx.x; column < words;
         column += gridDim.y * tile_words) {
      Word held[kPerThread];
      for (int i = 0; i < kPerThread; ++i) {
        const std::int64_t r = row + i * std::int64_t{row_step};
        const std::int64_t c = column + i * std::int64_t{column_step};
        if (r < rows && c < words) held[i] = from[r * from_pitch + c];
      }
      for (int i = 0; i < kPerThread; ++i) {
        const std::int64_t r = row + i * std::int64_t{row_step};
        const std::int64_t c = column + i * std::int64_t{column_step};
        if (r < rows && c < words) to[r * to_pitch + c] = held[i];
      }
    }
  }
}

template <class Word>
void copy_words(const void* from, std::size_t from_pitch, void* to, std::size_t to_pitch,
                std::size_t row_bytes, std::size_t rows) {
  constexpr std::size_t kMostAcross = 65535;  // of a grid's second axis
  constexpr std::size_t kMostDown = 0x7FFFFFFF;
  const std::size_t words = row_bytes / sizeof(Word);
  const bool is_long = words > kThreads;
  // Powers of two leave no thread of a block without a row.
  const unsigned across = is_long ? kThreads : std::bit_ceil(static_cast<unsigned>(words));
  const unsigned down = kThreads / across;
  const std::size_t tile_words = is_long ? kPerThread * across : across;
  const std::size_t tile_rows = is_long ? 1 : kPerThread * down;
  const std::size_t grid_down = std::min((rows + tile_rows - 1) / tile_rows, kMostDown);
  const std::size_t grid_across = std::min((words + tile_words - 1) / tile_words, kMostAcross);
  launch(copy_rows_kernel<Word>,
         {dim3(static_cast<unsigned>(grid_down), static_cast<unsigned>(grid_across)),
          dim3(across, down), 0},
         static_cast<const Word*>(from), from_pitch / sizeof(Word), static_cast<Word*>(to),
         to_pitch / sizeof(Word), words, rows, is_long ? 0 : down, is_long ? across : 0);
}

void copy_rows_cuda(const void* from, std::size_t from_pitch, void* to, std::size_t to_pitch,
                    std::size_t row_bytes, std::size_t rows) {
  if (row_bytes == 0 || rows == 0) return;
  const bool is_one_run = rows == 1 || (from_pitch == row_bytes && to_pitch == row_bytes);
  if (is_one_run) {
    row_bytes *= rows;
    rows = 1;
    from_pitch = to_pitch = row_bytes;
  }
  const std::uintptr_t bits = reinterpret_cast<std::uintptr_t>(from) |
                              reinterpret_cast<std::uintptr_t>(to) | from_pitch | to_pitch |
                              row_bytes;
  const auto copy = bits % 16 == 0  ? copy_words<uint4>
                    : bits % 8 == 0 ? copy_words<uint2>
                    : bits % 4 == 0 ? copy_words<unsigned>
                    : bits % 2 == 0 ? copy_words<std::uint16_t>
                                    : copy_words<unsigned char>;
  copy(from, from_pitch, to, to_pitch, row_bytes, rows);
}

const kernels::Registration registration{kernels::copy_rows, DeviceType::kCuda, copy_rows_cuda};

}  // namespace
}  // namespace concord::cuda
