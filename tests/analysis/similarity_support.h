#pragma once
// Inputs of the similarity tests, and what numpy computes of them (similarity_goldens.py).

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <vector>

#include "analysis/similarity/matrix.h"
#include "kernels/philox.h"

namespace concord::test {

using similarity::Matrix;

// The generator of similarity_goldens.py.
inline Matrix numbers(std::int64_t rows, std::int64_t columns, std::uint32_t seed) {
  Matrix result(rows, columns);
  std::uint32_t state = seed;
  for (std::int64_t i = 0; i < result.size(); ++i) {
    state = state * 1664525U + 1013904223U;
    result.data()[i] = state / 4294967296.0 - 0.5;
  }
  return result;
}

struct Pair {
  Matrix a, b;
};

inline Pair golden_pair(std::int64_t n, std::int64_t d_a, std::int64_t d_b, std::uint32_t seed) {
  Matrix a = numbers(n, d_a, seed);
  for (std::int64_t j = 0; j < d_a; ++j) a.col(j) *= static_cast<double>(1 + j);
  a.array() += 3;
  const Matrix b = a * numbers(d_a, d_b, seed + 1) * 0.4 + numbers(n, d_b, seed + 2) * 2;
  return {a, b};
}

struct Golden {
  std::int64_t n, d_a, d_b;
  std::uint32_t seed;
  double cka, cka_debiased;
  std::optional<double> minibatch, minibatch_debiased;  // batches of n / 4
  double rbf, rbf_debiased;                             // bandwidth 0.8
  double procrustes_distance;
  // Where n > d_a + d_b; svcca holds 0.9 of the variance.
  std::optional<double> mean_cca, svcca, pwcca_a, pwcca_b, r2_ab, r2_ba;
  std::int64_t kept_a = 0, kept_b = 0;
};

// By numpy 2.
inline std::vector<Golden> goldens() {
  return {{.n = 40,
           .d_a = 5,
           .d_b = 7,
           .seed = 1,
           .cka = 0.240260487000147,
           .cka_debiased = 0.151966153728192,
           .minibatch = 0.428063169640634,
           .minibatch_debiased = 0.167246237510174,
           .rbf = 0.329285506008713,
           .rbf_debiased = 0.143975347637935,
           .procrustes_distance = 1.14875812745977,
           .mean_cca = 0.452444792304703,
           .svcca = 0.526626254014613,
           .pwcca_a = 0.489796401530992,
           .pwcca_b = 0.476162189535172,
           .r2_ab = 0.224795207931262,
           .r2_ba = 0.321625344379137,
           .kept_a = 3,
           .kept_b = 6},
          {.n = 61,
           .d_a = 12,
           .d_b = 4,
           .seed = 99,
           .cka = 0.465850084613424,
           .cka_debiased = 0.428414507633451,
           .minibatch = std::nullopt,
           .minibatch_debiased = std::nullopt,
           .rbf = 0.466973926868511,
           .rbf_debiased = 0.368336481580761,
           .procrustes_distance = 0.913780256200651,
           .mean_cca = 0.758047270363064,
           .svcca = 0.698357206259315,
           .pwcca_a = 0.774688209526605,
           .pwcca_b = 0.807095552154143,
           .r2_ab = 0.73592059536738,
           .r2_ba = 0.301505173952769,
           .kept_a = 7,
           .kept_b = 3},
          {.n = 16,
           .d_a = 30,
           .d_b = 22,
           .seed = 7,
           .cka = 0.873669321402717,
           .cka_debiased = 0.80340963751289,
           .minibatch = 0.929983212226352,
           .minibatch_debiased = std::nullopt,
           .rbf = 0.931441401197946,
           .rbf_debiased = 0.824144255700083,
           .procrustes_distance = 0.107216199096486,
           .mean_cca = std::nullopt,
           .svcca = std::nullopt,
           .pwcca_a = std::nullopt,
           .pwcca_b = std::nullopt,
           .r2_ab = std::nullopt,
           .r2_ba = std::nullopt}};
}

// Independent standard normal values (Box and Muller).
inline Matrix gaussian(std::int64_t rows, std::int64_t columns, std::uint64_t stream) {
  random::Stream uniform(20240607, stream);
  Matrix result(rows, columns);
  for (std::int64_t i = 0; i < result.size(); ++i)
    result.data()[i] = std::sqrt(-2 * std::log(1 - uniform.uniform(0, 1))) *
                       std::cos(2 * M_PI * uniform.uniform(0, 1));
  return result;
}

// An orthogonal matrix: a product of reflections I - 2 v v^T / |v|^2.
inline Matrix orthogonal(std::int64_t size, std::uint64_t stream) {
  Matrix result = Matrix::Identity(size, size);
  for (std::int64_t k = 0; k < size; ++k) {
    const similarity::Vector v = gaussian(size, 1, stream + static_cast<std::uint64_t>(k)).col(0);
    result -= (result * v) * v.transpose() * (2 / v.squaredNorm());
  }
  return result;
}

}  // namespace concord::test
