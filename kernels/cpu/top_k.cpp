#include "kernels/top_k.h"

#include <algorithm>

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

template <class T>
void find_top_k(const T* row, std::int64_t columns, std::int64_t k, std::int64_t* indices,
                T* values) {
  std::int64_t found = 0;
  for (std::int64_t m = 0; m < columns; ++m) {
    const bool is_full = found == k;
    if (is_full && !outranks(row[m], m, values[k - 1], indices[k - 1])) continue;
    std::int64_t place = is_full ? k - 1 : found++;
    for (; place > 0 && outranks(row[m], m, values[place - 1], indices[place - 1]); --place) {
      values[place] = values[place - 1];
      indices[place] = indices[place - 1];
    }
    values[place] = row[m];
    indices[place] = m;
  }
}

void top_k_cpu(ConstView logits, View indices, View values) {
  check_top_k(logits, indices, values);
  const std::int64_t columns = logits.shape[1];
  const std::int64_t k = values.shape[1];
  const std::int64_t grain = (1 << 13) / columns + 1;
  with_float(logits, "top_k", [&]<class T>(T) {
    const T* from = logits.as<T>();
    auto* to_indices = indices.as<std::int64_t>();
    T* to_values = values.as<T>();
    parallel_for(logits.shape[0], grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n)
        find_top_k(from + n * columns, columns, k, to_indices + n * k, to_values + n * k);
    });
  });
}

const Registration registration{top_k, DeviceType::kCpu, top_k_cpu};

}  // namespace
}  // namespace concord::kernels
