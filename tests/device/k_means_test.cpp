#include "kernels/k_means.h"

#include <algorithm>
#include <cmath>

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(KMeans);

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat64};

Tensor sorted(const Tensor& tensor) {
  auto values = tensor.to_vector<double>();
  std::sort(values.begin(), values.end());
  return Tensor::of(tensor.shape(), values).to(tensor.dtype());
}

std::vector<std::int64_t> assign(const Tensor& values, const Tensor& centroids) {
  Tensor indices = Tensor::full(values.shape(), -1, {DType::kInt64, values.device()});
  kernels::assign_to_centroids(values.device(), values.view(), centroids.view(), indices.view());
  return indices.to_vector<std::int64_t>();
}

// By looking at every centroid. Distances are exact enough: more bits than the kernels have.
std::vector<std::int64_t> assigned_naively(const Tensor& values, const Tensor& centroids) {
  const auto table = centroids.to_vector<double>();
  std::vector<std::int64_t> indices;
  for (const double value : values.to_vector<double>()) {
    std::size_t nearest = 0;
    const auto distance = [&](std::size_t c) {
      return std::abs(static_cast<long double>(value) - static_cast<long double>(table[c]));
    };
    for (std::size_t c = 1; c < table.size(); ++c)
      if (distance(c) < distance(nearest)) nearest = c;
    indices.push_back(static_cast<std::int64_t>(nearest));
  }
  return indices;
}

TEST_P(KMeans, Assign) {
  in_every_order([&] {
    for (const DType dtype : kDTypes)
      for (const std::int64_t count : test::kAwkwardSizes)
        for (const std::int64_t k : {1, 3, 256}) {
          const Tensor values = random_tensor({count}, 1, -1.2, 1.2).to(dtype);
          const Tensor centroids = sorted(random_tensor({k}, 2).to(dtype));
          const auto expected = assigned_naively(values, centroids);
          for (const std::int64_t offset : {0, 1})
            ASSERT_EQ(assign(test::unaligned_on(device(), values, offset),
                             test::unaligned_on(device(), centroids, offset)),
                      expected)
                << count << " " << name_of(dtype) << " to " << k << ", offset " << offset;
        }
  });
}

// Centroids that fit in shared memory, that just do and that do not, up to as many as there may be.
TEST_P(KMeans, AssignToMany) {
  for (const DType dtype : kDTypes) {
    const std::int64_t most_shared = dtype == DType::kFloat32 ? 8192 : 4096;
    for (const std::int64_t k : {most_shared, most_shared + 1, kernels::kMostCentroids}) {
      const Tensor values = random_tensor({33}, 1, -1.2, 1.2).to(dtype);
      const Tensor centroids = sorted(random_tensor({k}, 2).to(dtype));
      ASSERT_EQ(assign(values.to(device()), centroids.to(device())),
                assigned_naively(values, centroids))
          << k << " " << name_of(dtype);
    }
  }
}

// More values than the threads of the launch take at once.
TEST_P(KMeans, AssignManyValues) {
  const Tensor values = random_tensor({9001}, 1).to(DType::kFloat32);
  const Tensor centroids = sorted(random_tensor({3}, 2).to(DType::kFloat32));
  EXPECT_TRUE(assign(values.to(device()), centroids.to(device())) ==
              assigned_naively(values, centroids));
}

TEST_P(KMeans, AssignTies) {
  // Numbers half-way between two go to the lower; of equal centroids the first is taken, from
  // either side.
  const Tensor values =
      Tensor::of<float>({11}, {-9, 0, 0.5F, 1, 1.5F, 2, 2.5F, 3, 99, INFINITY, -INFINITY});
  const Tensor centroids = Tensor::of<float>({7}, {0, 1, 1, 1, 2, 3, 3});
  const std::vector<std::int64_t> expected = {0, 0, 0, 1, 1, 4, 4, 5, 5, 5, 0};
  EXPECT_EQ(assign(values.to(device()), centroids.to(device())), expected);
  EXPECT_EQ(
      assign(values.to(DType::kFloat64).to(device()), centroids.to(DType::kFloat64).to(device())),
      expected);
  // As floats both distances are 2^24.
  const Tensor between = Tensor::of<float>({1}, {1});
  const Tensor ends = Tensor::of<float>({2}, {-16777216, 16777216});
  EXPECT_EQ(assign(between.to(device()), ends.to(device())), (std::vector<std::int64_t>{1}));
}

