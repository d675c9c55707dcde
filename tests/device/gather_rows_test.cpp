#include "kernels/gather_rows.h"

#include <cmath>

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(GatherRows);

void check_gather(Device device, const Tensor& from, const std::vector<std::int64_t>& rows,
                  std::int64_t offset) {
  const auto all = from.to_vector<double>();
  const std::int64_t length = from.numel() / from.dim(0);
  std::vector<double> expected;
  for (const std::int64_t row : rows)
    expected.insert(expected.end(), all.begin() + row * length, all.begin() + (row + 1) * length);
  Tensor to = test::unaligned_on(
      device, Tensor::full(from.shape().with(0, std::ssize(rows)), 77, {.dtype = from.dtype()}),
      offset);
  kernels::gather_rows(device, test::unaligned_on(device, from, offset).view(), rows, to.view());
  EXPECT_EQ(to.to_vector<double>(), expected) << from.shape().to_string() << ", offset " << offset;
}

TEST_P(GatherRows, InAnyOrder) {
  in_every_order([&] {
    for (const std::int64_t length : test::kAwkwardSizes) {
      for (const std::int64_t offset : {0, 1}) {
        check_gather(device(), random_tensor({5, length}, 1).to(DType::kFloat32), {3, 0, 3, 4},
                     offset);
        check_gather(device(), random_tensor({2, length}, 2), {1}, offset);
      }
    }
  });
}

TEST_P(GatherRows, MoreThanALaunchTakes) {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < 517; ++i) rows.push_back(i * 7 % 13);
  check_gather(device(), random_tensor({13, 4}, 1).to(DType::kFloat32), rows, 0);
}

TEST_P(GatherRows, NothingAndErrors) {
  const Tensor from = random_tensor({3, 2}, 1).to(DType::kFloat32).to(device());
  Tensor none = Tensor::empty({0, 2}, {.device = device()});
  kernels::gather_rows(device(), from.view(), std::vector<std::int64_t>{}, none.view());
  Tensor one = Tensor::empty({1, 2}, {.device = device()});
  const auto gather = [&](const std::vector<std::int64_t>& rows) {
    kernels::gather_rows(device(), from.view(), rows, one.view());
  };
  test::expect_error([&] { gather({3}); }, {"no row 3", "3x2"});
  test::expect_error([&] { gather({-1}); }, {"no row -1"});
  test::expect_error([&] { gather({0, 1}); }, {"2 rows of 3x2", "1x2"});
}

}  // namespace
}  // namespace concord
