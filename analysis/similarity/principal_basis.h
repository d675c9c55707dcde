#pragma once
// Principal directions of features over samples: what canonical correlations and linear regression
// are computed from, without ever inverting a covariance.

#include <cstdint>
#include <string>

#include "analysis/similarity/matrix.h"

namespace concord::similarity {

// Singular values up to this multiple of the largest are taken for 0. Features are stored as
// float32, whose rounding leaves some 1e-7 of it where columns depend on each other.
inline constexpr double kRankTolerance = 1e-6;

// X = U S V^T of the centred rows, without the directions that are taken for 0.
struct PrincipalBasis {
  Matrix directions;       // U [n,r], orthonormal columns
  Vector singular_values;  // S [r], falling
  Matrix coordinates;      // S V^T = U^T X [r,d]
  std::int64_t samples = 0;
  std::string name;  // in messages

  std::int64_t rank() const { return singular_values.size(); }
  // The fewest leading directions that hold `share` (0..1) of the variance, the sum of S^2.
  std::int64_t directions_holding(double share) const;
};

// rows [n,d]. `name` is theirs in messages ("features A"). Throws for fewer than 2 samples, for
// values that are not finite, and where every feature is constant (rank 0). Memory on the way:
// principal_basis_bytes().
PrincipalBasis principal_basis(Matrix rows, std::string name,
                               double rank_tolerance = kRankTolerance);

// At most so many bytes are held while the basis of n x d rows is computed, the rows included.
double principal_basis_bytes(double n, double d);

}  // namespace concord::similarity
