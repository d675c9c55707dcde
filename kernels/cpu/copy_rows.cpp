#include "kernels/copy_rows.h"

#include <cstring>

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

void copy_rows_cpu(const void* from, std::size_t from_pitch, void* to, std::size_t to_pitch,
                   std::size_t row_bytes, std::size_t rows) {
  const auto* source = static_cast<const char*>(from);
  auto* target = static_cast<char*>(to);
  if (row_bytes == 0) return;
  const auto grain = static_cast<std::int64_t>((std::size_t{1} << 17) / row_bytes + 1);
  parallel_for(static_cast<std::int64_t>(rows), grain, [&](std::int64_t begin, std::int64_t end) {
    for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r)
      std::memcpy(target + r * to_pitch, source + r * from_pitch, row_bytes);
  });
}

const Registration registration{copy_rows, DeviceType::kCpu, copy_rows_cpu};

}  // namespace
}  // namespace concord::kernels
