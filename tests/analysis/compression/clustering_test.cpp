#include "analysis/compression/clustering.h"

#include <algorithm>
#include <cmath>

#include "tests/analysis/compression/goldens.h"
#include "tests/analysis/compression/support.h"
#include "tests/expect_error.h"

namespace concord {
namespace {

std::vector<float> kept_values() {
  std::vector<float> kept;
  for (const float value : test::golden_values())
    if (std::abs(static_cast<double>(value)) >= 0.2 * test::kDeviation) kept.push_back(value);
  return kept;
}

void expect_clusters(int count, const std::vector<double>& centroids,
                     const std::vector<int>& sizes) {
  const std::vector<float> values = kept_values();
  const Clusters clusters = cluster_values(values, count);
  EXPECT_TRUE(clusters.converged);
  ASSERT_EQ(clusters.centroids.size(), centroids.size());
  std::vector<int> found(centroids.size());
  for (const float value : values) {
    std::size_t nearest = 0;
    for (std::size_t c = 0; c < centroids.size(); ++c)
      if (std::abs(value - clusters.centroids[c]) < std::abs(value - clusters.centroids[nearest]))
        nearest = c;
    ++found[nearest];
  }
  EXPECT_EQ(found, sizes);
  for (std::size_t c = 0; c < centroids.size(); ++c)
    EXPECT_NEAR(clusters.centroids[c], centroids[c], 1e-14) << c << " of " << count;
}

TEST(Clustering, AsInNumpy) {
  expect_clusters(1, test::kCentroids1, test::kSizes1);
  expect_clusters(5, test::kCentroids5, test::kSizes5);
  expect_clusters(32, test::kCentroids32, test::kSizes32);
}

TEST(Clustering, TheOrderOfTheValuesMakesNoDifference) {
  std::vector<float> values = kept_values();
  const Clusters first = cluster_values(values, 7);
  std::reverse(values.begin(), values.end());
  std::rotate(values.begin(), values.begin() + 123, values.end());
  EXPECT_EQ(cluster_values(values, 7).centroids, first.centroids);
}

TEST(Clustering, FewDistinctValuesAreTheCentroids) {
  EXPECT_EQ(cluster_values({2, -1, 2, 0.5F, -1}, 3).centroids, (std::vector<double>{-1, 0.5, 2}));
  EXPECT_EQ(cluster_values({2, -1, 2, 0.5F, -1}, 32).centroids, (std::vector<double>{-1, 0.5, 2}));
  EXPECT_EQ(cluster_values({7, 7, 7}, 1).centroids, (std::vector<double>{7}));
  EXPECT_TRUE(cluster_values({}, 4).centroids.empty());
  EXPECT_TRUE(cluster_values({}, 4).converged);
}

// Between 0.12 and 10 lie four of six centroids with no values but 0.5, which goes to the lowest.
TEST(Clustering, CentroidsWithoutValuesAreLeftOut) {
  const Clusters clusters = cluster_values({0.1F, 10.5F, 0.11F, 0.5F, 0.12F, 10.0F, 0.9F}, 6);
  ASSERT_EQ(clusters.centroids.size(), 2U);
  EXPECT_NEAR(clusters.centroids[0], (0.1 + 0.11 + 0.12 + 0.5 + 0.9) / 5, 1e-7);
  EXPECT_NEAR(clusters.centroids[1], 10.25, 1e-7);
}

// A value half-way between two centroids belongs to the lower, for ever: -1 and 0 to -1 here.
TEST(Clustering, TiesGoToTheLower) {
  EXPECT_EQ(cluster_values({-1, 0, 1, 1, 1, 1}, 2).centroids, (std::vector<double>{-0.5, 1}));
}

TEST(Clustering, Misuse) {
  test::expect_error([] { cluster_values({1, 2}, 0); }, {"0 centroids"});
  test::expect_error([] { cluster_values({1, INFINITY}, 2); }, {"value 1", "inf"});
  test::expect_error([] { cluster_values({NAN}, 2); }, {"value 0", "nan"});
}

}  // namespace
}  // namespace concord
