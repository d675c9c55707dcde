#include "kernels/gather_rows.h"

namespace concord::kernels {

std::size_t check_gather_rows(const ConstView& from, std::span<const std::int64_t> rows,
                              const View& to) {
  check(from.format == MemoryFormat::kPlain && to.format == MemoryFormat::kPlain,
        "gather_rows: plain tensors expected, they are {} and {}", name_of(from.format),
        name_of(to.format));
  check(from.shape.rank() > 0 && to.dtype == from.dtype &&
            to.shape == from.shape.with(0, std::ssize(rows)),
        "gather_rows: {} rows of {} {} do not make {} {}", rows.size(), from.shape.to_string(),
        name_of(from.dtype), to.shape.to_string(), name_of(to.dtype));
  for (const std::int64_t row : rows)
    check(0 <= row && row < from.shape[0], "gather_rows: there is no row {} in a tensor of {}", row,
          from.shape.to_string());
  const std::int64_t numel = from.shape[0] == 0 ? 0 : from.numel() / from.shape[0];
  return static_cast<std::size_t>(numel) * size_of(from.dtype);
}

}  // namespace concord::kernels
