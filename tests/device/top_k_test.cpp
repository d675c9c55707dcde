#include "engine/ops/top_k.h"

#include <algorithm>
#include <numeric>

#include "kernels/top_k.h"
#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

CONCORD_ON_EVERY_DEVICE(TopKs);

// The columns of a row in their order: a NaN first, then the greater, of equal ones the first.
std::vector<std::int64_t> order_of(const double* row, std::int64_t columns) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(columns));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t i, std::int64_t j) {
    if (std::isnan(row[i]) || std::isnan(row[j])) return std::isnan(row[i]) && !std::isnan(row[j]);
    return row[i] > row[j];
  });
  return order;
}

void check_top_k(Device device, const Tensor& logits, std::int64_t k, std::int64_t offset) {
  SCOPED_TRACE(logits.shape().to_string() + " " + std::string(name_of(logits.dtype())) + ", K " +
               std::to_string(k) + ", offset " + std::to_string(offset));
  const std::int64_t rows = logits.dim(0);
  const Tensor on_device = test::unaligned_on(device, logits, offset);
  Tensor indices = Tensor::full({rows, k}, -1, {DType::kInt64, device});
  Tensor values = Tensor::full({rows, k}, -77, {logits.dtype(), device});
  kernels::top_k(device, on_device.view(), indices.view(), values.view());
  const auto given = logits.to_vector<double>();
  const auto found = indices.to_vector<std::int64_t>();
  const auto greatest = values.to_vector<double>();
  for (std::int64_t n = 0; n < rows; ++n) {
    const double* row = given.data() + n * logits.dim(1);
    const auto order = order_of(row, logits.dim(1));
    for (std::int64_t r = 0; r < k; ++r) {
      const auto at = static_cast<std::size_t>(n * k + r);
      const std::int64_t expected = order[static_cast<std::size_t>(r)];
      ASSERT_EQ(found[at], expected) << "rank " << r << " of row " << n;
      if (std::isnan(row[expected]))
        ASSERT_TRUE(std::isnan(greatest[at])) << "rank " << r << " of row " << n;
      else
        ASSERT_EQ(greatest[at], row[expected]) << "rank " << r << " of row " << n;
    }
  }
}

// Of each kind of row one: no two alike; many alike; NaN, infinities and zeros of both signs among
// few numbers; all alike; descending; NaN only.
Tensor rows_of_all_kinds(std::int64_t columns) {
  random::Stream numbers(test::kSeed, static_cast<std::uint64_t>(columns));
  constexpr double kSpecial[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1, -1, 2, -2, -3};
  std::vector<double> values;
  for (int kind = 0; kind < 6; ++kind)
    for (std::int64_t i = 0; i < columns; ++i) {
      const double special = kSpecial[numbers.below(std::size(kSpecial))];
      const double of_kind[] = {numbers.normal(),
                                static_cast<double>(numbers.below(11)),
                                special,
                                -1,
                                -static_cast<double>(i),
                                NAN};
      values.push_back(of_kind[kind]);
    }
  return Tensor::of({6, columns}, values);
}

TEST_P(TopKs, OfRowsOfAllKinds) {
  in_every_order([&] {
    for (const std::int64_t columns : {1, 31, 33, 129})
      for (const std::int64_t k : {1, 5, 32})
        if (k <= columns) check_top_k(device(), rows_of_all_kinds(columns), k, columns % 2);
  });
  for (const DType dtype : test::dtypes_on(device()))
    for (const std::int64_t columns : test::kAwkwardSizes) {
      const std::int64_t k = std::min<std::int64_t>(columns, columns == 1025 ? 32 : 5);
      check_top_k(device(), rows_of_all_kinds(columns).to(dtype), k, columns % 2);
    }
}

// Every element comes before all that were seen.
TEST_P(TopKs, OfAnAscendingRow) {
  std::vector<double> values(130);
  std::iota(values.begin(), values.end(), -70);
  in_every_order([&] {
    for (const std::int64_t k : {1, 32}) check_top_k(device(), Tensor::of({1, 130}, values), k, 0);
  });
}

// Rows that leave warps without one, and more of them than a launch has warps.
TEST_P(TopKs, OfManyRows) {
  for (const std::int64_t rows : {3, 5, 2115})
    check_top_k(device(), test::random_tensor({rows, 2}, 1), 1, 1);
}

TEST_P(TopKs, AsAnOperation) {
  const Tensor logits = Tensor::of<float>({2, 3}, {1, 3, 2, 5, 5, 4}).to(device());
  const TopK best = top_k(logits, 2);
  EXPECT_EQ(best.indices.device(), device());
  EXPECT_EQ(best.indices.to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 2, 0, 1}));
  EXPECT_EQ(best.values.to_vector<float>(), (std::vector<float>{3, 2, 5, 5}));
  EXPECT_EQ(top_k(Tensor::zeros({0, 3}, {.device = device()}), 2).indices.shape(), Shape({0, 2}));
}

TEST_P(TopKs, Errors) {
  const Tensor logits = Tensor::zeros({2, 40}, {.device = device()});
  test::expect_error([&] { top_k(logits, 0); }, {"top_k: K is 0", "2x40"});
  test::expect_error([&] { top_k(logits, 33); }, {"top_k: K is 33", "at most 32"});
  test::expect_error([&] { top_k(logits.rows(0, 1).reshaped({8, 5}), 6); }, {"K is 6", "8x5"});
  test::expect_error([&] { top_k(logits.reshaped({80}), 1); }, {"top_k: logits [N,M]", "80"});
  test::expect_error(
      [&] {
        top_k(Tensor::zeros({2, 40}, {DType::kInt64, device()}), 1);
      },
      {"top_k", "int64"});
  Tensor indices = Tensor::zeros({2, 3}, {DType::kInt64, device()});
  Tensor values = Tensor::zeros({2, 3}, {DType::kFloat64, device()});
  test::expect_error(
      [&] { kernels::top_k(device(), logits.view(), indices.view(), values.view()); },
      {"top_k", "float32", "float64 2x3"});
}

}  // namespace
}  // namespace concord
