#include "kernels/memory.h"

#include "tests/device/support.h"

namespace concord {
namespace {

using test::random_tensor;

CONCORD_ON_EVERY_DEVICE(Memory);

std::vector<std::uint8_t> numbered(std::size_t count, std::size_t from) {
  std::vector<std::uint8_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>((i + from) % 251);
  return bytes;
}

TEST_P(Memory, BuffersAreAlignedAndApart) {
  std::vector<void*> buffers;
  constexpr std::size_t kSizes[] = {1, 63, 64, 65, 4096, 1 << 20};
  for (const std::size_t bytes : kSizes) {
    buffers.push_back(kernels::allocate(device(), bytes));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffers.back()) % 64, 0U) << bytes;
    kernels::copy_from_host(device(), buffers.back(), numbered(bytes, bytes).data(), bytes);
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    std::vector<std::uint8_t> bytes(kSizes[i]);
    kernels::copy_to_host(device(), bytes.data(), buffers[i], bytes.size());
    EXPECT_TRUE(bytes == numbered(kSizes[i], kSizes[i])) << kSizes[i];
    kernels::release(device(), buffers[i], kSizes[i]);
  }
}

TEST_P(Memory, Statistics) {
  constexpr std::size_t kBytes = 3 << 20;
  const kernels::MemoryStatistics before = kernels::memory_statistics(device());
  void* first = kernels::allocate(device(), kBytes);
  void* second = kernels::allocate(device(), kBytes);
  const kernels::MemoryStatistics during = kernels::memory_statistics(device());
  // The CPU's pool may hand out blocks that are larger by an eighth.
  EXPECT_GE(during.in_use, before.in_use + 2 * kBytes);
  EXPECT_LE(during.in_use, before.in_use + 2 * (kBytes + kBytes / 4));
  EXPECT_GE(during.peak_in_use, during.in_use);
  kernels::release(device(), first, kBytes);
  kernels::release(device(), second, kBytes);
  const kernels::MemoryStatistics after = kernels::memory_statistics(device());
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.peak_in_use, during.peak_in_use) << "a peak does not fall";
  kernels::release_cache(device());
  EXPECT_EQ(kernels::memory_statistics(device()).in_use, before.in_use);
  // A driver's pool may keep what lies beside a buffer in use.
  EXPECT_LE(kernels::memory_statistics(device()).cached, after.cached);
}

// A part of a buffer, and nothing beside it.
TEST_P(Memory, CopyAndZero) {
  const std::vector<std::uint8_t> source = numbered(1031, 1);
  std::vector<std::uint8_t> expected(1031, 9);
  const Tensor from = Tensor::of({1031}, source).to(device());
  Tensor to = test::unaligned_on(device(), Tensor::of({1031}, expected));
  auto* data = static_cast<std::uint8_t*>(to.view().data);
  kernels::copy(device(), data + 3, from.data<std::uint8_t>() + 5, 1000);
  kernels::zero(device(), data + 100, 33);
  std::copy_n(source.begin() + 5, 1000, expected.begin() + 3);
  std::fill_n(expected.begin() + 100, 33, std::uint8_t{0});
  const Tensor result = to.to(Device{});
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), result.data<std::uint8_t>()));
}

// There and back without a change, in every format and of every dtype; what was made on the device
// comes to the host.
TEST_P(Memory, TensorsToTheDeviceAndBack) {
  for (const MemoryFormat format : test::kMemoryFormats) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
      const Tensor x = random_tensor({2, 16, 3, 5}, 1).to(dtype).in_format(format);
      const Tensor on_device = x.to(device());
      EXPECT_EQ(on_device.device(), device());
      EXPECT_EQ(on_device.format(), format);
      EXPECT_EQ(on_device.dtype(), dtype);
      EXPECT_EQ(on_device.shape(), x.shape());
      const Tensor back = on_device.clone().to(Device{});
      EXPECT_EQ(back.device(), Device{});
      EXPECT_EQ(back.format(), format);
      EXPECT_EQ(back.to_vector<double>(), x.to_vector<double>()) << name_of(format);
      EXPECT_EQ(on_device.to_vector<double>(), x.to_vector<double>()) << name_of(format);
    }
  }
  const Tensor integers = Tensor::of<std::int64_t>({3}, {1LL << 60, -1, 0});
  EXPECT_EQ(integers.to(device()).to_vector<std::int64_t>(), integers.to_vector<std::int64_t>());
}

TEST_P(Memory, FilledTensors) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt64}) {
    Tensor x = Tensor::full({3, 11}, -7, {dtype, device()});
    EXPECT_EQ(x.to_vector<double>(), std::vector<double>(33, -7));
    x.rows(1, 2).fill(4);
    const auto values = x.to_vector<double>();
    for (std::size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(values[i], 11 <= i && i < 22 ? 4 : -7) << i;
    EXPECT_EQ(Tensor::zeros({33}, {dtype, device()}).to_vector<double>(), std::vector<double>(33));
  }
  EXPECT_EQ(Tensor::full({}, 2.5, {.device = device()}).item(), 2.5);
}

TEST_P(Memory, Formats) {
  const Tensor x = random_tensor({2, 7, 3, 5}, 1).to(device());
  const Tensor y = x.in_format(MemoryFormat::kChannelsLast);
  EXPECT_EQ(y.device(), device());
  EXPECT_NE(x.view().data, y.view().data);
  EXPECT_EQ(y.to_vector<double>(), x.to_vector<double>());
  EXPECT_EQ(y.in_format(MemoryFormat::kPlain).to_vector<double>(), x.to_vector<double>());
}

TEST_P(Memory, Nothing) {
  const Tensor x = Tensor::zeros({0, 3}, {.device = device()});
  EXPECT_EQ(x.to(Device{}).numel(), 0);
  EXPECT_EQ(Tensor::zeros({3, 0}).to(device()).clone().numel(), 0);
}

}  // namespace
}  // namespace concord
