#include "analysis/similarity/pair_moments.h"

#include <utility>

#include "analysis/similarity/svd.h"
#include "kernels/error.h"

namespace concord::similarity {
PairMoments::PairMoments(RowVector means_a, RowVector means_b)
    : means_a_(std::move(means_a)),
      means_b_(std::move(means_b)),
      aa_(Matrix::Zero(means_a_.size(), means_a_.size())),
      ab_(Matrix::Zero(means_a_.size(), means_b_.size())),
      bb_(Matrix::Zero(means_b_.size(), means_b_.size())) {}

void PairMoments::add(const Matrix& a, const Matrix& b) {
  check(a.rows() == b.rows() && a.cols() == means_a_.size() && b.cols() == means_b_.size(),
        "similarity: rows of {}x{} and {}x{} do not go with {} and {} features", a.rows(), a.cols(),
        b.rows(), b.cols(), means_a_.size(), means_b_.size());
  const Matrix x = a.rowwise() - means_a_;
  const Matrix y = b.rowwise() - means_b_;
  aa_.noalias() += x.transpose() * x;
  ab_.noalias() += x.transpose() * y;
  bb_.noalias() += y.transpose() * y;
  const Vector norms_a = x.rowwise().squaredNorm();
  const Vector norms_b = y.rowwise().squaredNorm();
  sums_.samples += a.rows();
  sums_.diagonal_ab += norms_a.dot(norms_b);
  sums_.diagonal_aa += norms_a.squaredNorm();
  sums_.diagonal_bb += norms_b.squaredNorm();
  sums_.trace_a += norms_a.sum();
  sums_.trace_b += norms_b.sum();
}

KernelSums PairMoments::kernel_sums() const {
  KernelSums sums = sums_;
  sums.ab = ab_.squaredNorm();
  sums.aa = aa_.squaredNorm();
  sums.bb = bb_.squaredNorm();
  return sums;
}

double PairMoments::nuclear_norm() const { return singular_values(ab_).sum(); }

double nuclear_norm(const Matrix& k, const Matrix& l) {
  check(k.rows() == l.rows() && k.rows() == k.cols() && l.rows() == l.cols(),
        "procrustes: kernels of {}x{} and {}x{} samples; both must be of the same", k.rows(),
        k.cols(), l.rows(), l.cols());
  return singular_values(square_root(k).transpose() * square_root(l)).sum();
}

}  // namespace concord::similarity
