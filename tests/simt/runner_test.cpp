// The host runner itself: that correct kernels give what a GPU gives, and above all that wrong ones
// are caught.

#include "kernels/simt/runner.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "kernels/cuda/device.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

using cuda::launch;
using cuda::shared_memory;
using test::expect_error;

constexpr std::uint64_t kSeeds[] = {0, 1, 2, 3};

class Simt : public ::testing::Test {
 protected:
  ~Simt() override { simt::set_seed(0); }
};

__global__ void write_places(int* to) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  to[block * (blockDim.x * blockDim.y * blockDim.z) + thread] += static_cast<int>(thread) + 1;
}

TEST_F(Simt, EveryThreadRunsOnce) {
  for (std::uint64_t seed : kSeeds) {
    simt::set_seed(seed);
    std::vector<int> values(2 * 3 * 2 * 5 * 2 * 3);
    launch(write_places, {{2, 3, 2}, {5, 2, 3}}, values.data());
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], static_cast<int>(i % 30) + 1) << "seed " << seed;
  }
}

__global__ void reverse(const float* from, float* to, bool with_barrier) {
  float* const shared = shared_memory<float>();
  shared[threadIdx.x] = from[threadIdx.x];
  if (with_barrier) __syncthreads();
  to[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

std::vector<float> reversed(unsigned count, bool with_barrier) {
  std::vector<float> from(count), to(count);
  for (unsigned i = 0; i < count; ++i) from[i] = static_cast<float>(i);
  launch(reverse, {1, count, count * sizeof(float)}, from.data(), to.data(), with_barrier);
  return to;
}

TEST_F(Simt, SharedMemoryPassesABarrier) {
  for (std::uint64_t seed : kSeeds) {
    simt::set_seed(seed);
    for (unsigned count : {1U, 31U, 33U, 1024U}) {
      const auto to = reversed(count, true);
      for (unsigned i = 0; i < count; ++i)
        ASSERT_EQ(to[i], static_cast<float>(count - 1 - i)) << count << " threads, seed " << seed;
    }
  }
}

TEST_F(Simt, AMissingBarrierShowsInEveryOrder) {
  for (std::uint64_t seed : kSeeds) {
    simt::set_seed(seed);
    bool wrong = false;
    const auto to = reversed(64, false);
    for (unsigned i = 0; i < 64; ++i) wrong = wrong || to[i] != static_cast<float>(63 - i);
    EXPECT_TRUE(wrong) << "seed " << seed;
  }
}

__global__ void record_order(std::vector<unsigned>* order) {
  order->push_back(blockIdx.x * blockDim.x + threadIdx.x);
}

TEST_F(Simt, TheSeedPermutesBlocksAndThreads) {
  std::set<std::vector<unsigned>> orders;
  for (std::uint64_t seed : kSeeds) {
    simt::set_seed(seed);
    std::vector<unsigned> once, again;
    launch(record_order, {4, 32}, &once);
    launch(record_order, {4, 32}, &again);
    EXPECT_EQ(once, again) << "seed " << seed;
    orders.insert(once);
  }
  EXPECT_EQ(orders.size(), std::size(kSeeds));
}

__global__ void half_waits() {
  if (threadIdx.x < 16) __syncthreads();
}
__global__ void waits_at_two_places() {
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void some_return_before_the_barrier(int* to) {
  if (threadIdx.x == 5) return;
  __syncthreads();
  to[threadIdx.x] = 1;
}

TEST_F(Simt, DivergentBarriersAreErrors) {
  for (std::uint64_t seed : kSeeds) {
    simt::set_seed(seed);
    expect_error(
        [] {
          launch(half_waits, {1, 32});
        },
        {"divergent barrier", "waits at", "runner_test.cpp", "has ended"});
    expect_error(
        [] {
          launch(waits_at_two_places, {1, 32});
        },
        {"divergent barrier", "thread (0, 0, 0) waits at", "thread (16, 0, 0) waits at"});
    std::vector<int> to(8);
    expect_error(
        [&] {
          launch(some_return_before_the_barrier, {1, 8}, to.data());
        },
        {"divergent barrier", "thread (5, 0, 0) has ended"});
  }
}

__global__ void warp_sum(float* to) {
  float value = static_cast<float>(threadIdx.x);
  for (unsigned step = 16; step > 0; step /= 2) value += __shfl_down_sync(~0U, value, step);
  if (threadIdx.x % 32 == 0) to[threadIdx.x / 32] = value;
}
__global__ void shuffles(int* to) {
  const int lane = static_cast<int>(threadIdx.x);
  to[lane] = __shfl_sync(~0U, lane, 3);
  to[32 + lane] = __shfl_up_sync(~0U, lane, 2);
  to[64 + lane] = __shfl_xor_sync(~0U, lane, 5);
  to[96 + lane] = __shfl_down_sync(~0U, lane, 1, 8);
  to[128 + lane] = static_cast<int>(__ballot_sync(~0U, lane % 3 == 0));
  to[160 + lane] = (__any_sync(~0U, lane == 7) ? 1 : 0) + (__all_sync(~0U, lane < 31) ? 2 : 0);
}
__global__ void half_warps(int* to) {
  const int lane = static_cast<int>(threadIdx.x);
  const unsigned mask = lane < 16 ? 0xFFFFU : 0xFFFF0000U;
  to[lane] = __shfl_xor_sync(mask, lane, 1);
  if (lane < 16) to[lane] += __shfl_sync(0xFFFFU, lane, 15);
}

TEST_F(Simt, WarpOperations) {
  for (std::uint64_t seed : kSeeds) {
    simt::set_seed(seed);
    std::vector<float> sums(3);
    launch(warp_sum, {1, 96}, sums.data());
    EXPECT_EQ(sums, (std::vector<float>{496, 496 + 1024, 496 + 2048})) << "seed " << seed;
    std::vector<int> to(192);
    launch(shuffles, {1, 32}, to.data());
    unsigned thirds = 0;
    for (unsigned l = 0; l < 32; l += 3) thirds |= 1U << l;
    for (int l = 0; l < 32; ++l) {
      const auto at = [&](int row) { return to[static_cast<std::size_t>(32 * row + l)]; };
      ASSERT_EQ(at(0), 3);
      ASSERT_EQ(at(1), l < 2 ? l : l - 2);
      ASSERT_EQ(at(2), l ^ 5);
      ASSERT_EQ(at(3), l % 8 == 7 ? l : l + 1);
      ASSERT_EQ(static_cast<unsigned>(at(4)), thirds);
      ASSERT_EQ(at(5), 1);
    }
    std::vector<int> halves(32);
    launch(half_warps, {1, 32}, halves.data());
    for (int l = 0; l < 32; ++l)
      ASSERT_EQ(halves[static_cast<std::size_t>(l)], (l ^ 1) + (l < 16 ? 15 : 0));
  }
}

__global__ void shuffle_without_the_upper_half(float* to) {
  if (threadIdx.x >= 16) return;
  to[threadIdx.x] = __shfl_down_sync(~0U, to[threadIdx.x], 1);
}
__global__ void shuffle_outside_the_mask(float* to) {
  if (threadIdx.x < 4) to[threadIdx.x] = __shfl_sync(0xFU, to[threadIdx.x], 9);
}
__global__ void own_lane_left_out(float* to) {
  to[threadIdx.x] = __shfl_sync(0xFU, to[threadIdx.x], 0);
}

TEST_F(Simt, DivergentWarpsAreErrors) {
  std::vector<float> to(32);
  for (std::uint64_t seed : kSeeds) {
    simt::set_seed(seed);
    expect_error(
        [&] {
          launch(shuffle_without_the_upper_half, {1, 32}, to.data());
        },
        {"divergent warp", "0xffffffff", "has ended"});
    expect_error(
        [&] {
          launch(shuffle_outside_the_mask, {1, 32}, to.data());
        },
        {"reads lane 9", "not in the mask 0x0000000f"});
    expect_error([&] { launch(own_lane_left_out, {1, 32}, to.data()); }, {"leaves out"});
    expect_error(
        [&] {
          launch(warp_sum, {1, 20}, to.data());
        },
        {"the block of 20 threads has none", "launch whole warps"});
  }
}

__global__ void warp_and_block_wait_for_each_other() {
  if (threadIdx.x == 0)
    __syncthreads();
  else
    __syncwarp();
}

TEST_F(Simt, ADeadlockIsAnError) {
  expect_error(
      [] {
        launch(warp_and_block_wait_for_each_other, {1, 32});
      },
      {"divergent barrier", "waits for lanes 0xffffffff"});
}

__global__ void read_shared(float* to) { to[threadIdx.x] = shared_memory<float>()[threadIdx.x]; }

TEST_F(Simt, SharedMemoryStartsAsNaN) {
  std::vector<float> to(8);
  launch(read_shared, {1, 8, 32}, to.data());
  for (float value : to) EXPECT_TRUE(std::isnan(value));
}

#if defined(__SANITIZE_ADDRESS__)
__global__ void missing_guard(float* to, int count) {
  const std::int64_t i = cuda::first_item();
  if (i <= count) to[i] = 1;  // < is meant
}
__global__ void shared_overrun() { shared_memory<float>()[threadIdx.x + 1] = 1; }

TEST_F(Simt, AccessesBesideABufferAreCaught) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto buffer = std::make_unique<float[]>(33);
  EXPECT_DEATH(launch(missing_guard, {2, 32}, buffer.get(), 33), "heap-buffer-overflow");
  EXPECT_DEATH(launch(shared_overrun, {1, 8, 32}), "heap-buffer-overflow");
}

__global__ void misaligned(const float* from, float4* to) {
  *to = *reinterpret_cast<const float4*>(from + 1);
}

TEST_F(Simt, MisalignedVectorsAreCaught) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  alignas(16) float from[8] = {};
  float4 to;
  EXPECT_DEATH(launch(misaligned, {1, 1}, from, &to), "misaligned address");
}
#endif

__global__ void throws_in_one() {
  if (threadIdx.x == 3) throw Error("from the kernel");
  __syncthreads();
}

TEST_F(Simt, AnExceptionEndsTheLaunch) {
  expect_error([] { launch(throws_in_one, {2, 8}); }, {"from the kernel"});
  EXPECT_EQ(reversed(4, true), (std::vector<float>{3, 2, 1, 0})) << "the next launch";
}

__global__ void count_all(unsigned* count) { atomicAdd(count, 1U); }

TEST_F(Simt, Atomics) {
  unsigned count = 0;
  launch(count_all, {7, 33}, &count);
  EXPECT_EQ(count, 7 * 33U);
}

TEST_F(Simt, LaunchesThatAGpuRefuses) {
  expect_error([] { launch(half_waits, {1, 1025}); }, {"block of 1025x1x1 threads", "1024"});
  expect_error([] { launch(half_waits, {1, 0}); }, {"block of 0x1x1 threads"});
  expect_error([] { launch(half_waits, {{1, 65536}, 32}); }, {"grid of 1x65536x1", "65535"});
  expect_error([] { launch(half_waits, {0, 32}); }, {"grid of 0x1x1"});
  expect_error([] { launch(half_waits, {1, 32, 1 << 20}); }, {"1048576 bytes of shared memory"});
}

}  // namespace
}  // namespace concord
