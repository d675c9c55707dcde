#include <limits>

#include "analysis/similarity/sample_rows.h"
#include "engine/ops/resize.h"
#include "tests/analysis/similarity_support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

using namespace similarity;

// [2,2,1,3]: image 0 has channels (1,2,3) and (4,5,6), image 1 ten times that.
Tensor small_maps() {
  return Tensor::of({2, 2, 1, 3}, std::vector<float>{1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60});
}

TEST(SimilarityRows, TheThreeKinds) {
  const Tensor maps = small_maps();
  Matrix flatten(2, 6), mean(2, 2), positions(6, 2);
  flatten << 1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60;
  mean << 2, 5, 20, 50;
  positions << 1, 4, 2, 5, 3, 6, 10, 40, 20, 50, 30, 60;
  for (const auto& [kind, expected] :
       {std::pair{Rows::kFlatten, flatten}, {Rows::kMean, mean}, {Rows::kPositions, positions}}) {
    EXPECT_EQ(sample_rows(maps, kind, {1, 3}), expected);
    EXPECT_EQ(row_count(maps.shape(), 2, kind), expected.rows());
    EXPECT_EQ(row_width(maps.shape(), kind), expected.cols());
  }
  const Tensor channels_last = Tensor::of({1, 2, 2, 1}, std::vector<float>{1, 2, 3, 4})
                                   .in_format(MemoryFormat::kChannelsLast);
  EXPECT_EQ(sample_rows(channels_last, Rows::kPositions, {2, 1}),
            (Matrix(2, 2) << 1, 3, 2, 4).finished());
}

TEST(SimilarityRows, PositionsAtAnotherSize) {
  const Tensor maps = Tensor::of({1, 1, 2, 2}, std::vector<float>{1, 2, 3, 6});
  EXPECT_EQ(sample_rows(maps, Rows::kPositions, {1, 1}), (Matrix(1, 1) << 3).finished());
  EXPECT_EQ(sample_rows(maps, Rows::kMean, {1, 1}), (Matrix(1, 1) << 3).finished());
  EXPECT_EQ(sample_rows(maps, Rows::kFlatten, {1, 1}).cols(), 4);
}

TEST(SimilarityRows, VectorsAreMapsOfOnePixel) {
  const Tensor vectors = Tensor::of({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const Matrix expected = (Matrix(2, 3) << 1, 2, 3, 4, 5, 6).finished();
  for (const Rows rows : {Rows::kFlatten, Rows::kMean, Rows::kPositions})
    EXPECT_EQ(sample_rows(vectors, rows, {1, 1}), expected);
  expect_error([] { sample_rows(Tensor::zeros({2, 3, 4}), Rows::kMean, {1, 1}); }, {"2x3x4"});
}

TEST(SimilarityRows, WordsOfTheKinds) {
  EXPECT_EQ(rows_of_word("flatten"), Rows::kFlatten);
  EXPECT_EQ(rows_of_word("mean"), Rows::kMean);
  EXPECT_EQ(rows_of_word("positions"), Rows::kPositions);
  expect_error([] { rows_of_word("rows"); }, {"flatten, mean or positions", "rows"});
}

// A sum of 0.1F over its count is not 0.1F; the difference would pass for a variance.
TEST(SimilarityRows, ConstantColumnsAreCentredToZero) {
  Matrix x = Matrix::Constant(1237, 2, 0.1F);
  x.col(1) = gaussian(1237, 1, 1);
  ColumnMeans means;
  for (int i = 0; i < 1237; i += 100) means.add(x.middleRows(i, std::min(100, 1237 - i)));
  EXPECT_EQ(means.count(), 1237);
  EXPECT_EQ(means.means()[0], 0.1F);
  EXPECT_NEAR(means.means()[1], x.col(1).mean(), 1e-15);
  EXPECT_EQ(centred(x).col(0).norm(), 0);
  expect_error([&] { means.add(gaussian(2, 3, 1)); }, {"3 features", "of 2"});
  expect_error([] { ColumnMeans().means(); }, {"no samples"});
}

}  // namespace
}  // namespace concord::test
