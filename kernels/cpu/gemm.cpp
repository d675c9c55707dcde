// GCC 12 warns of its own AVX-512 intrinsics once Eigen's products inline them (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "kernels/cpu/gemm.h"

#include <Eigen/Core>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "kernels/error.h"

namespace concord::kernels {

namespace {

// result [m,n] = a b + keep * result
void sgemm(const Factor<float>& a, const Factor<float>& b, float keep, float* result) {
  const std::int64_t m = a.transposed ? a.columns : a.rows;
  const std::int64_t k = a.transposed ? a.rows : a.columns;
  const std::int64_t n = b.transposed ? b.rows : b.columns;
  const auto status = dnnl::sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1.0F,
                                  a.data, a.columns, b.data, b.columns, keep, result, n);
  check(status == dnnl::status::success, "gemm: oneDNN refused a product of {}x{} and {}x{}", m, k,
        k, n);
}

}  // namespace

void gemm(const Factor<float>& a, const Factor<float>& b, Into into, float* result) {
  const float keep = into == Into::kAdd ? 1.0F : 0.0F;
  // A batch by a wide layer's weight is bound by reading the weight, which oneDNN does a quarter to
  // a third faster as the left factor (4096x25088 by 8 to 32 samples).
  constexpr std::int64_t kFewRows = 64;
  if (a.transposed || !b.transposed || a.rows > kFewRows || a.rows >= b.rows)
    return sgemm(a, b, keep, result);
  const std::int64_t m = a.rows;
  const std::int64_t n = b.rows;
  std::vector<float> transposed(static_cast<std::size_t>(m * n));
  sgemm({b.data, b.rows, b.columns}, {a.data, a.rows, a.columns, true}, 0.0F, transposed.data());
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      const float value = transposed[static_cast<std::size_t>(j * m + i)];
      result[i * n + j] = into == Into::kAdd ? result[i * n + j] + value : value;
    }
  }
}

void gemm(const Factor<double>& a, const Factor<double>& b, Into into, double* result) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> left(a.data, a.rows, a.columns);
  const Eigen::Map<const Matrix> right(b.data, b.rows, b.columns);
  Eigen::Map<Matrix> to(result, a.transposed ? a.columns : a.rows,
                        b.transposed ? b.rows : b.columns);
  if (into == Into::kOverwrite) to.setZero();
  if (a.transposed && b.transposed) {
    to.noalias() += left.transpose() * right.transpose();
  } else if (a.transposed) {
    to.noalias() += left.transpose() * right;
  } else if (b.transposed) {
    to.noalias() += left * right.transpose();
  } else {
    to.noalias() += left * right;
  }
}

}  // namespace concord::kernels
