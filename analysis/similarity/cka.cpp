#include "analysis/similarity/cka.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "analysis/similarity/pair_moments.h"
#include "analysis/similarity/sample_rows.h"
#include "kernels/error.h"

namespace concord::similarity {
namespace {

// HSIC_1 by its closed form for a centred kernel: with K' = K without its diagonal,
// K' 1 = -diag(K), so that every sum of the estimate is one of KernelSums.
double unbiased(double n, double product, double diagonal, double trace_k, double trace_l) {
  return (product - n / (n - 2) * diagonal + trace_k * trace_l / ((n - 1) * (n - 2))) /
         (n * (n - 3));
}

// By the smaller of kernels and second moments.
KernelSums batch_sums(const Matrix& a, const Matrix& b) {
  if (a.rows() <= std::max(a.cols(), b.cols()))
    return kernel_sums(linear_kernel(a), linear_kernel(b));
  ColumnMeans means_a, means_b;
  means_a.add(a);
  means_b.add(b);
  PairMoments moments(means_a.means(), means_b.means());
  moments.add(a, b);
  return moments.kernel_sums();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

std::int64_t least_samples(Hsic estimate) { return estimate == Hsic::kBiased ? 2 : 4; }

double HsicTerms::cka() const {
  constexpr const char* kText =
      "cka: features {} are constant, or these samples are all equally far from each other (HSIC "
      "of them with themselves is {:g}); use more images";
  check(aa > 0, kText, "A", aa);
  check(bb > 0, kText, "B", bb);
  return ab / (std::sqrt(aa) * std::sqrt(bb));
}

HsicTerms KernelSums::hsic(Hsic estimate) const {
  check(samples >= least_samples(estimate),
        "cka: {} samples, and {} needs {} at least; use more images, larger batches or the rows "
        "`positions`",
        samples, estimate == Hsic::kBiased ? "HSIC" : "the unbiased HSIC_1",
        least_samples(estimate));
  for (const double sum : {ab, aa, bb, diagonal_ab, diagonal_aa, diagonal_bb, trace_a, trace_b})
    check(std::isfinite(sum), "cka: a sum over the features is {}; they hold NaN or infinity", sum);
  const auto n = static_cast<double>(samples);
  if (estimate == Hsic::kBiased) {
    const double scale = 1 / ((n - 1) * (n - 1));
    return {ab * scale, aa * scale, bb * scale};
  }
  // What rounding leaves of a kernel that has nothing off its centred diagonal is not a variance.
  const auto own = [n](double product, double diagonal, double trace) {
    const double value = unbiased(n, product, diagonal, trace, trace);
    return value <= 1e-12 * product / (n * (n - 3)) ? 0.0 : value;
  };
  return {unbiased(n, ab, diagonal_ab, trace_a, trace_b), own(aa, diagonal_aa, trace_a),
          own(bb, diagonal_bb, trace_b)};
}

KernelSums kernel_sums(const Matrix& k, const Matrix& l) {
  check(k.rows() == k.cols() && l.rows() == l.cols() && k.rows() == l.rows(),
        "cka: kernels of {}x{} and {}x{} samples; both must be of the same", k.rows(), k.cols(),
        l.rows(), l.cols());
  return {.samples = k.rows(),
          .ab = k.cwiseProduct(l).sum(),
          .aa = k.squaredNorm(),
          .bb = l.squaredNorm(),
          .diagonal_ab = k.diagonal().dot(l.diagonal()),
          .diagonal_aa = k.diagonal().squaredNorm(),
          .diagonal_bb = l.diagonal().squaredNorm(),
          .trace_a = k.trace(),
          .trace_b = l.trace()};
}

Matrix linear_kernel(const Matrix& rows) {
  const Matrix x = centred(rows);
  Matrix k(x.rows(), x.rows());
  k.noalias() = x * x.transpose();
  return k;
}

Matrix centred_kernel(Matrix k) {
  const RowVector means = k.colwise().mean();
  const double mean = means.mean();
  k.rowwise() -= means;
  k.colwise() -= (means.array() - mean).matrix().transpose();
  return k;
}

Matrix rbf_kernel(const Matrix& linear, double bandwidth, const char* what) {
  check(bandwidth > 0 && std::isfinite(bandwidth), "rbf cka: a bandwidth of {} is not positive",
        bandwidth);
  const Vector norms = linear.diagonal();
  Matrix distances = -2 * linear;
  distances.colwise() += norms;
  distances.rowwise() += norms.transpose();
  distances = distances.cwiseMax(0.0);
  distances.diagonal().setZero();
  const double middle =
      median(std::vector<double>(distances.data(), distances.data() + distances.size()));
  check(
      middle > 1e-14 * norms.maxCoeff(),
      "rbf cka: the median distance between samples of {} is 0 (half of the pairs are equal), and "
      "the bandwidth is a multiple of it; use cka",
      what);
  return (distances / (-2 * bandwidth * bandwidth * middle)).array().exp();
}

void MinibatchCka::add(const Matrix& a, const Matrix& b) {
  const HsicTerms terms = batch_sums(a, b).hsic(estimate_);
  sums_.ab += terms.ab;
  sums_.aa += terms.aa;
  sums_.bb += terms.bb;
  ++batches_;
}

double MinibatchCka::result() const {
  check(batches_ > 0, "minibatch cka: no batch of {} samples or more was given",
        least_samples(estimate_));
  return sums_.cka();
}

}  // namespace concord::similarity
