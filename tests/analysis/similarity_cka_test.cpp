#include <limits>

#include "analysis/similarity/cka.h"
#include "analysis/similarity/gram.h"
#include "analysis/similarity/pair_moments.h"
#include "analysis/similarity/procrustes.h"
#include "analysis/similarity/sample_rows.h"
#include "tests/analysis/similarity_support.h"
#include "tests/expect_error.h"

namespace concord::test {
namespace {

using namespace similarity;

PairMoments moments_of(const Matrix& a, const Matrix& b, std::int64_t batch = 1 << 20) {
  ColumnMeans means_a, means_b;
  means_a.add(a);
  means_b.add(b);
  PairMoments moments(means_a.means(), means_b.means());
  for (std::int64_t i = 0; i < a.rows(); i += batch) {
    const std::int64_t count = std::min(batch, a.rows() - i);
    moments.add(a.middleRows(i, count), b.middleRows(i, count));
  }
  return moments;
}

double cka_of(const Matrix& a, const Matrix& b, Hsic estimate) {
  return moments_of(a, b).kernel_sums().hsic(estimate).cka();
}

Procrustes procrustes_of(const Matrix& a, const Matrix& b) {
  const PairMoments moments = moments_of(a, b);
  return procrustes(moments.kernel_sums(), moments.nuclear_norm());
}

TEST(SimilarityCka, AgreesWithNumpyByMomentsAndByKernels) {
  for (const Golden& golden : goldens()) {
    SCOPED_TRACE(golden.seed);
    const auto [a, b] = golden_pair(golden.n, golden.d_a, golden.d_b, golden.seed);
    for (std::int64_t batch : {1, 7, 1000}) {
      const KernelSums sums = moments_of(a, b, batch).kernel_sums();
      EXPECT_NEAR(sums.hsic(Hsic::kBiased).cka(), golden.cka, 1e-12);
      EXPECT_NEAR(sums.hsic(Hsic::kUnbiased).cka(), golden.cka_debiased, 1e-12);
    }
    const auto rows = [](const Matrix& x) {
      return [&x](std::int64_t begin, std::int64_t end) -> Matrix {
        return x.middleRows(begin, end - begin);
      };
    };
    for (std::int64_t block : {1, 5, 1000}) {
      const Matrix k = blocked_linear_kernel(golden.n, block, rows(a));
      const Matrix l = blocked_linear_kernel(golden.n, block, rows(b));
      const KernelSums sums = kernel_sums(k, l);
      EXPECT_NEAR(sums.hsic(Hsic::kBiased).cka(), golden.cka, 1e-12);
      EXPECT_NEAR(sums.hsic(Hsic::kUnbiased).cka(), golden.cka_debiased, 1e-12);
      EXPECT_NEAR(procrustes(sums, nuclear_norm(k, l)).distance, golden.procrustes_distance, 1e-7);
      const KernelSums rbf = kernel_sums(centred_kernel(rbf_kernel(k, 0.8, "features A")),
                                         centred_kernel(rbf_kernel(l, 0.8, "features B")));
      EXPECT_NEAR(rbf.hsic(Hsic::kBiased).cka(), golden.rbf, 1e-11);
      EXPECT_NEAR(rbf.hsic(Hsic::kUnbiased).cka(), golden.rbf_debiased, 1e-11);
    }
    EXPECT_NEAR(procrustes_of(a, b).distance, golden.procrustes_distance, 1e-12);
  }
}

TEST(SimilarityCka, MinibatchesAgreeWithNumpy) {
  int compared = 0;
  for (const Golden& golden : goldens()) {
    const auto [a, b] = golden_pair(golden.n, golden.d_a, golden.d_b, golden.seed);
    for (const auto& [estimate, expected] :
         {std::pair{Hsic::kBiased, golden.minibatch},
          std::pair{Hsic::kUnbiased, golden.minibatch_debiased}}) {
      if (!expected) continue;
      MinibatchCka cka(estimate);
      for (std::int64_t i = 0; i < golden.n; i += golden.n / 4)
        cka.add(a.middleRows(i, golden.n / 4), b.middleRows(i, golden.n / 4));
      EXPECT_NEAR(cka.result(), *expected, 1e-12);
      EXPECT_EQ(cka.batches(), 4);
      ++compared;
    }
  }
  EXPECT_EQ(compared, 3);
}

TEST(SimilarityCka, OneForFeaturesThatDifferByRotationScaleAndShift) {
  const Matrix a = gaussian(50, 8, 1);
  const Matrix b = ((-3.5 * a * orthogonal(8, 100)).array() + 1000).matrix();
  for (const Matrix& other : {a, b}) {
    EXPECT_NEAR(cka_of(a, other, Hsic::kBiased), 1, 1e-12);
    EXPECT_NEAR(cka_of(a, other, Hsic::kUnbiased), 1, 1e-12);
    EXPECT_NEAR(procrustes_of(a, other).similarity, 1, 1e-12);
    EXPECT_NEAR(procrustes_of(a, other).distance, 0, 1e-12);
    MinibatchCka minibatch(Hsic::kUnbiased);
    minibatch.add(a.topRows(20), other.topRows(20));
    minibatch.add(a.bottomRows(30), other.bottomRows(30));
    EXPECT_NEAR(minibatch.result(), 1, 1e-12);
    EXPECT_NEAR(kernel_sums(centred_kernel(rbf_kernel(linear_kernel(a), 1, "A")),
                            centred_kernel(rbf_kernel(linear_kernel(other), 1, "B")))
                    .hsic(Hsic::kBiased)
                    .cka(),
                1, 1e-10);
  }
  // Neither is invariant to other linear maps.
  Matrix stretched = a;
  stretched.col(0) *= 5;
  EXPECT_LT(cka_of(a, stretched, Hsic::kBiased), 0.7);
  EXPECT_LT(procrustes_of(a, stretched).similarity, 0.9);
}

// The value for any pair does not change when either is rotated, scaled and moved, nor when
// both lose their order alike.
TEST(SimilarityCka, InvariantForUnequalFeatures) {
  const auto [a, b] = golden_pair(40, 5, 7, 1);
  const Matrix a2 = ((0.01 * a * orthogonal(5, 7)).array() - 4).matrix().colwise().reverse();
  const Matrix b2 = (200 * b * orthogonal(7, 8)).colwise().reverse();
  for (const Hsic estimate : {Hsic::kBiased, Hsic::kUnbiased})
    EXPECT_NEAR(cka_of(a2, b2, estimate), cka_of(a, b, estimate), 1e-11);
  EXPECT_NEAR(procrustes_of(a2, b2).similarity, procrustes_of(a, b).similarity, 1e-11);
}

// Unrelated features: E tr(KL) / sqrt(E tr(KK) E tr(LL)), with Wishart moments E |X^T Y|^2 = m d^2
// and E |X^T X|^2 = m d (m + d + 1), m = n - 1, gives biased CKA = d / (m + d + 1); the unbiased
// estimate is 0 on average.
TEST(SimilarityCka, NullOfIndependentGaussians) {
  constexpr int kTimes = 20;
  constexpr double kSamples = 60, kFeatures = 40;
  double biased = 0, debiased = 0;
  MinibatchCka minibatch(Hsic::kUnbiased);
  for (std::uint64_t t = 0; t < kTimes; ++t) {
    const Matrix a = gaussian(60, 40, 1000 + 2 * t);
    const Matrix b = gaussian(60, 40, 1001 + 2 * t);
    biased += cka_of(a, b, Hsic::kBiased) / kTimes;
    debiased += cka_of(a, b, Hsic::kUnbiased) / kTimes;
    for (int i = 0; i < 60; i += 6) minibatch.add(a.middleRows(i, 6), b.middleRows(i, 6));
  }
  // Three, four and two standard deviations of what is averaged: 0.0032, 0.0051 and 0.025, from
  // further draws in numpy.
  EXPECT_NEAR(biased, kFeatures / (kSamples + kFeatures), 0.01);
  EXPECT_NEAR(debiased, 0, 0.02);
  EXPECT_NEAR(minibatch.result(), 0, 0.05);
}

// Which is the point of the unbiased estimate: its batches add up to the value of the whole.
TEST(SimilarityCka, UnbiasedMinibatchesApproachTheWhole) {
  const Matrix a = gaussian(2000, 6, 5);
  const Matrix b = a * gaussian(6, 9, 6) + 2 * gaussian(2000, 9, 7);
  const double whole = cka_of(a, b, Hsic::kUnbiased);
  MinibatchCka unbiased(Hsic::kUnbiased), biased(Hsic::kBiased);
  for (int i = 0; i < 2000; i += 8) {
    unbiased.add(a.middleRows(i, 8), b.middleRows(i, 8));
    biased.add(a.middleRows(i, 8), b.middleRows(i, 8));
  }
  EXPECT_NEAR(unbiased.result(), whole, 0.03);  // three standard deviations, found alike
  EXPECT_GT(biased.result(), whole + 0.1);
}

TEST(SimilarityCka, LargeMeansCostNoDigits) {
  const auto [a, b] = golden_pair(40, 5, 7, 1);
  EXPECT_NEAR(cka_of((a.array() + 1e7).matrix(), b, Hsic::kUnbiased), goldens()[0].cka_debiased,
              1e-8);
}

TEST(SimilarityCka, ConstantFeaturesAreNamed) {
  const Matrix constant = Matrix::Constant(10, 3, 0.1F);
  const Matrix varied = gaussian(10, 4, 1);
  for (const Hsic estimate : {Hsic::kBiased, Hsic::kUnbiased}) {
    expect_error([&] { cka_of(constant, varied, estimate); }, {"features A are constant"});
    expect_error([&] { cka_of(varied, constant, estimate); }, {"features B are constant"});
  }
  expect_error([&] { procrustes_of(constant, varied); }, {"procrustes", "features A are constant"});
  expect_error([&] { procrustes_of(varied, constant); }, {"procrustes", "features B are constant"});
  expect_error([&] { rbf_kernel(linear_kernel(constant), 1, "features A"); },
               {"rbf cka", "features A", "median distance"});
  // One sample that differs from nine equal ones: more than half of all pairs are equal.
  Matrix lonely = constant;
  lonely(3, 1) = 7;
  EXPECT_GT(cka_of(lonely, varied, Hsic::kBiased), 0);
  expect_error([&] { rbf_kernel(linear_kernel(lonely), 1, "features B"); }, {"features B"});
}

TEST(SimilarityCka, FewSamplesAndUnequalOnes) {
  const Matrix a = gaussian(3, 4, 1);
  const Matrix b = gaussian(3, 4, 2);
  EXPECT_TRUE(std::isfinite(cka_of(a, b, Hsic::kBiased)));
  expect_error([&] { cka_of(a, b, Hsic::kUnbiased); }, {"3 samples", "HSIC_1", "needs 4"});
  expect_error([&] { cka_of(a.topRows(1), b.topRows(1), Hsic::kBiased); }, {"1 samples"});
  expect_error([&] { MinibatchCka(Hsic::kUnbiased).add(a, b); }, {"3 samples"});
  expect_error([&] { MinibatchCka(Hsic::kUnbiased).result(); }, {"no batch"});
  expect_error([&] { MinibatchCka(Hsic::kBiased).add(a, gaussian(4, 4, 1)); }, {"3x3", "4x4"});
  expect_error([&] { MinibatchCka(Hsic::kBiased).add(gaussian(9, 4, 1), gaussian(8, 4, 1)); },
               {"9x4", "8x4"});
  expect_error([&] { moments_of(a, gaussian(3, 4, 1)).add(a, gaussian(3, 5, 1)); }, {"3x5"});
  const double n = std::numeric_limits<double>::quiet_NaN();
  Matrix broken = gaussian(10, 4, 1);
  broken(2, 2) = n;
  expect_error([&] { cka_of(broken, gaussian(10, 4, 2), Hsic::kBiased); }, {"NaN or infinity"});
  expect_error([&] { procrustes(moments_of(broken, gaussian(10, 4, 2)).kernel_sums(), n); },
               {"procrustes", "NaN or infinity"});
}

TEST(SimilarityCka, RankDeficientFeaturesAreFine) {
  Matrix a = gaussian(30, 3, 1) * gaussian(3, 9, 2);
  const Matrix b = a * orthogonal(9, 50);
  EXPECT_NEAR(cka_of(a, b, Hsic::kUnbiased), 1, 1e-12);
  EXPECT_NEAR(procrustes_of(a, b).similarity, 1, 1e-12);
  a.col(4).setConstant(5);
  EXPECT_GT(cka_of(a, b, Hsic::kBiased), 0.5);
}

}  // namespace
}  // namespace concord::test