TEST_P(KMeans, ANaNShows) {
  const Tensor values = Tensor::of<float>({3}, {5, NAN, 2}).to(device());
  const Tensor centroids = Tensor::of<float>({3}, {0, 2, 4}).to(device());
  Tensor indices = Tensor::full({3}, -1, {DType::kInt64, device()});
  Tensor sums = Tensor::full({3}, 7, {DType::kFloat64, device()});
  Tensor counts = Tensor::full({3}, 7, {DType::kInt64, device()});
  kernels::assign_to_centroids(device(), values.view(), centroids.view(), indices.view());
  EXPECT_EQ(indices.to_vector<std::int64_t>(), (std::vector<std::int64_t>{2, 0, 1}));
  kernels::centroid_sums(device(), values.view(), std::as_const(indices).view(), sums.view(),
                         counts.view());
  const auto sum = sums.to_vector<double>();
  EXPECT_TRUE(std::isnan(sum[0]));
  EXPECT_EQ(sum[1], 2);
  EXPECT_EQ(sum[2], 5);
  EXPECT_EQ(counts.to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 1, 1}));
}

struct Sums {
  std::vector<double> sums;
  std::vector<std::int64_t> counts;
  bool operator==(const Sums&) const = default;
};

Sums sum(const Tensor& values, const Tensor& indices, std::int64_t k) {
  Tensor sums = Tensor::full({k}, NAN, {DType::kFloat64, values.device()});
  Tensor counts = Tensor::full({k}, -1, {DType::kInt64, values.device()});
  kernels::centroid_sums(values.device(), values.view(), indices.view(), sums.view(),
                         counts.view());
  return {sums.to_vector<double>(), counts.to_vector<std::int64_t>()};
}

// Multiples of 2^-23 below 1, whose sums are exact in double and not in float.
Tensor exact_values(std::int64_t count) {
  auto values = random_tensor({count}, 3).to_vector<double>();
  for (double& value : values) value = std::round(value * 0x1p23) * 0x1p-23;
  return Tensor::of({count}, values);
}

// Few centroids take most of the values, some take none.
std::vector<std::int64_t> skewed_indices(std::int64_t count, std::int64_t k) {
  random::Stream numbers(test::kSeed, 4);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < count; ++i)
    indices.push_back(
        static_cast<std::int64_t>(numbers.below(1 + numbers.below(static_cast<std::uint64_t>(k)))));
  return indices;
}

void check_sums(Device device, std::int64_t count, std::int64_t k, DType dtype,
                std::int64_t offset) {
  const Tensor values = exact_values(count).to(dtype);
  const auto indices = skewed_indices(count, k);
  Sums expected{std::vector<double>(static_cast<std::size_t>(k)),
                std::vector<std::int64_t>(static_cast<std::size_t>(k))};
  const auto given = values.to_vector<double>();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    expected.sums[static_cast<std::size_t>(indices[i])] += given[i];
    ++expected.counts[static_cast<std::size_t>(indices[i])];
  }
  const Sums actual = sum(test::unaligned_on(device, values, offset),
                          test::unaligned_on(device, Tensor::of({count}, indices), offset), k);
  ASSERT_TRUE(actual.counts == expected.counts)
      << count << " " << name_of(dtype) << " of " << k << ", offset " << offset;
  ASSERT_TRUE(actual.sums == expected.sums)
      << count << " " << name_of(dtype) << " of " << k << ", offset " << offset;
}

TEST_P(KMeans, Sums) {
  in_every_order([&] {
    for (const DType dtype : kDTypes)
      for (const std::int64_t count : {1, 31, 33, 257})
        for (const std::int64_t k : {1, 2, 61}) check_sums(device(), count, k, dtype, count % 2);
    check_sums(device(), 1025, 31, DType::kFloat32, 1);
  });
}

