#include "kernels/gather_rows.h"

#include <cstring>

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

void gather_rows_cpu(ConstView from, std::span<const std::int64_t> rows, View to) {
  const std::size_t bytes = check_gather_rows(from, rows, to);
  if (bytes == 0) return;
  const auto grain = static_cast<std::int64_t>((std::size_t{1} << 17) / bytes + 1);
  parallel_for(std::ssize(rows), grain, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      std::memcpy(static_cast<char*>(to.data) + i * bytes,
                  static_cast<const char*>(from.data) + static_cast<std::size_t>(rows[i]) * bytes,
                  bytes);
  });
}

const Registration registration{gather_rows, DeviceType::kCpu, gather_rows_cpu};

}  // namespace
}  // namespace concord::kernels
