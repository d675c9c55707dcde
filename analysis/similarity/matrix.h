#pragma once
// The matrices of the similarity measures: samples in rows, features in columns, double.

// GCC 12 warns of its own AVX-512 intrinsics once Eigen's products inline them (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <Eigen/Core>

namespace concord::similarity {

// Row-major, as maps lie in a store.
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;
using RowVector = Eigen::RowVectorXd;

}  // namespace concord::similarity
