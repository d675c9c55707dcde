#include "kernels/arithmetic.h"

#include "tests/device/support.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Arithmetic);

Tensor missing(Device device, const Tensor& like, std::int64_t offset) {
  return test::unaligned_on(device, Tensor::full(like.shape(), NAN, like.options()), offset);
}

// Runs `run(a, b, result)` on aligned and unaligned buffers of every awkward size, also with
// `result` for a and for b, and compares it with expected(a, b) element by element. One operation
// of IEEE 754 is exact up to one rounding, which the dtype's own operation gives.
template <class T, class Expected, class Run>
void check_type(Device device, Expected expected, Run run) {
  for (const std::int64_t size : test::kAwkwardSizes) {
    const Tensor a = random_tensor({size}, 1, -3, 3).to(kDTypeOf<T>);
    const Tensor b = random_tensor({size}, 2, -3, 3).to(kDTypeOf<T>);
    const auto left = a.to_vector<T>();
    const auto right = b.to_vector<T>();
    const auto check = [&](const Tensor& result, const char* where, std::int64_t offset) {
      const auto values = result.to_vector<T>();
      for (std::size_t i = 0; i < values.size(); ++i)
        ASSERT_EQ(values[i], static_cast<T>(expected(static_cast<Compute<T>>(left[i]),
                                                     static_cast<Compute<T>>(right[i]))))
            << name_of(kDTypeOf<T>) << ", element " << i << " of " << size << " from " << offset
            << ", result " << where;
    };
    for (const std::int64_t offset : {0, 1}) {
      Tensor on_a = test::unaligned_on(device, a, offset);
      Tensor on_b = test::unaligned_on(device, b, offset);
      Tensor result = missing(device, a, offset);
      run(std::as_const(on_a).view(), std::as_const(on_b).view(), result.view());
      check(result, "apart", offset);
      Tensor left_too = missing(device, a, offset);
      left_too.copy_from(on_a);
      run(std::as_const(left_too).view(), std::as_const(on_b).view(), left_too.view());
      check(left_too, "over a", offset);
    }
    // Only one of the three unaligned.
    for (int which = 0; which < 3; ++which) {
      const Tensor on_a = test::unaligned_on(device, a, which == 0);
      Tensor on_b = test::unaligned_on(device, b, which == 1);
      Tensor result = missing(device, a, which == 2);
      run(on_a.view(), std::as_const(on_b).view(), result.view());
      check(result, "apart", which);
    }
  }
}

template <class Expected, class Run>
void check_elementwise(Device device, Expected expected, Run run) {
  check_type<float>(device, expected, run);
  check_type<double>(device, expected, run);
  if (device.type == DeviceType::kCuda) check_type<BFloat16>(device, expected, run);
}

TEST_P(Arithmetic, Add) {
  in_every_order([&] {
    check_elementwise(
        device(), [](auto a, auto b) { return a + b; },
        [&](auto a, auto b, auto result) { kernels::add(device(), a, b, result); });
  });
}

TEST_P(Arithmetic, Multiply) {
  in_every_order([&] {
    check_elementwise(
        device(), [](auto a, auto b) { return a * b; },
        [&](auto a, auto b, auto result) { kernels::multiply(device(), a, b, result); });
  });
}

TEST_P(Arithmetic, Scale) {
  in_every_order([&] {
    check_elementwise(
        device(), [](auto a, auto) { return static_cast<decltype(a)>(0.3) * a; },
        [&](auto a, auto, auto result) { kernels::scale(device(), a, 0.3, result); });
  });
}

// The second operand may be the result, and both may be one.
TEST_P(Arithmetic, OverTheSecond) {
  const Tensor a = random_tensor({1025}, 1).to(DType::kFloat32);
  const Tensor b = random_tensor({1025}, 2).to(DType::kFloat32);
  Tensor result = missing(device(), b, 0);
  result.copy_from(b.to(device()));
  kernels::multiply(device(), a.to(device()).view(), std::as_const(result).view(), result.view());
  kernels::add(device(), std::as_const(result).view(), std::as_const(result).view(), result.view());
  const auto left = a.to_vector<float>();
  const auto right = b.to_vector<float>();
  const auto values = result.to_vector<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(values[i], 2 * (left[i] * right[i])) << i;
}

