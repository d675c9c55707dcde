#include "tools/common/feature_pairs.h"

#include "tests/expect_error.h"
#include "tests/temporary_folder.h"
#include "tests/tools/pair_support.h"

namespace concord::tool {
namespace {

// Wherever features wait, they come in the same batches; tests/device has the same for a GPU.
TEST(FeaturePairs, WhereverTheyLieTheBatchesAreTheSame) {
  const test::TemporaryFolder folder;
  const FeatureStore a = test::write_store(folder.path() / "a", 11, 3, 2, 1);
  const FeatureStore b = test::write_store(folder.path() / "b", 11, 2, 4, 2);
  for (const bool shuffle : {false, true}) {
    const PairOrder order = {.batch_size = 4, .shuffle = shuffle, .seed = 5};
    PairOrder unread = order;
    unread.memory.read_ahead_mib = 0;
    const auto read = pairs_from_stores(a, b, order);
    test::expect_same_pairs(*read_pairs(a, b, unread), *read, Device{});
    test::expect_same_pairs(*pinned_pairs(a, b, order), *read, Device{});
    test::expect_same_pairs(*resident_pairs(a, b, order), *read, Device{});
  }
}

TEST(FeaturePairs, PageLockedMemoryIsForAGpu) {
  const test::TemporaryFolder folder;
  const FeatureStore a = test::write_store(folder.path() / "a", 3, 1, 1, 1);
  test::expect_error([&] { pairs_from_stores(a, a, {.memory = {.pinned_mib = 16}}); },
                     {"--pinned-memory", "CUDA", "--read-ahead"});
  EXPECT_EQ(pairs_from_stores(a, a, {.memory = {.pinned_mib = 0}})->size(), 3);
}

}  // namespace
}  // namespace concord::tool
