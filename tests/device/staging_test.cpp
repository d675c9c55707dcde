#include "engine/staging.h"

#include <numeric>

#include "tests/device/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

CONCORD_ON_EVERY_DEVICE(StagingOnDevice);

std::vector<float> numbered(std::int64_t count, std::int64_t batch) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), static_cast<float>(1000 * batch));
  return values;
}

// A batch of two tensors as a reader fills them, in buffers that come back from older batches.
std::vector<Tensor> filled(PinnedBuffers& buffers, std::int64_t rows, std::int64_t number) {
  Tensor a = buffers.rows({4, 33}, rows);
  Tensor b = buffers.rows({4, 7}, rows, DType::kUInt8);
  const auto values = numbered(a.numel(), number);
  std::copy(values.begin(), values.end(), a.data<float>());
  std::fill_n(b.data<std::uint8_t>(), b.numel(), static_cast<std::uint8_t>(number));
  return {a, b};
}

void expect_filled(const std::vector<Tensor>& batch, std::int64_t rows, std::int64_t number,
                   Device device) {
  ASSERT_EQ(batch.size(), 2U);
  EXPECT_EQ(batch[0].device(), device);
  EXPECT_EQ(batch[0].shape(), Shape({rows, 33}));
  EXPECT_EQ(batch[0].to_vector<float>(), numbered(rows * 33, number)) << "batch " << number;
  const Tensor bytes = batch[1].to(Device{});
  EXPECT_EQ(bytes.shape(), Shape({rows, 7}));
  for (std::int64_t i = 0; i < bytes.numel(); ++i)
    EXPECT_EQ(bytes.data<std::uint8_t>()[i], static_cast<std::uint8_t>(number)) << i;
}

// Many batches through few buffers, the last smaller, with nothing but the caller's handles to keep
// a device tensor.
TEST_P(StagingOnDevice, BatchesComeInOrder) {
  constexpr std::int64_t kBatches = 23;
  for (const std::size_t depth : {1, 2, 3}) {
    SCOPED_TRACE(fmt::format("depth {}", depth));
    PinnedBuffers buffers(device());
    Staging staging(device(), depth);
    const auto rows_of = [](std::int64_t batch) { return batch + 1 < kBatches ? 4 : 1; };
    std::int64_t begun = 0;
    std::vector<Tensor> first;
    for (std::int64_t number = 0; number < kBatches; ++number) {
      for (; !staging.full() && begun < kBatches; ++begun)
        staging.put(filled(buffers, rows_of(begun), begun));
      const std::vector<Tensor> batch = staging.take();
      expect_filled(batch, rows_of(number), number, device());
      if (number == 0) first = batch;
    }
    EXPECT_TRUE(staging.empty());
    expect_filled(first, 4, 0, device());
    if (device().type == DeviceType::kCpu) {
      EXPECT_EQ(buffers.bytes(), 0U);
    } else {
      // Those on their way, those just copied and the one being filled.
      EXPECT_LE(buffers.bytes(), (depth + 2) * 4 * (33 * 4 + 7));
      EXPECT_GE(buffers.bytes(), (depth + 1) * 4 * (33 * 4 + 7));
    }
  }
}

TEST_P(StagingOnDevice, GathersRows) {
  PinnedBuffers buffers(device());
  Tensor a = buffers.rows({9, 5, 3}, 9);
  Tensor b = buffers.rows({9, 1}, 9);
  std::iota(a.data<float>(), a.data<float>() + 135, 0.0F);
  std::iota(b.data<float>(), b.data<float>() + 9, 1000.0F);
  const std::vector<std::int64_t> orders[] = {
      {0, 1, 2, 3}, {8, 0, 1, 1, 7, 8}, {5}, {}, {8, 7, 6, 5, 4, 3, 2, 1, 0}, {2, 3, 4, 0, 1}};
  Staging staging(device());
  std::size_t begun = 0;
  for (const auto& rows : orders) {
    while (!staging.full() && begun < std::size(orders)) staging.put_rows({a, b}, orders[begun++]);
    const std::vector<Tensor> batch = staging.take();
    std::vector<float> expected_a, expected_b;
    for (const std::int64_t row : rows) {
      for (int i = 0; i < 15; ++i) expected_a.push_back(static_cast<float>(row * 15 + i));
      expected_b.push_back(static_cast<float>(1000 + row));
    }
    EXPECT_EQ(batch[0].shape(), Shape({std::ssize(rows), 5, 3}));
    EXPECT_EQ(batch[0].to_vector<float>(), expected_a);
    EXPECT_EQ(batch[1].to_vector<float>(), expected_b);
  }
}

TEST_P(StagingOnDevice, FormatsAndNothing) {
  const Tensor last = test::random_tensor({2, 16, 3, 5}, 1).in_format(MemoryFormat::kChannelsLast);
  Staging staging(device());
  staging.put({last, Tensor::zeros({0, 3})});
  staging.put({});
  const auto batch = staging.take();
  EXPECT_EQ(batch[0].format(), MemoryFormat::kChannelsLast);
  EXPECT_EQ(batch[0].to_vector<double>(), last.to_vector<double>());
  EXPECT_EQ(batch[1].shape(), Shape({0, 3}));
  EXPECT_TRUE(staging.take().empty());
}

