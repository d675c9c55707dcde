#pragma once
// Canonical correlations and linear regression between features of the same samples: 1 for features
// that are invertible linear maps of each other.
//
// Over n samples, centred features of rank n - 1 span everything, and whatever they are compared
// with correlates perfectly with them. All measures here refuse that; where the ranks only add up
// to more than n - 1, forced_correlations() says how many correlations are 1 for that reason alone.

#include <cstdint>

#include "analysis/similarity/principal_basis.h"

namespace concord::similarity {

// The mean canonical correlation, sum_i rho_i / min(rank_A, rank_B), rho_i the singular values of
// U_A^T U_B. For unrelated Gaussian features it is about as large as sqrt(rank / n).
// Source: Hotelling 1936; Raghu et al., SVCCA, NeurIPS 2017, section 2.
double mean_cca(const PrincipalBasis& a, const PrincipalBasis& b);

// The same between the leading principal directions of each that hold `share` of its variance (0.99
// in the paper). Source: Raghu et al., section 2.1.
double svcca(const PrincipalBasis& a, const PrincipalBasis& b, double share = 0.99);

// sum_i alpha_i rho_i / sum_i alpha_i, alpha_i = sum_j |<h_i, x_j>|: the correlations weighted by
// how much of A its canonical variate h_i (of unit length) accounts for, x_j the centred columns of
// A. Not symmetric. Source: Morcos, Raghu, Bengio, Insights on representational similarity, NeurIPS
// 2018, section 3.
double pwcca(const PrincipalBasis& a, const PrincipalBasis& b);

// 1 - min_W |Y - X W|^2 / |Y|^2: how much of B's variance the best linear map of A gives, over the
// samples it is fitted on; rank_A / (n - 1) for unrelated features. Source: Kornblith et al. 2019,
// section 5.
double regression_r2(const PrincipalBasis& a, const PrincipalBasis& b);

// How many of the correlations between `directions_a` and `directions_b` directions are 1 because
// both cannot fit side by side into n - 1.
std::int64_t forced_correlations(std::int64_t samples, std::int64_t directions_a,
                                 std::int64_t directions_b);

}  // namespace concord::similarity
