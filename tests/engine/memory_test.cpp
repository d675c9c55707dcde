#include "kernels/memory.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "engine/tensor.h"
#include "kernels/philox.h"
#include "tests/expect_error.h"
#include "tests/gradient_check.h"

namespace concord::kernels {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
// What the pool may keep beyond the most that was ever in use.
constexpr std::size_t kSlack = 64 * kMiB;

MemoryStatistics statistics() { return memory_statistics(Device{}); }

Tensor buffer(std::size_t bytes) {
  return Tensor::empty({static_cast<std::int64_t>(bytes)}, {.dtype = DType::kUInt8});
}

TEST(MemoryPool, AFreedBufferIsHandedOutAgain) {
  release_cache(Device{});
  Tensor first = buffer(10 * kMiB);
  const void* data = first.view().data;
  first = {};
  EXPECT_EQ(statistics().cached, 10 * kMiB);
  // At most an eighth is left over.
  const Tensor close = buffer(9 * kMiB);
  EXPECT_EQ(close.view().data, data);
  EXPECT_EQ(statistics().cached, 0U);
  const Tensor far = buffer(5 * kMiB);
  EXPECT_NE(far.view().data, data);
}

// Whatever the sizes: nothing overlaps, the books balance, and what the process holds is bounded by
// what it once needed.
TEST(MemoryPool, ManySizes) {
  release_cache(Device{});
  const std::size_t before = statistics().in_use;
  random::Stream numbers(20240607);
  std::vector<Tensor> held(40);
  std::vector<std::uint8_t> marks(held.size());
  for (int step = 0; step < 4000; ++step) {
    const std::size_t at = numbers.below(held.size());
    if (held[at].defined()) {
      const auto* bytes = held[at].data<std::uint8_t>();
      ASSERT_EQ(bytes[0], marks[at]);
      ASSERT_EQ(bytes[held[at].numel() - 1], marks[at]);
    }
    held[at] = {};
    // From a byte to 4 MiB, evenly in the logarithm.
    held[at] = buffer(1 + numbers.below(std::uint64_t{1} << numbers.below(23)));
    marks[at] = static_cast<std::uint8_t>(step);
    auto* bytes = held[at].data<std::uint8_t>();
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(bytes) % 64, 0U);
    bytes[0] = bytes[held[at].numel() - 1] = marks[at];
    const MemoryStatistics now = statistics();
    ASSERT_LE(now.in_use + now.cached, now.peak_in_use + kSlack);
  }
  held.clear();
  EXPECT_EQ(statistics().in_use, before);
  release_cache(Device{});
  EXPECT_EQ(statistics().cached, 0U);
}

// The buffers of one batch size do not stay beside those of the next: none of them fits it.
TEST(MemoryPool, AnotherSizeTakesThePlaceOfTheLast) {
  release_cache(Device{});
  const auto fill = [](std::size_t bytes, std::size_t count) {
    std::vector<Tensor> held;
    for (std::size_t i = 0; i < count; ++i) held.push_back(buffer(bytes));
    const MemoryStatistics now = statistics();
    EXPECT_LE(now.in_use + now.cached, now.peak_in_use + kSlack) << bytes << " bytes";
  };
  // Twice the slack and more, none of it touched.
  fill(16 * kMiB, 32);
  fill(10 * kMiB, 48);
  fill(20 * kMiB, 25);
}

TEST(MemoryPool, TooMuchIsAnErrorThatSaysWhatToDo) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer ends the program where the system would say no";
#endif
  test::expect_error([] { buffer(std::size_t{1} << 55); },
                     {"out of memory on cpu", "36028797018963968 bytes", "--batch-size"});
}

// Every pair of formats, by the place of each element as the formats define it. Whole tiles of the
// float32 transposition, overlapping ones, images and groups too small for one.
TEST(Convert, AgreesWithTheLayouts) {
  for (const Shape& shape : {Shape{2, 32, 4, 4}, Shape{1, 48, 5, 7}, Shape{2, 24, 3, 3},
                             Shape{3, 16, 3, 5}, Shape{2, 21, 5, 4}, Shape{1, 16, 1, 1}}) {
    for (const MemoryFormat from_format : test::kMemoryFormats) {
      for (const MemoryFormat to_format : test::kMemoryFormats) {
        if (!supports(from_format, shape) || !supports(to_format, shape)) continue;
        const auto place = [&](MemoryFormat format, std::int64_t n, std::int64_t c,
                               std::int64_t s) {
          const ChannelLayout layout = channel_layout(shape, format);
          return ((n * layout.groups + c / layout.lanes) * layout.spatial + s) * layout.lanes +
                 c % layout.lanes;
        };
        const auto check_as = [&]<class From, class To>(From, To) {
          Tensor from = Tensor::empty(shape, {kDTypeOf<From>, {}, from_format});
          Tensor to = Tensor::empty(shape, {kDTypeOf<To>, {}, to_format});
          for (std::int64_t i = 0; i < shape.numel(); ++i)
            from.data<From>()[i] = static_cast<From>(i);
          convert(Device{}, std::as_const(from).view(), to.view());
          for (std::int64_t n = 0; n < shape[0]; ++n)
            for (std::int64_t c = 0; c < shape[1]; ++c)
              for (std::int64_t s = 0; s < shape[2] * shape[3]; ++s)
                ASSERT_EQ(to.data<To>()[place(to_format, n, c, s)],
                          static_cast<To>(place(from_format, n, c, s)))
                    << shape.to_string() << " from " << name_of(from_format) << " to "
                    << name_of(to_format) << " at " << n << ", " << c << ", " << s;
        };
        check_as(float{}, float{});
        check_as(float{}, double{});
        check_as(double{}, float{});
      }
    }
  }
}

}  // namespace
}  // namespace concord::kernels
