#include <limits>

#include "analysis/similarity/canonical_correlation.h"
#include "tests/analysis/similarity_support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

using namespace similarity;

PrincipalBasis basis(const Matrix& x, const char* name = "features") {
  return principal_basis(x, name);
}

TEST(SimilarityCorrelation, AgreesWithNumpy) {
  int compared = 0;
  for (const Golden& golden : goldens()) {
    if (!golden.mean_cca) continue;
    SCOPED_TRACE(golden.seed);
    const auto pair = golden_pair(golden.n, golden.d_a, golden.d_b, golden.seed);
    const PrincipalBasis a = basis(pair.a);
    const PrincipalBasis b = basis(pair.b);
    EXPECT_NEAR(mean_cca(a, b), *golden.mean_cca, 1e-12);
    EXPECT_EQ(a.directions_holding(0.9), golden.kept_a);
    EXPECT_EQ(b.directions_holding(0.9), golden.kept_b);
    EXPECT_NEAR(svcca(a, b, 0.9), *golden.svcca, 1e-12);
    EXPECT_NEAR(pwcca(a, b), *golden.pwcca_a, 1e-12);
    EXPECT_NEAR(pwcca(b, a), *golden.pwcca_b, 1e-12);
    EXPECT_NEAR(regression_r2(a, b), *golden.r2_ab, 1e-12);
    EXPECT_NEAR(regression_r2(b, a), *golden.r2_ba, 1e-12);
    ++compared;
  }
  EXPECT_EQ(compared, 2);
}

TEST(SimilarityCorrelation, TheBasisIsASingularValueDecomposition) {
  for (const auto& [n, d] : {std::pair{30, 6}, {6, 30}, {12, 12}}) {
    const Matrix x = (gaussian(n, d, 3).array() + 5).matrix();
    const PrincipalBasis result = basis(x);
    EXPECT_EQ(result.rank(), std::min(n - 1, d));
    EXPECT_LT((result.directions.transpose() * result.directions -
               Matrix::Identity(result.rank(), result.rank()))
                  .norm(),
              1e-12);
    const Matrix centred_x = x.rowwise() - x.colwise().mean();
    EXPECT_LT((result.directions * result.coordinates - centred_x).norm(), 1e-11);
    EXPECT_LT((result.coordinates.rowwise().norm() - result.singular_values).norm(), 1e-11);
  }
}

TEST(SimilarityCorrelation, OneForAnyInvertibleLinearMap) {
  const Matrix a = gaussian(60, 7, 1);
  Matrix map = gaussian(7, 7, 2);
  map.col(3) *= 1000;
  const Matrix b = ((a * map).array() - 50).matrix();
  for (const Matrix& other : {a, b}) {
    EXPECT_NEAR(mean_cca(basis(a), basis(other)), 1, 1e-10);
    EXPECT_NEAR(pwcca(basis(a), basis(other)), 1, 1e-10);
    EXPECT_NEAR(pwcca(basis(other), basis(a)), 1, 1e-10);
    EXPECT_NEAR(regression_r2(basis(a), basis(other)), 1, 1e-10);
    EXPECT_NEAR(svcca(basis(a), basis(other), 1), 1, 1e-10);
  }
  // The value for any pair: CCA does not change under linear maps of either, PWCCA (weighted by A)
  // under those of B, regression on A under those of A, SVCCA under orthogonal ones.
  const auto pair = golden_pair(61, 12, 4, 99);
  const Matrix a2 = pair.a * gaussian(12, 12, 8);
  const Matrix b2 = pair.b * gaussian(4, 4, 9);
  EXPECT_NEAR(mean_cca(basis(a2), basis(b2)), *goldens()[1].mean_cca, 1e-9);
  EXPECT_NEAR(pwcca(basis(pair.a), basis(b2)), *goldens()[1].pwcca_a, 1e-9);
  EXPECT_NEAR(regression_r2(basis(a2), basis(pair.b)), *goldens()[1].r2_ab, 1e-9);
  EXPECT_NEAR(svcca(basis(pair.a * orthogonal(12, 70)), basis(3 * pair.b * orthogonal(4, 90)), 0.9),
              *goldens()[1].svcca, 1e-9);
}

