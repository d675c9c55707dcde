#include "analysis/similarity/gram.h"

#include <algorithm>

#include "analysis/similarity/cka.h"
#include "analysis/similarity/sample_rows.h"
#include "kernels/error.h"

namespace concord::similarity {

Matrix blocked_linear_kernel(std::int64_t samples, std::int64_t block,
                             const std::function<Matrix(std::int64_t, std::int64_t)>& rows) {
  check(samples > 0 && block > 0, "similarity: a kernel of {} samples in blocks of {}", samples,
        block);
  if (block >= samples) return linear_kernel(rows(0, samples));
  const auto end_of = [&](std::int64_t begin) { return std::min(samples, begin + block); };
  ColumnMeans column_means;
  for (std::int64_t i = 0; i < samples; i += block) column_means.add(rows(i, end_of(i)));
  const RowVector means = column_means.means();
  Matrix kernel(samples, samples);
  for (std::int64_t i = 0; i < samples; i += block) {
    Matrix left = rows(i, end_of(i));
    left.rowwise() -= means;
    for (std::int64_t j = 0; j < i; j += block) {
      Matrix right = rows(j, end_of(j));
      right.rowwise() -= means;
      kernel.block(i, j, left.rows(), right.rows()).noalias() = left * right.transpose();
      kernel.block(j, i, right.rows(), left.rows()) =
          kernel.block(i, j, left.rows(), right.rows()).transpose();
    }
    kernel.block(i, i, left.rows(), left.rows()).noalias() = left * left.transpose();
  }
  return kernel;
}

}  // namespace concord::similarity
