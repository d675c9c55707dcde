#pragma once
// Singular values, by Eigen's divide and conquer.

#include "analysis/similarity/matrix.h"

namespace concord::similarity {

// Falling. Throws where Eigen finds none, as for values that are not finite.
Vector singular_values(const Matrix& matrix);

struct LeftSvd {
  Matrix vectors;          // U of the thin U S V^T
  Vector singular_values;  // falling
};
LeftSvd left_svd(const Matrix& matrix);

// F with F F^T = kernel, which is symmetric and positive semidefinite up to rounding: eigenvectors
// times the roots of the eigenvalues, those below 0 taken for 0. Throws as above.
Matrix square_root(const Matrix& kernel);

}  // namespace concord::similarity
