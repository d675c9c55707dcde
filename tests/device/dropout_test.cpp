#include "kernels/dropout.h"

#include "kernels/philox.h"
#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Dropout);

constexpr std::uint64_t kSeed = 0x123456789ABCDEFU;
constexpr std::uint64_t kOffset = (std::uint64_t{1} << 40) + 3;

// From the declaration, word by word; the product is that of the dtype.
template <class T>
std::vector<T> expected_of(const std::vector<T>& x, double p) {
  random::Stream words(kSeed, kOffset);
  const auto factor = static_cast<Compute<T>>(1.0 / (1.0 - p));
  std::vector<T> y;
  for (const T v : x)
    y.push_back(static_cast<double>(random::uniform_float(words.next())) < p
                    ? T(0)
                    : static_cast<T>(static_cast<Compute<T>>(v) * factor));
  return y;
}

template <class T>
void check_bits(const Tensor& y, const std::vector<T>& expected, const std::string& what) {
  const auto values = y.to_vector<T>();
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(values[i], expected[i]) << what << ", element " << i;
}

template <class T>
void check_plain(Device device, std::int64_t size, double p) {
  const Tensor x = random_tensor({size}, 1).to(kDTypeOf<T>);
  const auto expected = expected_of(x.to_vector<T>(), p);
  for (const std::int64_t offset : {0, 1}) {
    const std::string what = std::string(name_of(kDTypeOf<T>)) + ", " + std::to_string(size) +
                             " from " + std::to_string(offset) + ", p " + std::to_string(p);
    const Tensor on_x = test::unaligned_on(device, x, offset);
    Tensor y = test::unaligned_on(device, Tensor::full({size}, NAN, x.options()), offset);
    kernels::dropout(device, on_x.view(), p, kSeed, kOffset, y.view());
    check_bits(y, expected, what);
    y.copy_from(on_x);
    kernels::dropout(device, std::as_const(y).view(), p, kSeed, kOffset, y.view());
    check_bits(y, expected, what + ", in place");
  }
}

TEST_P(Dropout, Plain) {
  in_every_order([&] {
    for (const std::int64_t size : test::kAwkwardSizes) {
      check_plain<float>(device(), size, 0.3);
      check_plain<double>(device(), size, 0.5);
      if (GetParam() == DeviceType::kCuda) check_plain<BFloat16>(device(), size, 0.3);
    }
    check_plain<float>(device(), 33, 0);
    check_plain<float>(device(), 33, 1 - 0x1.0p-20);
  });
}

// A block of numbers may begin in one channel and end in the next, and in the next sample.
TEST_P(Dropout, ChannelsLast) {
  in_every_order([&] {
    for (const Shape& shape :
         {Shape{1, 1, 1, 1}, Shape{3, 31, 1, 1}, Shape{2, 3, 5, 7}, Shape{2, 37, 3, 3},
          Shape{3, 2, 1, 2}, Shape{1, 16, 8, 8}, Shape{1, 521, 1, 3}, Shape{1, 3, 31, 33}}) {
      const auto check_type = [&]<class T>(T) {
        const Tensor x =
            random_tensor(shape, 1).to(kDTypeOf<T>).in_format(MemoryFormat::kChannelsLast);
        const Tensor on_x = x.to(device());
        Tensor y = Tensor::full(shape, NAN, x.options()).to(device());
        if (y.shares_storage(x)) y = y.clone();
        kernels::dropout(device(), on_x.view(), 0.4, kSeed, kOffset, y.view());
        check_bits(y, expected_of(x.to_vector<T>(), 0.4), shape.to_string());
        y.copy_from(on_x);
        kernels::dropout(device(), std::as_const(y).view(), 0.4, kSeed, kOffset, y.view());
        check_bits(y, expected_of(x.to_vector<T>(), 0.4), shape.to_string() + ", in place");
      };
      check_type(float{});
      check_type(double{});
      if (GetParam() == DeviceType::kCuda) check_type(BFloat16{});
    }
  });
}

// The same bits as the CPU's kernel, those of zeros too.
TEST_P(Dropout, BitsOfTheCpu) {
  const Tensor x = random_tensor({2, 21, 5, 7}, 2).to(DType::kFloat32);
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    const Tensor in = x.in_format(format);
    Tensor expected = Tensor::full(x.shape(), NAN, in.options());
    kernels::dropout(Device{}, in.view(), 0.25, kSeed, kOffset, expected.view());
    Tensor y = Tensor::full(x.shape(), NAN, in.options()).to(device());
    kernels::dropout(device(), in.to(device()).view(), 0.25, kSeed, kOffset, y.view());
    const Tensor values = y.to(Device{});
    EXPECT_EQ(0, std::memcmp(values.view().data, std::as_const(expected).view().data, x.bytes()))
        << name_of(format);
  }
}

// A dropped NaN is 0, a kept one stays.
TEST_P(Dropout, NaN) {
  const std::vector<float> values(64, NAN);
  Tensor y = Tensor::of({64}, values).to(device());
  kernels::dropout(device(), std::as_const(y).view(), 0.5, kSeed, kOffset, y.view());
  random::Stream words(kSeed, kOffset);
  for (const float v : y.to_vector<float>()) {
    const bool kept = random::uniform_float(words.next()) >= 0.5F;
    EXPECT_TRUE(kept ? std::isnan(v) : v == 0.0F);
  }
}

TEST_P(Dropout, Nothing) {
  for (const MemoryFormat format : {MemoryFormat::kPlain, MemoryFormat::kChannelsLast}) {
    for (const Shape& shape : {Shape{0, 3, 2, 2}, Shape{2, 0, 2, 2}, Shape{2, 3, 2, 0}}) {
      const Tensor x = Tensor::empty(shape, {DType::kFloat32, device(), format});
      Tensor y = Tensor::empty(shape, {DType::kFloat32, device(), format});
      kernels::dropout(device(), x.view(), 0.5, kSeed, kOffset, y.view());
    }
  }
}

TEST_P(Dropout, BlockedFormats) {
  if (GetParam() == DeviceType::kCpu) return;  // has them
  Tensor x = Tensor::zeros({1, 8, 2, 2}, {DType::kFloat32, device(), MemoryFormat::kBlocked8});
  test::expect_error(
      [&] { kernels::dropout(device(), std::as_const(x).view(), 0.5, kSeed, kOffset, x.view()); },
      {"dropout", "1x8x2x2", "blocked8"});
}

}  // namespace
}  // namespace concord
