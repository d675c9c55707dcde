#pragma once
// Feature stores of random values, and the comparison of two ways to their batches.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/gradient_check.h"
#include "tools/common/feature_pairs.h"

namespace concord::test {

// A store of `images` random rows of [channels, size, size + 1], in shards of a few rows.
inline FeatureStore write_store(const std::filesystem::path& folder, std::int64_t images,
                                std::int64_t channels, std::int64_t size, std::uint64_t stream) {
  const Tensor features =
      random_tensor({images, channels, size, size + 1}, stream).to(DType::kFloat32);
  const auto count = static_cast<std::size_t>(images);
  const Tensor labels = Tensor::of({images}, std::vector<std::int64_t>(count, 0));
  const std::vector<std::uint8_t> flags(count, 1);
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < images; ++i) names.push_back(fmt::format("{}.jpg", i));
  FeatureStoreWriter writer(folder, FeatureStoreInfo{}, 4 * features.bytes() / count);
  writer.append(features, labels, flags, flags, names);
  writer.finish();
  return FeatureStore(folder);
}

// Whole epochs, some that begin in the middle, and some that are abandoned.
inline void expect_same_pairs(tool::FeaturePairs& actual, tool::FeaturePairs& expected,
                              Device device) {
  EXPECT_EQ(actual.batches(), expected.batches());
  EXPECT_EQ(actual.size(), expected.size());
  EXPECT_EQ(actual.shape_a(), expected.shape_a());
  EXPECT_EQ(actual.shape_b(), expected.shape_b());
  EXPECT_EQ(actual.fingerprint(), expected.fingerprint());
  tool::PairBatch one;
  EXPECT_FALSE(actual.next(one)) << "before an epoch has begun";
  for (const auto& [epoch, first] : {std::pair{0, 0}, {1, 0}, {1, 2}, {0, 3}}) {
    actual.start(epoch, 1);
    ASSERT_TRUE(actual.next(one));
    expected.start(epoch, first);
    actual.start(epoch, first);
    tool::PairBatch other;
    while (expected.next(other)) {
      ASSERT_TRUE(actual.next(one)) << "epoch " << epoch << " from batch " << first;
      EXPECT_EQ(one.number, other.number);
      EXPECT_EQ(one.a.device(), device);
      EXPECT_EQ(one.b.device(), device);
      EXPECT_EQ(one.a.shape(), other.a.shape());
      EXPECT_EQ(one.a.to_vector<float>(), other.a.to_vector<float>());
      EXPECT_EQ(one.b.to_vector<float>(), other.b.to_vector<float>());
    }
    EXPECT_FALSE(actual.next(one));
    EXPECT_FALSE(actual.next(one)) << "after the end";
  }
}

}  // namespace concord::test
