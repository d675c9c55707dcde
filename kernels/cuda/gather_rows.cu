// A block copies a stretch of one row, in words as wide as pointers and rows allow. Which rows are
// wanted travels with the launch, 256 at a time, so that nothing is copied to the device beforehand
// and nobody waits.

#include <algorithm>

#include "kernels/cuda/device.h"
#include "kernels/gather_rows.h"

namespace concord::cuda {
namespace {

constexpr std::size_t kRowsPerLaunch = 256;
struct RowTable {
  std::int64_t rows[kRowsPerLaunch];
};

template <class Word>
__global__ void gather_rows_kernel(const Word* from, RowTable table, Word* to, std::int64_t words) {
  const Word* const source = from + table.rows[blockIdx.y] * words;
  Word* const target = to + blockIdx.y * words;
  for (std::int64_t i = first_item(); i < words; i += item_stride()) target[i] = source[i];
}

template <class Word>
void gather(const kernels::ConstView& from, std::span<const std::int64_t> rows,
            const kernels::View& to, std::size_t row_bytes) {
  // Some blocks a row: many rows fill the device, one row has up to 64.
  constexpr unsigned kThreads = 256;
  constexpr unsigned kMostBlocks = 64;
  const auto words = static_cast<std::int64_t>(row_bytes / sizeof(Word));
  LaunchShape shape = strided_shape((words + 3) / 4, kThreads, kMostBlocks);
  for (std::size_t begin = 0; begin < rows.size(); begin += kRowsPerLaunch) {
    const std::size_t count = std::min(kRowsPerLaunch, rows.size() - begin);
    RowTable table = {};
    std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(begin), count, table.rows);
    shape.grid.y = static_cast<unsigned>(count);
    launch(gather_rows_kernel<Word>, shape, static_cast<const Word*>(from.data), table,
           static_cast<Word*>(to.data) + static_cast<std::int64_t>(begin) * words, words);
  }
}

void gather_rows_cuda(kernels::ConstView from, std::span<const std::int64_t> rows,
                      kernels::View to) {
  const std::size_t bytes = kernels::check_gather_rows(from, rows, to);
  if (bytes == 0 || rows.empty()) return;
  const auto places = reinterpret_cast<std::uintptr_t>(from.data) |
                      reinterpret_cast<std::uintptr_t>(to.data) | bytes;
  if (places % sizeof(uint4) == 0)
    gather<uint4>(from, rows, to, bytes);
  else if (places % sizeof(unsigned) == 0)
    gather<unsigned>(from, rows, to, bytes);
  else if (places % sizeof(std::uint16_t) == 0)
    gather<std::uint16_t>(from, rows, to, bytes);
  else
    gather<std::uint8_t>(from, rows, to, bytes);
}

const kernels::Registration registration{kernels::gather_rows, DeviceType::kCuda, gather_rows_cuda};

}  // namespace
}  // namespace concord::cuda
