#include "analysis/similarity/svd.h"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>

#include "kernels/error.h"

namespace concord::similarity {
namespace {

using Svd = Eigen::BDCSVD<Eigen::MatrixXd>;

Svd decomposed(const Matrix& matrix, unsigned int options) {
  check(matrix.allFinite(), "similarity: a {}x{} matrix holds a NaN or infinity", matrix.rows(),
        matrix.cols());
  Svd svd(matrix, options);
  check(svd.info() == Eigen::Success, "similarity: the SVD of a {}x{} matrix failed", matrix.rows(),
        matrix.cols());
  return svd;
}

}  // namespace

Vector singular_values(const Matrix& matrix) { return decomposed(matrix, 0).singularValues(); }

LeftSvd left_svd(const Matrix& matrix) {
  const Svd svd = decomposed(matrix, Eigen::ComputeThinU);
  return {svd.matrixU(), svd.singularValues()};
}

Matrix square_root(const Matrix& kernel) {
  check(kernel.allFinite(), "similarity: a kernel of {} samples holds a NaN or infinity",
        kernel.rows());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(kernel);
  check(solver.info() == Eigen::Success,
        "similarity: the eigenvalues of a kernel of {} samples were not found", kernel.rows());
  return solver.eigenvectors() * solver.eigenvalues().cwiseMax(0.0).cwiseSqrt().asDiagonal();
}

}  // namespace concord::similarity
