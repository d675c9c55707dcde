#include "analysis/similarity/canonical_correlation.h"

#include <algorithm>

#include "analysis/similarity/svd.h"
#include "kernels/error.h"

namespace concord::similarity {
namespace {

void check_room(const char* measure, const PrincipalBasis& basis, std::int64_t directions) {
  check(directions < basis.samples - 1,
        "{}: {} span {} directions, all that {} samples have, so that everything follows from "
        "them and the value is 1 whatever the features; use more images, or the rows `mean` or "
        "`positions`",
        measure, basis.name, directions, basis.samples);
}

void check_pair(const char* measure, const PrincipalBasis& a, const PrincipalBasis& b) {
  check(a.samples == b.samples, "{}: {} have {} samples, {} have {}", measure, a.name, a.samples,
        b.name, b.samples);
  check(a.rank() > 0 && b.rank() > 0, "{}: a basis without directions", measure);
}

struct Correlations {
  Vector values;    // falling, in 0..1
  Matrix rotation;  // of A's directions to its canonical variates
};

Correlations correlations(const Matrix& directions_a, const Matrix& directions_b) {
  const LeftSvd svd = left_svd(directions_a.transpose() * directions_b);
  return {svd.singular_values.cwiseMin(1.0), svd.vectors};
}

}  // namespace

double mean_cca(const PrincipalBasis& a, const PrincipalBasis& b) {
  check_pair("cca", a, b);
  check_room("cca", a, a.rank());
  check_room("cca", b, b.rank());
  return correlations(a.directions, b.directions).values.mean();
}

double svcca(const PrincipalBasis& a, const PrincipalBasis& b, double share) {
  check_pair("svcca", a, b);
  check(share > 0 && share <= 1, "svcca: a share of {} of the variance is outside (0, 1]", share);
  const std::int64_t kept_a = a.directions_holding(share);
  const std::int64_t kept_b = b.directions_holding(share);
  check_room("svcca", a, kept_a);
  check_room("svcca", b, kept_b);
  return correlations(a.directions.leftCols(kept_a), b.directions.leftCols(kept_b)).values.mean();
}

double pwcca(const PrincipalBasis& a, const PrincipalBasis& b) {
  check_pair("pwcca", a, b);
  check_room("pwcca", a, a.rank());
  check_room("pwcca", b, b.rank());
  const Correlations pairs = correlations(a.directions, b.directions);
  const Matrix projections = pairs.rotation.transpose() * a.coordinates;
  const Vector weights = projections.cwiseAbs().rowwise().sum();
  return weights.dot(pairs.values) / weights.sum();
}

double regression_r2(const PrincipalBasis& a, const PrincipalBasis& b) {
  check_pair("r2", a, b);
  check_room("r2", a, a.rank());
  const Matrix explained =
      a.directions.transpose() * (b.directions * b.singular_values.asDiagonal());
  return std::min(1.0, explained.squaredNorm() / b.singular_values.squaredNorm());
}

std::int64_t forced_correlations(std::int64_t samples, std::int64_t directions_a,
                                 std::int64_t directions_b) {
  return std::max<std::int64_t>(0, directions_a + directions_b - (samples - 1));
}

}  // namespace concord::similarity
