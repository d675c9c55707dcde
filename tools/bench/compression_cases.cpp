// Weights that share values.

#include <algorithm>

#include "kernels/k_means.h"
#include "tools/bench/case_list.h"

namespace concord::bench {
namespace {

void add_k_means(CaseList& list, std::int64_t count, std::int64_t centroids, const char* used_by) {
  const std::string text = fmt::format("{}/{}", count, centroids);
  const Setting s = list.setting();
  list.add(kernels::assign_to_centroids, text, used_by, [s, count, centroids] {
    const Tensor values = random_tensor(s, {count});
    auto sorted = random_tensor(s, {centroids}).to_vector<float>();
    std::sort(sorted.begin(), sorted.end());
    const Tensor table = Tensor::of({centroids}, sorted).to(s.device);
    Tensor indices = empty_tensor(s, {count}, MemoryFormat::kPlain, DType::kInt64);
    return Work{[values, table, indices]() mutable {
                  kernels::assign_to_centroids(values.device(), values.view(), table.view(),
                                               indices.view());
                },
                0, bytes_of({values, table, indices})};
  });
  list.add(kernels::centroid_sums, text, used_by, [s, count, centroids] {
    const Tensor values = random_tensor(s, {count});
    const Tensor indices = random_labels(s, count, centroids);
    Tensor sums = empty_tensor(s, {centroids}, MemoryFormat::kPlain, DType::kFloat64);
    Tensor counts = empty_tensor(s, {centroids}, MemoryFormat::kPlain, DType::kInt64);
    return Work{[values, indices, sums, counts]() mutable {
                  kernels::centroid_sums(values.device(), values.view(), indices.view(),
                                         sums.view(), counts.view());
                },
                2 * static_cast<double>(count), bytes_of({values, indices, sums, counts})};
  });
  list.add(kernels::values_of_centroids, text, used_by, [s, count, centroids] {
    const Tensor table = random_tensor(s, {centroids});
    const Tensor indices = random_labels(s, count, centroids);
    Tensor values = empty_tensor(s, {count}, MemoryFormat::kPlain, DType::kFloat32);
    return Work{[table, indices, values]() mutable {
                  kernels::values_of_centroids(values.device(), table.view(), indices.view(),
                                               values.view());
                },
                0, bytes_of({table, indices, values})};
  });
}

}  // namespace

void add_compression_cases(CaseList& list) {
  constexpr std::int64_t kWeights = 512 * 512 * 3 * 3;
  add_k_means(list, kWeights, 16, "weights of 4 bits, vgg block 4");
  add_k_means(list, kWeights, 256, "weights of 8 bits, vgg block 4");
}

}  // namespace concord::bench