// Batches that nobody took, and a Staging that ends with some.
TEST_P(StagingOnDevice, IsAbandoned) {
  PinnedBuffers buffers(device());
  {
    Staging staging(device());
    staging.put(filled(buffers, 4, 1));
    staging.put(filled(buffers, 4, 2));
    staging.clear();
    EXPECT_TRUE(staging.empty());
    staging.put(filled(buffers, 4, 3));
    staging.put(filled(buffers, 2, 4));
    expect_filled(staging.take(), 4, 3, device());
  }
  const auto refilled = filled(buffers, 4, 5);
  expect_filled(refilled, 4, 5, Device{});
}

TEST_P(StagingOnDevice, Errors) {
  test::expect_error([&] { Staging(device(), 0); }, {"staging", "depth of 0"});
  Staging staging(device(), 1);
  test::expect_error([&] { staging.take(); }, {"staging", "no batch"});
  const Tensor x = Tensor::zeros({3, 2});
  if (device().type != DeviceType::kCpu)
    test::expect_error([&] { staging.put({x.to(device())}); }, {"staging", "3x2", "cuda:0"});
  test::expect_error(
      [&] {
        staging.put_rows({x}, std::vector<std::int64_t>{0, 3});
      },
      {"no row 3", "3x2"});
  test::expect_error([&] { PinnedBuffers(device()).rows({3, 2}, 4); }, {"4 rows", "3x2"});
  staging.put({x});
  test::expect_error([&] { staging.put({x}); }, {"staging", "all 1 places"});
  EXPECT_EQ(staging.take()[0].to_vector<float>(), std::vector<float>(6));
}

#if defined(CONCORD_SIMT)

// The emulation puts copies off, and so shows what goes wrong on a GPU now and then only. These
// tests do it wrong.
class DeferredCopies : public ::testing::Test {
 protected:
  static constexpr Device kCuda = {DeviceType::kCuda, 0};
  static std::unique_ptr<kernels::Transfer> start(Tensor& to, const Tensor& from) {
    const kernels::CopyRun run{to.view().data, from.view().data, from.bytes()};
    return kernels::start_transfer(kCuda, std::span(&run, 1));
  }
  void SetUp() override { ASSERT_EQ(simt::take_transfer_problem(), ""); }
  void TearDown() override { EXPECT_EQ(simt::take_transfer_problem(), ""); }

  PinnedBuffers buffers_{kCuda};
};

TEST_F(DeferredCopies, WithoutAWaitTheTargetIsUnwritten) {
  Tensor from = buffers_.rows({1, 5}, 1);
  from.fill(3);
  Tensor first = Tensor::empty({1, 5}, {.device = kCuda});
  Tensor second = Tensor::empty({1, 5}, {.device = kCuda});
  const auto one = start(first, from);
  const auto two = start(second, from);
  EXPECT_EQ(simt::pending_transfers(), 2U);
  for (const Tensor& target : {first, second})
    for (const float value : target.to_vector<float>()) EXPECT_TRUE(std::isnan(value));
  // In the order of the stream.
  two->wait_on_device();
  EXPECT_EQ(simt::pending_transfers(), 0U);
  EXPECT_EQ(first.to_vector<float>(), std::vector<float>(5, 3));
  EXPECT_EQ(second.to_vector<float>(), std::vector<float>(5, 3));
}

TEST_F(DeferredCopies, ASourceThatIsWrittenTooEarly) {
  Tensor from = buffers_.rows({1, 5}, 1);
  from.fill(3);
  Tensor to = Tensor::empty({1, 5}, {.device = kCuda});
  auto transfer = start(to, from);
  from.fill(4);
  transfer->wait_on_device();
  EXPECT_EQ(to.to_vector<float>(), std::vector<float>(5, 4)) << "not what was asked for";
  // The device was told to wait; the host does not know that it has got there.
  from.fill(5);
  transfer->wait_on_host();
  EXPECT_NE(simt::take_transfer_problem(), "");
  from.fill(6);
  transfer.reset();
  EXPECT_EQ(simt::take_transfer_problem(), "") << "after the end it may be written";
}

TEST_F(DeferredCopies, BuffersThatAreGivenBackTooEarly) {
  constexpr std::size_t kBytes = 64;
  void* from = kernels::allocate_pinned(kCuda, kBytes);
  void* to = kernels::allocate(kCuda, kBytes);
  const kernels::CopyRun run{to, from, kBytes};
  const auto transfer = kernels::start_transfer(kCuda, std::span(&run, 1));
  simt::check_released(to, kBytes);
  EXPECT_NE(simt::take_transfer_problem(), "");
  simt::check_released(from, kBytes);
  EXPECT_NE(simt::take_transfer_problem(), "");
  transfer->wait_on_device();
  simt::check_released(to, kBytes);
  EXPECT_EQ(simt::take_transfer_problem(), "");
  simt::check_released(from, kBytes);
  EXPECT_NE(simt::take_transfer_problem(), "");
  transfer->wait_on_host();
  kernels::release(kCuda, to, kBytes);
  kernels::release_pinned(kCuda, from, kBytes);
}

// A caller that writes a host tensor while the Staging still holds it.
TEST_F(DeferredCopies, AStagedTensorThatIsWritten) {
  Staging staging(kCuda);
  Tensor host = buffers_.rows({1, 5}, 1);
  host.fill(1);
  staging.put({host});
  const auto batch = staging.take();
  host.fill(2);
  staging.clear();
  EXPECT_NE(simt::take_transfer_problem(), "");
}

#endif

}  // namespace
}  // namespace concord
