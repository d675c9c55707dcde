// The memory of captured work, on a source that counts.

#include "kernels/graph_memory.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace concord::kernels {
namespace {

std::size_t source_bytes = 0;
std::size_t source_calls = 0;

void* from_source(std::size_t bytes) {
  source_bytes += bytes;
  ++source_calls;
  return std::malloc(bytes);
}
void to_source(void* data, std::size_t bytes) {
  source_bytes -= bytes;
  std::free(data);
}

void release_others(void* data, std::size_t bytes) {
  if (!GraphMemory::take_back(data, bytes)) to_source(data, bytes);
}

class GraphMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override { source_calls = 0; }
  void TearDown() override { EXPECT_EQ(source_bytes, 0U) << "everything went back"; }
  static GraphMemory::Pointer make(bool reuses = true) {
    return GraphMemory::make({.allocate = from_source,
                              .release = to_source,
                              .release_others = release_others,
                              .reuses = reuses});
  }
};

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST_F(GraphMemoryTest, BlocksAreApartAndUsedAgain) {
  const auto memory = make();
  const GraphMemory::Current current(*memory);
  auto* const a = static_cast<char*>(memory->allocate(3 * kMiB));
  auto* const b = static_cast<char*>(memory->allocate(3 * kMiB));
  EXPECT_TRUE(a + 3 * kMiB <= b || b + 3 * kMiB <= a);
  EXPECT_EQ(source_calls, 2U);
  ASSERT_TRUE(GraphMemory::take_back(a, 3 * kMiB));
  // In parts where the whole was, the smallest fit first.
  auto* const c = static_cast<char*>(memory->allocate(2 * kMiB));
  auto* const d = static_cast<char*>(memory->allocate(2 * kMiB));
  EXPECT_EQ(source_calls, 2U);
  EXPECT_EQ(d, c + 2 * kMiB) << "3 MiB come from a segment of 4";
  // And whole again when both are back, in either order.
  GraphMemory::take_back(c, 2 * kMiB);
  GraphMemory::take_back(d, 2 * kMiB);
  EXPECT_EQ(memory->allocate(4 * kMiB), static_cast<void*>(a));
  EXPECT_EQ(source_calls, 2U);
  for (void* const block : {static_cast<void*>(a), static_cast<void*>(b)})
    GraphMemory::take_back(block, 1);
}

TEST_F(GraphMemoryTest, SmallBlocksDoNotSplitLargeOnes) {
  const auto memory = make();
  const GraphMemory::Current current(*memory);
  void* const large = memory->allocate(8 * kMiB);
  GraphMemory::take_back(large, 8 * kMiB);
  void* const small = memory->allocate(100);
  EXPECT_EQ(source_calls, 2U);
  EXPECT_EQ(memory->allocate(8 * kMiB), large);
  void* const next = memory->allocate(100);
  EXPECT_EQ(source_calls, 2U) << "a segment for many small ones";
  EXPECT_NE(next, small);
  for (void* const block : {large, small, next}) GraphMemory::take_back(block, 1);
}

TEST_F(GraphMemoryTest, WithoutReuseEveryBlockIsNew) {
  const auto memory = make(false);
  const GraphMemory::Current current(*memory);
  void* const a = memory->allocate(100);
  GraphMemory::take_back(a, 100);
  void* const b = memory->allocate(100);
  EXPECT_NE(a, b);
  EXPECT_EQ(source_bytes, 200U);
  GraphMemory::take_back(b, 100);
}

// What somebody holds outlives the graph, and alone of it; nothing that was captured is handed out
// again once the capture is over.
TEST_F(GraphMemoryTest, EndsWithTheLastHolder) {
  void* held = nullptr;
  {
    const auto memory = make();
    {
      const GraphMemory::Current current(*memory);
      EXPECT_EQ(GraphMemory::current(), memory.get());
      held = memory->allocate(kMiB / 2);
      EXPECT_TRUE(memory->owns(held));
    }
    EXPECT_EQ(GraphMemory::current(), nullptr);
  }
  EXPECT_EQ(source_bytes, 2 * kMiB);
  EXPECT_TRUE(GraphMemory::take_back(held, kMiB / 2));
  EXPECT_EQ(source_bytes, 0U);
  int stranger = 0;
  EXPECT_FALSE(GraphMemory::take_back(&stranger, sizeof(stranger)));
}

// A block of one graph that the capture of another releases is kept for the other's replays.
TEST_F(GraphMemoryTest, KeepsWhatACaptureReleases) {
  auto first = make();
  void* block = nullptr;
  {
    const GraphMemory::Current current(*first);
    block = first->allocate(100);
  }
  auto second = make();
  {
    const GraphMemory::Current current(*second);
    EXPECT_TRUE(GraphMemory::take_back(block, 100));
    EXPECT_FALSE(second->owns(block));
  }
  EXPECT_TRUE(first->owns(block));
  first.reset();
  EXPECT_GT(source_bytes, 0U) << "the second may use it";
}

}  // namespace
}  // namespace concord::kernels
