#pragma once
// Second moments of a pair of features over samples that come in batches: all that linear CKA and
// Procrustes need, in memory that does not grow with the samples.

#include <cstdint>

#include "analysis/similarity/cka.h"
#include "analysis/similarity/matrix.h"

namespace concord::similarity {

// With X and Y the centred rows of A and B: X^T X, X^T Y and Y^T Y (d_a^2 + d_a d_b + d_b^2
// doubles), and the sums over samples of products of |x_i|^2 and |y_i|^2. The means are those of a
// first pass (ColumnMeans), so that a large mean costs no digits.
class PairMoments {
 public:
  PairMoments(RowVector means_a, RowVector means_b);
  // The same samples of A and of B, not centred. Throws for other widths or unequal numbers.
  void add(const Matrix& a, const Matrix& b);

  // Of the linear kernels X X^T and Y Y^T, by ||X^T Y||_F^2 = tr(X X^T Y Y^T) (Kornblith et al.,
  // eq. 2).
  KernelSums kernel_sums() const;
  // The sum of the singular values of X^T Y.
  double nuclear_norm() const;
  std::int64_t samples() const { return sums_.samples; }

 private:
  RowVector means_a_, means_b_;
  Matrix aa_, ab_, bb_;
  KernelSums sums_;  // its products of kernels are left to kernel_sums()
};

// The sum of the singular values of X^T Y from the kernels X X^T and Y Y^T: that of their square
// roots' product. For features with more columns than there are samples.
double nuclear_norm(const Matrix& k, const Matrix& l);

}  // namespace concord::similarity
