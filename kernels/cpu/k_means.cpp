#include "kernels/k_means.h"

#include <algorithm>
#include <vector>

#include "kernels/parallel.h"

namespace concord::kernels {
namespace {

void assign_to_centroids_cpu(ConstView values, ConstView centroids, View indices) {
  check_assignment("assign_to_centroids", values, indices);
  check_centroids("assign_to_centroids", centroids, values.dtype);
  with_float(values, "assign_to_centroids", [&]<class T>(T) {
    const T* from = values.as<T>();
    const T* sorted = centroids.as<T>();
    const auto count = static_cast<int>(centroids.numel());
    auto* to = indices.as<std::int64_t>();
    parallel_for(values.numel(), 1 << 12, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = nearest_centroid(from[i], sorted, count);
    });
  });
}

struct Sum {
  double sum = 0;
  std::int64_t count = 0;
};

void centroid_sums_cpu(ConstView values, ConstView indices, View sums, View counts) {
  check_assignment("centroid_sums", values, indices);
  check_centroids("centroid_sums", sums, DType::kFloat64);
  check_centroids("centroid_sums", counts, DType::kInt64);
  check(counts.shape == sums.shape, "centroid_sums: {} sums and {} counts", sums.shape.to_string(),
        counts.shape.to_string());
  const std::int64_t k = sums.numel();
  const std::int64_t count = values.numel();
  const auto* index = indices.as<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i)
    check(0 <= index[i] && index[i] < k,
          "centroid_sums: index {} of value {} is outside [0, {}), the centroids", index[i], i, k);

  // A table for each part, with several values for each of its entries.
  const std::int64_t parts =
      std::clamp<std::int64_t>(count / std::max<std::int64_t>(4 * k, 1 << 14), 1, thread_count());
  std::vector<std::vector<Sum>> tables(static_cast<std::size_t>(parts));
  with_float(values, "centroid_sums", [&]<class T>(T) {
    const T* from = values.as<T>();
    parallel_for(parts, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t part = first; part < last; ++part) {
        std::vector<Sum> table(static_cast<std::size_t>(k));
        for (std::int64_t i = count * part / parts; i < count * (part + 1) / parts; ++i) {
          Sum& entry = table[static_cast<std::size_t>(index[i])];
          entry.sum += static_cast<double>(from[i]);
          ++entry.count;
        }
        tables[static_cast<std::size_t>(part)] = std::move(table);
      }
    });
  });
  auto* to_sums = sums.as<double>();
  auto* to_counts = counts.as<std::int64_t>();
  for (std::int64_t c = 0; c < k; ++c) {
    Sum total;
    for (const std::vector<Sum>& table : tables) {
      total.sum += table[static_cast<std::size_t>(c)].sum;
      total.count += table[static_cast<std::size_t>(c)].count;
    }
    to_sums[c] = total.sum;
    to_counts[c] = total.count;
  }
}

void values_of_centroids_cpu(ConstView centroids, ConstView indices, View values) {
  check_assignment("values_of_centroids", values, indices);
  check_centroids("values_of_centroids", centroids, values.dtype);
  with_float(values, "values_of_centroids", [&]<class T>(T) {
    const T* table = centroids.as<T>();
    const std::int64_t k = centroids.numel();
    const auto* index = indices.as<std::int64_t>();
    T* to = values.as<T>();
    parallel_for(values.numel(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        check(0 <= index[i] && index[i] < k,
              "values_of_centroids: index {} of value {} is outside [0, {}), the centroids",
              index[i], i, k);
        to[i] = table[index[i]];
      }
    });
  });
}

const Registration registrations[] = {
    {assign_to_centroids, DeviceType::kCpu, assign_to_centroids_cpu},
    {centroid_sums, DeviceType::kCpu, centroid_sums_cpu},
    {values_of_centroids, DeviceType::kCpu, values_of_centroids_cpu},
};

}  // namespace
}  // namespace concord::kernels