// Two independent subspaces of p and q directions in n - 1: the mean squared cosine is
// max(p, q) / (n - 1), and a regression explains p / (n - 1) of anything.
TEST(SimilarityCorrelation, NullOfIndependentGaussians) {
  constexpr int kTimes = 20;
  double cca = 0, r2 = 0, small = 0;
  for (std::uint64_t t = 0; t < kTimes; ++t) {
    const PrincipalBasis a = basis(gaussian(101, 20, 2000 + 3 * t));
    const PrincipalBasis b = basis(gaussian(101, 10, 2001 + 3 * t));
    r2 += regression_r2(a, b) / kTimes;
    cca += mean_cca(a, b) / kTimes;
    small += std::pow(mean_cca(basis(gaussian(101, 1, 2002 + 3 * t)), a), 2) / kTimes;
  }
  EXPECT_NEAR(r2, 0.2, 0.02);
  EXPECT_NEAR(small, 0.2, 0.06);  // one direction: the mean square itself
  // The mean is below the root of the mean square, by the spread of the correlations.
  EXPECT_LT(cca, std::sqrt(0.2));
  EXPECT_GT(cca, 0.36);
}

TEST(SimilarityCorrelation, RankDeficientFeatures) {
  // Columns that depend on each other but for float32's rounding.
  const Matrix factor = gaussian(40, 3, 1);
  const Matrix a = (factor * gaussian(3, 9, 2)).cast<float>().cast<double>();
  const PrincipalBasis result = basis(a);
  EXPECT_EQ(result.rank(), 3);
  EXPECT_NEAR(mean_cca(result, basis(factor)), 1, 1e-9);
  EXPECT_NEAR(pwcca(result, basis(factor)), 1, 1e-9);
  EXPECT_NEAR(regression_r2(result, basis(factor)), 1, 1e-9);
  EXPECT_GT(principal_basis(a, "a", 0).rank(), 3) << "rounding counts without a tolerance";
}

TEST(SimilarityCorrelation, ConstantAndBrokenFeaturesAreNamed) {
  Matrix x = Matrix::Constant(10, 3, 0.1F);
  expect_error([&] { principal_basis(x, "features B"); },
               {"features B are constant", "10 samples"});
  x(4, 1) = std::numeric_limits<double>::infinity();
  expect_error([&] { principal_basis(x, "features B"); }, {"features B", "NaN or infinity"});
  expect_error([&] { basis(gaussian(1, 3, 1)); }, {"1 samples"});
  expect_error([&] { principal_basis(gaussian(5, 3, 1), "a", 2); }, {"tolerance of 2"});
}

TEST(SimilarityCorrelation, FewerSamplesThanFeaturesAreRefused) {
  const PrincipalBasis wide = basis(gaussian(10, 30, 1), "wide ones");
  const PrincipalBasis narrow = basis(gaussian(10, 2, 2));
  EXPECT_EQ(wide.rank(), 9);
  expect_error([&] { mean_cca(wide, narrow); }, {"cca", "wide ones", "9 directions", "10 samples"});
  expect_error([&] { mean_cca(narrow, wide); }, {"wide ones"});
  expect_error([&] { svcca(wide, narrow, 1); }, {"svcca: wide ones"});
  expect_error([&] { pwcca(narrow, wide); }, {"pwcca: wide ones"});
  expect_error([&] { regression_r2(wide, narrow); }, {"r2: wide ones"});
  // What regression explains of wide features is no matter of their number.
  EXPECT_LT(regression_r2(narrow, wide), 0.6);
  // 99 % of the variance may lie in fewer directions than there are samples.
  Matrix steep = gaussian(10, 30, 1);
  steep.rightCols(28) *= 1e-3;
  EXPECT_LT(svcca(basis(steep), narrow), 1);
  expect_error([&] { mean_cca(wide, basis(gaussian(11, 2, 2))); }, {"10 samples", "11"});
  expect_error([&] { svcca(narrow, narrow, 0); }, {"share of 0"});
}

TEST(SimilarityCorrelation, CorrelationsThatAreOneForWantOfRoom) {
  EXPECT_EQ(forced_correlations(100, 20, 30), 0);
  EXPECT_EQ(forced_correlations(20, 12, 10), 3);
  const PrincipalBasis a = basis(gaussian(20, 12, 1));
  const PrincipalBasis b = basis(gaussian(20, 10, 2));
  // Side by side the 22 directions span the 19 there are: 3 are shared.
  Matrix both(20, 22);
  both << a.directions, b.directions;
  EXPECT_EQ(basis(both).rank(), 19);
  EXPECT_GT(mean_cca(a, b), 0.3);
}

}  // namespace
}  // namespace concord::test