TEST_P(Arithmetic, NaN) {
  const Tensor a = Tensor::of<float>({3}, {NAN, 0, INFINITY}).to(device());
  const Tensor b = Tensor::of<float>({3}, {1, INFINITY, -INFINITY}).to(device());
  Tensor result = missing(device(), a.to(Device{}), 0);
  kernels::add(device(), a.view(), b.view(), result.view());
  EXPECT_TRUE(std::isnan(result.to_vector<float>()[0]));
  EXPECT_EQ(result.to_vector<float>()[1], INFINITY);
  EXPECT_TRUE(std::isnan(result.to_vector<float>()[2]));
  kernels::multiply(device(), a.view(), b.view(), result.view());
  EXPECT_TRUE(std::isnan(result.to_vector<float>()[0]));
  EXPECT_TRUE(std::isnan(result.to_vector<float>()[1]));
  EXPECT_EQ(result.to_vector<float>()[2], -INFINITY);
}

// Threads without an element, one block and several.
TEST_P(Arithmetic, Sum) {
  in_every_order([&] {
    for (const std::int64_t size : {0, 1, 3, 31, 33, 1023, 1025, 4099}) {
      const Tensor exact = random_tensor({size}, 1, 0, 1);
      for (const DType dtype : test::dtypes_on(device())) {
        const Tensor a = exact.to(dtype);
        double expected = 0;
        for (const double v : a.to_vector<double>()) expected += v;
        for (const std::int64_t offset : {0, 1}) {
          const Tensor on_a = test::unaligned_on(device(), a, offset);
          Tensor result = missing(device(), Tensor::zeros({1}, {.dtype = compute_dtype(dtype)}), 0);
          kernels::sum(device(), on_a.view(), result.view());
          // One rounding to float, or those of the additions in double in another order.
          EXPECT_NEAR(result.item(), expected, expected * (dtype == DType::kFloat64 ? 1e-14 : 6e-8))
              << size << " " << name_of(dtype) << " from " << offset;
        }
      }
    }
  });
}

// More blocks than the last step has threads; float additions would lose half the digits.
TEST_P(Arithmetic, SumOfManyBlocks) {
  const std::int64_t size = 270001;
  Tensor result = missing(device(), Tensor::zeros({1}), 0);
  kernels::sum(device(), Tensor::full({size}, 0.1, {.device = device()}).view(), result.view());
  const double expected = static_cast<double>(size) * static_cast<double>(0.1F);
  EXPECT_NEAR(result.item(), expected, expected * 6e-8);
}

TEST_P(Arithmetic, SumIsTheSameEachTime) {
  const Tensor a = random_tensor({4099}, 1).to(device());
  Tensor result = Tensor::zeros({1}, {DType::kFloat64, device()});
  kernels::sum(device(), a.view(), result.view());
  const double first = result.item();
  in_every_order([&] {
    kernels::sum(device(), a.view(), result.view());
    EXPECT_EQ(result.item(), first);
  });
}

TEST_P(Arithmetic, SumOfNaN) {
  std::vector<float> values(1025, 1);
  values[1024] = NAN;
  Tensor result = Tensor::zeros({1}, {.device = device()});
  kernels::sum(device(), Tensor::of({1025}, values).to(device()).view(), result.view());
  EXPECT_TRUE(std::isnan(result.item()));
}

// One that is not, wherever it stands.
TEST_P(Arithmetic, AllFinite) {
  in_every_order([&] {
    const auto check_values = [&]<class T>(T) {
      for (const std::int64_t size : {1, 33, 1025}) {
        std::vector<T> values(static_cast<std::size_t>(size), static_cast<T>(3.3e38));
        const auto all_finite = [&] {
          const Tensor a = test::unaligned_on(device(), Tensor::of({size}, values), size % 2);
          return kernels::all_finite(device(), a.view());
        };
        EXPECT_TRUE(all_finite()) << size;
        for (const std::size_t at : {std::size_t{0}, values.size() / 2, values.size() - 1}) {
          for (const double bad : {double{NAN}, double{INFINITY}, -double{INFINITY}}) {
            const T before = std::exchange(values[at], static_cast<T>(bad));
            EXPECT_FALSE(all_finite()) << bad << " at " << at << " of " << size;
            values[at] = before;
          }
        }
      }
    };
    check_values(float{});
    check_values(double{});
    if (GetParam() == DeviceType::kCuda) check_values(BFloat16{});
    EXPECT_TRUE(kernels::all_finite(device(), Tensor::zeros({0}, {.device = device()}).view()));
  });
}

TEST_P(Arithmetic, Nothing) {
  Tensor x = Tensor::zeros({0, 3}, {.device = device()});
  kernels::add(device(), std::as_const(x).view(), std::as_const(x).view(), x.view());
  kernels::scale(device(), std::as_const(x).view(), 2, x.view());
}

}  // namespace
}  // namespace concord