// Tables that just fit in shared memory and that do not; several of them, each of several turns.
TEST_P(KMeans, SumsOfMany) {
  in_every_order([&] {
    check_sums(device(), 2001, 200, DType::kFloat32, 0);
    check_sums(device(), 1025, 3072, DType::kFloat64, 0);
  });
  check_sums(device(), 13'001, 3073, DType::kFloat32, 1);
  check_sums(device(), 33, kernels::kMostCentroids, DType::kFloat32, 0);
}

// The threads' order leaves the bits of inexact sums alone, and so does another run.
TEST_P(KMeans, SumsRepeat) {
  const Tensor values = random_tensor({1501}, 5).to(device());
  const Tensor indices = Tensor::of({1501}, skewed_indices(1501, 7)).to(device());
  const Sums first = sum(values, indices, 7);
  in_every_order([&] { EXPECT_TRUE(sum(values, indices, 7) == first); });
}

std::vector<double> look_up(const Tensor& centroids, const Tensor& indices) {
  Tensor values =
      Tensor::full(indices.shape(), 7, {.dtype = centroids.dtype(), .device = centroids.device()});
  kernels::values_of_centroids(centroids.device(), centroids.view(), indices.view(), values.view());
  return values.to_vector<double>();
}

TEST_P(KMeans, Values) {
  in_every_order([&] {
    for (const DType dtype : kDTypes)
      for (const std::int64_t count : {1, 33, 1025})
        for (const std::int64_t k : {1, 31}) {
          const Tensor centroids = random_tensor({k}, 6).to(dtype);
          const auto table = centroids.to_vector<double>();
          const auto indices = skewed_indices(count, k);
          std::vector<double> expected;
          for (const std::int64_t index : indices)
            expected.push_back(table[static_cast<std::size_t>(index)]);
          for (const std::int64_t offset : {0, 1})
            ASSERT_EQ(look_up(test::unaligned_on(device(), centroids, offset),
                              test::unaligned_on(device(), Tensor::of({count}, indices), offset)),
                      expected)
                << count << " " << name_of(dtype) << " of " << k << ", offset " << offset;
        }
  });
}

TEST_P(KMeans, ValuesOfManyAndNone) {
  const Tensor centroids = random_tensor({kernels::kMostCentroids}, 6);
  const auto table = centroids.to_vector<double>();
  const std::vector<std::int64_t> indices = {kernels::kMostCentroids - 1, 0, 40'000};
  EXPECT_EQ(look_up(centroids.to(device()), Tensor::of({3}, indices).to(device())),
            (std::vector<double>{table.back(), table.front(), table[40'000]}));
  EXPECT_TRUE(
      look_up(centroids.to(device()), Tensor::zeros({0}, {DType::kInt64, device()})).empty());
}

TEST_P(KMeans, Nothing) {
  const Tensor values = Tensor::zeros({0}, {.device = device()});
  const Tensor indices = Tensor::zeros({0}, {DType::kInt64, device()});
  EXPECT_TRUE(assign(values, Tensor::zeros({3}, {.device = device()})).empty());
  EXPECT_EQ(sum(values, indices, 3), (Sums{{0, 0, 0}, {0, 0, 0}}));
}

TEST_P(KMeans, Errors) {
  const Tensor values = Tensor::zeros({4}, {.device = device()});
  const Tensor indices = Tensor::of<std::int64_t>({4}, {0, 1, 2, 1}).to(device());
  test::expect_error([&] { assign(values, Tensor::zeros({0}, {.device = device()})); },
                     {"assign_to_centroids", "1 to 65536", "float32 0"});
  test::expect_error([&] { assign(values, Tensor::zeros({65537}, {.device = device()})); },
                     {"assign_to_centroids", "65537"});
  test::expect_error(
      [&] {
        assign(values, Tensor::zeros({2}, {DType::kFloat64, device()}));
      },
      {"assign_to_centroids", "float64 2"});
  test::expect_error([&] { sum(values, indices.rows(0, 3), 3); }, {"centroid_sums", "int64 3"});
  test::expect_error([&] { sum(indices, indices, 3); }, {"centroid_sums", "int64"});
  test::expect_error([&] { look_up(Tensor::zeros({0}, {.device = device()}), indices); },
                     {"values_of_centroids", "1 to 65536"});
  const Tensor two = Tensor::of<float>({2}, {1, 2}).to(device());
  if (device().type == DeviceType::kCpu)
    test::expect_error([&] { look_up(two, indices); },
                       {"values_of_centroids", "index 2 of value 2", "[0, 2)"});
  else
    EXPECT_TRUE(std::isnan(look_up(two, indices)[2]));
  if (device().type == DeviceType::kCpu)
    test::expect_error([&] { sum(values, indices, 2); }, {"index 2 of value 2", "[0, 2)"});
  else
    EXPECT_TRUE(std::isnan(sum(values, indices, 2).sums[0]));
}

}  // namespace
}  // namespace concord
