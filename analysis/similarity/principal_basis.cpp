#include "analysis/similarity/principal_basis.h"

#include <Eigen/QR>
#include <algorithm>
#include <utility>

#include "analysis/similarity/sample_rows.h"
#include "analysis/similarity/svd.h"
#include "kernels/error.h"

namespace concord::similarity {
namespace {

using ColumnMatrix = Eigen::MatrixXd;

// U and S. A triangular factor comes first: the SVD is then of min(n, d) x min(n, d).
LeftSvd left_vectors(const Matrix& x) {
  if (x.rows() < x.cols()) {
    const Eigen::HouseholderQR<ColumnMatrix> qr(x.transpose());
    const ColumnMatrix upper = qr.matrixQR().topRows(x.rows()).triangularView<Eigen::Upper>();
    return left_svd(upper.transpose());
  }
  const Eigen::HouseholderQR<ColumnMatrix> qr(x);
  const ColumnMatrix upper = qr.matrixQR().topRows(x.cols()).triangularView<Eigen::Upper>();
  const LeftSvd svd = left_svd(upper);
  ColumnMatrix vectors = ColumnMatrix::Zero(x.rows(), x.cols());
  vectors.topRows(x.cols()) = svd.vectors;
  vectors.applyOnTheLeft(qr.householderQ());
  return {vectors, svd.singular_values};
}

}  // namespace

std::int64_t PrincipalBasis::directions_holding(double share) const {
  const double wanted = share * singular_values.squaredNorm();
  double held = 0;
  for (std::int64_t k = 0; k < rank(); ++k) {
    held += singular_values[k] * singular_values[k];
    if (held >= wanted) return k + 1;
  }
  return rank();
}

PrincipalBasis principal_basis(Matrix rows, std::string name, double rank_tolerance) {
  check(rows.rows() >= 2, "similarity: {} have {} samples, 2 are needed at least", name,
        rows.rows());
  check(rows.allFinite(), "similarity: {} hold a NaN or infinity; extract them again", name);
  check(rank_tolerance >= 0 && rank_tolerance < 1,
        "similarity: a rank tolerance of {} is outside [0, 1)", rank_tolerance);
  const Matrix x = centred(std::move(rows));
  LeftSvd left = left_vectors(x);
  const double least = rank_tolerance * left.singular_values[0];
  // Centring takes one direction of the n away, whatever rounding leaves of it.
  const std::int64_t most = std::min<std::int64_t>(x.rows() - 1, left.singular_values.size());
  std::int64_t rank = 0;
  while (rank < most && left.singular_values[rank] > least) ++rank;
  check(rank > 0, "similarity: {} are constant: nothing varies over the {} samples", name,
        x.rows());
  PrincipalBasis basis;
  basis.samples = x.rows();
  basis.name = std::move(name);
  basis.directions = left.vectors.leftCols(rank);
  basis.singular_values = left.singular_values.head(rank);
  basis.coordinates.noalias() = basis.directions.transpose() * x;
  return basis;
}

double principal_basis_bytes(double n, double d) {
  const double least = std::min(n, d);
  return 8 * (4 * n * d + 6 * least * least + n * least);
}

}  // namespace concord::similarity
