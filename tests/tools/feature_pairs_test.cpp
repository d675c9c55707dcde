#include "tools/common/feature_pairs.h"

#include <filesystem>

#include "tests/gradient_check.h"
#include "tests/temporary_folder.h"

namespace concord::tool {
namespace {

constexpr std::int64_t kImages = 11;

// A store of kImages random rows of [channels, size, size + 1], in shards of a few rows.
FeatureStore write_store(const std::filesystem::path& folder, std::int64_t channels,
                         std::int64_t size, std::uint64_t stream) {
  const Tensor features =
      test::random_tensor({kImages, channels, size, size + 1}, stream).to(DType::kFloat32);
  const Tensor labels = Tensor::of({kImages}, std::vector<std::int64_t>(kImages, 0));
  const std::vector<std::uint8_t> flags(kImages, 1);
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < kImages; ++i) names.push_back(fmt::format("{}.jpg", i));
  FeatureStoreWriter writer(folder, FeatureStoreInfo{}, 4 * features.bytes() / kImages);
  writer.append(features, labels, flags, flags, names);
  writer.finish();
  return FeatureStore(folder);
}

// Features held in memory must come in the batches in which those from the disk come.
TEST(FeaturePairs, ResidentOrReadTheBatchesAreTheSame) {
  const test::TemporaryFolder folder;
  const FeatureStore a = write_store(folder.path() / "a", 3, 2, 1);
  const FeatureStore b = write_store(folder.path() / "b", 2, 4, 2);
  for (const bool shuffle : {false, true}) {
    const PairOrder order = {.batch_size = 4, .shuffle = shuffle, .seed = 5};
    const auto read = pairs_from_stores(a, b, order);
    const auto resident = resident_pairs(a, b, order);
    EXPECT_EQ(resident->batches(), read->batches());
    EXPECT_EQ(resident->size(), read->size());
    EXPECT_EQ(resident->shape_a(), read->shape_a());
    EXPECT_EQ(resident->shape_b(), read->shape_b());
    EXPECT_EQ(resident->fingerprint(), read->fingerprint());
    for (const auto& [epoch, first] : {std::pair{0, 0}, {1, 0}, {1, 2}, {0, 3}}) {
      read->start(epoch, first);
      resident->start(epoch, first);
      PairBatch expected, actual;
      while (read->next(expected)) {
        ASSERT_TRUE(resident->next(actual)) << "epoch " << epoch << " from batch " << first;
        EXPECT_EQ(actual.number, expected.number);
        EXPECT_EQ(actual.a.shape(), expected.a.shape());
        EXPECT_EQ(actual.a.to_vector<float>(), expected.a.to_vector<float>());
        EXPECT_EQ(actual.b.to_vector<float>(), expected.b.to_vector<float>());
      }
      EXPECT_FALSE(resident->next(actual));
    }
  }
}

}  // namespace
}  // namespace concord::tool
